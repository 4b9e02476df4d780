"""Runs the benchmarks on both databases and prints each figure beside its peer's."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.feed import bench_feed
from benchmarks.goals import bench_goals
from benchmarks.load import has_wrk, push_batches, put_load
from benchmarks.machine import describe, postgresql_options, row, timed
from benchmarks.made import cloudevents, new_events
from benchmarks.message_db import messages_per_second
from benchmarks.peers import copy_rows, executemany_rows, insert_rows, raw_rows
from benchmarks.replaying import bench_replay
from benchmarks.serving import Serving, Working
from benchmarks.starting import bench_start
from benchmarks.valuing import bench_valuing
from benchmarks.webhooks import bench_webhooks
from services.metrics.app import SERVICE
from services.metrics.replay.cells.build import built_segments
from services.metrics.replay.cells.series import SEGMENT
from services.metrics.settings import MetricsSettings
from shared.database import sqlite_path
from shared.ledger.rebuild import head_of
from shared.telemetry import set_up_logging
from tests.support.house import Databases, House, Key, Urls
from tests.support.postgresql import PostgreSQL
from tests.support.samples import WIN_RATE

BATCH, BATCHES = 1_000, 40
REPLAY_EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
CLIENTS = 64
MESSAGE_DB_CLIENTS = (8, 64)
# As many as keep the service busy; the peers have one connection and need no more.
PUSHERS = 8
WARM_UP = 10
WARM_UP_SECONDS, INGEST_SECONDS = 1, 3
CAUGHT_UP_SECONDS = 60
WATCHING_SECONDS = 0.25
JSON_BATCH = {"content-type": "application/cloudevents-batch+json"}


def open_metrics(urls: Urls) -> tuple[House, Working | None]:
    """The metrics service over real HTTP, and its database here.

    On PostgreSQL its workers have a process of their own; SQLite's writers share one.
    """
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    database, ledger = SERVICE.open(settings)
    working = Working(urls, database) if database.is_postgresql else None
    return House(database, {"metrics": ledger}, {"metrics": Serving(urls)}), working


def bench_ingest(kind: str, house: House, urls: Urls, filled: int) -> None:
    """Batches over HTTP to durable and deduplicated, against the same rows by hand.

    A metric reads them, whose cells the worker builds meanwhile.
    """
    key = house.key()
    key.post("metrics", "/v1/metrics", WIN_RATE)
    port = house.running["metrics"].port
    push_batches(port, key.key, PUSHERS, WARM_UP_SECONDS, BATCH)
    with watched(house, key) as seen:
        load = push_batches(port, key.key, PUSHERS, INGEST_SECONDS, BATCH)
        ours = BATCH * load.rate if load else _push_by_ourselves(key)
    stored = _tell_cells(kind, house, key, seen)
    _compare_ingest(f"{kind}, {filled:,} events before", ours, urls, stored // BATCH)


def _push_by_ourselves(key: Key) -> float:
    """The events stored in a second where no wrk is there to push them."""
    bodies = [json.dumps(cloudevents(BATCH, 100 + n)).encode() for n in range(WARM_UP + BATCHES)]

    def push(body: bytes) -> None:
        answer = key.send("POST", "metrics", "/v1/events", content=body, headers=JSON_BATCH)
        assert answer.json()["accepted"] == BATCH

    for body in bodies[:WARM_UP]:
        push(body)
    # While one batch is being stored the next is read, as with any sender that does not wait.
    with ThreadPoolExecutor(PUSHERS) as pool:
        return BATCH * BATCHES / timed(lambda: list(pool.map(push, bodies[WARM_UP:])))


@contextmanager
def watched(house: House, key: Key) -> Iterator[list[int]]:
    """How many segments the worker was behind, looked at again and again meanwhile."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCHING_SECONDS):
            whole, built = _segments(house, key)
            seen.append(whole - built)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def _segments(house: House, key: Key) -> tuple[int, int]:
    """How many segments are whole, and how many of them are built for all series."""
    with house.metrics_database.read(key.tenant_id) as connection:
        built = built_segments(connection, key.tenant_id).values()
        return head_of(connection, key.tenant_id) // SEGMENT, min(built, default=0)


