"""Replays of a quarter at random knowledge, and the building of the cells that answer them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from benchmarks.hand import HandMade
from benchmarks.machine import row, timed
from benchmarks.made import ordered_events
from services.metrics.queries.figures import Asked, Span, reading, replay
from services.metrics.queries.series import wanted_series
from services.metrics.replay.cells import Cells
from services.metrics.replay.cells.build import drop_cells
from services.metrics.replay.cells.series import SEGMENT
from services.metrics.workers import Building
from shared.clock import to_micros
from shared.database import sqlite_path, upsert
from shared.ledger import Ledger
from shared.ledger.tables import batches
from shared.workers import LEASE, leases
from tests.support.house import House, Key, Urls
from tests.support.samples import WIN_RATE, WON

QUARTER = (datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 4, 1, tzinfo=UTC))
BATCH = 4_000
PROBES = 12
_AMOUNT = {**WON, "field": "amount"}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "win-rate": (WIN_RATE["definition"], "10"),
    "median": ({**_AMOUNT, "kind": "percentile", "q": 0.5}, "3"),
    "distinct": ({**WON, "kind": "distinct"}, "3"),
    "last": ({**WON, "per_subject": "last_in_period"}, "3"),
}


def others() -> Iterator[tuple[str, dict[str, Any]]]:
    """Sixteen more metrics whose cells are built: of every form, by region, with more filters."""
    for outcome in ("won", "lost"):
        where = {"field": "outcome", "op": "eq", "value": outcome}
        one = {**WON, "where": where}
        amount = {**one, "field": "amount"}
        large = {"all": [where, {"field": "amount", "op": "gt", "value": 50_000}]}
        for number, definition in enumerate(
            (
                {**amount, "kind": "sum"}, {**amount, "kind": "average"},
                {**amount, "kind": "sum", "where": large}, {**one, "where": large},
                {**amount, "kind": "percentile", "q": 0.9, "where": large},
                {**amount, "kind": "min", "where": large},
                {**one, "kind": "distinct", "where": large},
                {**amount, "kind": "sum", "per_subject": "last_in_period"},
            )
        ):  # fmt: skip
            yield f"{outcome}-{number}", definition


def bench_replay(kind: str, house: House, urls: Urls, events: int) -> Key:
    """Each kind against the same question by hand, after the cells were built; whose they are."""
    key, ledger = house.key(), house.ledgers["metrics"]
    asked = [(name, definition) for name, (definition, _) in KINDS.items()]
    for name, definition in (*asked, *others()):
        body = {"key": name, "name": name, "unit": "count", "definition": definition}
        dimensions = [] if name in KINDS else ["region"]
        key.post("metrics", "/v1/metrics", {**body, "dimensions": dimensions})
    peer = HandMade(urls.owner, sqlite_path(urls.service))
    holder = _hold_back_worker(ledger)
    _fill(key, ledger, peer, events)
    peer.finish()
    _build(kind, key, ledger, events)
    _let_worker_go(ledger, holder)
    with ledger.view(key.tenant_id) as view:
        moments = view.connection.execute(
            select(batches.c.last_position, batches.c.recorded_at)
            .where(batches.c.tenant_id == key.tenant_id)
            .order_by(batches.c.last_position)
        ).all()  # fmt: skip
    chance = random.Random(3)
    # Knowledge from after the quarter on, at which all its events had been recorded but late ones.
    known = [moment for moment in moments if moment.last_position > events * 0.55]
    probes = [chance.choice(known) for _ in range(PROBES)]
    for name, (_, reach) in KINDS.items():
        for _, moment in probes:
            _ask(ledger, key, name, moment)
        ours = timed(lambda name=name: [_ask(ledger, key, name, m) for _, m in probes], 3) / PROBES  # type: ignore[misc]
        theirs = timed(lambda name=name: [peer.ask(name, *QUARTER, p) for p, _ in probes]) / PROBES  # type: ignore[misc]
        title = f"{kind}: quarter replay, {name}, {events:,} events, ms | by hand"
        row(title, f"{ours * 1e3:.1f}", f"{theirs * 1e3:.1f}", theirs / ours, reach)
    last = moments[-1]
    found = _ask(ledger, key, "win-rate", last.recorded_at)
    ((won, count),) = peer.ask("win-rate", *QUARTER, last.last_position)
    assert (int(found.numerator), int(found.denominator)) == (won, count), "both count alike"
    peer.close()
    return key


def _hold_back_worker(ledger: Ledger) -> str | None:
    """Take the lease of the service's cell builder, so that building can be measured; whose it was.

    It goes on for as long as it need not ask for its lease again.
    """
    with ledger.database.write(None) as connection:
        which = select(leases.c.holder).where(leases.c.task == "metrics.cells")
        holder = connection.execute(which).scalar()
        far = {"expires_at": datetime(2200, 1, 1, tzinfo=UTC), "holder": "benchmark"}
        upsert(connection, leases, {"task": "metrics.cells", **far})
    return holder


def _let_worker_go(ledger: Ledger, holder: str | None) -> None:
    """Give the lease back to the process that had it, and to no other one."""
    with ledger.database.write(None) as connection:
        back = {"expires_at": datetime.now(UTC) + LEASE, "holder": holder or "nobody"}
        upsert(connection, leases, {"task": "metrics.cells", **back})


def _fill(key: Key, ledger: Ledger, peer: HandMade, events: int) -> None:
    """Events in order of occurrence with some late ones, in the ledger and in the hand's table."""
    for new in ordered_events(events, BATCH):
        with ledger.transaction(key.tenant_id) as transaction:
            first = transaction.position + 1
            transaction.append(new)
        peer.add(
            [
                (to_micros(e.occurred_at), first + n, int('"won"' in e.data),
                 int(e.data.split('"amount":')[1].split(",")[0]), hash(e.subject))
                for n, e in enumerate(new)
            ]
        )  # fmt: skip


def _build(kind: str, key: Key, ledger: Ledger, events: int) -> None:
    """All cells of the metrics, against one pass of SQL over the ledger for each series."""
    with ledger.view(key.tenant_id) as view:
        wanted = wanted_series(view)
    with ledger.database.write(key.tenant_id) as connection:
        drop_cells(connection, key.tenant_id)
    building = Building(ledger)
    started = time.perf_counter()
    while building.build_some(key.tenant_id):
        pass
    ours = time.perf_counter() - started
    with ledger.database.read(key.tenant_id) as connection:
        postgresql = connection.dialect.name == "postgresql"
        value = "(data::jsonb->>'{}')" if postgresql else "json_extract(data, '$.{}')"
        day = "occurred_at / 86400000000"
        query = (
            f"SELECT {day}, count(*), sum(CAST({value.format('amount')} AS numeric)) FROM events"
            f" WHERE name = 'crm.opportunity.closed' AND {value.format('outcome')} = 'won'"
            f" GROUP BY {day}"
        )
        theirs = timed(lambda: connection.exec_driver_sql(query).fetchall()) * len(wanted)
    whole = events // SEGMENT * SEGMENT
    name = f"{kind}: {len(wanted)} series of cells, events/s | SQL passes"
    row(name, f"{whole / ours:,.0f}", f"{events / theirs:,.0f}", theirs / ours, "1")


def _ask(ledger: Ledger, key: Key, name: str, known_at: datetime) -> Any:
    """The quarter's figure, in the service, from opening the view to the worded answer."""
    with ledger.view(key.tenant_id, known_at=known_at) as view:
        return replay(reading(view), name, Asked(Span(["2022-Q1"])), Cells()).values[0]
