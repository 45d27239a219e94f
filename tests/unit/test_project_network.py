"""A source inside a VPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from tests.project_folder import TO_EVENTBRIDGE

VPC = {"subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-0123456789abcdef0"]}


def load(tmp_path: Path, vpc: Any) -> project.Project:
    source = {"type": "postgres", "host": "db.internal", "database": "d", "user": "u", "vpc": vpc}
    sync = TO_EVENTBRIDGE | {"model": {"source": "db", "query": "SELECT 1 AS id", "primary_key": "id"}, "alerts": []}
    (tmp_path / "syncs").mkdir()
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump({"sources": {"db": source}}))
    (tmp_path / "syncs" / "orders.yaml").write_text(yaml.safe_dump(sync))
    return project.load(tmp_path)


def test_a_source_names_the_subnets_and_groups_from_which_it_is_read(tmp_path: Path) -> None:
    network = load(tmp_path, VPC).networks["db"]
    assert (network.subnets, network.security_groups) == (tuple(VPC["subnets"]), tuple(VPC["security_groups"]))


@pytest.mark.parametrize(
    ("vpc", "path"),
    [
        ({**VPC, "subnets": ["vpc-0123456789abcdef0"]}, "sources.db.vpc.subnets[0]"),
        ({**VPC, "security_groups": []}, "sources.db.vpc.security_groups"),
        ({"subnets": VPC["subnets"]}, "sources.db.vpc"),
    ],
)
def test_what_is_no_place_in_a_vpc_is_refused(tmp_path: Path, vpc: Any, path: str) -> None:
    with pytest.raises(project.ProjectInvalid) as told:
        load(tmp_path, vpc)
    assert {problem.path for problem in told.value.problems} <= {path, f"{path}.security_groups"}
