"""How a batch becomes rows: identities looked up, positions given, rows written, chain sealed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain as chained
from itertools import repeat
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr
from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from shared import chain
from shared.asking import in_one_go
from shared.clock import to_micros
from shared.errors import Fault
from shared.events import Event
from shared.ledger.arrays import column
from shared.ledger.basis import Basis
from shared.ledger.ready import Family, Ready, laid_out
from shared.ledger.tables import batches, events, heads, personal

_COLUMNS = tuple(column.name for column in events.columns)
_STORED_FIELDS = tuple(
    name for name in Event.__struct_fields__ if name not in ("personal", "salts")
)
LOOKUP_CHUNK = 500
# So many rows go into SQLite with one statement: it lets other threads of this process work while
# it runs, and 18 columns of so many rows are well below what it takes as parameters.
_SQLITE_ROWS = 250
_ROW = f"({', '.join('?' for _ in _COLUMNS)})"
_SQLITE_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES {_ROW}"
_SQLITE_INSERT_MANY = _SQLITE_INSERT + f", {_ROW}" * (_SQLITE_ROWS - 1)
# Statements that stay: making them anew takes as long as the database takes to carry them out.
_NEW_BATCH = insert(batches)
_MOVED_HEAD = update(heads).where(heads.c.tenant_id == bindparam("tenant"))
Identity = tuple[str, str, str]
# What is wrong with new events, of whose facts some sequences are stored.
Objector = Callable[[Sequence[Event], Mapping[Family, Collection[str]]], Mapping[Identity, Fault]]


class Outcome(Struct, frozen=True, gc=False):
    """What became of one event of a batch; `position` is where its identity stands.

    A conflict without position is none of its identity: `fault` says what it contradicts.
    """

    status: Literal["accepted", "duplicate", "conflict"]
    position: int
    event: Event | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Inserted:
    """What a batch gave: an outcome for each event, the events stored, the head then.

    `said_again` are the facts of which a stored event is a version beside others.
    """

    outcomes: list[Outcome]
    events: list[Event]
    basis: Basis
    said_again: Collection[Family] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    position: int
    sequence: str
    content: tuple[object, ...]
    personal: Mapping[str, str | None]


def read_event(row: RowMapping) -> Event:
    """An event from its row (personal fields stay beside it)."""
    return Event(**{name: row[name] for name in _STORED_FIELDS})


def insert_events(
    connection: Connection, tenant_id: UUID, batch: Ready, head: Basis, recorded_at: datetime,
    object_to: Objector,
) -> Inserted:  # fmt: skip
    """Insert those events whose identity is new, with dense positions after the head, and seal it.

    The head's lock is held, so that what is looked up here stays so until the commit. What
    `object_to` finds wrong with some is their outcome instead.
    """
    versions = _versions(connection, tenant_id, batch)
    plain = not versions and not batch.repeats
    wrong = object_to(batch.events, versions) if plain else {}
    if plain and not wrong:
        basis = _extend(connection, tenant_id, batch, head, recorded_at)
        outcomes = [Outcome("accepted", e.position, e) for e in batch.events]
        return Inserted(outcomes, batch.events, basis)
    firsts: dict[Identity, Event] = {}
    for event in batch.events:
        firsts.setdefault(event.identity, event)
    again = [
        i for i in firsts if i[2] in versions.get(i[:2], ()) or (not i[2] and i[:2] in versions)
    ]
    known = _known_to(firsts, _look_up(connection, tenant_id, again) if again else {})
    fresh = [event for identity, event in firsts.items() if identity not in known]
    wrong = dict(wrong if plain else object_to(fresh, versions))
    fresh = [event for event in fresh if event.identity not in wrong] if wrong else fresh
    left = laid_out(fresh, pack=bool(batch.packed))
    basis = _extend(connection, tenant_id, left, head, recorded_at) if fresh else head
    # What is said again of an event that is refused is refused with it.
    wrong = wrong | {
        identity: wrong[said.identity]
        for identity, said in known.items()
        if isinstance(said, Event) and said.identity in wrong
    }
    outcomes = [
        Outcome("conflict", 0, None, wrong[event.identity])
        if event.identity in wrong
        else _outcome(event, firsts[event.identity], known)
        for event in batch.events
    ]
    return Inserted(outcomes, fresh, basis, _said_again(fresh, versions))


def _extend(
    connection: Connection, tenant_id: UUID, batch: Ready, head: Basis, recorded_at: datetime
) -> Basis:
    """Write events that are new, all of them, behind the head; the head then."""
    # Nobody else has seen these events yet.
    for position, event in enumerate(batch.events, head.position + 1):
        force_setattr(event, "position", position)
        force_setattr(event, "recorded_at", recorded_at)
    with in_one_go(connection):
        _insert(connection, tenant_id, batch)
        return _seal(connection, tenant_id, head, batch.events)


def _versions(connection: Connection, tenant_id: UUID, batch: Ready) -> dict[Family, set[str]]:
    """The sequences under which facts of the batch are stored already."""
    by_source: dict[str, list[str]] = {}
    for source, event_id in batch.families:
        by_source.setdefault(source, []).append(event_id)
    found: dict[Family, set[str]] = {}
    for source, ids in by_source.items():
        rows = connection.exec_driver_sql(*_versions_query(connection, tenant_id, source, ids))
        for event_id, sequence in rows:
            found.setdefault((source, event_id), set()).add(sequence)
    return found


def _versions_query(
    connection: Connection, tenant_id: UUID, source: str, ids: Sequence[str]
) -> tuple[str, Any]:
    asked = "SELECT event_id, sequence FROM events WHERE tenant_id = {0} AND source = {0}"
    if connection.dialect.name == "postgresql":
        array = column(ids, "text").array()
        # As a list of unknown length: a planner without statistics takes a long one for all there
        # is, and then reads all that the organisation has.
        among = " AND event_id = ANY(ARRAY(SELECT unnest(%s)))"
        return asked.format("%s") + among, (tenant_id, source, array)
    among = " AND event_id IN (SELECT value FROM json_each(?))"
    return asked.format("?") + among, (tenant_id.hex, source, json.dumps(ids))


def _said_again(fresh: Sequence[Event], versions: Mapping[Family, set[str]]) -> set[Family]:
    """Facts of which a new version stands beside another one, old or new."""
    seen: set[Family] = set()
    again: set[Family] = set()
    for event in fresh:
        family = (event.source, event.event_id)
        if family in seen or family in versions:
            again.add(family)
        seen.add(family)
    return again


def _known_to(
    firsts: Mapping[Identity, Event], stored: Mapping[Family, Sequence[_Known]]
) -> dict[Identity, _Known | Event]:
    """What is said again, and which version it repeats or contradicts.

    An event without `sequence` is no new version of a fact that has numbered ones.
    """
    known: dict[Identity, _Known | Event] = {}
    numbered: dict[Family, Event] = {}
    for identity, event in firsts.items():
        family, sequence = identity[:2], identity[2]
        versions = stored.get(family, ())
        own = [version for version in versions if version.sequence == sequence]
        if own:
            known[identity] = own[0]
        elif not sequence and versions:
            alike = [version for version in versions if version.content == event.content]
            known[identity] = (alike or versions)[-1]
        elif not sequence and family in numbered:
            known[identity] = numbered[family]
        elif sequence:
            numbered[family] = event
    return known


def _outcome(event: Event, first: Event, known: Mapping[Identity, _Known | Event]) -> Outcome:
    standing = known.get(event.identity)
    if standing is not None:
        same = standing.content == event.content and all(
            value is None or value == event.personal.get(field)
            for field, value in standing.personal.items()
        )
        return Outcome("duplicate" if same else "conflict", standing.position)
    if event is first:
        return Outcome("accepted", event.position, event)
    same = first.content == event.content and first.personal == event.personal
    return Outcome("duplicate" if same else "conflict", first.position)


def _insert(connection: Connection, tenant_id: UUID, batch: Ready) -> None:
    if batch.packed:
        _insert_postgresql(connection, tenant_id, batch)
    else:
        _insert_sqlite(connection, tenant_id, batch)
    if any(event.personal for event in batch.events):
        _insert_personal(connection, tenant_id, batch.events)


def _insert_sqlite(connection: Connection, tenant_id: UUID, batch: Ready) -> None:
    stored, size = batch.events, len(batch.events)
    shared = {
        "tenant_id": tenant_id.hex,
        "recorded_at": to_micros(stored[0].recorded_at),
        "correlation_id": stored[0].correlation_id,
    }
    values = {**batch.values, "position": [e.position for e in stored]}
    rows = list(
        zip(*(repeat(shared[c], size) if c in shared else values[c] for c in _COLUMNS), strict=True)
    )
    whole = size - size % _SQLITE_ROWS
    for start in range(0, whole, _SQLITE_ROWS):
        flat = tuple(chained.from_iterable(rows[start : start + _SQLITE_ROWS]))
        connection.exec_driver_sql(_SQLITE_INSERT_MANY, flat)
    if whole < size:
        connection.exec_driver_sql(_SQLITE_INSERT, rows[whole:])


def _insert_postgresql(connection: Connection, tenant_id: UUID, batch: Ready) -> None:
    """One INSERT ... SELECT FROM unnest: a value for what all share, an array for what varies."""
    first = batch.events[0]
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "recorded_at": to_micros(first.recorded_at),
        "correlation_id": first.correlation_id,
        "before": first.position - 1,
    }
    selected = {
        "tenant_id": "%(tenant_id)s::uuid", "recorded_at": "%(recorded_at)s::bigint",
        "correlation_id": "%(correlation_id)s::text", "position": "%(before)s::bigint + place",
    }  # fmt: skip
    arrays = {name: c for name, c in batch.packed.items() if not c.uniform}
    for name, packed in batch.packed.items():
        values[name] = packed.array() if name in arrays else packed.same
        if name not in arrays:
            selected[name] = f"%({name})s::{packed.kind}"
    unnested = ", ".join(f"%({name})s::{c.kind}[]" for name, c in arrays.items())
    statement = (
        f"INSERT INTO events ({', '.join(_COLUMNS)})"
        f" SELECT {', '.join(selected.get(c, c) for c in _COLUMNS)}"
        f" FROM unnest({unnested}) WITH ORDINALITY AS new ({', '.join([*arrays, 'place'])})"
    )
    connection.exec_driver_sql(statement, values)


def _insert_personal(connection: Connection, tenant_id: UUID, stored: Sequence[Event]) -> None:
    rows = [
        {
            "tenant_id": tenant_id,
            "position": e.position,
            "field": field,
            "commitment": chain.commitment(e.salts[field], value),
            "salt": e.salts[field],
            "value": value,
        }
        for e in stored
        for field, value in e.personal.items()
    ]
    connection.execute(insert(personal), rows)


def _look_up(
    connection: Connection, tenant_id: UUID, identities: Sequence[Identity]
) -> dict[Family, list[_Known]]:
    """All stored versions of some facts, oldest first."""
    by_source: dict[str, list[str]] = {}
    for source, event_id, _ in identities:
        by_source.setdefault(source, []).append(event_id)
    known: dict[Family, list[_Known]] = {}
    for source, ids in by_source.items():
        # One source at a time: SQLite finds no index for a list of pairs.
        for start in range(0, len(ids), LOOKUP_CHUNK):
            rows = connection.execute(
                select(events)
                .where(
                    events.c.tenant_id == tenant_id,
                    events.c.source == source,
                    events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                )
                .order_by(events.c.position)
            ).all()
            values = personal_values(connection, tenant_id, [row.position for row in rows])
            for row in rows:
                event, beside = read_event(row._mapping), values.get(row.position, {})
                version = _Known(event.position, event.sequence, event.content, beside)
                known.setdefault((event.source, event.event_id), []).append(version)
    return known


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


def _seal(connection: Connection, tenant_id: UUID, head: Basis, appended: Sequence[Event]) -> Basis:
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
    connection.execute(_NEW_BATCH, batch)
    moved = {"tenant": tenant_id, "position": last, "recorded_at": recorded_at, "chain": value}
    connection.execute(_MOVED_HEAD, moved)
    return Basis(last, value, recorded_at)
