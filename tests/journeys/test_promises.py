"""Promises can't be bent afterwards, and like is compared with like."""

from __future__ import annotations

from typing import Any

from tests.shared.test_follow import committed_goal
from tests.support.house import Key
from tests.support.samples import CLOSED, closed


def test_an_amendment_can_not_move_a_promise_to_where_its_outcome_is_known(key: Key) -> None:
    path = f"/v1/goals/{committed_goal(key)}"
    for period in ("2024-Q4", "2020-Q1"):
        body = {"target_period": period, "reason": "It looked good then"}
        problem = key.refused(422, "POST", "goals", f"{path}/amend", json=body)
        assert problem["errors"][0]["code"] == "due_past"
    empty = {"name": None, "reason": "why not"}
    goal = key.get("goals", path)["goal"]
    initiative = f"/v1/initiatives/{goal['initiative_id']}"
    key.refused(422, "PATCH", "goals", initiative, json=empty)
    key.refused(422, "PATCH", "goals", initiative, json={"reason": "nothing"})
    assert (goal["state"], goal["revision"]) == ("committed", 2)


def test_a_filtered_baseline_is_compared_with_equally_filtered_values(key: Key) -> None:
    definition: dict[str, Any] = {
        "key": "deals",
        "name": "D",
        "unit": "count",
        "definition": CLOSED,
    }
    key.post("metrics", "/v1/metrics", definition)
    for month in ("2024-01", "2025-01"):
        north = [closed(f"{month}/n{n}", f"{month}-10", region="N") for n in range(2)]
        south = [closed(f"{month}/s{n}", f"{month}-10", region="S") for n in range(3)]
        key.events(*north, *(south if month == "2025-01" else []))
    where = {"field": "region", "op": "eq", "value": "N"}
    frozen = {"metric": "deals", "periods": ["2024"], "where": where, "reason": "The north"}
    baseline = key.post("metrics", "/v1/baselines", frozen)
    assert baseline["value"] == 2
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": "c", "currency": "EUR", "start": "2025-01-01",
        "grain": "year", "periods": 1, "discount_rate": "0",
    })  # fmt: skip
    path = f"/v1/cases/{case['id']}"
    change = {"metric_change": {"metric": "deals", "baseline_id": baseline["id"]}}
    key.post("valuation", f"{path}/benefits", {
        "name": "b", "category": "revenue", "formula": "change * price",
        "inputs": {"change": change, "price": {"value": "1", "unit": "EUR"}},
        "planned": {"change": {"value": "1"}},
    })  # fmt: skip
    realised = key.get("valuation", f"{path}/valuation")["realised"]
    assert realised["cash_flow"][1]["benefits"] == "0.00"
