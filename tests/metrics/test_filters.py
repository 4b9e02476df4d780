"""Filters that look at other events, and amounts that are converted, worked out by hand."""

from __future__ import annotations

from typing import Any

from tests.support.asking import answer, shown
from tests.support.house import Key
from tests.support.samples import CLOSED, WON, closed, event

OPENED, CALL, ACTIVITY = "crm.opportunity.opened", "contact.call.completed", "crm.activity.logged"


HAD = {"had": {"events": [ACTIVITY]}, "by": "subject"}


def test_had_asks_what_came_before_the_event_or_its_period(key: Key) -> None:
    """Deal 1 was called ten days before, deal 2 after, deal 3 in the quarter before."""
    key.events(
        event("a1", ACTIVITY, "2024-04-10", _subject="deal/1", kind="call"),
        event("a2", ACTIVITY, "2024-04-25", _subject="deal/2", kind="call"),
        event("a3", ACTIVITY, "2024-03-01", _subject="deal/3", kind="email"),
        *(closed(n, "2024-04-20", amount=10, currency="EUR") for n in "123"),
    )

    def counted(**more: Any) -> list[Any]:
        return shown(key, {**CLOSED, "where": {**HAD, **more}}, "2024-Q2")

    assert counted() == [2]
    assert counted(before="period") == [1]
    assert counted(within="P10D") == [1]
    assert counted(within="P9D") == [0]
    assert counted(had={"events": [ACTIVITY], "where": {"field": "kind", "value": "email"}}) == [1]
    nothing = {**CLOSED, "where": {"not": HAD}}
    assert shown(key, nothing, "2024-Q2") == [1]


def test_had_can_ask_for_the_last_of_the_events_before_the_period(key: Key) -> None:
    """Deal 1 was last written to, deal 2 last called; deal 3 was called on the very first day."""
    key.events(
        event("a1", ACTIVITY, "2024-01-10T09:00:00Z", _subject="deal/1", kind="call"),
        event("a2", ACTIVITY, "2024-02-10", _subject="deal/1", kind="email"),
        event("a3", ACTIVITY, "2024-01-10", _subject="deal/2", kind="email"),
        event("a4", ACTIVITY, "2024-01-10T09:00:00Z", _subject="deal/2", kind="call"),
        event("a5", ACTIVITY, "2024-04-01T00:00:00Z", _subject="deal/3", kind="call"),
        *(closed(n, "2024-04-20") for n in "123"),
    )
    call = {"events": [ACTIVITY], "where": {"field": "kind", "value": "call"}}

    def counted(**more: Any) -> list[Any]:
        where = {"had": call, "before": "period", "which": "last", **more}
        return shown(key, {**CLOSED, "where": where}, "2024-Q2")

    assert counted() == [1]
    assert counted(which="any") == [2]
    assert counted(within="P90D") == [1]
    assert counted(within="P60D") == [0]
    key.events(event("a6", ACTIVITY, "2024-03-31", _subject="deal/3", kind="call"))
    assert counted(within="PT12H") == counted(within="PT12H", which="any") == [1]
    wrong = {**CLOSED, "where": {"had": call, "which": "last"}}
    body = {"key": "last", "name": "Last", "unit": "count", "definition": wrong}
    refused = key.send("POST", "metrics", "/v1/metrics", json=body)
    assert refused.status_code == 422
    assert '"before": "period"' in refused.json()["detail"]


def test_had_joins_by_a_field_and_finds_repeat_customers(key: Key) -> None:
    key.events(
        closed("1", "2024-01-10", account="A"), closed("2", "2024-02-10", account="A"),
        closed("3", "2024-04-10", account="A"), closed("4", "2024-04-10", account="B"),
        closed("5", "2024-04-10", account="B"), closed("6", "2024-04-11"),
    )  # fmt: skip
    won: dict[str, Any] = {"had": {"events": WON["events"], "where": WON["where"]}, "by": "account"}
    accounts = {**WON, "kind": "distinct", "field": "account"}

    def repeat(before: str) -> dict[str, Any]:
        both = {"all": [WON["where"], {**won, "before": before}]}
        return {"kind": "ratio", "numerator": {**accounts, "where": both}, "denominator": accounts}

    assert shown(key, repeat("period"), "2024-Q1", "2024-Q2", unit="ratio") == [0, 0.5]
    assert shown(key, repeat("event"), "2024-Q1", "2024-Q2", unit="ratio") == [1, 1]


def test_then_asks_what_follows_and_is_provisional_while_it_may(key: Key) -> None:
    def called(identity: str, moment: str, customer: str) -> dict[str, Any]:
        return event(identity, CALL, moment, customer=customer, talk=60)

    key.events(
        called("1", "2024-01-01T10:00:00Z", "A"), called("2", "2024-01-05T10:00:00Z", "A"),
        called("3", "2024-01-20T10:00:00Z", "A"), called("4", "2024-01-02T10:00:00Z", "B"),
    )  # fmt: skip
    calls = {"kind": "count", "events": [CALL]}
    again = {"then": {"events": [CALL]}, "by": "customer", "within": "P7D"}
    resolved = {"kind": "ratio", "numerator": {**calls, "where": {"not": again}},
                "denominator": calls}  # fmt: skip
    found = answer(key, resolved, "2024-01", unit="ratio")["values"][0]
    assert (found["numerator"], found["denominator"], found["provisional"]) == ("3", "4", False)
    ever = {**calls, "where": {k: v for k, v in again.items() if k != "within"}}
    found = answer(key, ever, "2024-01")["values"][0]
    assert (found["value"], found["provisional"]) == (2, True)


