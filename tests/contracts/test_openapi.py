"""The OpenAPI documents: committed, valid, complete, and not broken for those who built on them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.contracts.compatibility import breaks
from tests.contracts.snapshots import DOCS, event_schemas, openapi, written

SERVICES = ["goals", "metrics", "valuation"]


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.mark.parametrize("service", SERVICES)
def test_the_committed_document_is_what_the_code_serves(service: str) -> None:
    committed = (DOCS / "openapi" / f"{service}.json").read_text()
    assert committed == written(openapi(service)), "run `make contracts` and read the difference"


def test_the_committed_event_schemas_are_what_the_code_has() -> None:
    committed = {path.stem: path.read_text() for path in (DOCS / "events").glob("*.json")}
    assert committed == {name: written(schema) for name, schema in event_schemas().items()}


@pytest.mark.parametrize("service", SERVICES)
def test_the_document_is_valid_openapi(service: str) -> None:
    validate(openapi(service))


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_can_be_read_and_generated_well(service: str) -> None:
    seen: set[str] = set()
    for where, operation in operations(openapi(service)):
        identity = operation["operationId"]
        assert re.fullmatch(r"[a-z]+[A-Za-z0-9]+", identity), where
        assert identity not in seen, where
        seen.add(identity)
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        for parameter in operation.get("parameters", []):
            described = parameter.get("description") or parameter["in"] == "path"
            assert described, (where, parameter["name"])
        assert {"401", "422", "500"} <= operation["responses"].keys()


@pytest.mark.parametrize("service", SERVICES)
def test_every_property_is_described(service: str) -> None:
    schemas = openapi(service)["components"]["schemas"]
    missing = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, shape in schema.get("properties", {}).items()
        if not (shape.get("description") or "$ref" in shape)
    ]
    allowed = re.compile(r"^(Body_|\w*(Simple|State|Step|Duration|Ratio|Filter|Mapping)\b)")
    assert [m for m in missing if not allowed.match(m)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_change_breaks_the_clients_of_the_last_commit(service: str) -> None:
    shown = subprocess.run(
        ["git", "show", f"HEAD:docs/openapi/{service}.json"],
        cwd=DOCS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if shown.returncode != 0:
        pytest.skip("there is no committed document to compare with")
    assert list(breaks(json.loads(shown.stdout), openapi(service))) == []


def test_the_compatibility_check_sees_what_would_break() -> None:
    old = openapi("goals")
    new = json.loads(json.dumps(old))
    del new["paths"]["/v1/goals"]["post"]
    del new["components"]["schemas"]["Goal"]["properties"]["title"]
    new["components"]["schemas"]["Goal"]["properties"]["state"]["enum"].remove("closed")
    new["components"]["schemas"]["NewGoal"]["required"].append("phase")
    assert sorted(breaks(old, new)) == [
        "Goal lost the property title",
        "Goal.state lost the value 'closed'",
        "NewGoal now demands phase",
        "POST /v1/goals is gone",
    ]
