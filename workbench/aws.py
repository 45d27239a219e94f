"""Clients for the AWS that a command speaks to: a project's embedded one or a real account."""

from __future__ import annotations

from typing import Any

from workbench.local.server import LocalAws


class Aws:
    """Makes clients when they are first used. `local`: the embedded AWS; else a profile or the ambient credentials."""

    def __init__(self, *, local: LocalAws | None = None, profile: str | None = None) -> None:
        self.local = local
        self._profile = profile
        self._clients: dict[tuple[str, str | None, str | None], Any] = {}

    def client(self, service: str, *, region: str | None = None, account: str | None = None) -> Any:
        """`account` stands for the credentials of another account, which only the embedded AWS hands out freely."""
        key = (service, region, account)
        if key not in self._clients:
            self._clients[key] = self._make(service, region, account)
        return self._clients[key]

    def _make(self, service: str, region: str | None, account: str | None) -> Any:
        import boto3
        from botocore.config import Config

        if self.local is None:
            return boto3.Session(profile_name=self._profile, region_name=region).client(service)  # type: ignore[call-overload]
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.local.endpoint,
            region_name=region or self.local.region,
            aws_access_key_id=account or self.local.account,
            aws_secret_access_key="local",  # noqa: S106 - the emulator takes any
            config=Config(
                connect_timeout=5,
                retries={"max_attempts": 2},
                s3={"addressing_style": "path"},
                parameter_validation=False,
            ),
        )
