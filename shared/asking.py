"""Statements that are sent together, or answered at one go: each wait for a database costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import msgspec
import psycopg
from psycopg.types.numeric import Int8
from sqlalchemy import Connection, Dialect, LargeBinary, Select, func, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.sql.compiler import SQLCompiler

Rows = Sequence[Sequence[Any]]
Asked = tuple[Select[Any], Mapping[str, Any]]


def many_rows(statement: Select[Any]) -> Select[Any]:
    """A question that is answered with thousands of rows.

    SQLite's driver lets other threads of the process in at every row, and waits for its turn again.
    Such a statement is asked for all its rows as one text.
    """
    return statement.execution_options(many_rows=True)


@contextmanager
def in_one_go(connection: Connection) -> Iterator[None]:
    """Send statements of which no answer is read without waiting for each, where that is possible.

    What fails is raised when the block ends, as SQLAlchemy would raise it.
    """
    driver = _psycopg(connection)
    if driver is None:
        yield
        return
    with _raised_alike(), driver.pipeline():
        yield


def ask_together(connection: Connection, asked: Sequence[Asked]) -> list[Rows]:
    """The rows of several questions, which PostgreSQL is sent all before its first answer.

    The questions are statements that stay, so that they are prepared; their columns and parameters
    are what the driver takes and gives, without types of our own. Bytes come as bytes: as texts
    they are twice as long.
    """
    driver = _psycopg(connection)
    if driver is None:
        return [_asked_alone(connection, statement, values) for statement, values in asked]
    told = [_rendered(statement, connection, values) for statement, values in asked]
    with _raised_alike():
        with driver.pipeline() if len(told) > 1 else nullcontext():
            cursors = [
                driver.cursor(binary=True).execute(text, given, prepare=True)
                for text, given in told
            ]
        return [cursor.fetchall() for cursor in cursors]


def _asked_alone(connection: Connection, statement: Select[Any], values: Mapping[str, Any]) -> Rows:
    if not statement.get_execution_options().get("many_rows"):
        return connection.execute(statement, values).all()
    whole, bytes_at = _as_one_text(statement)
    try:
        told = connection.execute(whole, values).scalar_one()
    except DataError:  # Together they are more than SQLite holds in one value.
        return connection.execute(statement, values).all()
    rows: list[list[Any]] = msgspec.json.decode(told)
    for place in bytes_at:
        for row in rows:
            row[place] = bytes.fromhex(row[place])
    return rows


@lru_cache(maxsize=100)
def _as_one_text(statement: Select[Any]) -> tuple[Select[Any], Sequence[int]]:
    """What SQLite is asked for rows as one JSON text, and at which places that holds hex digits."""
    columns = statement.subquery().c
    bytes_at = [n for n, column in enumerate(columns) if isinstance(column.type, LargeBinary)]
    told = [func.hex(c) if n in bytes_at else c for n, c in enumerate(columns)]
    return select(func.json_group_array(func.json_array(*told))), bytes_at


def _rendered(
    statement: Select[Any], connection: Connection, values: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """A statement as the driver takes it, each of its lists as so many parameters."""
    lists = {name: value for name, value in values.items() if isinstance(value, list)}
    sizes = tuple((name, len(value)) for name, value in lists.items())
    text, fixed, named = _expanded(statement, connection.dialect, sizes)
    single = {**fixed, **{name: value for name, value in values.items() if name not in lists}}
    for name, places in named.items():
        single.update(zip(places, lists[name], strict=True))
    # The driver would send small numbers and large ones as types of their own, and each choice of
    # types is a statement to be prepared.
    return text, {n: Int8(v) if v.__class__ is int else v for n, v in single.items()}


@lru_cache(maxsize=1_000)
def _expanded(
    statement: Select[Any], dialect: Dialect, sizes: tuple[tuple[str, int], ...]
) -> tuple[str, Mapping[str, Any], Mapping[str, Sequence[str]]]:
    """The text of a statement with lists of some sizes, its constants, and each list's places."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler), "a question is SQL"
    lists = {name: [None] * size for name, size in sizes}
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    state = compiled.construct_expanded_state({**dict.fromkeys(compiled.params), **lists})
    return state.statement, fixed, state.parameter_expansion


def _psycopg(connection: Connection) -> psycopg.Connection[Any] | None:
    """The driver's connection, where the database is PostgreSQL."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, psycopg.Connection) else None


@contextmanager
def _raised_alike() -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy would."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise IntegrityError(None, None, error) from error
    except psycopg.OperationalError as error:
        raise OperationalError(None, None, error) from error
    except psycopg.Error as error:
        raise DBAPIError(None, None, error) from error
