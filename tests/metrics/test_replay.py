"""Replay: exact figures by period and group, as known at any moment, with a reason for no value."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.house import House, Key
from tests.support.samples import CLOSED, WIN_RATE, WON, closed, deals, event

Define = Callable[..., Any]


def define(
    key: Key, name: str, definition: dict[str, Any], unit: str = "count", **more: Any
) -> None:
    body = {"key": name, "name": name, "unit": unit, "definition": definition, **more}
    key.post("metrics", "/v1/metrics", body)


def values(key: Key, name: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = key.get("metrics", f"/v1/metrics/{name}/values", **params)[
        "values"
    ]
    return found


def test_a_ratio_is_pooled_and_exact_and_says_from_how_many(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 1, 2), *deals("2024-Q2", 5, 5))
    answer = values(
        key, "win-rate", **{"from": "2024-01-01", "to": "2024-07-01", "grain": "quarter"}
    )
    shown = [(v["period"], v["value"], v["numerator"], v["denominator"], v["n"]) for v in answer]
    assert shown == [
        ("2024-Q1", 0.333333333333333, "1", "3", 3),
        ("2024-Q2", 0.5, "5", "10", 10),
    ]
    year = values(key, "win-rate", period="2024")[0]
    assert (year["numerator"], year["denominator"]) == ("6", "13")


def test_no_value_is_null_with_its_reason_and_never_zero_in_disguise(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    define(key, "won", WON)
    assert values(key, "won", period="2024-Q1")[0]["reason"] == "before_first_event"
    key.events(*deals("2024-Q2", 2, 0))
    won = values(key, "won", **{"from": "2024-01-01", "to": "2024-10-01", "grain": "quarter"})
    assert [(v["value"], v["reason"]) for v in won] == [
        (None, "before_first_event"), (2, None), (0, None),
    ]  # fmt: skip
    rate = values(key, "win-rate", period="2024-Q3")[0]
    assert (rate["value"], rate["reason"], rate["denominator"]) == (None, "zero_denominator", "0")


def test_knowledge_from_before_the_data_came_is_not_yet_recorded(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    early = key.get("metrics", "/v1/calendar")["basis"]
    key.events(*deals("2024-Q1", 1, 1))
    value = values(key, "win-rate", period="2024-Q1", basis=early)[0]
    assert (value["value"], value["reason"]) == (None, "not_yet_recorded")
    assert value["answered_from"] is not None
    later = values(key, "win-rate", period="2024-Q1", known_at=value["answered_from"])[0]
    assert later["value"] == 0.5


def test_the_kinds_agree_with_figures_worked_out_by_hand(key: Key) -> None:
    amounts = ["10.10", "20.20", "70.30"]
    key.events(
        *[closed(f"w{i}", f"2024-01-1{i}", amount=a, currency="EUR", owner="ann" if i else "bo")
          for i, a in enumerate(amounts)],
        closed("l", "2024-01-20", "lost", amount="0", currency="EUR"),
    )  # fmt: skip
    field = {**WON, "field": "amount"}
    for kind, expected in {
        "sum": "100.6", "min": None, "max": None, "average": "100.6", "distinct": "2",
    }.items():  # fmt: skip
        definition = {**field, "kind": kind, "field": "owner" if kind == "distinct" else "amount"}
        define(key, kind, definition, "EUR" if kind != "distinct" else "count")
        assert values(key, kind, period="2024-01")[0]["numerator"] == expected
    shown = {k: values(key, k, period="2024-01")[0]["value"] for k in ("min", "max", "average")}
    assert shown == {"min": 10.1, "max": 70.3, "average": 33.5333333333333}
    define(key, "p90", {**field, "kind": "percentile", "q": 0.9}, "EUR")
    assert values(key, "p90", period="2024-01")[0]["value"] == 60.28
    define(key, "latest", {**field, "kind": "latest", "carry_forward": True}, "EUR")
    assert [v["value"] for v in values(key, "latest", period=["2024-01", "2024-02"])] == [
        70.3,
        70.3,
    ]


def test_sums_of_several_fields_and_of_several_currencies(key: Key) -> None:
    calls = [
        event("c1", "contact.call.completed", "2024-01-10", talk=100, hold="20.5", after_call=10),
        event("c2", "contact.call.completed", "2024-01-11", talk=50),
    ]
    key.events(*calls, closed("a", "2024-01-10", amount=1, currency="EUR"),
               closed("b", "2024-01-10", amount=1, currency="SEK"))  # fmt: skip
    handling = {
        "kind": "average",
        "events": ["contact.call.completed"],
        "field": "talk + hold + after_call",
    }
    define(key, "handling", handling, "s")
    found = values(key, "handling", period="2024-01")[0]
    assert (found["numerator"], found["denominator"], found["value"]) == ("180.5", "2", 90.25)
    define(key, "revenue", {**WON, "kind": "sum", "field": "amount"}, "money")
    mixed = values(key, "revenue", period="2024-01")[0]
    assert (mixed["value"], mixed["reason"]) == (None, "mixed_currencies")
    amounts = {**CLOSED, "kind": "sum", "field": "amount"}
    share = {
        "kind": "ratio",
        "numerator": {**amounts, "where": WON["where"]},
        "denominator": amounts,
    }
    define(key, "share", share, "ratio")
    mixed = values(key, "share", period="2024-01")[0]
    assert (mixed["value"], mixed["reason"]) == (None, "mixed_currencies")
    define(key, "rate", {"kind": "ratio", "numerator": WON, "denominator": CLOSED}, "ratio")
    assert values(key, "rate", period="2024-01")[0]["value"] == 1


def test_duration_runs_from_step_to_step_and_counts_where_it_ends(key: Key) -> None:
    cycle = {
        "kind": "duration",
        "from": {"events": ["crm.opportunity.opened"]},
        "to": {"events": ["crm.opportunity.closed"], "where": WON["where"]},
        "clock": "calendar_days",
        "statistic": "median",
    }
    for identity, opened, ended in (
        ("1", "01-01", "02-10"),
        ("2", "01-05", "02-05"),
        ("3", "02-01", "04-01"),
    ):
        subject = f"deal/{identity}"
        key.events(
            event(f"o{identity}", "crm.opportunity.opened", f"2024-{opened}", _subject=subject),
            closed(identity, f"2024-{ended}"),
        )
    define(key, "cycle", cycle, "days")
    define(key, "mean", {**cycle, "statistic": "average", "clock": "elapsed"}, "s")
    assert [v["value"] for v in values(key, "cycle", period=["2024-Q1", "2024-Q2"])] == [35.5, 60]
    assert values(key, "mean", period="2024-Q1")[0]["numerator"] == str((40 + 31) * 86_400)


def test_state_counts_what_stands_at_the_end_of_a_period(key: Key) -> None:
    opened, reopened = "crm.opportunity.opened", "crm.opportunity.reopened"
    open_deals = {
        "kind": "state",
        "events": [opened, "crm.opportunity.closed", reopened],
        "where": {"field": "$type", "op": "in", "value": [opened, reopened]},
    }
    key.events(
        event("o1", opened, "2024-01-10", _subject="deal/1", amount=100, currency="EUR"),
        event("o2", opened, "2024-01-20", _subject="deal/2", amount=50, currency="EUR"),
        closed("1", "2024-02-01"),
        event("r1", reopened, "2024-04-03", _subject="deal/1"),
    )
    define(key, "open", open_deals)
    define(key, "pipeline", {**open_deals, "statistic": "sum", "field": "amount"}, "EUR")
    months = ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert [v["value"] for v in values(key, "open", period=months)] == [2, 1, 1, 2]
    assert [v["value"] for v in values(key, "pipeline", period=months)] == [150, 50, 50, 150]


def test_last_in_period_looks_at_each_subjects_last_word_first(key: Key) -> None:
    key.events(
        closed("a", "2024-01-10", "won", _sequence=""),
        event("b", "crm.opportunity.closed", "2024-01-20", outcome="lost", _subject="deal/a"),
        closed("c", "2024-01-10"),
        event("d", "crm.opportunity.reopened", "2024-01-11", _subject="deal/c"),
        closed("e", "2024-01-10"),
    )
    last = {**WON, "per_subject": "last_in_period", "undone_by": ["crm.opportunity.reopened"]}
    define(key, "won", last)
    assert values(key, "won", period="2024-01")[0]["value"] == 1


def test_groups_have_a_limit_and_the_rest_is_other(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    regions = ["n", "n", "n", "s", "s", "w", "x"]
    key.events(*[closed(f"{i}", "2024-01-10", region=r) for i, r in enumerate(regions)])
    key.events(closed("none", "2024-01-10"))
    answer = values(key, "win-rate", period="2024-01", group_by="region", group_limit=2)
    assert [(v["group"]["region"], v["n"]) for v in answer] == [("n", 3), ("other", 3), ("s", 2)]
    everything = values(key, "win-rate", period="2024-01", group_by="region")
    assert [v["group"]["region"] for v in everything] == ["(none)", "n", "s", "w", "x"]
    problem = key.refused(
        422, "GET", "metrics", "/v1/metrics/win-rate/values?period=2024&group_by=regoin"
    )
    assert "region" in problem["detail"]


def test_dates_are_compared_with_dates_and_moments_with_the_zones_midnight(key: Key) -> None:
    define(key, "closed", CLOSED)
    zone = {"zone": "America/New_York", "currency": "USD", "reason": "Head office"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=zone).status_code == 200
    key.events(
        closed("date", "2024-03-31"),
        closed("before", "2024-04-01T03:59:59Z"),
        closed("after", "2024-04-01T04:00:00Z"),
        closed("april", "2024-04-01"),
    )
    found = values(key, "closed", period=["2024-Q1", "2024-Q2"])
    assert [v["value"] for v in found] == [2, 2]
    listed = key.get("metrics", "/v1/metrics/closed/events", period="2024-Q1")["items"]
    assert [e["id"] for e in listed] == ["date", "before"]


def test_a_definition_has_versions_and_the_past_keeps_its_own(key: Key) -> None:
    define(key, "deals", CLOSED)
    key.events(*deals("2024-Q1", 2, 3))
    before = key.get("metrics", "/v1/calendar")["basis"]
    define(key, "deals", WON, reason="Only won ones matter")
    assert values(key, "deals", period="2024-Q1")[0]["value"] == 2
    assert values(key, "deals", period="2024-Q1", basis=before)[0]["value"] == 5
    assert values(key, "deals", period="2024-Q1", version=1)[0]["value"] == 5
    assert [m["version"] for m in key.get("metrics", "/v1/metrics/deals/versions")["items"]] == [
        1,
        2,
    ]
    define(key, "late", CLOSED)
    answer = key.get("metrics", "/v1/metrics/late/values", period="2024-Q1", basis=before)
    assert (answer["defined_later"], answer["values"][0]["value"]) == (True, 5)
    key.refused(404, "GET", "metrics", "/v1/metrics/deals/values?period=2024&version=7")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"definition": {**CLOSED, "events": ["crm.opportunity.closd"]}}, "/definition/events/0"),
        ({"definition": {**CLOSED, "kind": "sum"}}, "/definition"),
        ({"definition": {**CLOSED, "kind": "sum", "field": "outcome"}}, "/definition/field"),
        ({"definition": {**CLOSED, "kind": "percentile", "field": "amount", "q": 1.5}},
         "/definition/q"),
        ({"definition": {**CLOSED, "wher": {}}}, "/definition/wher"),
        ({"definition": {"kind": "ratio", "numerator": CLOSED, "denominator": {"metric": "nope"}}},
         "/definition/denominator/metric"),
        ({"unit": ""}, "/unit"),
        ({"key": "Not A Key"}, "/key"),
        ({"settles_after": "5"}, "/settles_after"),
        ({"unknown": 1}, "/unknown"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_work_is_refused_with_a_pointer(
    key: Key, change: dict[str, Any], pointer: str
) -> None:
    body = {"key": "x", "name": "X", "unit": "count", "definition": CLOSED, **change}
    problem = key.refused(422, "POST", "metrics", "/v1/metrics", json=body)
    assert problem["errors"][0]["pointer"].startswith(pointer)
    assert key.get("metrics", "/v1/metrics")["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/v1/metrics/wim-rate/values?period=2024-Q1", 404, "win-rate"),
        ("/v1/metrics/win-rate/values?period=2024-Q5", 422, "2025-Q3"),
        ("/v1/metrics/win-rate/values?period=2024-13", 422, "real"),
        ("/v1/metrics/win-rate/values?period=2024-02-01..2024-01-01", 422, "ends before"),
        ("/v1/metrics/win-rate/values", 422, "period"),
        ("/v1/metrics/win-rate/values?period=2024&known_at=2024-01-01T00:00:00", 422, "zone"),
        ("/v1/metrics/win-rate/values?period=2024&basis=7-abc", 422, "names no state"),
        ("/v1/metrics/win-rate/values?period=2024&where={", 422, "JSON"),
        ("/v1/metrics/win-rate/values?from=1900-01-01&to=2025-01-01&grain=day", 422, "periods"),
        ("/v1/metrics?cursor=abc", 422, "cursor"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_why(
    key: Key, path: str, status: int, word: str
) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    assert word in key.refused(status, "GET", "metrics", path)["detail"]


def test_the_same_basis_gives_the_same_bytes_while_others_write(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 3, 4))
    basis = key.get("metrics", "/v1/metrics/win-rate/values", period="2024-Q1")["basis"]
    path = f"/v1/metrics/win-rate/values?period=2024-Q1&basis={basis}"
    before = key.send("GET", "metrics", path).content
    key.events(*[closed(f"late{i}", "2024-01-05") for i in range(5)])
    assert key.send("GET", "metrics", path).content == before


def test_a_period_is_provisional_until_it_is_over_and_settled(key: Key) -> None:
    today = datetime.now(UTC).date()
    define(key, "closed", CLOSED, settles_after=30)
    running = f"{today - timedelta(days=2)}..{today + timedelta(days=2)}"
    fresh = f"{today - timedelta(days=20)}..{today - timedelta(days=10)}"
    old = f"{today - timedelta(days=90)}..{today - timedelta(days=60)}"
    found = [values(key, "closed", period=p)[0]["provisional"] for p in (old, fresh, running)]
    assert found == [False, True, True]


def test_coverage_shows_the_slots_in_which_nothing_came(key: Key) -> None:
    define(key, "closed", CLOSED, guidelines={"cadence": "monthly"})
    key.events(closed("a", "2024-01-10"), closed("b", "2024-03-10"))
    coverage = values(key, "closed", period="2024-Q1")[0]["coverage"]
    assert (coverage["slots"], coverage["delivered"], coverage["gaps"]) == (3, 2, ["2024-02"])


FACTS = st.tuples(
    st.integers(0, 5),
    st.integers(0, 3),
    st.dates(date(2024, 1, 1), date(2024, 6, 30)),
    st.sampled_from(["won", "lost"]),
    st.decimals(0, 1_000, places=2),
)


@settings(max_examples=12)
@given(history=st.lists(FACTS, min_size=1, max_size=12))
def test_what_is_learned_later_never_changes_an_answer_about_earlier_knowledge(
    house: House, history: list[tuple[int, int, date, str, Decimal]]
) -> None:
    """Goal: each past answer comes out again, and equals a plain fold of what was known then.

    Method: facts of few identities arrive with random sequences, so that some are duplicates,
    restatements or late; after each, the answer and its basis are kept; at the end every basis is
    asked again and compared with a fold in this test.
    """
    key = house.key()
    define(key, "revenue", {**WON, "kind": "sum", "field": "amount"}, "EUR")
    known: dict[tuple[int, int], tuple[date, str, Decimal]] = {}
    asked: list[tuple[str, Any, Fraction]] = []
    for identity, sequence, day, outcome, amount in history:
        fact = closed(
            str(identity), day.isoformat(), outcome, amount=str(amount), currency="EUR",
            _sequence=str(sequence),
        )  # fmt: skip
        result = key.post("metrics", "/v1/events", [fact])["results"][0]
        if result["status"] == "accepted":
            known[identity, sequence] = (day, outcome, amount)
        answer = key.get("metrics", "/v1/metrics/revenue/values", period=["2024-Q1", "2024-Q2"])
        asked.append((answer["basis"], answer["values"], _fold(known)))
    for basis, before, expected in asked:
        again = key.get(
            "metrics", "/v1/metrics/revenue/values", period=["2024-Q1", "2024-Q2"], basis=basis
        )["values"]
        figures = ("value", "reason", "numerator", "n")
        assert [[v[f] for f in figures] for v in again] == [[v[f] for f in figures] for v in before]
        total = sum(Fraction(v["numerator"] or 0) for v in again)
        assert total == expected
        assert json.dumps([v["proof"] for v in again]) == json.dumps([v["proof"] for v in before])


def _fold(known: dict[tuple[int, int], tuple[date, str, Decimal]]) -> Fraction:
    highest = {identity: max(s for i, s in known if i == identity) for identity, _ in known}
    counting = (known[identity, sequence] for identity, sequence in highest.items())
    return sum(
        (Fraction(amount) for _, outcome, amount in counting if outcome == "won"), Fraction(0)
    )
