"""How projections keep their past: a change closes a row and writes the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, insert, or_, update

Row = Mapping[str, Any]


def known(table: Table, position: int) -> ColumnElement[bool]:
    """The rows that held at a position: the one predicate of every list's past."""
    return and_(
        table.c.from_position <= position,
        or_(table.c.to_position.is_(None), table.c.to_position > position),
    )


def close(connection: Connection, table: Table, keys: Row, position: int) -> None:
    """End what holds for these keys, from `position` on."""
    connection.execute(
        update(table)
        .where(*(table.c[name] == value for name, value in keys.items()))
        .where(table.c.to_position.is_(None))
        .values(to_position=position)
    )


def supersede(connection: Connection, table: Table, keys: Row, position: int, row: Row) -> None:
    """From `position` on, `row` holds for these keys instead of what held before."""
    close(connection, table, keys, position)
    connection.execute(
        insert(table).values(**keys, **row, from_position=position, to_position=None)
    )
