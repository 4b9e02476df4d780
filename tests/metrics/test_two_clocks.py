"""What is learned, taken back, loaded later or replaced: each figure as known at each moment."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from services.metrics.commands.restated import tell_holders
from tests.support.asking import answer
from tests.support.house import House, Key
from tests.support.samples import CLOSED, WIN_RATE, WON, closed, deals, event

REVENUE = {**WON, "kind": "sum", "field": "amount"}


def define(
    key: Key, name: str, definition: dict[str, Any], unit: str = "count", **more: Any
) -> None:
    body = {"key": name, "name": name, "unit": unit, "definition": definition, **more}
    key.post("metrics", "/v1/metrics", body)


def value(key: Key, name: str, period: str, **params: Any) -> Any:
    found = key.get("metrics", f"/v1/metrics/{name}/values", period=period, **params)["values"][0]
    return found["value"] if found["reason"] is None else found["reason"]


def head(key: Key) -> str:
    token: str = key.get("metrics", "/v1/calendar")["basis"]
    return token


def backfill(key: Key, *events: dict[str, Any]) -> str:
    made = key.post("metrics", "/v1/backfills", {"name": "History", "reason": "The old system"})
    answer = key.post("metrics", f"/v1/events?backfill={made['id']}", list(events))
    assert answer["accepted"] == len(events), answer
    identity: str = made["id"]
    return identity


def change(key: Key, identity: str, verb: str) -> Any:
    return key.post("metrics", f"/v1/backfills/{identity}/{verb}", {"reason": "Looked at"})


def test_a_backfill_counts_from_its_closing_until_it_is_reverted(key: Key) -> None:
    define(key, "closed", CLOSED)
    key.events(closed("new", "2024-05-01"))
    identity = backfill(key, closed("old", "2023-05-01"), closed("older", "2022-05-01"))
    before = head(key)
    assert value(key, "closed", "2023") == "before_first_event"
    assert value(key, "closed", "2023", with_backfill=identity) == 1
    assert value(key, "closed", "2024", with_backfill=identity) == 1
    assert change(key, identity, "close")["state"] == "closed"
    while_closed = head(key)
    assert (value(key, "closed", "2023"), value(key, "closed", "2021")) == (1, "before_first_event")
    assert value(key, "closed", "2023", basis=before) == "before_first_event"
    assert change(key, identity, "revert")["state"] == "reverted"
    assert value(key, "closed", "2023") == "before_first_event"
    assert value(key, "closed", "2023", basis=while_closed) == 1
    shown = key.get("metrics", f"/v1/backfills/{identity}")
    assert (shown["state"], shown["events"]) == ("reverted", 2)


def test_a_backfill_of_restatements_replaces_and_gives_back_what_stood(key: Key) -> None:
    define(key, "revenue", REVENUE, "EUR")
    key.events(closed("a", "2024-05-01", amount=100, currency="EUR", _sequence="1"))
    identity = backfill(
        key,
        closed("a", "2024-05-01", amount=70, currency="EUR", _sequence="2"),
        closed("b", "2024-06-01", amount=5, currency="EUR"),
    )
    assert value(key, "revenue", "2024") == 100
    assert value(key, "revenue", "2024", with_backfill=identity) == 75
    change(key, identity, "close")
    assert value(key, "revenue", "2024") == 75
    key.events(closed("a", "2024-05-01", amount=60, currency="EUR", _sequence="3"))
    assert value(key, "revenue", "2024") == 65
    change(key, identity, "revert")
    assert value(key, "revenue", "2024") == 60


def test_a_backfill_retracts_when_it_is_closed_and_gives_back_when_it_is_reverted(key: Key) -> None:
    define(key, "revenue", REVENUE, "EUR")
    key.events(closed("a", "2024-05-01", amount=100, currency="EUR", _sequence="1"),
               closed("b", "2024-06-01", amount=7, currency="EUR"))  # fmt: skip
    identity = backfill(key, closed("c", "2024-06-01", amount=1, currency="EUR"))
    fact = {"source": "/crm", "event_id": "a", "reason": "Never happened"}
    key.post("metrics", f"/v1/retractions?backfill={identity}", fact)
    before = head(key)
    assert value(key, "revenue", "2024") == 107
    assert value(key, "revenue", "2024", with_backfill=identity) == 8
    change(key, identity, "close")
    assert value(key, "revenue", "2024") == 8
    parts = restated(key, "2024", before, head(key))["parts"]
    changes = {part["cause"]: Decimal(part["change"]) for part in parts}
    assert {cause: change for cause, change in changes.items() if change} == {"backfills": -99}
    key.events(closed("a", "2024-05-01", amount=60, currency="EUR", _sequence="2"))
    assert value(key, "revenue", "2024") == 68
    change(key, identity, "revert")
    assert value(key, "revenue", "2024") == 67
    assert value(key, "revenue", "2024", basis=before) == 107


def test_a_backfill_retracts_single_facts_while_it_is_open(key: Key) -> None:
    key.events(closed("a", "2024-05-01"))
    identity = backfill(key, closed("old", "2023-05-01"))
    path = f"/v1/retractions?backfill={identity}"
    span = {"source": "/crm", "starts_at": "2024-01-01T00:00:00Z", "reason": "All of it"}
    assert "event_id" in key.refused(422, "POST", "metrics", path, json=span)["detail"]
    change(key, identity, "close")
    fact = {"source": "/crm", "event_id": "a", "reason": "Never happened"}
    key.refused(409, "POST", "metrics", path, json=fact)


def test_a_dropped_backfill_never_counts_and_takes_no_more(key: Key) -> None:
    define(key, "closed", CLOSED)
    identity = backfill(key, closed("old", "2023-05-01"))
    change(key, identity, "drop")
    assert value(key, "closed", "2023") != 1
    for verb in ("close", "drop", "revert"):
        problem = key.refused(409, "POST", "metrics", f"/v1/backfills/{identity}/{verb}",
                              json={"reason": "again"})  # fmt: skip
        assert "dropped" in problem["detail"]
    path = f"/v1/events?backfill={identity}"
    key.refused(409, "POST", "metrics", path, json=[closed("more", "2023-05-02")])
    unknown = "/v1/events?backfill=0199b1f0-0000-7000-8000-000000000001"
    key.refused(404, "POST", "metrics", unknown, json=[closed("more", "2023-05-02")])


def restated(key: Key, period: str, first: str, last: str, name: str = "revenue") -> Any:
    return key.get("metrics", f"/v1/metrics/{name}/restatement",
                   period=period, **{"from": first, "to": last})  # fmt: skip


def test_a_restatement_names_each_cause_and_its_parts_add_up(key: Key) -> None:
    """One change of every cause between two bases, each of another size."""
    define(key, "revenue", REVENUE, "EUR")

    def won(identity: str, amount: Any, day: str = "2024-02-10", **more: Any) -> dict[str, Any]:
        return closed(identity, day, amount=amount, **{"currency": "EUR", **more})

    key.events(
        won("kept", 1000), won("gone", 20), won("changed", 300, _sequence="1"),
        won("range", 7, _source="/other"), won("dollars", 100, currency="USD"),
        event("fx1", "fx.rate.observed", "2024-01-01", base="USD", quote="EUR", rate="0.5"),
        won("night", 50_000, "2024-03-31T23:30:00Z"),
    )  # fmt: skip
    key.post("metrics", "/v1/bases", {"name": "Close", "closes": "2024-Q1", "reason": "Closing"})
    first = head(key)
    key.events(won("late", 4))
    change(key, backfill(key, won("loaded", 9)), "close")
    gone = {"source": "/crm", "event_id": "gone", "reason": "A test deal"}
    key.post("metrics", "/v1/retractions", gone)
    key.events(won("changed", 330, _sequence="2"))
    key.post("metrics", "/v1/cut-overs", {"old_source": "/other", "new_source": "/newer",
                                          "on": "2024-01-01", "reason": "Replaced"})  # fmt: skip
    key.events(event("fx2", "fx.rate.observed", "2024-02-01", base="USD", quote="EUR", rate="0.75"))
    zone = {"zone": "Europe/Berlin", "reason": "Head office"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=zone).status_code == 200
    define(key, "revenue", {**REVENUE, "where": {"all": [
        WON["where"], {"not": {"field": "amount", "op": "lt", "value": 5}}]}}, "EUR")  # fmt: skip
    found = restated(key, "2024-Q1", "Close", head(key))
    parts = {part["cause"]: part["change"] for part in found["parts"]}
    assert {cause: Decimal(change) for cause, change in parts.items()} == {
        "late": 4, "backfills": 9, "retractions": -20, "restatements": 30, "cut_over": -7,
        "exchange_rates": 25, "calendar": -50_000, "definition": -4,
    }  # fmt: skip
    assert list(parts) == [
        "late", "backfills", "retractions", "restatements", "cut_over", "exchange_rates",
        "calendar", "definition",
    ]  # fmt: skip
    assert sum(map(Decimal, parts.values())) == Decimal(found["change"])
    assert found["from"]["value"] == value(key, "revenue", "2024-Q1", basis=first)
    assert found["to"]["value"] == value(key, "revenue", "2024-Q1")
    problem = key.refused(422, "GET", "metrics", "/v1/metrics/revenue/restatement"
                          f"?period=2024-Q1&from={head(key)}&to={first}")  # fmt: skip
    assert "must not lie after" in problem["detail"]


def test_a_timeline_shows_each_change_of_one_answer(key: Key) -> None:
    define(key, "revenue", REVENUE, "EUR")
    for number, amount in enumerate((10, 20, 30)):
        key.events(closed(str(number), "2024-02-10", amount=amount, currency="EUR"))
        key.events(closed(f"x{number}", "2023-02-10", amount=1, currency="EUR"))
    key.post("metrics", "/v1/retractions", {"source": "/crm", "event_id": "1", "reason": "None"})
    path = "/v1/metrics/revenue/timeline"
    changes = key.get("metrics", path, period="2024-Q1")["items"]
    assert [c["value"] for c in changes][-4:] == [10, 30, 60, 40]
    for entry in changes:
        if entry["value"] is not None:
            assert value(key, "revenue", "2024-Q1", basis=entry["basis"]) == entry["value"]
    page = key.get("metrics", path, period="2024-Q1", limit=2)
    collected = page["items"]
    while page["next_cursor"]:
        page = key.get("metrics", path, period="2024-Q1", limit=2, cursor=page["next_cursor"])
        collected += page["items"]
    assert collected == changes


def test_replaced_systems_are_one_series_once_a_day_is_chosen(key: Key) -> None:
    """The old CRM until March, the new one from February, both telling of February and March."""
    define(key, "closed", CLOSED, guidelines={"cadence": "monthly", "sources": ["CRM"]})
    months = ["2024-01", "2024-02", "2024-03", "2024-04"]
    for number, month in enumerate(months):
        if number < 3:
            key.events(closed(f"o{month}", f"{month}-10", _source="/old"))
        if number > 0:
            key.events(closed(f"n{month}", f"{month}-11", _source="/new"))

    def counts(**params: Any) -> list[Any]:
        found = key.get("metrics", "/v1/metrics/closed/values", period=months, **params)
        return [v["value"] for v in found["values"]]

    def overlap() -> list[Any]:
        quality = key.get("metrics", "/v1/metrics/closed/quality", period="2024-Q1")
        return [(o["sources"], o["start"], o["end"]) for o in quality["overlaps"]]

    before = head(key)
    assert counts() == [1, 2, 2, 1]
    assert overlap() == [(["/old", "/new"], "2024-02-11", "2024-03-11")]
    cut = {"old_source": "/old", "new_source": "/new", "on": "2024-03-01", "reason": "Go-live"}
    key.post("metrics", "/v1/cut-overs", cut)
    assert counts() == [1, 1, 1, 1]
    assert overlap() == []
    assert counts(basis=before) == [1, 2, 2, 1]
    assert [c["on"] for c in key.get("metrics", "/v1/cut-overs")["items"]] == ["2024-03-01"]
    path = "/v1/cut-overs?old_source=/old&new_source=/new"
    assert key.send("DELETE", "metrics", path).status_code == 204
    assert counts() == [1, 2, 2, 1]
    key.refused(404, "DELETE", "metrics", path)
    own = {**cut, "new_source": "/old"}
    assert key.refused(422, "POST", "metrics", "/v1/cut-overs", json=own)["status"] == 422


def test_a_named_basis_is_used_once_and_stands_for_its_state(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 1, 1))
    named = key.post("metrics", "/v1/bases", {"name": "Close of Q1", "closes": "2024-Q1",
                                              "reason": "Reported to the board"})  # fmt: skip
    key.events(*deals("2024-Q1", 3, 0)[2:])
    assert value(key, "win-rate", "2024-Q1", basis=named["basis"]) == 0.5
    assert key.get("metrics", "/v1/bases/Close of Q1") == named
    again = {"name": "Close of Q1", "reason": "Again"}
    key.refused(409, "POST", "metrics", "/v1/bases", json=again)
    wrong = {"name": "x", "closes": "2024-Q7", "reason": "No such quarter"}
    assert key.refused(422, "POST", "metrics", "/v1/bases", json=wrong)["errors"]
    assert [b["name"] for b in key.get("metrics", "/v1/bases")["items"]] == ["Close of Q1"]


def test_quality_holds_the_guidelines_against_what_arrived(key: Key) -> None:
    guidelines = {"cadence": "monthly", "responsible": "Ann"}
    define(key, "revenue", REVENUE, "EUR", guidelines=guidelines, dimensions=["region"])
    sent = [closed("a", "2024-01-10", amount=5, currency="EUR", region="n"),
            closed("b", "2024-03-10", currency="EUR")]  # fmt: skip
    key.events(*sent)
    key.post("metrics", "/v1/events", [sent[0], closed("c", "2024-01-11", "maybe")])
    found = key.get("metrics", "/v1/metrics/revenue/quality", period="2024-Q1")
    assert (found["cadence"], found["responsible"], found["fresh"]) == ("monthly", "Ann", False)
    assert found["coverage"]["gaps"] == ["2024-02"]
    assert found["last_occurred_at"] == "2024-03-10T00:00:00Z"
    (source,) = found["sources"]
    assert (source["source"], source["events"], source["late_share"]) == ("/crm", 2, 1)
    missing = {f["field"]: f["share"] for f in found["fields"]}
    assert missing == {"amount": 0.5, "region": 0.5}
    told = found["intake"]
    assert (told["accepted"], told["duplicates"], told["invalid"]) == (2, 1, 1)


def test_time_zone_changes_and_summer_time_move_days_not_events(key: Key) -> None:
    define(key, "closed", CLOSED)
    zone = {"zone": "Europe/Berlin", "reason": "Head office"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=zone).status_code == 200
    key.events(
        closed("last-winter-hour", "2024-03-30T22:59:59Z"),
        closed("short-day", "2024-03-30T23:00:00Z"),
        closed("short-day-ends", "2024-03-31T21:59:59Z"),
        closed("april", "2024-03-31T22:00:00Z"),
    )
    days = ["2024-03-30", "2024-03-31", "2024-04-01"]
    found = key.get("metrics", "/v1/metrics/closed/values", period=days)["values"]
    assert [v["value"] for v in found] == [1, 2, 1]


@pytest.mark.parametrize(
    ("pattern", "begins", "bounds"),
    [
        ("4-4-5", "nearest", ["2023-01-29", "2023-02-26", "2023-03-26", "2023-04-30"]),
        ("5-4-4", "nearest", ["2023-01-29", "2023-03-05", "2023-04-02", "2023-04-30"]),
        ("4-5-4", "on_or_before", ["2023-01-29", "2023-02-26", "2023-04-02", "2023-04-30"]),
    ],
)
def test_fiscal_months_of_whole_weeks(
    key: Key, pattern: str, begins: str, bounds: list[str]
) -> None:
    """The retail calendar of 2023: the Sunday nearest to 1 February, and a 53rd week at its end."""
    body = {"week_start": 7, "fiscal_start_month": 2, "fiscal_name": "start",
            "fiscal_weeks": pattern, "fiscal_begins": begins, "reason": "Retail"}  # fmt: skip
    assert key.send("PUT", "metrics", "/v1/calendar", json=body).status_code == 200
    define(key, "closed", CLOSED)
    periods = ["FY2023-P01", "FY2023-P02", "FY2023-P03", "FY2023-P12"]
    found = key.get("metrics", "/v1/metrics/closed/values", period=periods)["values"]
    assert [v["start"] for v in found[:3]] + [found[2]["end"]] == bounds
    assert (found[3]["end"] == "2024-02-04") == (begins == "nearest")
    span = {"from": "2023-01-29", "to": "2024-01-01", "grain": "fiscal_month"}
    year = key.get("metrics", "/v1/metrics/closed/values", **span)
    assert len(year["values"]) == 12
    assert json.dumps(year["values"][0]["period"]) == '"FY2023-P01"'


def test_who_holds_a_closed_figure_is_told_once_when_it_changes(house: House, key: Key) -> None:
    """A closed quarter and a frozen baseline are held; a late deal and its retraction move both."""
    ledger = house.ledgers["metrics"]
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 1, 1))
    key.post("metrics", "/v1/bases", {"name": "Close", "closes": "2024-Q1", "reason": "Closing"})
    frozen = {"metric": "win-rate", "periods": ["2024-Q1"], "reason": "Before the roll-out"}
    baseline = key.post("metrics", "/v1/baselines", frozen)
    examined = tell_holders(ledger, key.tenant_id, 0)
    assert key.get("metrics", "/v1/restated")["items"] == []
    key.events(closed("other quarter", "2024-05-01"))
    examined = tell_holders(ledger, key.tenant_id, examined)
    assert key.get("metrics", "/v1/restated")["items"] == []
    key.events(closed("late", "2024-02-01"), closed("later", "2024-02-02"))
    examined = tell_holders(ledger, key.tenant_id, examined)
    told = key.get("metrics", "/v1/restated")["items"]
    assert [(t["holder"], t["held"], t["now"]) for t in told] == [
        (f"baseline/{baseline['id']}", 0.5, 0.75), ("basis/Close", 0.5, 0.75),
    ]  # fmt: skip
    for _ in range(2):
        tell_holders(ledger, key.tenant_id, 0)
    names = [e["type"] for e in key.get("metrics", "/v1/feed", limit=500)["items"]]
    assert names.count("metric.restated") == 2
    for identity in ("late", "later"):
        retraction = {"source": "/crm", "event_id": identity, "reason": "A test deal"}
        key.post("metrics", "/v1/retractions", retraction)
    tell_holders(ledger, key.tenant_id, examined)
    assert [t["now"] for t in key.get("metrics", "/v1/restated")["items"]] == [0.5, 0.5]


def test_sequences_that_are_moments_or_numbers_are_ordered_as_such(key: Key) -> None:
    """The later version counts, though as a text it would stand before the other."""
    for name, older, newer in (
        ("moments", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z"),
        ("zones", "2024-01-01T09:00:00+02:00", "2024-01-01T08:00:00Z"),
        ("numbers", "-1", "01"),
        ("decimals", "9.5", "10.25"),
    ):
        key.events(
            closed(name, "2024-01-10", "lost", _subject=name, _sequence=older, region=name),
            closed(name, "2024-01-10", _subject=name, _sequence=newer, region=name),
        )
    found = answer(key, WON, "2024-01", group_by=["region"])["values"]
    assert {v["group"]["region"]: v["value"] for v in found} == {
        "moments": 1, "zones": 1, "numbers": 1, "decimals": 1,
    }  # fmt: skip


def test_a_fact_with_versions_takes_none_without_a_sequence(key: Key) -> None:
    """The same again is a duplicate; other content contradicts and is kept in quarantine."""
    numbered = closed("a", "2024-01-10", amount=5, _sequence="5")
    key.events(numbered)
    plain = {k: v for k, v in numbered.items() if k != "sequence"}
    assert key.post("metrics", "/v1/events", plain)["status"] == "duplicate"
    other = {**plain, "data": {**plain["data"], "amount": 99}}
    problem = key.refused(409, "POST", "metrics", "/v1/events", json=other)
    assert problem["type"] == "/problems/event-conflict"
    batch = [
        closed("b", "2024-01-11", amount=1, _sequence="1"),
        closed("b", "2024-01-11", amount=2),
    ]
    told = key.post("metrics", "/v1/events", batch)["results"]
    assert [one["status"] for one in told] == ["accepted", "conflict"]
    amounts = {**WON, "kind": "sum", "field": "amount"}
    assert answer(key, amounts, "2024-01")["values"][0]["value"] == 6


def test_of_three_versions_in_odd_order_one_counts(key: Key) -> None:
    """Moments of several zones: the one that is last in time stands, whichever came when."""
    for sequence, amount in (
        ("2024-01-01T12:00:00Z", 1), ("2024-01-01T13:00:00+02:00", 2), ("2024-01-01T12:30:00Z", 3),
    ):  # fmt: skip
        key.events(closed("a", "2024-01-10", amount=amount, _sequence=sequence))
    amounts = {**WON, "kind": "sum", "field": "amount"}
    found = answer(key, amounts, "2024-01")["values"][0]
    assert (found["value"], found["n"]) == (3, 1)
