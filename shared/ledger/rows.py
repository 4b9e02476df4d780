"""How a batch becomes rows: identities looked up, positions given, leaves hashed, chain sealed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr
from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared import chain
from shared.clock import to_micros
from shared.events import Event, NewEvent
from shared.ledger.arrays import BytesArray, bigints, texts
from shared.ledger.basis import Basis
from shared.ledger.tables import batches, events, heads, personal

_COLUMNS = tuple(column.name for column in events.columns)
_STORED_FIELDS = tuple(name for name in Event.__struct_fields__ if name != "personal")
_NUMBERS = ("revision", "schema_number", "occurred_at")
LOOKUP_CHUNK = 500
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the ledger adds to all events of a batch."""

    first_position: int
    recorded_at: datetime
    actor: str
    correlation_id: str


class Outcome(Struct, frozen=True):
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
    return Event(**{name: row[name] for name in _STORED_FIELDS})


def insert_events(
    connection: Connection,
    tenant_id: UUID,
    new: Sequence[NewEvent],
    stamp: Stamp,
) -> list[Outcome]:
    """Insert those events whose identity is new, with dense positions; one outcome each."""
    firsts = _first_of_each_identity(new)
    known: dict[tuple[str, str, str], _Known] = {}
    fresh, salts = _recorded(firsts.values(), stamp)
    if not _try_insert(connection, tenant_id, fresh):
        known = _look_up(connection, tenant_id, list(firsts))
        fresh, salts = _recorded([e for key, e in firsts.items() if key not in known], stamp)
        _insert(connection, tenant_id, fresh)
    if salts:
        _insert_personal(connection, tenant_id, fresh, salts)
    if len(fresh) == len(new):
        return [Outcome("accepted", e.position, e) for e in fresh]
    positions = {e.identity: e for e in fresh}
    return [_outcome(e, firsts, positions, known) for e in new]


def _first_of_each_identity(
    new: Sequence[NewEvent],
) -> dict[tuple[str, str, str], NewEvent]:
    firsts: dict[tuple[str, str, str], NewEvent] = {}
    for event in new:
        firsts.setdefault((event.source, event.event_id, event.sequence), event)
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


def _recorded(
    new: Iterable[NewEvent], stamp: Stamp
) -> tuple[list[Event], dict[int, dict[str, bytes]]]:
    """Events with their places, leaves and recording time; salts of personal fields by position."""
    fresh: list[Event] = []
    salts: dict[int, dict[str, bytes]] = {}
    for position, e in enumerate(new, stamp.first_position):
        committed: Mapping[str, str] = {}
        if e.personal:
            salts[position] = {field: secrets.token_bytes(_SALT_BYTES) for field in e.personal}
            committed = commitments(e.personal, salts[position])
        actor = e.actor or stamp.actor
        fresh.append(
            Event(
                source=e.source, event_id=e.event_id, name=e.name, occurred_at=e.occurred_at,
                data=e.data, sequence=e.sequence, stream=e.stream, revision=e.revision,
                schema_number=e.schema_number, subject=e.subject, occurred_on=e.occurred_on,
                backfill=e.backfill, actor=actor, correlation_id=stamp.correlation_id,
                personal=e.personal, position=position, recorded_at=stamp.recorded_at,
                leaf=e.leaf
                if e.leaf and not stamp.correlation_id
                else _leaf(e, actor, stamp.correlation_id, committed),
            )
        )  # fmt: skip
    return fresh, salts


def commitments(values: Mapping[str, str], salts: Mapping[str, bytes]) -> dict[str, str]:
    return {field: chain.commitment(salts[field], value) for field, value in values.items()}


def hashed(new: Sequence[NewEvent]) -> None:
    """Hash events before they are appended: that needs no lock, and others wait for it.

    Only where nothing is added to what they say: they name their actor, have no personal fields
    (whose commitments need a salt), and are appended without a correlation.
    """
    for event in new:
        if event.actor and not event.personal:
            force_setattr(event, "leaf", _leaf(event, event.actor, "", {}))


def leaf_of(event: NewEvent, committed: Mapping[str, str]) -> bytes:
    """The hash of all that an event says, without its position and recording time."""
    return _leaf(event, event.actor, event.correlation_id, committed)


