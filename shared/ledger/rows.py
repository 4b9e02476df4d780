"""How a batch becomes rows: identities looked up, positions given, leaves hashed, chain sealed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared import chain
from shared.clock import to_micros
from shared.events import Event, NewEvent
from shared.ledger.basis import Basis
from shared.ledger.tables import batches, events, heads, personal

_COLUMNS = tuple(column.name for column in events.columns)
_POSTGRESQL_TYPES = {
    "position": "bigint", "revision": "integer", "schema_number": "integer",
    "occurred_at": "bigint", "leaf": "bytea",
}  # fmt: skip
# Values are either the same for the whole batch or one array each; see `_insert_postgresql`.
_CONSTANT = ("tenant_id", "recorded_at")
LOOKUP_CHUNK = 500
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event of a batch; `position` is where its identity stands."""

    status: Literal["accepted", "duplicate", "conflict"]
    position: int
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    position: int
    content: tuple[object, ...]
    personal: Mapping[str, str | None]


def read_event(row: RowMapping) -> Event:
    """An event from its row (personal fields stay beside it)."""
    return Event(**{f.name: row[f.name] for f in fields(Event) if f.name != "personal"})


def insert_events(
    connection: Connection,
    tenant_id: UUID,
    new: Sequence[NewEvent],
    first_position: int,
    recorded_at: datetime,
) -> list[Outcome]:
    """Insert those events whose identity is new, with dense positions; one outcome each."""
    firsts = _first_of_each_identity(new)
    known: dict[tuple[str, str, str], _Known] = {}
    fresh = _positioned(firsts.values(), first_position, recorded_at)
    salts = {e.position: _salts(e) for e in fresh if e.personal}
    if not _try_insert(connection, tenant_id, fresh, salts):
        known = _look_up(connection, tenant_id, list(firsts))
        rest = [e for key, e in firsts.items() if key not in known]
        fresh = _positioned(rest, first_position, recorded_at)
        salts = {e.position: _salts(e) for e in fresh if e.personal}
        _insert(
            connection,
            tenant_id,
            [_row(tenant_id, e, salts.get(e.position, {})) for e in fresh],
        )
    _insert_personal(connection, tenant_id, fresh, salts)
    positions = {e.identity: e for e in fresh}
    return [_outcome(e, firsts, positions, known) for e in new]


def _first_of_each_identity(
    new: Sequence[NewEvent],
) -> dict[tuple[str, str, str], NewEvent]:
    firsts: dict[tuple[str, str, str], NewEvent] = {}
    for event in new:
        firsts.setdefault(event.identity, event)
    return firsts


def _outcome(
    event: NewEvent,
    firsts: Mapping[tuple[str, str, str], NewEvent],
    inserted: Mapping[tuple[str, str, str], Event],
    known: Mapping[tuple[str, str, str], _Known],
) -> Outcome:
    first = firsts[event.identity]
    if event.identity in known:
        standing = known[event.identity]
        same = standing.content == event.content and all(
            value is None or value == event.personal.get(field)
            for field, value in standing.personal.items()
        )
        return Outcome("duplicate" if same else "conflict", standing.position)
    stored = inserted[event.identity]
    if event is first:
        return Outcome("accepted", stored.position, stored)
    same = first.content == event.content and first.personal == event.personal
    return Outcome("duplicate" if same else "conflict", stored.position)


def _positioned(new: Any, first_position: int, recorded_at: datetime) -> list[Event]:
    names = [f.name for f in fields(NewEvent)]
    return [
        Event(
            **{name: getattr(e, name) for name in names},
            position=first_position + offset,
            recorded_at=recorded_at,
        )
        for offset, e in enumerate(new)
    ]


def _salts(event: NewEvent) -> dict[str, bytes]:
    return {field: secrets.token_bytes(_SALT_BYTES) for field in event.personal}


def commitments(values: Mapping[str, str], salts: Mapping[str, bytes]) -> dict[str, str]:
    return {field: chain.commitment(salts[field], value) for field, value in values.items()}


def leaf_of(event: NewEvent, committed: Mapping[str, str]) -> bytes:
    """The hash of all that an event says, without its position and recording time."""
    return chain.leaf_hash(
        [
            1, event.source, event.event_id, event.sequence, event.stream, event.revision,
            event.name, event.schema_number, event.subject, to_micros(event.occurred_at),
            event.occurred_on.isoformat() if event.occurred_on else None, event.backfill,
            event.actor, event.correlation_id, event.data, sorted(committed.items()),
        ]
    )  # fmt: skip


def _row(tenant_id: UUID, event: Event, salts: Mapping[str, bytes]) -> dict[str, Any]:
    leaf = leaf_of(event, commitments(event.personal, salts))
    object.__setattr__(event, "leaf", leaf)
    row = {name: getattr(event, name) for name in _COLUMNS if name != "tenant_id"}
    row["tenant_id"] = tenant_id
    row["occurred_at"] = to_micros(event.occurred_at)
    row["recorded_at"] = to_micros(event.recorded_at)
    row["occurred_on"] = event.occurred_on.isoformat() if event.occurred_on else None
    return row


