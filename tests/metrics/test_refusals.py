"""What can't be meant is refused: contradictions, slips of the pen, units that don't fit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import CLOSED, WON, closed, event

LOST, OPENED = "crm.opportunity.closed", "crm.opportunity.opened"
CYCLE = {"kind": "duration", "from": {"events": [OPENED]}, "to": {"events": [LOST]}}
CONVERSION = {"kind": "conversion", "from": {"events": [OPENED]}, "to": {"events": [LOST]}}


def define(key: Key, name: str, definition: dict[str, Any], unit: str = "count") -> Any:
    body = {"key": name, "name": name, "unit": unit, "definition": definition}
    return key.send("POST", "metrics", "/v1/metrics", json=body)


@pytest.mark.parametrize(
    ("definition", "unit", "word"),
    [
        (CYCLE, "hous", "hours"),
        (CYCLE, "EUR", "days"),
        (CYCLE, "months", "no fixed length"),
        (CONVERSION, "EUR", "a number"),
        (CLOSED, "days", "a number"),
        ({"kind": "cumulative", "of": {"metric": "cycle"}, "window": {"trailing": "P90D"}},
         "days", "hours"),
        ({"kind": "ratio", "numerator": {"metric": "cycle"}, "denominator": CLOSED}, "days",
         "hours"),
        ({"kind": "derived", "expression": "a / (3 - 3)", "inputs": {"a": {"definition": CLOSED}}},
         "count", "divides by 0"),
    ],
)  # fmt: skip
def test_a_unit_that_does_not_fit_is_refused(
    key: Key, definition: dict[str, Any], unit: str, word: str
) -> None:
    assert define(key, "cycle", CYCLE, "hours").status_code == 201
    refused = define(key, "x", definition, unit)
    assert refused.status_code == 422
    assert word in refused.json()["errors"][0]["detail"]


def test_metrics_of_metrics_have_a_depth_also_where_the_lowest_one_changes(key: Key) -> None:
    """Goal: no order of definitions makes a chain that can't be read."""

    def on(name: str) -> dict[str, Any]:
        inputs = {"x": {"metric": name}}
        return {"kind": "derived", "expression": "x + 1", "inputs": inputs}

    for name in ("lower", "upper"):
        assert define(key, f"{name}0", CLOSED).status_code == 201
        for number in range(1, 13):
            made = define(key, f"{name}{number}", on(f"{name}{number - 1}"))
            assert made.status_code == 201
    refused = define(key, "upper0", on("lower12"))
    assert refused.json()["errors"][0]["code"] == "too_deep"


def test_an_unknown_key_is_answered_with_the_nearest_one(key: Key) -> None:
    refused = define(key, "x", {**CLOSED, "wher": WON["where"]})
    error = refused.json()["errors"][0]
    assert (error["pointer"], error["code"]) == ("/definition/wher", "extra_forbidden")
    assert "'where'" in error["detail"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("period=2024&from=2024-01-01", "query:period"),
        ("period=2024&from=2024-01-01&to=2024-02-01&grain=month", "query:period"),
        ("from=2024-01-01&to=2024-02-01", "query:period"),
        ("from=1900-01-01&to=2199-01-01&grain=day", "query:grain"),
        ("period=2024&known_at=2026-01-01T00:00:00Z&basis=0-0000000000000000", "query:basis"),
        ('period=2024&where={"field":"outcme","value":"won"}', "query:where"),
        ('period=2024&where={"field":"outcome","vlue":"won"}', "query:where/vlue"),
        ("period=2024&group_by=chanel", "query:group_by"),
    ],
)
def test_a_question_that_contradicts_itself_is_refused(key: Key, query: str, pointer: str) -> None:
    key.events(closed("1", "2024-02-01"))
    assert define(key, "deals", CLOSED).status_code == 201
    problem = key.refused(422, "GET", "metrics", f"/v1/metrics/deals/values?{query}")
    assert problem["errors"][0]["pointer"] == pointer


