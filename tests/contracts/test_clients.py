"""What one service reads of another stands in the other's document, under that name and type."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from services.goals import clients as goals_clients
from services.valuation.clients import goals as valued_goals
from services.valuation.clients import metrics as valued_metrics
from shared.follow import FollowedFeed
from shared.web.introspection import CredentialsSelf
from tests.contracts.snapshots import openapi

# consumer's shape -> provider, method, path, status of the answer
READ: list[tuple[type[BaseModel], str, str, str, str]] = [
    (CredentialsSelf, "metrics", "get", "/v1/credentials/self", "200"),
    (FollowedFeed, "metrics", "get", "/v1/feed", "200"),
    (goals_clients.MetricAnswer, "metrics", "get", "/v1/metrics/{key}", "200"),
    (goals_clients.ReplayRead, "metrics", "get", "/v1/metrics/{key}/values", "200"),
    (goals_clients.ReplayManyRead, "metrics", "post", "/v1/replay", "200"),
    (goals_clients.BaselineRead, "metrics", "get", "/v1/baselines/{baseline_id}", "200"),
    (goals_clients.BaselineRead, "metrics", "get", "/v1/metrics/{key}/baseline", "200"),
    (goals_clients.BaselineRead, "metrics", "post", "/v1/baselines", "201"),
    (goals_clients.CalendarRead, "metrics", "get", "/v1/calendar", "200"),
    (goals_clients.QualityRead, "metrics", "get", "/v1/metrics/{key}/quality", "200"),
    (goals_clients.ReplayRead, "metrics", "post", "/v1/metrics/preview", "200"),
    (goals_clients.InstalledMetric, "metrics", "post", "/v1/catalogue/{entry_id}/install", "201"),
    (goals_clients.CatalogueRead, "metrics", "get", "/v1/catalogue", "200"),
    (valued_goals.InitiativeAnswer, "goals", "get", "/v1/initiatives/{initiative_id}", "200"),
    (valued_goals.GoalAnswer, "goals", "get", "/v1/goals/{goal_id}", "200"),
    (valued_metrics.MetricAnswer, "metrics", "get", "/v1/metrics/{key}", "200"),
    (valued_metrics.ReplayRead, "metrics", "get", "/v1/metrics/{key}/values", "200"),
    (valued_metrics.BaselineRead, "metrics", "get", "/v1/baselines/{baseline_id}", "200"),
    (valued_metrics.EventPage, "metrics", "get", "/v1/metrics/{key}/events", "200"),
    (valued_metrics.SavedMetric, "metrics", "post", "/v1/metrics", "201"),
]
# `number` on the wire is read as an exact decimal, which may be written as a text too.
KINDS = {"string", "integer", "number", "boolean", "array", "object", "null"}


@pytest.mark.parametrize(
    ("shape", "provider", "method", "path", "status"),
    READ,
    ids=[f"{r[0].__module__.split('.')[1]}-{r[0].__name__}-{i}" for i, r in enumerate(READ)],
)
def test_every_field_that_is_read_is_promised(
    shape: type[BaseModel], provider: str, method: str, path: str, status: str
) -> None:
    document = openapi(provider)
    answer = document["paths"][path][method]["responses"][status]
    promised = answer["content"]["application/json"]["schema"]
    wanted = shape.model_json_schema(mode="validation")
    assert _missing(wanted, wanted, promised, document, shape.__name__) == []


def test_the_parameters_that_are_sent_are_known() -> None:
    parameters = openapi("metrics")["paths"]["/v1/metrics/{key}/values"]["get"]["parameters"]
    names = {p["name"] for p in parameters}
    assert {"period", "where", "version", "known_at", "basis", "group_by"} <= names


def _missing(
    root: dict[str, Any],
    wanted: dict[str, Any],
    promised: dict[str, Any],
    document: dict[str, Any],
    where: str,
) -> list[str]:
    found: list[str] = []
    wanted, promised = _resolved(wanted, root), _resolved(promised, document)
    if "oneOf" in promised:
        # Whichever of the shapes is answered must hold what is read.
        return [
            lack
            for shape in promised["oneOf"]
            for lack in _missing(root, wanted, shape, document, where)
        ]
    kinds, given = _kinds(wanted), _kinds(promised)
    if not given <= kinds | ({"string"} if "number" in kinds else set()):
        found.append(f"{where}: reads {sorted(kinds)}, is promised {sorted(given)}")
    for name, field in wanted.get("properties", {}).items():
        if name not in promised.get("properties", {}):
            found.append(f"{where}.{name} is not promised")
            continue
        inner = promised["properties"][name]
        found += _missing(root, field, inner, document, f"{where}.{name}")
    if "items" in wanted and "items" in promised:
        found += _missing(root, wanted["items"], promised["items"], document, f"{where}[]")
    return found


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference; of alternatives the one that has a shape."""
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    for option in schema.get("anyOf", []):
        resolved = _resolved(option, root)
        if "properties" in resolved:
            return {**resolved, "anyOf": schema["anyOf"]}
    return schema


def _kinds(schema: dict[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return set().union(*(_kinds(o) if "$ref" not in o else {"object"} for o in schema["anyOf"]))
    return {schema["type"]} if "type" in schema else set()
