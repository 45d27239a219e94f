"""A source inside a VPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import project
from project.model import Endpoints, Network
from tests.project_folder import TO_EVENTBRIDGE

ENDPOINTS = {"vpc": "vpc-0123456789abcdef0", "route_tables": ["rtb-0123456789abcdef0"]}
VPC = {"subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-0123456789abcdef0"]}


def load(tmp_path: Path, vpc: Any, **others: Any) -> project.Project:
    place = {"type": "postgres", "host": "db.internal", "database": "d", "user": "u"}
    sources = {name: {**place, "vpc": one} for name, one in {"db": vpc, **others}.items()}
    sync = TO_EVENTBRIDGE | {"model": {"source": "db", "query": "SELECT 1 AS id", "primary_key": "id"}, "alerts": []}
    (tmp_path / "syncs").mkdir()
    (tmp_path / "rowcast.yaml").write_text(yaml.safe_dump({"sources": sources}))
    (tmp_path / "syncs" / "orders.yaml").write_text(yaml.safe_dump(sync))
    return project.load(tmp_path)


def test_a_source_names_the_subnets_and_groups_from_which_it_is_read(tmp_path: Path) -> None:
    network = load(tmp_path, VPC).networks["db"]
    assert (network.subnets, network.security_groups) == (tuple(VPC["subnets"]), tuple(VPC["security_groups"]))


def test_a_source_may_have_its_endpoints_made(tmp_path: Path) -> None:
    assert load(tmp_path, {**VPC, "endpoints": ENDPOINTS}, other=VPC).networks == {
        "db": Network(
            tuple(VPC["subnets"]),
            tuple(VPC["security_groups"]),
            Endpoints("vpc-0123456789abcdef0", ("rtb-0123456789abcdef0",)),
        ),
        "other": Network(tuple(VPC["subnets"]), tuple(VPC["security_groups"])),
    }


def test_endpoints_of_one_vpc_are_made_once(tmp_path: Path) -> None:
    wish = {**VPC, "endpoints": ENDPOINTS}
    with pytest.raises(project.ProjectInvalid, match="the source db makes the endpoints of vpc-0123456789abcdef0"):
        load(tmp_path, wish, other=wish)


@pytest.mark.parametrize(
    ("vpc", "path"),
    [
        ({**VPC, "subnets": ["vpc-0123456789abcdef0"]}, "sources.db.vpc.subnets[0]"),
        ({**VPC, "security_groups": []}, "sources.db.vpc.security_groups"),
        ({"subnets": VPC["subnets"]}, "sources.db.vpc"),
        ({**VPC, "endpoints": {**ENDPOINTS, "vpc": "rtb-1"}}, "sources.db.vpc.endpoints.vpc"),
        ({**VPC, "endpoints": {**ENDPOINTS, "route_tables": []}}, "sources.db.vpc.endpoints.route_tables"),
    ],
)
def test_what_is_no_place_in_a_vpc_is_refused(tmp_path: Path, vpc: Any, path: str) -> None:
    with pytest.raises(project.ProjectInvalid) as told:
        load(tmp_path, vpc)
    assert {problem.path for problem in told.value.problems} <= {path, f"{path}.security_groups"}
