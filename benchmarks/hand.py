"""A table made by hand for the questions of the replay benchmark, with indexes that answer them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from shared.clock import to_micros

Row = tuple[int, int, int, int, int]
_TABLE = (
    "CREATE TABLE hand (at bigint NOT NULL, position bigint NOT NULL, won smallint NOT NULL,"
    " amount bigint NOT NULL, subject bigint NOT NULL)"
)
_INDEXES = (
    "CREATE INDEX hand_counts ON hand (at, position, won)",
    "CREATE INDEX hand_values ON hand (at, position, won, amount, subject)",
)
_WHERE = "at >= {0} AND at < {0} AND position <= {0}"
# The questions, each over the won deals of a quarter as known at a position.
QUESTIONS = {
    "win-rate": f"SELECT sum(won), count(*) FROM hand WHERE {_WHERE}",
    "distinct": f"SELECT count(DISTINCT subject) FROM hand WHERE {_WHERE} AND won = 1",
}
_POSTGRESQL = {
    "median": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM hand"
    f" WHERE {_WHERE} AND won = 1",
    "last": "SELECT count(*) FROM (SELECT DISTINCT ON (subject) won FROM hand"
    f" WHERE {_WHERE} ORDER BY subject, at DESC, position DESC) AS last WHERE won = 1",
}
_SQLITE = {
    "median": f"SELECT amount FROM hand WHERE {_WHERE} AND won = 1 ORDER BY amount",
    "last": "SELECT count(*) FROM (SELECT won, row_number() OVER (PARTITION BY subject"
    f" ORDER BY at DESC, position DESC) AS place FROM hand WHERE {_WHERE}) WHERE place = 1"
    " AND won = 1",
}


class HandMade:
    """Answers the benchmark's questions as a careful person would in SQL."""

    def __init__(self, url: str, path: Path | None) -> None:
        self._postgresql = None if path else psycopg.connect(url, autocommit=True)
        self._sqlite = sqlite3.connect(path.with_suffix(f".{uuid4().hex}")) if path else None
        self._run(_TABLE)

    def add(self, rows: Sequence[Row]) -> None:
        """Put rows of (at, position, won, amount, subject) into the table."""
        if self._sqlite is not None:
            self._sqlite.executemany("INSERT INTO hand VALUES (?, ?, ?, ?, ?)", rows)
            self._sqlite.commit()
            return
        assert self._postgresql is not None
        with self._postgresql.cursor() as cursor, cursor.copy("COPY hand FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def finish(self) -> None:
        """Index it, and vacuum all there is, so that no server does so while it is measured."""
        for statement in _INDEXES:
            self._run(statement)
        self._run("VACUUM ANALYZE" if self._postgresql is not None else "ANALYZE")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return (self._postgresql or self._sqlite).execute(statement, values)  # type: ignore[union-attr]

    def ask(self, name: str, start: datetime, end: datetime, position: int) -> Any:
        """The answer to a question as known at a position."""
        own = _POSTGRESQL if self._postgresql is not None else _SQLITE
        mark = "%s" if self._postgresql is not None else "?"
        text = {**QUESTIONS, **own}[name].format(mark)
        return self._run(text, (to_micros(start), to_micros(end), position)).fetchall()

    def close(self) -> None:
        (self._postgresql or self._sqlite).close()  # type: ignore[union-attr]
