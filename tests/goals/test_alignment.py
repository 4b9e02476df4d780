"""Goals hang together: parents, weights, horizons; what contradicts itself changes nothing."""

from __future__ import annotations

from typing import Any

from tests.goals.test_scorecard import BASE, state_goals
from tests.support.house import Key


def draft(initiative: str, **more: Any) -> dict[str, Any]:
    return {"initiative_id": initiative, "title": "Win more", "metric": "win-rate",
            "baseline": {"periods": BASE}, "target": {"value": 0.6}, "target_period": "2030-Q4",
            **more}  # fmt: skip


def test_a_goal_says_what_it_serves_and_can_be_found_by_it(key: Key) -> None:
    initiative, (parent, _, _) = state_goals(key)
    plan = key.post("goals", "/v1/v2moms", {
        "initiative_id": initiative, "period": "FY2027", "vision": "We know", "values": ["Trust"],
    })["id"]  # fmt: skip
    objective = key.post("goals", "/v1/objectives", {
        "initiative_id": initiative, "text": "Win back the south", "period": "2027",
    })["id"]  # fmt: skip
    made = key.post("goals", "/v1/goals", draft(
        initiative, parent=parent, weight=0.5, aim="quick_use", rank=2, area="Sales south",
        tags=["win", "south"], measure_of=plan, objective=objective,
    ))  # fmt: skip
    assert key.get("goals", f"/v1/v2moms/{plan}")["v2mom"]["measures"] == [made["id"]]
    found = key.get("goals", f"/v1/objectives/{objective}")["objective"]
    assert (found["key_results"], found["closing"]) == ([made["id"]], None)
    for name in ("measure_of", "objective"):
        body = draft(initiative, **{name: "0" * 36})
        problem = key.refused(422, "POST", "goals", "/v1/goals", json=body)
        assert problem["errors"][0]["pointer"] == f"/{name}"
    assert (made["horizon"], made["parent"], made["weight"]) == ("long", parent, 0.5)
    shown = key.get("goals", f"/v1/goals/{made['id']}")["goal"]
    assert (shown["aim"], shown["rank"], shown["tags"]) == ("quick_use", 2, ["win", "south"])


def test_parents_form_no_circle(key: Key) -> None:
    initiative, _ = state_goals(key, 1)
    ids: list[str] = []
    for parent in (None, 0, 1):
        more = {} if parent is None else {"parent": ids[parent]}
        ids.append(key.post("goals", "/v1/goals", draft(initiative, **more))["id"])
    body = draft(initiative, parent=ids[2])
    body.pop("initiative_id")
    for target in (ids[0], ids[2]):
        problem = key.refused(422, "PUT", "goals", f"/v1/goals/{target}", json=body)
        assert problem["errors"][0] == {**problem["errors"][0], "pointer": "/parent",
                                        "code": "circle"}  # fmt: skip
    unknown = draft(initiative, parent="0" * 36)
    key.refused(422, "POST", "goals", "/v1/goals", json=unknown)
    assert key.get("goals", f"/v1/goals/{ids[0]}")["goal"]["revision"] == 1


def test_weights_of_one_parent_are_at_most_the_whole(key: Key) -> None:
    initiative, (parent, _, _) = state_goals(key)
    first = key.post("goals", "/v1/goals", draft(initiative, parent=parent, weight=0.6))["id"]
    key.post("goals", "/v1/goals", draft(initiative, parent=parent, weight=0.4))
    problem = key.refused(422, "POST", "goals", "/v1/goals",
                          json=draft(initiative, parent=parent, weight=0.1))  # fmt: skip
    assert "add up to 1.1" in problem["detail"]
    body = draft(initiative, parent=parent, weight=0.5)
    body.pop("initiative_id")
    assert key.send("PUT", "goals", f"/v1/goals/{first}", json=body).status_code == 200
    key.refused(422, "POST", "goals", "/v1/goals", json=draft(initiative, weight=1.5))


def test_a_horizon_that_contradicts_the_due_date_is_refused(key: Key) -> None:
    initiative, _ = state_goals(key, 1)
    problem = key.refused(422, "POST", "goals", "/v1/goals",
                          json=draft(initiative, horizon="short"))  # fmt: skip
    assert problem["errors"][0]["pointer"] == "/horizon"
    assert "a long horizon, not a short one" in problem["detail"]
    assert key.post("goals", "/v1/goals", draft(initiative, horizon="long"))["horizon"] == "long"
    past = draft(initiative, target_period="2025-Q3")
    assert key.post("goals", "/v1/goals", past)["horizon"] == "short"
