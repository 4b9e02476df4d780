"""Runs the benchmarks on both databases and prints each figure beside its peer's."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Request

from benchmarks.machine import describe, postgresql_options, row, timed
from benchmarks.made import cloudevents, new_events
from benchmarks.peers import HandMade, copy_rows, executemany_rows, insert_rows, raw_rows
from services.metrics.app import SERVICE, create_app
from services.metrics.domain.cloudevents import read_cloudevent
from services.metrics.domain.types import CANONICAL
from services.metrics.settings import MetricsSettings
from shared.clock import to_micros
from shared.database import sqlite_path
from shared.telemetry import set_up_logging
from shared.web.routes import strict_json
from shared.web.runtime import Caller, writes
from tests.support.house import Databases, House, Key, Running, Urls
from tests.support.postgresql import PostgreSQL
from tests.support.samples import WIN_RATE

BATCH, BATCHES = 1_000, 20
REPLAY_EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
CLIENTS = 64
QUARTER = (datetime(2022, 1, 1, tzinfo=UTC), datetime(2022, 4, 1, tzinfo=UTC))


def open_metrics(urls: Urls) -> tuple[House, Key]:
    """The metrics service over real HTTP, with a route that does nothing beside it."""
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    database, ledger = SERVICE.open(settings)
    app = create_app(settings, database, ledger)
    app.include_router(_no_op())
    house = House(database, {"metrics": ledger}, {"metrics": Running(app)})
    return house, house.key()


def _no_op() -> APIRouter:
    router = APIRouter(prefix="/v1")
    caller = Depends(writes("events:write"))

    @router.post("/no-op")
    async def no_op(request: Request, who: Caller = caller) -> dict[str, str]:
        read_cloudevent(strict_json(await request.body()), CANONICAL, who.runtime.clock.now())
        return {"status": "accepted"}

    return router


def bench_ingest(kind: str, house: House, key: Key, urls: Urls) -> None:
    """Batches over HTTP to durable and deduplicated, against the same rows by hand."""
    bodies = [json.dumps(cloudevents(BATCH, 100 + n)).encode() for n in range(BATCHES)]
    headers = {"content-type": "application/cloudevents-batch+json"}

    def push() -> None:
        for body in bodies:
            answer = key.send("POST", "metrics", "/v1/events", content=body, headers=headers)
            assert answer.json()["accepted"] == BATCH

    ours = BATCH * BATCHES / timed(push)
    path, count = sqlite_path(urls.service), BATCH * BATCHES

    def peer_batches(owner: Any, tenant: Any) -> list[list[tuple[Any, ...]]]:
        return [raw_rows(new_events(BATCH, 100 + n), tenant, 1 + n * BATCH) for n in range(BATCHES)]

    if path is not None:
        rows = peer_batches(None, uuid4().hex)
        peer = count / timed(lambda: executemany_rows(path, rows))
        row(
            f"{kind}: batch ingest, events/s | executemany",
            f"{ours:,.0f}",
            f"{peer:,.0f}",
            ours / peer,
            "0.5",
        )
        return
    for name, work, url, reach in (
        ("COPY by the owner", copy_rows, urls.owner, "0.5"),
        ("the INSERT by hand", insert_rows, urls.service, "0.8"),
    ):
        rows = peer_batches(None, uuid4())
        peer = count / timed(lambda work=work, url=url, rows=rows: work(url, rows))  # type: ignore[misc]
        row(
            f"{kind}: batch ingest, events/s | {name}",
            f"{ours:,.0f}",
            f"{peer:,.0f}",
            ours / peer,
            reach,
        )


def bench_single(kind: str, house: House, key: Key) -> None:
    """Single events, each durable before its answer, against a route that only checks them."""
    found = {}
    for path in ("/v1/no-op", "/v1/events"):
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.single", "127.0.0.1",
             str(house.running["metrics"].port), path, key.key, str(CLIENTS)],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found[path] = json.loads(said.stdout)
    ours, peer = found["/v1/events"], found["/v1/no-op"]
    name = f"{kind}: single events/s, {CLIENTS} clients | no-op route"
    row(name, f"{ours['rate']:,.0f}", f"{peer['rate']:,.0f}", ours["rate"] / peer["rate"], "0.5")
    name = f"{kind}: single events, p99 ms | no-op route"
    row(
        name,
        f"{ours['p99'] * 1e3:.1f}",
        f"{peer['p99'] * 1e3:.1f}",
        ours["p99"] / peer["p99"],
        "at most 2",
    )


def bench_replay(kind: str, house: House, urls: Urls) -> None:
    """A quarter's win rate as known at random moments, against a table made for the question."""
    key, ledger = house.key(), house.ledgers["metrics"]
    key.post("metrics", "/v1/metrics", WIN_RATE)
    hand: list[tuple[int, int, int]] = []
    for number in range(REPLAY_EVENTS // 5_000):
        new = new_events(5_000, 1_000 + number)
        with ledger.transaction(key.tenant_id) as transaction:
            first = transaction.position + 1
            transaction.append(new)
        hand += [
            (to_micros(e.occurred_at), first + n, int('"won"' in e.data)) for n, e in enumerate(new)
        ]
    peer = HandMade(urls.owner, sqlite_path(urls.service), hand)
    feed = key.get("metrics", "/v1/calendar")["basis"]
    bases = [feed]
    path = "/v1/metrics/win-rate/values"
    answer = key.get("metrics", path, period="2022-Q1", basis=bases[0])["values"][0]
    position = int(bases[0].partition("-")[0])
    assert (int(answer["numerator"]), int(answer["denominator"])) == peer.ask(*QUARTER, position)
    chance = random.Random(3)
    moments = [chance.randrange(position // 2, position) for _ in range(3)]
    ours = timed(lambda: key.get("metrics", path, period="2022-Q1", basis=bases[0]), 3)
    theirs = timed(lambda: [peer.ask(*QUARTER, p) for p in moments], 3) / len(moments)
    name = f"{kind}: quarter replay, raw path, {REPLAY_EVENTS:,} events, ms | by hand"
    row(name, f"{ours * 1e3:.0f}", f"{theirs * 1e3:.1f}", theirs / ours, "10, with cells")
    peer.close()


def bench(databases: Databases) -> None:
    urls = databases.make()
    house, key = open_metrics(urls)
    try:
        bench_ingest(databases.kind, house, key, urls)
        bench_single(databases.kind, house, key)
        bench_replay(databases.kind, house, urls)
    finally:
        house.close()
        house.running["metrics"].stop()
        house.metrics_database.close()


def main() -> None:
    describe()
    set_up_logging("bench", "warning")
    with tempfile.TemporaryDirectory() as folder:
        bench(Databases("sqlite", Path(folder)))
        server = PostgreSQL(postgresql_options())
        try:
            bench(Databases("postgresql", Path(folder), server))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