def test_nothing_is_known_of_the_future(key: Key) -> None:
    """A question about knowledge to come is answered as of now, and nothing is kept of it."""
    key.events(closed("1", "2024-02-01"))
    assert define(key, "deals", CLOSED).status_code == 201
    now = key.get("metrics", "/v1/metrics/deals/values", period="2199")
    later = key.get(
        "metrics", "/v1/metrics/deals/values", period="2199", known_at="2199-06-01T00:00:00Z"
    )
    assert later["values"] == now["values"]
    assert (later["open"], later["values"][0]["provisional"]) == (True, True)
    body = {"metric": "deals", "periods": ["2024-Q1"], "known_at": "2199-06-01T00:00:00Z",
            "reason": "Too early"}  # fmt: skip
    problem = key.refused(422, "POST", "metrics", "/v1/baselines", json=body)
    assert problem["errors"][0]["code"] == "future"


def test_a_baseline_over_a_running_period_is_not_established(key: Key) -> None:
    today = datetime.now(UTC).date()
    span = f"{today - timedelta(days=5)}..{today + timedelta(days=5)}"
    key.events(closed("1", str(today - timedelta(days=1))))
    assert define(key, "deals", CLOSED).status_code == 201
    found = key.get("metrics", "/v1/metrics/deals/baseline", period=span)
    assert (found["value"], found["state"]) == (1, "insufficient")


def test_from_its_registration_on_a_type_is_known_and_its_personal_fields_are_kept_apart(
    key: Key,
) -> None:
    """The door has looked just before, so that a memory of it would not know the type."""
    seen = event("1", "own.visit", "2024-01-01", guest="Ada")
    key.refused(422, "POST", "metrics", "/v1/events", json=seen)
    body = {"name": "own.visit", "fields": [{"name": "guest", "kind": "text", "personal": True}]}
    key.post("metrics", "/v1/event-types", body)
    key.post("metrics", "/v1/events", seen)
    told = key.get("metrics", "/v1/feed", after="")
    assert "Ada" not in str(told)


def test_a_fact_of_a_dropped_backfill_is_a_duplicate_that_says_why_it_does_not_count(
    key: Key,
) -> None:
    made = key.post("metrics", "/v1/backfills", {"name": "b", "reason": "history"})
    path = f"/v1/backfills/{made['id']}"
    fact = closed("1", "2024-02-01")
    key.post("metrics", f"/v1/events?backfill={made['id']}", [fact])
    stale = key.send("POST", "metrics", f"{path}/drop", json={"reason": "Wrong file"},
                     headers={"If-Match": '"7"'})  # fmt: skip
    assert stale.status_code == 412
    key.post("metrics", f"{path}/drop", {"reason": "Wrong file"})
    again = key.post("metrics", "/v1/events", [fact])["results"][0]
    assert (again["status"], again["errors"][0]["code"]) == ("duplicate", "without_effect")
    assert key.post("metrics", "/v1/events", [closed("1", "2024-02-01", _sequence="2")])
    assert define(key, "deals", CLOSED).status_code == 201
    values = key.get("metrics", "/v1/metrics/deals/values", period="2024")["values"]
    assert values[0]["value"] == 1


def test_cut_overs_do_not_run_in_a_circle(key: Key) -> None:
    def cut(old: str, new: str) -> Any:
        body = {"old_source": old, "new_source": new, "on": "2024-01-01", "reason": "go-live"}
        return key.send("POST", "metrics", "/v1/cut-overs", json=body)

    assert [cut("/a", "/b").status_code, cut("/b", "/c").status_code] == [201, 201]
    assert cut("/c", "/a").status_code == 409
    assert cut("/a", "/b").status_code == 201


def test_an_exchange_rate_is_more_than_nothing(key: Key) -> None:
    rate = event("1", "fx.rate.observed", "2024-01-01", base="USD", quote="EUR", rate="0")
    problem = key.refused(422, "POST", "metrics", "/v1/events", json=rate)
    assert problem["errors"][0]["pointer"] == "/data/rate"
