"""Baselines: what several periods give together, and what their spread rests on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.test_replay import define
from tests.support.house import Key
from tests.support.samples import CLOSED, GUIDELINES, WON, closed, event

OPENED = "crm.opportunity.opened"
CHANGED = "work.item.state_changed"
SUM = {**CLOSED, "kind": "sum", "field": "amount"}


def baseline(key: Key, name: str, *periods: str, **more: Any) -> Any:
    return key.get("metrics", f"/v1/metrics/{name}/baseline", period=list(periods), **more)


def deal(number: int, opened: str, ended: str) -> list[dict[str, Any]]:
    subject = f"deal/{number}"
    return [
        event(f"o{number}", OPENED, opened, _subject=subject),
        closed(f"c{number}", ended, _subject=subject),
    ]


def test_pooled_times_are_the_mean_over_all_that_ended(key: Key) -> None:
    """Two deals of a day in January and one of a day and a half in February."""
    key.events(
        *deal(1, "2024-01-10T08:00:00Z", "2024-01-11T08:00:00Z"),
        *deal(2, "2024-01-12T08:00:00Z", "2024-01-13T08:00:00Z"),
        *deal(3, "2024-02-10T08:00:00Z", "2024-02-11T20:00:00Z"),
    )
    cycle = {"kind": "duration", "from": {"events": [OPENED]}, "to": {"events": CLOSED["events"]},
             "statistic": "average"}  # fmt: skip
    define(key, "cycle", cycle, "days")
    found = baseline(key, "cycle", "2024-01", "2024-02")
    assert found["value"] == pytest.approx(3.5 / 3, rel=1e-14)
    assert baseline(key, "cycle", "2024-01", "2024-02", method="mean_of_periods")["value"] == 1.25


def test_pooled_extremes_are_those_of_all_periods(key: Key) -> None:
    months = {"2024-01": (1, 5), "2024-02": (3, 9)}
    key.events(
        *(closed(f"{m}/{a}", f"{m}-10", amount=a) for m, amounts in months.items() for a in amounts)
    )
    for kind, expected in (("min", 1), ("max", 9)):
        define(key, kind, {**SUM, "kind": kind})
        assert baseline(key, kind, *months)["value"] == expected


def test_a_derived_quotient_has_its_parts_and_is_pooled_from_them(key: Key) -> None:
    """Ten of a hundred customers leave each quarter; spend over customers is weighed by both."""
    key.events(
        *(event(f"a{n}", "crm.customer.acquired", "2023-12-01", _subject=f"c/{n}")
          for n in range(100)),
        *(event(f"l{n}", "crm.customer.churned", f"2024-{2 + 3 * (n // 10):02}-01",
                _subject=f"c/{n}") for n in range(20)),
        event("s1", "marketing.spend.recorded", "2024-01-05", amount=100, currency="EUR"),
        event("s2", "marketing.spend.recorded", "2024-04-05", amount=800, currency="EUR"),
    )  # fmt: skip
    stands = {"kind": "state", "events": ["crm.customer.acquired", "crm.customer.churned"],
              "where": {"field": "$type", "value": "crm.customer.acquired"}}  # fmt: skip
    lost = {"kind": "count", "events": ["crm.customer.churned"]}
    churn = {
        "kind": "derived", "expression": "lost / stood",
        "inputs": {"lost": {"definition": lost},
                   "stood": {"definition": stands, "offset": "-1 period"}},
    }  # fmt: skip
    define(key, "churn", churn, "ratio")
    (first,) = key.get("metrics", "/v1/metrics/churn/values", period="2024-Q1")["values"]
    assert (first["numerator"], first["denominator"], first["value"]) == ("10", "100", 0.1)
    found = baseline(key, "churn", "2024-Q1", "2024-Q2")
    assert (found["numerator"], found["denominator"]) == ("20", "190")
    spend = {"kind": "sum", "events": ["marketing.spend.recorded"], "field": "amount"}
    cost = {"kind": "derived", "expression": "spend / lost",
            "inputs": {"spend": {"definition": spend}, "lost": {"definition": lost}}}  # fmt: skip
    define(key, "cost", cost, "EUR")
    assert baseline(key, "cost", "2024-Q1", "2024-Q2")["value"] == 45


def test_moving_ranges_run_only_between_periods_that_follow_one_another(key: Key) -> None:
    months = {"2024-01": 1, "2024-02": 2, "2024-03": 3, "2024-05": 50, "2024-06": 51}
    key.events(*(closed(m, f"{m}-10", amount=a) for m, a in months.items()))
    define(key, "largest", {**SUM, "kind": "max"})
    assert baseline(key, "largest", *(f"2024-{n:02}" for n in range(1, 7)))["spread"] == 1
    assert baseline(key, "largest", *months)["spread"] == 1
    assert baseline(key, "largest", "2024-01", "2024-03", "2024-06")["spread"] is None


def test_what_is_over_is_established_however_quiet_the_ledger_is(key: Key) -> None:
    """Frozen and looked at, by the head and by a moment, a baseline says the same, and verifies."""
    key.events(closed("a", "2024-05-10", amount=7))
    define(key, "sum", SUM)
    body = {"metric": "sum", "periods": ["2024-05"], "reason": "Before the roll-out"}
    for more in ({}, {"known_at": key.get("metrics", "/v1/metrics/sum")["known_at"]}):
        frozen = key.post("metrics", "/v1/baselines", {**body, **more})
        assert (frozen["state"], frozen["value"]) == ("established", 7)
        verified = key.post("metrics", f"/v1/baselines/{frozen['id']}/verify")
        assert (verified["identical"], verified["differences"]) == (True, [])


def test_periods_before_all_calendars_are_refused(key: Key) -> None:
    define(key, "won", WON, guidelines={**GUIDELINES, "cadence": "daily"})
    path = "/v1/metrics/won/baseline"
    problem = key.refused(422, "GET", "metrics", path, params={"count": 120, "last": "1905"})
    assert problem["type"] == "/problems/impossible-period"
    key.send("PUT", "metrics", "/v1/calendar", json={
        "zone": "Europe/Berlin", "week_start": 7, "fiscal_weeks": "4-4-5"})  # fmt: skip
    found = key.get("metrics", "/v1/metrics/won/values",
                    **{"from": "1900-01-01", "to": "1900-02-01", "grain": "week"})  # fmt: skip
    assert all(v["value"] is None for v in found["values"])
