"""What ingest is held against: COPY and INSERT by hand, and executemany."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from shared.clock import to_micros
from shared.database import SQLITE_PRAGMAS
from shared.events import NewEvent
from shared.ledger.ready import leaf_of
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
    """executemany into the same SQLite table, in transactions of the same size, set up alike."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    marks = ", ".join("?" for _ in COLUMNS)
    statement = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({marks})"
    for rows in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")
    connection.close()
