"""What decides an answer besides the events: calendars, definitions, backfills, cut-overs.

Few rows that rarely change and that every question needs: each process keeps them per organisation
and asks with one statement whether they are still the same.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Row, Table, bindparam, func, select

from services.metrics.tables import backfills, calendars, cut_overs, metric_versions, retractions
from shared.ledger import View

# So many organisations' rules are kept in memory.
MAX_KEPT = 200
_TENANT: BindParameter[UUID] = bindparam("tenant")
_RANGES = retractions.c.event_id.is_(None)


def _last(table: Table, *which: Any) -> Any:
    found = select(func.max(table.c.from_position)).where(table.c.tenant_id == _TENANT, *which)
    return found.scalar_subquery()


# A change of a rule is always a row from a new position on, so that these tell every change.
# They are asked with the basis of every view.
STAMP = (
    _last(calendars), _last(metric_versions), _last(backfills), _last(cut_overs),
    _last(retractions, _RANGES),
)  # fmt: skip
_STAMPED = select(*STAMP)


@dataclass(frozen=True)
class Rules:
    """All rows of these tables, whatever position they hold at; in order of position."""

    calendars: Sequence[Row[Any]]
    metrics: Mapping[str, Sequence[Row[Any]]]
    backfills: Sequence[Row[Any]]
    ranges: Sequence[Row[Any]]
    cut_overs: Sequence[Row[Any]]


_kept: dict[tuple[str, UUID], tuple[Any, Rules]] = {}
_lock = threading.Lock()


def rules(view: View) -> Rules:
    """The rules of a view's organisation; looked up once per view."""
    return view.once("rules", lambda: rules_of(view.connection, view.tenant_id, view.beside))


def rules_of(connection: Connection, tenant_id: UUID, stamp: Sequence[Any] | None = None) -> Rules:
    """The rules of an organisation as this connection sees them; their stamp where it is known."""
    if stamp is None:
        stamp = connection.execute(_STAMPED, {"tenant": tenant_id}).one()
    stamp = tuple(stamp)
    place = (str(connection.engine.url), tenant_id)
    kept = _kept.get(place)
    if kept is not None and kept[0] == stamp:
        return kept[1]
    found = _read(connection, tenant_id)
    if connection.get_execution_options().get("writes", False):
        # What a transaction appended may be rolled back, and another take its positions.
        return found
    with _lock:
        _kept.pop(place, None)
        while len(_kept) >= MAX_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[place] = (stamp, found)
    return found


def in_force(rows: Sequence[Row[Any]], position: int) -> Row[Any] | None:
    """Of the versions of one thing the one that holds at a position."""
    return next((row for row in rows if holds(row, position)), None)


def holds(row: Row[Any], position: int) -> bool:
    return row.from_position <= position and (row.to_position is None or row.to_position > position)


def _read(connection: Connection, tenant_id: UUID) -> Rules:
    def rows(table: Table, *which: Any) -> Sequence[Row[Any]]:
        mine = select(table).where(table.c.tenant_id == tenant_id, *which)
        return connection.execute(mine.order_by(table.c.from_position)).all()

    metrics: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows(metric_versions):
        metrics[row.key].append(row)
    return Rules(
        rows(calendars), dict(metrics), rows(backfills), rows(retractions, _RANGES),
        rows(cut_overs),
    )  # fmt: skip