def test_on_one_day_with_and_without_a_time_the_first_to_arrive_comes_first(key: Key) -> None:
    """Deal 1's call arrived before its closing, deal 2's after; a window of days holds whole days.

    Closings know only their day, calls their time: neither is before the other by the clock.
    """
    key.events(
        event("c1", ACTIVITY, "2024-04-20T15:00:00Z", _subject="deal/1"),
        closed("1", "2024-04-20", _subject="deal/1"),
        closed("2", "2024-04-20", _subject="deal/2"),
        event("c2", ACTIVITY, "2024-04-20T09:00:00Z", _subject="deal/2"),
        event("c3", ACTIVITY, "2024-04-21T18:00:00Z", _subject="deal/1"),
    )
    calls = {"kind": "count", "events": [ACTIVITY]}
    deals = {"events": [WON["events"][0]]}
    then = {"then": {"events": [ACTIVITY]}, "by": "subject"}
    assert shown(key, {**CLOSED, "where": HAD}, "2024-04") == [1]
    assert shown(key, {**CLOSED, "where": then}, "2024-04") == [2]
    assert shown(key, {**CLOSED, "where": {"not": {**then, "within": "P1D"}}}, "2024-04") == [0]
    assert shown(key, {**calls, "where": {"had": deals, "by": "subject"}}, "2024-04") == [2]
    assert shown(key, {**calls, "where": {"then": deals, "by": "subject"}}, "2024-04") == [1]
    within = {"had": deals, "by": "subject", "within": "PT1H"}
    assert shown(key, {**calls, "where": within}, "2024-04") == [1]


def test_a_state_asks_what_its_things_had_until_then(key: Key) -> None:
    """Open deals with an activity in the last 30 days, at each month's end."""
    key.events(
        event("o1", OPENED, "2024-01-05", _subject="deal/1"),
        event("o2", OPENED, "2024-01-06", _subject="deal/2"),
        event("a1", ACTIVITY, "2024-01-20", _subject="deal/1"),
        closed("2", "2024-02-10", _subject="deal/2"),
    )
    state = {"kind": "state", "events": [OPENED, "crm.opportunity.closed"]}
    is_open = {"field": "$type", "value": OPENED}
    touched = {**state, "where": {"all": [is_open, {**HAD, "within": "P30D"}]}}
    coverage = {"kind": "ratio", "numerator": touched,
                "denominator": {**state, "where": is_open}}  # fmt: skip
    assert shown(key, coverage, "2024-01", "2024-02", unit="ratio") == [0.5, 0]


def test_amounts_are_converted_by_the_last_rate_of_their_day(key: Key) -> None:
    def rate(identity: str, day: str, base: str, quote: str, value: str) -> dict[str, Any]:
        return event(identity, "fx.rate.observed", day, base=base, quote=quote, rate=value)

    key.events(
        rate("1", "2024-01-01", "USD", "EUR", "0.9"),
        rate("2", "2024-01-10", "USD", "EUR", "0.8"),
        rate("3", "2024-01-01", "EUR", "SEK", "10"),
        rate("4", "2024-01-01", "EUR", "GBP", "0.5"),
        closed("a", "2024-01-05", amount=100, currency="USD"),
        closed("b", "2024-01-10", amount=100, currency="USD"),
        closed("c", "2024-01-10", amount=100, currency="EUR"),
        closed("d", "2024-01-12", amount=100, currency="SEK"),
        closed("e", "2024-02-12", amount=100, currency="USD"),
        closed("f", "2024-03-12", amount=1, currency="JPY"),
        closed("g", "2024-03-12", amount=1, currency="EUR"),
    )
    revenue = {**WON, "kind": "sum", "field": "amount"}
    found = answer(key, revenue, "2024-01", "2024-02", "2024-03", unit="money")["values"]
    assert [(v["value"], v["currency"], v["reason"]) for v in found] == [
        (90 + 80 + 100 + 10, "EUR", None),
        (80, "EUR", None),
        (None, None, "mixed_currencies"),
    ]
    alone = answer(key, revenue, "2024-02", unit="money")["values"][0]
    assert (alone["value"], alone["currency"]) == (100, "USD"), "nothing stands beside it"
    euros = answer(key, revenue, "2024-02", unit="EUR")["values"][0]
    assert (euros["value"], euros["currency"]) == (80, "EUR")
    crossed = answer(key, revenue, "2024-02", unit="GBP")["values"][0]
    assert (crossed["value"], crossed["currency"]) == (40, "GBP")
    missing = answer(key, revenue, "2024-02", unit="JPY")["values"][0]
    assert (missing["value"], missing["reason"]) == (None, "missing_rate")
    largest = {**WON, "kind": "max", "field": "amount"}
    assert shown(key, largest, "2024-01", unit="EUR") == [100]