def _try_insert(
    connection: Connection,
    tenant_id: UUID,
    fresh: Sequence[Event],
    salts: Mapping[int, Any],
) -> bool:
    """Insert all or nothing; False where some identity is there already."""
    rows = [_row(tenant_id, e, salts.get(e.position, {})) for e in fresh]
    savepoint = connection.begin_nested()
    try:
        inserted = _insert(connection, tenant_id, rows, " ON CONFLICT DO NOTHING")
    except IntegrityError:
        savepoint.rollback()
        raise
    if inserted == len(rows):
        savepoint.commit()
        return True
    savepoint.rollback()
    return False


def _insert(
    connection: Connection,
    tenant_id: UUID,
    rows: list[dict[str, Any]],
    on_conflict: str = "",
) -> int:
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        return _insert_postgresql(connection, rows, on_conflict)
    placeholders = ", ".join("?" for _ in _COLUMNS)
    hexed = tenant_id.hex
    statement = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({placeholders}){on_conflict}"
    values = [tuple(hexed if c == "tenant_id" else row[c] for c in _COLUMNS) for row in rows]
    return connection.exec_driver_sql(statement, values).rowcount


def _insert_postgresql(connection: Connection, rows: list[dict[str, Any]], on_conflict: str) -> int:
    arrays = [c for c in _COLUMNS if c not in _CONSTANT]
    unnested = ", ".join(f"%({c})s::{_POSTGRESQL_TYPES.get(c, 'text')}[]" for c in arrays)
    selected = ", ".join("%(tenant_id)s::uuid" if c == "tenant_id" else
                         "%(recorded_at)s::bigint" if c == "recorded_at" else c
                         for c in _COLUMNS)  # fmt: skip
    statement = (
        f"INSERT INTO events ({', '.join(_COLUMNS)}) SELECT {selected}"
        f" FROM unnest({unnested}) AS new ({', '.join(arrays)}){on_conflict}"
    )
    values: dict[str, Any] = {c: [row[c] for row in rows] for c in arrays}
    values.update({c: rows[0][c] for c in _CONSTANT})
    return connection.exec_driver_sql(statement, values).rowcount


def _insert_personal(
    connection: Connection,
    tenant_id: UUID,
    stored: Sequence[Event],
    salts: Mapping[int, Mapping[str, bytes]],
) -> None:
    rows = [
        {
            "tenant_id": tenant_id,
            "position": e.position,
            "field": field,
            "commitment": chain.commitment(salts[e.position][field], value),
            "salt": salts[e.position][field],
            "value": value,
        }
        for e in stored
        for field, value in e.personal.items()
    ]
    if rows:
        connection.execute(insert(personal), rows)


def _look_up(
    connection: Connection, tenant_id: UUID, identities: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], _Known]:
    by_source: dict[str, list[str]] = {}
    for source, event_id, _ in identities:
        by_source.setdefault(source, []).append(event_id)
    known: dict[tuple[str, str, str], _Known] = {}
    for source, ids in by_source.items():
        # One source at a time: SQLite finds no index for a list of pairs.
        for start in range(0, len(ids), LOOKUP_CHUNK):
            rows = connection.execute(
                select(events).where(
                    events.c.tenant_id == tenant_id,
                    events.c.source == source,
                    events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                )
            ).all()
            values = personal_values(connection, tenant_id, [row.position for row in rows])
            for row in rows:
                event = read_event(row._mapping)
                beside = values.get(event.position, {})
                known[event.identity] = _Known(event.position, event.content, beside)
    return {identity: known[identity] for identity in identities if identity in known}


def personal_values(
    connection: Connection, tenant_id: UUID, positions: Sequence[int]
) -> dict[int, dict[str, str | None]]:
    """The personal values of events by position and field; None where one was erased."""
    found: dict[int, dict[str, str | None]] = {}
    rows = connection.execute(
        select(personal.c.position, personal.c.field, personal.c.value).where(
            personal.c.tenant_id == tenant_id, personal.c.position.in_(positions)
        )
    )
    for position, field, value in rows:
        found.setdefault(position, {})[field] = value
    return found


def seal(connection: Connection, tenant_id: UUID, head: Basis, appended: Sequence[Event]) -> Basis:
    """Write the batch's root and chain value, and move the head."""
    first, last = appended[0].position, appended[-1].position
    assert first == head.position + 1, "positions leave no gap"
    recorded_at = appended[0].recorded_at
    root = chain.merkle_root([e.leaf for e in appended])
    value = chain.next_chain(head.chain, root, first, last, to_micros(recorded_at))
    batch = {
        "tenant_id": tenant_id,
        "first_position": first,
        "last_position": last,
        "recorded_at": recorded_at,
        "root": root,
        "chain": value,
    }
    connection.execute(insert(batches), batch)
    connection.execute(
        update(heads)
        .where(heads.c.tenant_id == tenant_id)
        .values(position=last, recorded_at=recorded_at, chain=value)
    )
    return Basis(last, value, recorded_at)
