"""Questions that are asked together, or answered at one go: the same rows on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    insert,
    select,
)

from shared.asking import ask_together, many_rows
from shared.database import Database, Position
from tests.support.house import Databases

ROWS = [
    (1, "plain", b"\x00\xff" * 16, None),
    (2, 'quoted " and \\ and \u2028', b"", "ö"),
    (3, "", bytes(32), '{"amount":0.10,"note":"\\u0000 is told as six signs"}'),
    (-(1 << 62), "𝄞", b"leaf", ""),
]
things = Table(
    "things", MetaData(),
    Column("number", Position, primary_key=True), Column("name", Text),
    Column("leaf", LargeBinary), Column("data", Text),
)  # fmt: skip
ASKED = (
    select(things.c.number, things.c.name, things.c.leaf, things.c.data)
    .where(
        things.c.number < bindparam("below"), things.c.name.in_(bindparam("names", expanding=True))
    )
    .order_by(things.c.number.desc())
)


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    made = Database(databases.make().owner)
    with made.write(None) as connection:
        things.create(connection)
        connection.execute(
            insert(things), [dict(zip(things.c.keys(), row, strict=True)) for row in ROWS]
        )
    yield made
    made.close()


@pytest.mark.parametrize("statement", [ASKED, many_rows(ASKED)])
def test_rows_come_as_they_were_stored_and_in_their_order(
    database: Database, statement: Select[Any]
) -> None:
    everything = {"below": 10, "names": [name for _, name, _, _ in ROWS]}
    nothing = {"below": 10, "names": ["nobody"]}
    with database.read(None) as connection:
        found, none = ask_together(connection, [(statement, everything), (statement, nothing)])
    assert [tuple(row) for row in found] == sorted(ROWS, reverse=True)
    assert list(none) == []


def test_more_than_one_value_holds_is_told_row_by_row(database: Database) -> None:
    everything = {"below": 10, "names": [name for _, name, _, _ in ROWS]}
    with database.read(None) as connection:
        driver = connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 200)
        (found,) = ask_together(connection, [(many_rows(ASKED), everything)])
    assert [tuple(row) for row in found] == sorted(ROWS, reverse=True)


def test_what_need_not_be_durable_does_not_wait_for_the_disk(database: Database) -> None:
    asked = "SHOW synchronous_commit" if database.is_postgresql else "PRAGMA synchronous"
    told = []
    for durable in (True, False, True):
        with database.write(None, durable=durable) as connection:
            told.append(connection.exec_driver_sql(asked).scalar_one())
    assert told in (["on", "off", "on"], [2, 1, 2])