def _tell_cells(kind: str, house: House, key: Key, seen: list[int]) -> int:
    """How far behind the worker was when the last batch was stored; how many events there are.

    What was under way when the load ended is stored by the time that one event more is.
    """
    last = json.dumps(cloudevents(1, 1)).encode()
    key.send("POST", "metrics", "/v1/events", content=last, headers=JSON_BATCH)
    started = time.perf_counter()
    whole, built = _segments(house, key)
    behind = whole - built
    while built < whole and time.perf_counter() - started < CAUGHT_UP_SECONDS:
        time.sleep(0.05)
        whole, built = _segments(house, key)
    print(f"{kind}: cells {behind} of {whole} segments behind after ingest, caught up after "
          f"{time.perf_counter() - started:.1f} s; during it {median(seen or [0]):.0f} in the "
          f"middle, {max(seen, default=0)} at most", flush=True)  # fmt: skip
    with house.metrics_database.read(key.tenant_id) as connection:
        return head_of(connection, key.tenant_id)


def _compare_ingest(title: str, ours: float, urls: Urls, batches: int) -> None:
    """As many rows by hand: executemany on SQLite; COPY by the owner and INSERT on PostgreSQL."""
    path, count = sqlite_path(urls.service), BATCH * batches

    def ready_made(tenant: Any) -> list[list[tuple[Any, ...]]]:
        return [raw_rows(new_events(BATCH, 100 + n), tenant, 1 + n * BATCH) for n in range(batches)]

    if path is not None:
        rows = ready_made(uuid4().hex)
        peer = count / timed(lambda: executemany_rows(path, rows))
        name = f"{title}: batch ingest/s | executemany"
        row(name, f"{ours:,.0f}", f"{peer:,.0f}", ours / peer, "0.5")
        return
    for peer_name, work, url, reach in (
        ("COPY by the owner", copy_rows, urls.owner, "0.5"),
        ("the INSERT by hand", insert_rows, urls.service, "0.8"),
    ):
        rows = ready_made(uuid4())
        peer = count / timed(lambda work=work, url=url, rows=rows: work(url, rows))  # type: ignore[misc]
        name = f"{title}: batch ingest/s | {peer_name}"
        row(name, f"{ours:,.0f}", f"{peer:,.0f}", ours / peer, reach)


def bench_single(kind: str, house: House, key: Key, urls: Urls, server: PostgreSQL | None) -> None:
    """Single events, each durable before its answer, against a route that only checks them.

    And against message-db's way in SQL alone, where PostgreSQL is there: from two processes, as
    they are deployed, on the same cores.
    """
    ports = [house.running["metrics"].port]
    peer = put_load(ports, "/v1/no-op", key.key, CLIENTS)
    ours = put_load(ports, "/v1/events", key.key, CLIENTS)
    name = f"{kind}: single events/s, {CLIENTS} clients | no-op route"
    row(name, f"{ours.rate:,.0f}", f"{peer.rate:,.0f}", ours.rate / peer.rate, "0.5")
    name = f"{kind}: single events, p99 ms | no-op route"
    ours_ms, peer_ms = f"{ours.p99 * 1e3:.1f}", f"{peer.p99 * 1e3:.1f}"
    row(name, ours_ms, peer_ms, ours.p99 / peer.p99, "at most 2")
    if server is None:
        return
    second = Serving(urls)
    try:
        rates = [
            put_load([*ports, second.port], "/v1/events", key.key, clients).rate
            for clients in MESSAGE_DB_CLIENTS
        ]
    finally:
        second.stop()
    in_sql = max(messages_per_second(server, clients) for clients in MESSAGE_DB_CLIENTS)
    name = f"{kind}: single events/s, 2 processes | message-db in SQL"
    row(name, f"{max(rates):,.0f}", f"{in_sql:,.0f}", max(rates) / in_sql, "1.2")


def bench(databases: Databases) -> None:
    urls = databases.make()
    house, working = open_metrics(urls)
    try:
        bench_ingest(databases.kind, house, urls, 0)
        bench_single(databases.kind, house, house.key(), urls, databases.server)
        bench_webhooks(databases.kind, house, house.key())
        filled = bench_replay(databases.kind, house, urls, REPLAY_EVENTS)
        bench_feed(databases.kind, house, filled, urls)
        bench_ingest(databases.kind, house, urls, REPLAY_EVENTS)
    finally:
        house.close()
        house.running["metrics"].stop()
        if working is not None:
            working.stop()
        house.metrics_database.close()
    bench_goals(databases)


def main() -> None:
    describe()
    print(f"load: {'wrk' if has_wrk() else 'our own clients, since wrk is not installed'}\n")
    set_up_logging("bench", "warning")
    bench_valuing()
    bench_start()
    with tempfile.TemporaryDirectory() as folder:
        bench(Databases("sqlite", Path(folder)))
        server = PostgreSQL(postgresql_options())
        try:
            bench(Databases("postgresql", Path(folder), server))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
