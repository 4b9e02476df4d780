"""What is delivered: accepted by its acceptor, on time or late, within its budget or over it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.goals.domain.delivery import Spending, check_delivery, read_delivery
from services.goals.domain.goal import DeliverableBody, DeliveryPromise
from services.goals.domain.judging import judge_delivery
from services.goals.domain.smart import Surroundings
from tests.support.house import House, Key
from tests.support.samples import event

D = Decimal
TODAY = date(2026, 5, 1)
NOW = datetime.now(UTC).date()


def body(**more: Any) -> DeliverableBody:
    return DeliverableBody.model_validate({
        "kind": "deliverable", "initiative_id": "i", "title": "New platform",
        "business_owner": "Ann", "audience": "business", "indicator": "lagging",
        "nature": "operational", "criteria": ["Orders run"], "acceptor": "Bo",
        "due": date(2026, 9, 30), "steps": [{"title": "Design", "due": date(2026, 4, 1)}], **more,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("on", "spent", "said"),
    [
        (date(2026, 9, 30), D(100), "delivered"), (date(2026, 10, 1), D(100), "late"),
        (date(2026, 9, 1), D("100.01"), "over_budget"),
        (date(2026, 10, 1), D(101), "late_and_over_budget"), (date(2026, 9, 1), None, "delivered"),
    ],
)  # fmt: skip
def test_a_delivery_is_judged_by_day_and_budget(on: date, spent: Decimal | None, said: str) -> None:
    promise = DeliveryPromise(due=date(2026, 9, 30), budget=D(100))
    assert judge_delivery(promise, on, spent) == said


@pytest.mark.parametrize(
    ("more", "letter", "result"),
    [
        ({}, "S", "pass"), ({"acceptor": None}, "S", "fail"),
        ({"business_owner": None}, "S", "fail"),
        ({"criteria": []}, "M", "fail"), ({}, "M", "pass"),
        ({"budget": {"amount": "5", "currency": "EUR"}}, "M", "warn"),
        ({"steps": []}, "A", "warn"), ({}, "A", "pass"),
        ({"steps": [{"title": "Too late", "due": date(2026, 12, 1)}]}, "A", "warn"),
        ({"due": date(2026, 4, 30)}, "T", "fail"), ({}, "T", "pass"),
    ],
)  # fmt: skip
def test_each_letter_of_a_delivery(more: dict[str, Any], letter: str, result: str) -> None:
    letters = check_delivery(body(**more), TODAY, Surroundings())
    assert letters[letter].result == result


@pytest.mark.parametrize(
    ("done", "spent", "today", "status", "codes"),
    [
        ({"Design": TODAY}, Spending(), TODAY, "on_track", ["under_way"]),
        ({}, Spending(), TODAY, "at_risk", ["steps_behind"]),
        ({"Design": TODAY}, Spending(D(101)), TODAY, "off_track", ["over_budget"]),
        ({"Design": TODAY}, Spending(None, "no_events"), TODAY, "on_track",
         ["spending_unknown", "under_way"]),
        ({}, Spending(D(5)), date(2026, 10, 1), "off_track", ["steps_behind", "overdue"]),
    ],
)  # fmt: skip
def test_where_a_delivery_stands(
    done: dict[str, date], spent: Spending, today: date, status: str, codes: list[str]
) -> None:
    promise = DeliveryPromise(due=date(2026, 9, 30), budget=D(100))
    reading = read_delivery(body(), promise, done, spent, today, None)
    assert (reading.status, [one["code"] for one in reading.because]) == (status, codes)
    assert reading.fraction == len(done)


def platform(key: Key, **more: Any) -> dict[str, Any]:
    initiative = key.post("goals", "/v1/initiatives", {"name": "New platform"})["id"]
    made: dict[str, Any] = key.post("goals", "/v1/goals", {
        "kind": "deliverable", "initiative_id": initiative, "title": "A new platform",
        "business_owner": "Ann", "acceptor": "Bo", "criteria": ["Orders run", "Stock is right"],
        "due": (NOW + timedelta(days=60)).isoformat(),
        "steps": [{"title": "Design", "due": (NOW - timedelta(days=3)).isoformat()},
                  {"title": "Pilot", "due": (NOW + timedelta(days=20)).isoformat()}], **more,
    })  # fmt: skip
    return made


def spending(key: Key, *amounts: float) -> None:
    key.post("metrics", "/v1/metrics", {
        "key": "platform-cost", "name": "Cost of the platform", "unit": "money",
        "definition": {"kind": "sum", "events": ["cost.booked"], "field": "amount"},
    })  # fmt: skip
    key.events(*(
        event(f"c{n}", "cost.booked", "2026-03-01", amount=amount, currency="EUR")
        for n, amount in enumerate(amounts)
    ))  # fmt: skip


def test_a_platform_is_delivered_on_time_and_on_budget(house: House, key: Key) -> None:
    spending(key, 40000, 35000.5)
    goal = platform(key, budget={"amount": "80000.00", "currency": "EUR",
                                 "metric": "platform-cost", "since": "2026-01-01"})  # fmt: skip
    path = f"/v1/goals/{goal['id']}"
    smart = key.get("goals", f"{path}/smart")
    assert smart["committable"]
    assert {name: one["result"] for name, one in smart["letters"].items()} == dict.fromkeys(
        "SMART", "pass"
    )
    committed = key.post("goals", f"{path}/commit", {})
    assert committed["commitment"] == {"due": goal["due"], "budget": "80000.00"}
    progress = key.get("goals", f"{path}/progress")
    assert (progress["status"], progress["fraction"]) == ("at_risk", 0)
    assert progress["delivery"]["spent"]["value"] == 75000.5
    assert progress["delivery"]["next_step"]["title"] == "Design"
    done = {"title": "Design", "on": NOW.isoformat()}
    assert key.post("goals", f"{path}/steps", done)["steps"][0]["done_on"] == NOW.isoformat()
    assert key.get("goals", f"{path}/progress")["status"] == "on_track"
    close = {"delivered_on": NOW.isoformat(), "note": "Runs since Monday"}
    key.refused(403, "POST", "goals", f"{path}/close", json=close)
    bo = house.key(key.tenant, "goals:write", "goals:read", "metrics:read", person="Bo")
    verdict = bo.post("goals", f"{path}/close", close)["verdict"]
    assert (verdict["first"], verdict["present"], verdict["spent"]) == (
        "delivered", "delivered", "75000.5")  # fmt: skip
    assert verdict["days_late"] == -60
    key.refused(409, "POST", "goals", f"{path}/close", json={**close, "acting_reason": "Again"})
    initiative = key.post("goals", f"/v1/initiatives/{goal['initiative_id']}/exit",
                          {"reason": "It is live"})  # fmt: skip
    assert initiative["judgements"][0]["present"] == "successful"
    told = [e["what"]["code"] for e in key.get("goals", f"{path}/history")["items"]]
    assert told == ["drafted_delivery", "committed_delivery", "step_done", "accepted"]


def test_moving_the_day_shows_in_the_verdict(key: Key) -> None:
    goal = platform(key, due=(NOW + timedelta(days=1)).isoformat(), steps=[],
                    budget={"amount": "10", "currency": "EUR"})  # fmt: skip
    path = f"/v1/goals/{goal['id']}"
    key.post("goals", f"{path}/commit", {})
    later = (NOW + timedelta(days=40)).isoformat()
    amended = key.post("goals", f"{path}/amend", {"due": later, "budget": "20",
                                                  "reason": "The vendor is late"})  # fmt: skip
    assert (amended["due"], amended["commitment"]["budget"]) == (later, "20")
    assert amended["first_commitment"] == {"due": goal["due"], "budget": "10"}
    for wrong in ({"due": "2020-01-01"}, {"target_period": "2030-Q1"}, {"budget": "-1"}):
        key.refused(422, "POST", "goals", f"{path}/amend", json={**wrong, "reason": "A slip"})
    card = key.get("goals", f"/v1/initiatives/{goal['initiative_id']}/scorecard")
    assert card["groups"][0]["goals"][0]["progress"]["delivery"]["days_left"] == 40


@pytest.mark.parametrize(
    "slip",
    [{"due": None}, {"steps": [{"title": "a", "due": "2026-01-01"}] * 2}, {"metric": "x"},
     {"budget": {"amount": "1", "currency": "XXQ"}}, {"enables": ["0" * 36]},
     {"budget": {"amount": "1", "currency": "EUR", "metric": "nope", "since": "2026-01-01"}},
     {"budget": {"amount": "1", "currency": "EUR", "metric": "nope"}},
     {"budget": {"amount": "1", "currency": "EUR", "metric": "platform-cost",
                 "since": "2026-01-01", "where": {"banana": 1}}},
     {"budget": {"amount": "1", "currency": "JPY", "metric": "platform-cost",
                 "since": "2026-01-01"}}],
)  # fmt: skip
def test_a_deliverable_that_makes_no_sense_is_refused(key: Key, slip: dict[str, Any]) -> None:
    spending(key, 1)
    initiative = key.post("goals", "/v1/initiatives", {"name": "New platform"})["id"]
    stated = {"kind": "deliverable", "initiative_id": initiative, "title": "x",
              "due": "2030-01-01", **slip}  # fmt: skip
    refused = key.send("POST", "goals", "/v1/goals",
                       json={k: v for k, v in stated.items() if v is not None})  # fmt: skip
    assert refused.status_code in (404, 422), refused.text
    assert key.get("goals", "/v1/goals")["items"] == []


def test_a_step_is_done_once_and_not_in_the_future(key: Key) -> None:
    path = f"/v1/goals/{platform(key)['id']}"
    today = {"title": "Design", "on": NOW.isoformat()}
    key.refused(409, "POST", "goals", f"{path}/steps", json=today)
    key.post("goals", f"{path}/commit", {})
    problem = key.refused(422, "POST", "goals", f"{path}/steps", json={**today, "title": "Desing"})
    assert "Did you mean 'Design'" in problem["detail"]
    ahead = {**today, "on": (NOW + timedelta(days=2)).isoformat()}
    key.refused(422, "POST", "goals", f"{path}/steps", json=ahead)
    key.post("goals", f"{path}/steps", today)
    key.refused(409, "POST", "goals", f"{path}/steps", json=today)
    key.refused(422, "POST", "goals", f"{path}/close", json={})
    early = {"delivered_on": (NOW + timedelta(days=2)).isoformat(), "acting_reason": "Bo is ill"}
    key.refused(422, "POST", "goals", f"{path}/close", json=early)


def test_where_only_deliveries_are_promised_a_review_is_held_and_an_objective_closed(
    key: Key,
) -> None:
    goal = platform(key)
    initiative = goal["initiative_id"]
    objective = key.post("goals", "/v1/objectives", {
        "initiative_id": initiative, "text": "Sell online", "period": "2026",
    })["id"]  # fmt: skip
    stated = {
        k: goal[k] for k in ("kind", "title", "business_owner", "acceptor", "criteria", "due")
    }
    path = f"/v1/goals/{goal['id']}"
    key.send("PUT", "goals", path, json={**stated, "objective": objective})
    key.post("goals", f"{path}/commit", {})
    body = key.post("goals", "/v1/bodies", {
        "initiative_id": initiative, "level": "steering", "name": "Steering",
        "first_meeting": NOW.isoformat(),
    })["id"]  # fmt: skip
    held = key.post("goals", "/v1/reviews",
                    {"body_id": body, "on": NOW.isoformat(), "attendance": ["Ann"]})  # fmt: skip
    assert held["metrics_basis"] is None
    assert key.post("goals", f"/v1/reviews/{held['id']}/verify")["identical"]
    closed = key.post("goals", f"/v1/objectives/{objective}/close",
                      {"reason": "The year is over", "next_period": "2028"})  # fmt: skip
    onward = key.get("goals", f"/v1/objectives/{closed['closing']['next']}")["objective"]
    copy = key.get("goals", f"/v1/goals/{onward['key_results'][0]}")["goal"]
    assert (copy["kind"], copy["due"], copy["state"]) == ("deliverable", "2028-12-31", "draft")
    again = {"text": "Another", "period": "2026", "reason": "Too late"}
    key.refused(409, "PUT", "goals", f"/v1/objectives/{objective}", json=again)
