"""What we are held against: COPY and INSERT by hand, executemany, an index-only scan."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from shared.clock import to_micros
from shared.events import NewEvent
from shared.ledger.rows import leaf_of
from shared.ledger.tables import events

COLUMNS = tuple(column.name for column in events.columns)


def raw_rows(new: Sequence[NewEvent], tenant: Any, first: int) -> list[tuple[Any, ...]]:
    """The very rows that the ledger writes, ready made."""
    return [
        (
            tenant, first + n, e.source, e.event_id, "", None, None, e.name, 1, e.subject,
            to_micros(e.occurred_at), None, to_micros(e.occurred_at), None, "bench", "",
            leaf_of(e, {}), e.data,
        )
        for n, e in enumerate(new)
    ]  # fmt: skip


def copy_rows(url: str, batches: Sequence[Sequence[tuple[Any, ...]]]) -> None:
    """Binary COPY by the table's owner, one transaction per batch."""
    types = ("uuid", "int8", "text", "text", "text", "text", "int4", "text", "int4", "text", "int8",
             "varchar", "int8", "text", "text", "text", "bytea", "text")  # fmt: skip
    with psycopg.connect(url) as connection:
        # The owner is subject to row security as well, which COPY refuses.
        connection.execute("ALTER TABLE events NO FORCE ROW LEVEL SECURITY")
        connection.commit()
        for rows in batches:
            with (
                connection.cursor() as cursor,
                cursor.copy(
                    f"COPY events ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
                ) as copy,
            ):
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            connection.commit()
        connection.execute("ALTER TABLE events FORCE ROW LEVEL SECURITY")


def insert_rows(url: str, batches: Sequence[Sequence[tuple[Any, ...]]]) -> None:
    """The same INSERT ... SELECT FROM unnest by hand, under the service's role."""
    casts = ("uuid", "bigint", "text", "text", "text", "text", "integer", "text", "integer", "text",
             "bigint", "text", "bigint", "text", "text", "text", "bytea", "text")  # fmt: skip
    arrays = ", ".join(f"%s::{cast}[]" for cast in casts)
    statement = f"INSERT INTO events ({', '.join(COLUMNS)}) SELECT * FROM unnest({arrays})"
    with psycopg.connect(url) as connection:
        for rows in batches:
            tenant = str(rows[0][0])
            connection.execute("SELECT set_config('worthwhile.tenant', %s, true)", (tenant,))
            connection.execute(statement, [list(column) for column in zip(*rows, strict=True)])
            connection.commit()


def executemany_rows(path: Path, batches: Sequence[Sequence[tuple[Any, ...]]]) -> None:
    """executemany into the same SQLite table, in transactions of the same size."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    marks = ", ".join("?" for _ in COLUMNS)
    statement = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({marks})"
    for rows in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")
    connection.close()


class HandMade:
    """A table made for one question, with an index that answers it alone."""

    _TABLE = (
        "CREATE TABLE hand (at bigint NOT NULL, position bigint NOT NULL, won smallint NOT NULL)"
    )
    _INDEX = "CREATE INDEX hand_covers ON hand (at, position, won)"
    _QUESTION = (
        "SELECT sum(won), count(*) FROM hand WHERE at >= {0} AND at < {0} AND position <= {0}"
    )

    def __init__(self, url: str, path: Path | None, rows: Sequence[tuple[int, int, int]]) -> None:
        self._postgresql = None if path else psycopg.connect(url, autocommit=True)
        self._sqlite = sqlite3.connect(path.with_suffix(f".{uuid4().hex}")) if path else None
        for statement in (self._TABLE, self._INDEX):
            self._execute(statement)
        if self._postgresql is not None:
            with (
                self._postgresql.cursor() as cursor,
                cursor.copy("COPY hand (at, position, won) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(row)
            self._postgresql.execute("VACUUM ANALYZE hand")
        else:
            assert self._sqlite is not None
            self._sqlite.executemany("INSERT INTO hand VALUES (?, ?, ?)", rows)
            self._sqlite.commit()

    def _execute(self, statement: str) -> None:
        (self._postgresql or self._sqlite).execute(statement)  # type: ignore[union-attr]

    def ask(self, start: datetime, end: datetime, position: int) -> tuple[int, int]:
        """Won and all in a span, as known at a position."""
        mark = "%s" if self._postgresql is not None else "?"
        found = (self._postgresql or self._sqlite).execute(  # type: ignore[union-attr]
            self._QUESTION.format(mark), (to_micros(start), to_micros(end), position)
        )
        won, count = found.fetchone()  # type: ignore[misc]
        return int(won), int(count)

    def close(self) -> None:
        (self._postgresql or self._sqlite).close()  # type: ignore[union-attr]
