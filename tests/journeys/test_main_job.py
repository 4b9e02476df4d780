"""The main job, by HTTP alone: history in, win rate out, a goal against it, and its worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import Databases, House, Key, open_house
from tests.support.samples import CLOSED, GUIDELINES, WIN_RATE, WON, deals

BASELINE = ["2024-Q1", "2024-Q2"]


@pytest.fixture(scope="module")
def simulated(databases: Databases) -> Iterator[House]:
    with open_house(databases, simulate=True) as opened:
        yield opened


def move(key: Key, moment: str) -> None:
    for service in ("goals", "metrics", "valuation"):
        key.post(service, "/v1/dev/clock", {"now": moment})


@pytest.mark.xdist_group("simulated")
def test_an_investment_is_judged_through_three_years(simulated: House) -> None:
    """Goal: at each past moment the three services say what was known then, and no more.

    Method: simulated time moves through quarters; the goal is committed, amended, followed and
    closed; the case is valued before and after; then past moments are asked for again.
    """
    key = simulated.key()
    move(key, "2024-01-02T00:00:00Z")
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "guidelines": GUIDELINES})
    size = {**WON, "kind": "average", "field": "amount"}
    for name, unit, definition in (("deals", "count", CLOSED), ("size", "EUR", size)):
        body = {"key": name, "name": name, "unit": unit, "definition": definition}
        key.post("metrics", "/v1/metrics", body)
    for quarter, won in {"2023-Q2": 24, "2023-Q3": 27, "2023-Q4": 25}.items():
        key.events(*deals(quarter, won, 100 - won))
    move(key, "2024-07-02T00:00:00Z")
    key.events(*deals("2024-Q1", 26, 74), *deals("2024-Q2", 28, 72))
    initiative = key.post("goals", "/v1/initiatives", {
        "name": "CRM", "currency": "EUR", "go_live": "2024-10-01", "business_owner": "Ann",
    })  # fmt: skip
    goal = key.post("goals", "/v1/goals", {
        "initiative_id": initiative["id"], "title": "Win a third", "metric": "win-rate",
        "baseline": {"periods": BASELINE}, "target": {"value": 0.33}, "target_period": "2025-Q2",
        "business_owner": "Ann", "milestones": [{"period": "2025-Q1", "value": 0.3}],
    })  # fmt: skip
    smart = key.get("goals", f"/v1/goals/{goal['id']}/smart")
    assert smart["committable"]
    assert {name: letter["result"] for name, letter in smart["letters"].items()} == {
        "S": "pass", "M": "pass", "A": "pass", "R": "pass", "T": "pass",
    }  # fmt: skip
    committed = key.post("goals", f"/v1/goals/{goal['id']}/commit", {})
    assert committed["commitment"]["baseline"]["value"] == 0.27
    baseline_id = committed["commitment"]["baseline"]["id"]
    case = open_case(key, initiative["id"], baseline_id, goal["id"])

    move(key, "2025-01-03T00:00:00Z")
    key.events(*deals("2024-Q3", 27, 73), *deals("2024-Q4", 30, 70))
    progress = key.get("goals", f"/v1/goals/{goal['id']}/progress")
    assert (progress["status"], progress["current"]["period"]) == ("on_track", "2024-Q4")
    assert progress["fraction"] == 0.5
    then = key.get("valuation", f"/v1/cases/{case}/valuation")
    assert then["periods_elapsed"] == 1
    assert then["realised"]["cash_flow"][1]["benefits"] == "960.00"

    move(key, "2025-04-02T00:00:00Z")
    key.post("goals", f"/v1/goals/{goal['id']}/check-ins", {"confidence": 0.7})
    amendment = {"target": {"value": 0.32}, "reason": "Two posts stay open"}
    key.post("goals", f"/v1/goals/{goal['id']}/amend", amendment)
    move(key, "2025-07-03T00:00:00Z")
    key.events(*deals("2025-Q1", 31, 69), *deals("2025-Q2", 32, 68))
    closed = key.post("goals", f"/v1/goals/{goal['id']}/close", {})
    assert (closed["verdict"]["first"], closed["verdict"]["present"]) == ("improved", "achieved")
    exited = key.post("goals", f"/v1/initiatives/{initiative['id']}/exit", {"reason": "Its end"})
    (judged,) = exited["judgements"]
    assert (judged["first"], judged["present"]) == ("successful", "successful")
    calibrated = key.get("goals", "/v1/check-ins/calibration")
    assert (calibrated["buckets"][0]["views"], calibrated["brier"]) == (1, 0.09)
    history = key.get("goals", f"/v1/goals/{goal['id']}/history")["items"]
    told = [item["what"]["code"] for item in history]
    assert told == ["drafted", "committed", "checked_in", "amended", "closed"]
    assert "0.33 (2025-Q2) -> 0.32 (2025-Q2)" in history[3]["what"]["text"]

    past = "2025-01-03T12:00:00Z"
    again = key.get("goals", f"/v1/goals/{goal['id']}/progress", known_at=past)
    assert {**again, "known_at": "", "basis": ""} == {**progress, "known_at": "", "basis": ""}
    assert (
        key.get("goals", f"/v1/goals/{goal['id']}", known_at=past)["goal"]["state"] == "committed"
    )
    valued = key.get("valuation", f"/v1/cases/{case}/valuation", known_at=past)
    for name in ("plan", "realised", "outlook"):
        assert valued[name] == then[name]
    verified = key.post("metrics", f"/v1/baselines/{baseline_id}/verify")
    assert (verified["identical"], verified["differences"]) == (True, [])
    first = key.get("metrics", "/v1/feed", limit=1)["items"][0]
    assert first["data"] == {"clock": "simulated"}
    key.refused(409, "POST", "metrics", "/v1/dev/clock", json={"now": "2024-01-01T00:00:00Z"})


def open_case(key: Key, initiative: str, baseline: str, goal: str) -> str:
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative, "name": "Base", "currency": "EUR", "start": "2024-10-01",
        "grain": "quarter", "periods": 4, "discount_rate": "0.08",
    })  # fmt: skip
    identity: str = case["id"]
    path = f"/v1/cases/{identity}"
    key.post("valuation", f"{path}/costs", {
        "name": "Licences", "category": "licence", "amounts": ["500", "100", "100", "100", "100"],
    })  # fmt: skip
    key.post("valuation", f"{path}/benefits", {
        "name": "More deals won", "category": "revenue", "template": "rate-uplift",
        "inputs": {
            "change": {"metric_change": {"metric": "win-rate", "baseline_id": baseline}},
            "volume": {"metric": {"key": "deals"}},
            "value": {"metric": {"key": "size"}},
            "margin": {"value": "0.4"},
        },
        "planned": {
            "change": {"curve": ["0.02", "0.05"]}, "volume": {"value": "100"},
            "value": {"value": "1000"},
        },
        "attribution": {"share": "0.8", "reason": "Price list"}, "risk": "0.5",
        "adoption": {"curve": ["0.5", "1"]}, "goal_id": goal, "evidence": "verified",
    })  # fmt: skip
    key.post("valuation", f"{path}/actuals", {
        "item": "Licences", "amount": "550.00", "on": "2024-07-01", "reference": "INV-1",
    })  # fmt: skip
    valued = key.get("valuation", f"{path}/valuation")
    # 0.02 x 100 x 1000 x 0.4 x 0.5 adoption x 0.8 attribution x (1 - 0.5 risk)
    assert valued["plan"]["cash_flow"][1]["benefits"] == "160.00"
    return identity


def test_booked_costs_replace_the_plan_and_are_booked_once(key: Key) -> None:
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM", "currency": "EUR"})
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": "c", "currency": "EUR", "start": "2024-01-01",
        "grain": "year", "periods": 1, "discount_rate": "0",
    })  # fmt: skip
    path = f"/v1/cases/{case['id']}"
    cost = {"name": "Setup", "category": "implementation", "amounts": ["100", "10"]}
    key.post("valuation", f"{path}/costs", cost)
    booking = {"item": "Setup", "amount": "12.50", "on": "2024-05-01", "reference": "A-1"}
    sent = [key.post("valuation", f"{path}/actuals", booking)["status"] for _ in range(2)]
    assert sent == ["accepted", "duplicate"]
    valued = key.get("valuation", f"{path}/valuation")
    assert [row["costs"] for row in valued["realised"]["cash_flow"]] == ["100.00", "12.50"]
    assert valued["realised"]["lines"][0]["variance"] == "2.50"
    assert valued["plan"]["tco"] == {"amount": "110.00", "currency": "EUR"}
    assert {f["code"] for f in valued["findings"]} == {"no_benefits"}
    problem = key.refused(
        422, "POST", "valuation", f"{path}/actuals", json={**booking, "item": "Setpu"}
    )
    assert "Setup" in problem["detail"]


def test_a_published_study_entered_by_http_gives_its_published_figures(
    key: Key, data_folder: Any
) -> None:
    import json

    studies = json.loads((data_folder / "tei" / "tables.json").read_text())["studies"]
    study = next(s for s in studies if s["id"] == "tei_d365_business_central_2020")
    initiative = key.post("goals", "/v1/initiatives", {"name": "ERP", "currency": "USD"})
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": "TEI", "currency": "USD", "start": "2025-01-01",
        "grain": "year", "periods": 3, "discount_rate": str(study["discount_rate"]),
    })  # fmt: skip
    path = f"/v1/cases/{case['id']}"
    for cost in study["cost_summary"]:
        amounts = [str(cost["initial"]), *(str(y) for y in cost["years"])]
        body = {"name": cost["name"], "category": "licence", "amounts": amounts}
        key.post("valuation", f"{path}/costs", body)
    for benefit in study["benefit_summary"]:
        key.post("valuation", f"{path}/benefits", {
            "name": benefit["name"], "category": "cashable", "formula": "yearly",
            "inputs": {"yearly": {"curve": [str(y) for y in benefit["years"]]}},
        })  # fmt: skip
    plan = key.get("valuation", f"{path}/valuation")["plan"]
    assert abs(float(plan["npv"]["amount"]) - study["npv"]) <= 3
    assert abs(plan["roi"]["tei"] * 100 - study["roi_pct"]) <= 0.5
    assert abs(float(plan["pv_costs"]["amount"]) - study["cash_flow"]["pv"]["costs"]) <= 2
    assert abs(plan["payback_months"]["value"] - study["payback"]["computed_linear_months"]) < 0.01


BAD = [
    ({"target": {"value": 0.3, "change": 0.1}}, "/target"),
    ({"target": {}}, "/target"),
    ({"target_period": "2025-Q9"}, "/target_period"),
    ({"baseline": {"periods": ["2024-Q1", "soon"]}}, "/baseline/periods/1"),
    ({"metric": "Win Rate"}, "/metric"),
    ({"target": {"value": "0.3"}}, "/target/value"),
    ({"surprise": 1}, "/surprise"),
]


@pytest.mark.parametrize(("change", "pointer"), BAD)
def test_a_goal_that_can_not_be_is_refused_with_a_pointer(
    key: Key, change: dict[str, Any], pointer: str
) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    body = goal_body(initiative["id"], **change)
    problem = key.refused(422, "POST", "goals", "/v1/goals", json=body)
    assert problem["errors"][0]["pointer"].startswith(pointer)
    assert key.get("goals", "/v1/goals")["items"] == []


def goal_body(initiative: str, **changes: Any) -> dict[str, Any]:
    return {
        "initiative_id": initiative, "title": "T", "metric": "win-rate",
        "baseline": {"periods": BASELINE}, "target": {"value": 0.3}, "target_period": "2099-Q1",
        "business_owner": "Ann", **changes,
    }  # fmt: skip


def test_unknown_things_are_named_with_their_nearest(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    body = goal_body(initiative["id"], metric="wim-rate")
    problem = key.refused(404, "POST", "goals", "/v1/goals", json=body)
    assert problem["type"] == "/problems/unknown-metric"
    assert "win-rate" in problem["detail"]
    key.refused(404, "POST", "goals", "/v1/goals", json=goal_body("0" * 36))


def test_an_unmeasured_goal_is_not_committed_without_somebody_answering_for_it(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    goal = key.post("goals", "/v1/goals", goal_body(initiative["id"]))
    smart = key.get("goals", f"/v1/goals/{goal['id']}/smart")
    assert smart["letters"]["M"]["result"] == "fail"
    assert smart["letters"]["M"]["advice"][1]["params"]["cause"] == "no_instrument"
    key.refused(409, "POST", "goals", f"/v1/goals/{goal['id']}/commit", json={})
    override = {"override": {"reason": "We trust it", "responsible": "Ann"}}
    problem = key.refused(409, "POST", "goals", f"/v1/goals/{goal['id']}/commit", json=override)
    assert "baseline" in problem["detail"]


def test_two_editors_do_not_overwrite_each_other(key: Key) -> None:
    made = key.send("POST", "goals", "/v1/initiatives", json={"name": "CRM"})
    path, tag = f"/v1/initiatives/{made.json()['id']}", made.headers["etag"]
    change = {"sponsor": "Ann", "reason": "She pays"}
    first = key.send("PATCH", "goals", path, json=change, headers={"If-Match": tag})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    key.refused(412, "PATCH", "goals", path, json=change, headers={"If-Match": tag})
    assert key.get("goals", path)["initiative"]["revision"] == 2


def test_a_command_with_an_idempotency_key_happens_once(key: Key) -> None:
    headers = {"Idempotency-Key": "once"}
    sent = [
        key.send("POST", "goals", "/v1/initiatives", json={"name": "CRM"}, headers=headers)
        for _ in range(2)
    ]
    assert sent[0].content == sent[1].content
    assert (sent[0].status_code, sent[1].headers["idempotency-replayed"]) == (201, "true")
    key.refused(422, "POST", "goals", "/v1/initiatives", json={"name": "ERP"}, headers=headers)
    assert len(key.get("goals", "/v1/initiatives")["items"]) == 1


def test_lists_page_by_cursor(key: Key) -> None:
    for number in range(5):
        key.post("goals", "/v1/initiatives", {"name": f"I{number}"})
    page = key.send("GET", "goals", "/v1/initiatives?limit=2")
    names, link = [i["name"] for i in page.json()["items"]], page.headers["link"]
    assert 'rel="next"' in link
    while (cursor := page.json()["next_cursor"]) is not None:
        page = key.send("GET", "goals", f"/v1/initiatives?limit=2&cursor={cursor}")
        names += [i["name"] for i in page.json()["items"]]
    assert names == [f"I{number}" for number in range(5)]


def test_a_usage_metric_is_never_turned_into_money(key: Key) -> None:
    body = {"key": "logins", "name": "L", "unit": "count", "nature": "usage",
            "definition": {"kind": "count", "events": ["user.active"]}}  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": "c", "currency": "EUR", "start": "2024-01-01",
        "discount_rate": "0.1",
    })  # fmt: skip
    benefit = {
        "name": "b", "category": "revenue", "formula": "logins * worth",
        "inputs": {"logins": {"metric": {"key": "logins"}}, "worth": {"value": "1"}},
        "planned": {"logins": {"value": "5"}},
    }  # fmt: skip
    path = f"/v1/cases/{case['id']}/benefits"
    problem = key.refused(422, "POST", "valuation", path, json=benefit)
    assert problem["errors"][0]["code"] == "usage_metric"
    odd = {**benefit, "inputs": {"worth": {"value": "1"}}, "planned": {}}
    assert "logins" in key.refused(422, "POST", "valuation", path, json=odd)["detail"]
