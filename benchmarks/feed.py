"""Reading the feed from its beginning, against the database's own way of giving the same rows."""

from __future__ import annotations

import http.client
import sqlite3
from pathlib import Path

import msgspec
import psycopg

from benchmarks.machine import row, timed
from benchmarks.peers import COLUMNS
from shared.database import sqlite_path
from shared.web.feed import MAX_EVENTS
from tests.support.house import House, Key, Urls

READ_EVENTS = 1_000_000


class _Page(msgspec.Struct):
    """What a reader needs to read on; events are left as they came."""

    items: list[msgspec.Raw]
    next: str
    more: bool


def bench_feed(kind: str, house: House, key: Key, urls: Urls) -> None:
    """A million events over HTTP, page by page, against COPY on PostgreSQL, a cursor on SQLite."""
    path = sqlite_path(urls.service)
    count, seconds = _read(house.running["metrics"].port, key)
    theirs = _copied(urls.owner, key, count) if path is None else _fetched(path, key, count)
    peer = "COPY TO" if path is None else "a cursor"
    name = f"{kind}: feed, events/s | {peer}"
    reach = "0.3" if path is None else "printed only"
    row(name, f"{count / seconds:,.0f}", f"{count / theirs:,.0f}", theirs / seconds, reach)


def _read(port: int, key: Key) -> tuple[int, float]:
    """How many events were read, and in how many seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {key.key}"}
    pages = msgspec.json.Decoder(_Page)
    found, path = 0, f"/v1/feed?limit={MAX_EVENTS}"
    after = ""

    def read() -> None:
        nonlocal found, after
        more = True
        while more and found < READ_EVENTS:
            connection.request("GET", path + after, headers=headers)
            page = pages.decode(connection.getresponse().read())
            found, after, more = found + len(page.items), f"&after={page.next}", page.more

    seconds = timed(read)
    return found, seconds


def _copied(url: str, key: Key, count: int) -> float:
    columns = ", ".join(COLUMNS)
    query = (
        f"COPY (SELECT {columns} FROM events WHERE tenant_id = '{key.tenant_id}'"
        f" AND position <= {count} ORDER BY position) TO STDOUT"
    )
    with psycopg.connect(url) as connection:
        connection.execute(f"SET worthwhile.tenant = '{key.tenant_id}'")

        def copy() -> None:
            with connection.cursor() as cursor, cursor.copy(query) as rows:
                for _ in rows:
                    pass

        return timed(copy)


def _fetched(path: Path, key: Key, count: int) -> float:
    connection = sqlite3.connect(path)
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM events WHERE tenant_id = ? AND position <= ?"
        " ORDER BY position"
    )

    def fetch() -> None:
        cursor = connection.execute(query, (key.tenant_id.hex, count))
        while cursor.fetchmany(1_000):
            pass

    seconds = timed(fetch)
    connection.close()
    return seconds
