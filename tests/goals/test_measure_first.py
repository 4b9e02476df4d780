"""What can't be measured yet is committed to be measured; then its target is promised."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.goals.test_scorecard import SHARE, quarter
from tests.support.house import House, Key

NOW = datetime.now(UTC).date()
SOON = (NOW + timedelta(days=30)).isoformat()
BASE = ["2025-Q1", "2025-Q2"]
FIRST: dict[str, Any] = {
    "measure_first": {"cause": "no_instrument", "instrument": "CRM stages", "by": SOON},
}  # fmt: skip


def stated(key: Key, **more: Any) -> dict[str, Any]:
    key.post("metrics", "/v1/metrics", {
        "key": "win-rate", "name": "Win rate", "unit": "ratio", "definition": SHARE,
        "dimensions": ["owner"], "direction": "up",
    })  # fmt: skip
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    made: dict[str, Any] = key.post("goals", "/v1/goals", {
        "initiative_id": initiative, "title": "Win more", "metric": "win-rate",
        "baseline": {"periods": BASE}, "target": {"change": 0.1}, "target_period": "2028-Q4",
        "business_owner": "Ann", **more,
    })  # fmt: skip
    return made


def test_a_metric_is_measured_first_and_then_its_target_is_promised(key: Key) -> None:
    path = f"/v1/goals/{stated(key)['id']}"
    key.refused(409, "POST", "goals", f"{path}/commit", json={})
    begun = key.post("goals", f"{path}/commit", FIRST)
    assert (begun["state"], begun["commitment"]) == ("committed", None)
    assert begun["measure_first"]["instrument"] == "CRM stages"
    progress = key.get("goals", f"{path}/progress")
    assert (progress["status"], progress["because"][0]["code"]) == ("not_started", "measured_first")
    letter = key.get("goals", f"{path}/smart")["letters"]["M"]
    assert (letter["result"], letter["advice"][0]["code"]) == ("warn", "measured_first")
    key.refused(409, "POST", "goals", f"{path}/commit", json=FIRST)
    for name in BASE:
        key.events(*quarter(name, 3, 7, "ann"))
    promised = key.post("goals", f"{path}/commit", {})
    assert promised["first_commitment"]["target_value"] == 0.4
    assert date.fromisoformat(promised["instrumented_on"]) >= NOW
    told = [e["what"]["code"] for e in key.get("goals", f"{path}/history")["items"]]
    assert told == ["drafted", "measuring", "committed"]


def test_what_can_be_measured_is_not_measured_first(key: Key) -> None:
    path = f"/v1/goals/{stated(key)['id']}"
    past = {"measure_first": {**FIRST["measure_first"], "by": "2020-01-01"}}
    key.refused(422, "POST", "goals", f"{path}/commit", json=past)
    for name in BASE:
        key.events(*quarter(name, 3, 7, "ann"))
    problem = key.refused(409, "POST", "goals", f"{path}/commit", json=FIRST)
    assert "it is 0.3" in problem["detail"]
    assert key.get("goals", path)["goal"]["state"] == "draft"


def test_other_causes_are_acknowledged_by_whom_the_figure_belongs(house: House, key: Key) -> None:
    causes = [{"cause": "Season", "share": 0.25}, {"cause": "New staff", "share": 0.25}]
    goal = stated(key, other_causes=causes)
    path = f"/v1/goals/{goal['id']}"
    assert (goal["expected_share"], goal["acknowledged_by"]) == (0.5, None)
    assert key.get("goals", f"{path}/smart")["letters"]["R"]["result"] == "warn"
    key.refused(403, "POST", "goals", f"{path}/acknowledge-causes", json={})
    ann = house.key(key.tenant, "goals:write", "goals:read", "metrics:read", person="Ann")
    assert ann.post("goals", f"{path}/acknowledge-causes", {})["acknowledged_by"] == "Ann"
    assert key.get("goals", f"{path}/smart")["letters"]["R"]["result"] == "pass"
    body = {k: goal[k] for k in ("title", "metric", "target_period")} | {
        "baseline": {"periods": BASE}, "target": {"change": 0.1},
        "other_causes": [{"cause": "Another", "share": 0.9}],
    }  # fmt: skip
    changed = key.send("PUT", "goals", path, json=body).json()
    assert (changed["acknowledged_by"], changed["expected_share"]) == (None, 0.1)
    over = {**body, "other_causes": [*causes, {"cause": "All else", "share": 0.6}]}
    key.refused(422, "PUT", "goals", path, json=over)


def test_what_is_measured_first_may_find_its_baseline_in_other_periods(key: Key) -> None:
    goal = stated(key)
    path = f"/v1/goals/{goal['id']}"
    key.post("goals", f"{path}/commit", FIRST)
    key.events(*quarter("2025-Q4", 3, 7, "ann"))
    body = {
        "title": "Win more",
        "metric": "win-rate",
        "baseline": {"periods": ["2025-Q4"]},
        "target": {"value": 0.5},
        "target_period": "2028-Q4",
        "business_owner": "Bo",
    }
    assert key.send("PUT", "goals", path, json=body).status_code == 200
    promised = key.post("goals", f"{path}/commit", {})
    assert promised["commitment"]["baseline"]["periods"] == ["2025-Q4"]
    key.refused(409, "PUT", "goals", path, json=body)


def test_an_initiative_is_undecided_while_a_must_goal_is_still_to_be_measured(key: Key) -> None:
    goal = stated(key)
    key.post("goals", f"/v1/goals/{goal['id']}/commit", FIRST)
    path = f"/v1/initiatives/{goal['initiative_id']}/exit"
    judged = key.post("goals", path, {"reason": "Its end"})["judgements"][0]
    assert (judged["present"], [one["goal_id"] for one in judged["goals"]]) == (
        "undecided", [goal["id"]])  # fmt: skip


def test_what_was_given_up_is_neither_restated_nor_committed_again(key: Key) -> None:
    goal = stated(key)
    path = f"/v1/goals/{goal['id']}"
    key.post("goals", f"{path}/commit", FIRST)
    key.post("goals", f"{path}/abandon", {"reason": "Nobody measures it"})
    for name in BASE:
        key.events(*quarter(name, 3, 7, "ann"))
    body = {"title": "Win more", "metric": "win-rate", "baseline": {"periods": BASE},
            "target": {"value": 0.5}, "target_period": "2028-Q4"}  # fmt: skip
    key.refused(409, "PUT", "goals", path, json=body)
    key.refused(409, "POST", "goals", f"{path}/commit", json={})
    assert key.get("goals", path)["goal"]["state"] == "abandoned"
