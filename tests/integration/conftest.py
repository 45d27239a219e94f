from tests.contract.conftest import aws

__all__ = ["aws"]