def _leaf(event: NewEvent, actor: str, correlation_id: str, committed: Mapping[str, str]) -> bytes:
    return chain.leaf_hash(
        [
            1, event.source, event.event_id, event.sequence, event.stream, event.revision,
            event.name, event.schema_number, event.subject, to_micros(event.occurred_at),
            event.occurred_on.isoformat() if event.occurred_on else None, event.backfill,
            actor, correlation_id, event.data, sorted(committed.items()),
        ]
    )  # fmt: skip


def _try_insert(connection: Connection, tenant_id: UUID, fresh: Sequence[Event]) -> bool:
    """Insert all or nothing; False where some identity is there already."""
    savepoint = connection.begin_nested()
    try:
        inserted = _insert(connection, tenant_id, fresh, " ON CONFLICT DO NOTHING")
    except IntegrityError:
        savepoint.rollback()
        raise
    if inserted == len(fresh):
        savepoint.commit()
        return True
    savepoint.rollback()
    return False


def _columns(fresh: Sequence[Event]) -> dict[str, list[Any]]:
    """The events' columns as stored, but for what the whole batch shares."""
    return {
        "source": [e.source for e in fresh],
        "event_id": [e.event_id for e in fresh],
        "sequence": [e.sequence for e in fresh],
        "stream": [e.stream for e in fresh],
        "revision": [e.revision for e in fresh],
        "name": [e.name for e in fresh],
        "schema_number": [e.schema_number for e in fresh],
        "subject": [e.subject for e in fresh],
        "occurred_at": [to_micros(e.occurred_at) for e in fresh],
        "occurred_on": [None if e.occurred_on is None else e.occurred_on.isoformat()
                        for e in fresh],
        "backfill": [e.backfill for e in fresh],
        "actor": [e.actor for e in fresh],
        "leaf": [e.leaf for e in fresh],
        "data": [e.data for e in fresh],
    }  # fmt: skip


def _insert(
    connection: Connection, tenant_id: UUID, fresh: Sequence[Event], on_conflict: str = ""
) -> int:
    if not fresh:
        return 0
    if connection.dialect.name == "postgresql":
        return _insert_postgresql(connection, tenant_id, fresh, on_conflict)
    shared = {
        "tenant_id": tenant_id.hex,
        "recorded_at": to_micros(fresh[0].recorded_at),
        "correlation_id": fresh[0].correlation_id,
    }
    columns = _columns(fresh)
    columns["position"] = [e.position for e in fresh]
    placeholders = ", ".join("?" for _ in _COLUMNS)
    statement = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES ({placeholders}){on_conflict}"
    rows = zip(
        *(repeat(shared[c], len(fresh)) if c in shared else columns[c] for c in _COLUMNS),
        strict=True,
    )
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def _insert_postgresql(
    connection: Connection, tenant_id: UUID, fresh: Sequence[Event], on_conflict: str
) -> int:
    """One INSERT ... SELECT FROM unnest: a value for what all share, an array for what varies."""
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "recorded_at": to_micros(fresh[0].recorded_at),
        "correlation_id": fresh[0].correlation_id,
        "first": fresh[0].position - 1,
    }
    selected = {
        "tenant_id": "%(tenant_id)s::uuid", "recorded_at": "%(recorded_at)s::bigint",
        "correlation_id": "%(correlation_id)s::text", "position": "%(first)s::bigint + place",
    }  # fmt: skip
    arrays = []
    for name, column in _columns(fresh).items():
        kind = "bytea" if name == "leaf" else "bigint" if name in _NUMBERS else "text"
        if name not in ("leaf", "data") and all(value == column[0] for value in column):
            values[name], selected[name] = column[0], f"%({name})s::{kind}"
            continue
        arrays.append(name)
        values[name] = (
            BytesArray(column) if kind == "bytea"
            else bigints(column) if kind == "bigint" else texts(column)
        )  # fmt: skip
    unnested = ", ".join(
        f"%({a})s::{'bytea' if a == 'leaf' else 'bigint' if a in _NUMBERS else 'text'}[]"
        for a in arrays
    )
    statement = (
        f"INSERT INTO events ({', '.join(_COLUMNS)})"
        f" SELECT {', '.join(selected.get(c, c) for c in _COLUMNS)}"
        f" FROM unnest({unnested}) WITH ORDINALITY AS new ({', '.join([*arrays, 'place'])})"
        f"{on_conflict}"
    )
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
