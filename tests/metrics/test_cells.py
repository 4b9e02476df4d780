"""Cells, the raw path and a plain fold agree to the last digit, over whatever history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from services.metrics.queries.definitions import DEFINITION
from services.metrics.queries.figures import reading
from services.metrics.replay.cells import Cells, chunk, series
from services.metrics.replay.cells.build import drop_cells
from services.metrics.replay.plan import Question, compute
from services.metrics.replay.wording import word
from services.metrics.tables import cells
from services.metrics.workers import Building
from shared.ledger import Ledger, View, read_event
from shared.ledger.tables import batches, events
from shared.periods import Period
from tests.support.house import House, Key
from tests.support.oracle import facts_at, figure
from tests.support.samples import WON, closed, event

SEGMENT = 4
ZONE = "America/Sao_Paulo"
AMOUNT = {**WON, "field": "amount"}
KINDS: dict[str, dict[str, Any]] = {
    "count": WON,
    "sum": {**AMOUNT, "kind": "sum"},
    "average": {**AMOUNT, "kind": "average"},
    "min": {**AMOUNT, "kind": "min"},
    "max": {**AMOUNT, "kind": "max"},
    "median": {**AMOUNT, "kind": "percentile", "q": 0.5},
    "distinct": {**WON, "kind": "distinct", "field": "account"},
    "last": {**WON, "per_subject": "last_in_period", "undone_by": ["crm.opportunity.reopened"]},
}
OTHERS: dict[str, dict[str, Any]] = {
    "latest": {**AMOUNT, "kind": "latest"},
    "last-sum": {**KINDS["last"], "kind": "sum", "field": "amount"},
    "rate": {"kind": "ratio", "numerator": WON, "denominator": {**WON, "where": None}},
}
NARROW = ("count", "sum", "median", "distinct", "last")
PERIODS = [Period("a", date(2018, 10, 1), date(2018, 11, 4)),
           Period("b", date(2018, 11, 4), date(2018, 12, 1)),
           Period("c", date(2018, 12, 1), date(2019, 3, 1))]  # fmt: skip
moments = st.integers(0, 150 * 24).map(
    lambda h: (datetime(2018, 10, 1, tzinfo=UTC) + timedelta(hours=h)).isoformat()
)
days = st.integers(0, 150).map(lambda n: (date(2018, 10, 1) + timedelta(days=n)).isoformat())
deal = st.fixed_dictionaries(
    {
        "number": st.integers(0, 9), "sequence": st.integers(0, 3), "time": moments | days,
        "outcome": st.sampled_from(["won", "won", "lost"]),
        "amount": st.none() | st.decimals(-1000, 10**15 - 1, places=2),
        "region": st.sampled_from(["n", "s", None]), "account": st.sampled_from(["A", "B", None]),
        "currency": st.sampled_from(["EUR", "USD"]), "source": st.sampled_from(["/old", "/new"]),
        "reopened": st.booleans(),
    }
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("events"), st.lists(deal, min_size=1, max_size=6)),
    st.tuples(st.just("events"), st.lists(deal, min_size=1, max_size=6)),
    st.tuples(st.just("backfill"), st.lists(deal, min_size=1, max_size=4)),
    st.tuples(st.just("undone"), st.lists(st.integers(0, 9), min_size=1, max_size=3)),
    st.tuples(st.just("turn"), st.integers(0, 3)),
    st.tuples(st.just("retract"), st.integers(0, 9)),
    st.tuples(st.just("range"), st.tuples(moments, moments)),
    st.tuples(st.just("cut"), days),
    st.tuples(st.just("rate"), st.tuples(days, st.decimals("0.1", 9, places=2))),
)


def fact(told: dict[str, Any]) -> dict[str, Any]:
    data = {k: told[k] for k in ("region", "account", "currency") if told[k] is not None}
    if told["amount"] is not None:
        data["amount"] = str(told["amount"])
    attributes = {"_subject": f"deal/{told['number'] % 4}", "_source": told["source"],
                  "_sequence": str(told["sequence"])}  # fmt: skip
    if told["reopened"]:
        return event(f"r{told['number']}", "crm.opportunity.reopened", told["time"], **attributes)
    return closed(f"c{told['number']}", told["time"], told["outcome"], **data, **attributes)


def live(key: Key, history: list[tuple[str, Any]]) -> None:
    """Send a history through the door, step by step."""
    opened: list[str] = []
    for kind, told in history:
        match kind:
            case "events":
                key.post("metrics", "/v1/events", [fact(one) for one in told])
            case "backfill":
                made = key.post("metrics", "/v1/backfills", {"name": "b", "reason": "history"})
                opened.append(made["id"])
                body = [fact(one) for one in told]
                key.post("metrics", f"/v1/events?backfill={made['id']}", body)
            case "undone":
                made = key.post("metrics", "/v1/backfills", {"name": "u", "reason": "undone"})
                opened.append(made["id"])
                for number in told:
                    body_ = {"source": "/new", "event_id": f"c{number}", "reason": "undone"}
                    path = f"/v1/retractions?backfill={made['id']}"
                    key.send("POST", "metrics", path, json=body_)
            case "turn" if opened:
                state = key.get("metrics", f"/v1/backfills/{opened[told % len(opened)]}")["state"]
                verb = {"open": "close", "closed": "revert"}.get(state)
                if verb:
                    path = f"/v1/backfills/{opened[told % len(opened)]}/{verb}"
                    key.post("metrics", path, {"reason": "because"})
            case "retract":
                body_ = {"source": "/new", "event_id": f"c{told}", "reason": "a mistake"}
                key.send("POST", "metrics", "/v1/retractions", json=body_)
            case "range" if told[0] < told[1]:
                span = {"source": "/old", "starts_at": told[0], "ends_at": told[1]}
                key.post("metrics", "/v1/retractions", {**span, "reason": "a mistake"})
            case "cut":
                key.post("metrics", "/v1/cut-overs", {"old_source": "/old", "new_source": "/new",
                                                      "on": told, "reason": "go-live"})  # fmt: skip
            case "rate":
                rate = event(f"{told}", "fx.rate.observed", told[0], base="USD", quote="EUR",
                             rate=str(told[1]))  # fmt: skip
                key.post("metrics", "/v1/events", [rate])
            case _:
                pass


def build(ledger: Ledger, key: Key, segment_size: int = SEGMENT) -> None:
    building = Building(ledger, segment_size)
    while building.build_some(key.tenant_id):
        pass


def bases(view: View) -> Iterator[str]:
    rows = view.connection.execute(
        select(batches.c.last_position, batches.c.chain)
        .where(batches.c.tenant_id == view.tenant_id)
        .order_by(batches.c.last_position)
    )
    for position, chain in rows:
        yield f"{position}-{chain[:8].hex()}"


def asked(
    name: str, unit: str, group_by: tuple[str, ...], periods: Sequence[Period] = PERIODS
) -> Question:
    definition = DEFINITION.validate_python({**KINDS, **OTHERS}[name])
    return Question(name, 1, unit, definition, {}, periods, dimensions=("region",),
                    group_by=group_by, cadence="daily")  # fmt: skip


@settings(max_examples=10)
@given(
    history=st.lists(steps, min_size=3, max_size=14),
    probes=st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["count", "money", "EUR"]), st.booleans()),
        min_size=4,
        max_size=4,
    ),
    few=st.sampled_from([1, 4]),
)
def test_cells_are_the_raw_path_is_the_plain_fold(
    house: House, history: list[tuple[str, Any]], probes: list[tuple[int, str, bool]], few: int
) -> None:
    """Goal: the same figures, proofs and reasons from cells as from the ledger, at any knowledge.

    Method: a random history with late events, duplicates, restatements, retractions, backfills,
    cut-overs, rates and two currencies lives through the door; cells of tiny segments are built
    once in its middle and once at its end; then at random bases every kind is asked both ways, by
    group and not, in three currencies, and compared with a fold written anew in the tests.
    """
    key, ledger = house.key(), house.ledgers["metrics"]
    zone = {"zone": ZONE, "reason": "Head office"}
    assert key.send("PUT", "metrics", "/v1/calendar", json=zone).status_code == 200
    for name, definition in {**KINDS, **OTHERS}.items():
        key.post("metrics", "/v1/metrics", {"key": name, "name": name, "unit": "count",
                 "dimensions": ["region"], "definition": definition,
                 "guidelines": {"cadence": "daily"}})  # fmt: skip
    middle = len(history) // 2
    live(key, history[:middle])
    with patch.object(chunk, "FEW_MONTHS", few):
        build(ledger, key)
        live(key, history[middle:])
        build(ledger, key)
    with ledger.database.read(key.tenant_id) as connection:
        head = ledger.view_in(connection, key.tenant_id)
        tokens = list(bases(head))
        told = [
            read_event(row._mapping)
            for row in connection.execute(
                select(events).where(events.c.tenant_id == key.tenant_id).order_by(
                    events.c.position)
            )
        ]  # fmt: skip
        for probe, unit, grouped in probes:
            basis = tokens[-1 - probe % len(tokens)]
            view = ledger.view_in(connection, key.tenant_id, basis=basis)
            alone = [[period] for period in PERIODS]
            for name, periods in product({**KINDS, **OTHERS}, [PERIODS, alone[probe % 3]]):
                question = asked(name, unit, ("region",) if grouped else (), periods)
                fast = compute(reading(view), question, Cells(SEGMENT))
                slow = compute(reading(view), question)
                assert word(fast) == word(slow), (name, unit, grouped, basis)
            for name, definition in KINDS.items():
                undoing = definition.get("undone_by")
                together = [*definition["events"], *undoing] if undoing else []
                facts = facts_at(told, view.position, ZONE, together)
                found = compute(reading(view), asked(name, "count", ())).groups[()]
                expected = [figure(name, facts, p.start, p.end) for p in PERIODS]
                assert [one.value for one in found] == expected, (name, basis)


def test_cells_come_out_the_same_however_they_are_built(
    house: House, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = house.ledgers["metrics"]
    for name in ("sum", "median", "distinct", "last"):
        key.post("metrics", "/v1/metrics", {"key": name, "name": name, "unit": "count",
                                            "definition": KINDS[name]})  # fmt: skip

    def stored() -> list[Any]:
        with ledger.database.read(key.tenant_id) as connection:
            rows = connection.execute(
                select(cells).where(cells.c.tenant_id == key.tenant_id).order_by(
                    cells.c.series_id, cells.c.node, cells.c.month)
            )  # fmt: skip
            return [tuple(row) for row in rows]

    for number in range(30):
        key.events(closed(f"{number}", f"2024-0{1 + number % 4}-10", amount=number, account="A"))
        if number % 7 == 0:
            build(ledger, key)
    first = stored()
    with ledger.database.write(key.tenant_id) as connection:
        drop_cells(connection, key.tenant_id)
    assert stored() == []
    # As where the largest run is completed: a segment and a series at a time.
    monkeypatch.setattr("services.metrics.replay.cells.build._LARGEST", 3)
    build(ledger, key)
    assert stored() == first
    assert len(first) > 20


def came_and_went(key: Key, n: int, kind: str) -> None:
    """A deal of January 2024 of which a segment may keep nothing, although it was known."""
    january = partial(closed, f"{kind} {n}", time=f"2024-01-{n + 10}", account="A", amount=n)
    because = {"reason": "a mistake"}
    if kind == "backfilled":
        made = key.post("metrics", "/v1/backfills", {"name": "b", **because})["id"]
        key.post("metrics", f"/v1/events?backfill={made}", [january()])
        for verb in ("close", "revert"):
            key.post("metrics", f"/v1/backfills/{made}/{verb}", because)
        return
    key.events(january(outcome="lost" if kind == "lost" else "won", _sequence="1",
                       _source=f"/{n}"))  # fmt: skip
    match kind:
        case "taken back":
            one = {"source": f"/{n}", "event_id": f"{kind} {n}", **because}
            key.post("metrics", "/v1/retractions", one)
        case "of a source":
            span = {"starts_at": "2024-01-01T00:00:00Z", "ends_at": "2024-02-01T00:00:00Z"}
            key.post("metrics", "/v1/retractions", {"source": f"/{n}", **span, **because})
        case "moved":
            moved = closed(f"{kind} {n}", "2024-03-02", _sequence="2", _source=f"/{n}")
            key.events(moved)
        case _:
            assert kind == "lost", f"nothing happens to a deal that is {kind}"


@pytest.mark.parametrize("few", [0, 4])
def test_what_came_and_went_within_a_segment_is_known_in_between(
    house: House, key: Key, few: int
) -> None:
    """Goal: a segment that keeps nothing of a month still had something of it for a while.

    Method: what came and went stands among deals of March, elsewhere in its segment every time;
    then at every basis January is asked from cells and from the ledger.
    """
    ledger = house.ledgers["metrics"]
    for name in NARROW:
        body = {"key": name, "name": name, "unit": "count", "definition": KINDS[name]}
        kept = {"dimensions": ["region"], "guidelines": {"cadence": "daily"}}
        key.post("metrics", "/v1/metrics", {**body, **kept})
    kinds = ("taken back", "of a source", "moved", "lost", "backfilled")
    for n, kind in enumerate(kinds * 4):
        came_and_went(key, n, kind)
        key.events(*(closed(f"{n}/{m}", "2024-03-01") for m in range(5 + n // 5)))
    with patch.object(chunk, "FEW_MONTHS", few):
        build(ledger, key)
    months = [Period("2024-01", date(2024, 1, 1), date(2024, 2, 1))]
    with ledger.view(key.tenant_id) as head:
        tokens = list(bases(head))
    for token, name in product(tokens, NARROW):
        with ledger.view(key.tenant_id, basis=token) as view:
            question = asked(name, "count", (), months)
            fast = compute(reading(view), question, Cells(SEGMENT))
            assert word(fast) == word(compute(reading(view), question)), (name, token)


def test_cells_that_are_built_again_say_nothing_of_what_they_lack_yet(
    house: House, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = house.ledgers["metrics"]
    key.post("metrics", "/v1/metrics", {"key": "count", "name": "Count", "unit": "count",
             "dimensions": ["region"], "definition": WON})  # fmt: skip
    march = [closed(f"{n}", "2024-03-01") for n in range(16)]
    key.events(*march[:8], closed("of January", "2024-01-10"))
    months = [Period("2024-01", date(2024, 1, 1), date(2024, 2, 1))]
    with ledger.view(key.tenant_id) as view:
        token = view.basis.token
        whole = view.position // SEGMENT
        assert view.position > whole * SEGMENT
    key.events(*march[8:])

    def january() -> int:
        with ledger.view(key.tenant_id, basis=token) as view:
            return compute(reading(view), asked("count", "count", (), months), Cells(SEGMENT)
                           ).groups[()][0].n  # fmt: skip

    build(ledger, key)
    assert [january(), january()] == [1, 1]
    with ledger.database.write(key.tenant_id) as connection:
        drop_cells(connection, key.tenant_id)
    monkeypatch.setattr("services.metrics.replay.cells.build.SEGMENTS_PER_STEP", whole)
    assert Building(ledger, SEGMENT).build_some(key.tenant_id) == whole
    assert january() == 1


def test_no_event_is_read_for_a_series_that_is_not_built(house: House, key: Key) -> None:
    ledger = house.ledgers["metrics"]
    key.events(*(closed(f"{n}", "2024-01-10", amount=n) for n in range(9)))
    for name in ("count", "sum"):
        key.post("metrics", "/v1/metrics", {"key": name, "name": name, "unit": "count",
                                            "definition": KINDS[name]})  # fmt: skip
        if name == "count":
            build(ledger, key)
    count, total = (asked(name, "count", ()).leaves()[0] for name in ("count", "sum"))
    for _ in range(2):
        with ledger.view(key.tenant_id) as view:
            known = reading(view)
            args = ((), PERIODS, (), lambda f: (), None, None)
            assert Cells(SEGMENT).figures(known, total, *args) is None
            assert known.tails == {}
            assert Cells(SEGMENT).figures(known, count, *args, [count, total]) is not None
            (tail,) = known.tails.values()
            assert tail.size < SEGMENT


@pytest.mark.parametrize("path", ["/v1/metrics/big/values?period=2024"])
def test_the_worker_builds_whole_segments_by_itself(house: House, key: Key, path: str) -> None:
    """Goal: after enough events answers come from cells, and nobody sees a difference."""
    key.post("metrics", "/v1/metrics", {"key": "big", "name": "Big", "unit": "count",
             "definition": WON, "guidelines": {"cadence": "monthly"}})  # fmt: skip
    many = [closed(f"{n}", f"2024-{1 + n % 12:02}-10") for n in range(9_000)]
    before: Any = None
    for start in range(0, 9_000, 3_000):
        key.events(*many[start : start + 3_000])
    before = key.send("GET", "metrics", path).json()
    ledger = house.ledgers["metrics"]
    build(ledger, key, series.SEGMENT)
    definition = DEFINITION.validate_python(WON)
    question = Question("big", 1, "count", definition, {}, PERIODS)
    with ledger.view(key.tenant_id) as view:
        known = reading(view)
        one = replace(question, periods=[Period("2024", date(2024, 1, 1), date(2025, 1, 1))])
        found = Cells().figures(
            known, one.leaves()[0], (), one.periods, (), lambda f: (), None, None
        )
    assert found is not None
    after = key.send("GET", "metrics", path).json()
    assert after["values"] == before["values"]
    assert after["values"][0]["value"] == 9_000
