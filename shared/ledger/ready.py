"""Events made ready to be appended, hashed and in columns, before any lock is held."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import force_setattr

from shared import chain
from shared.clock import to_micros
from shared.events import Event, NewEvent
from shared.ledger.arrays import Column, Kind, column
from shared.ledger.arrays import joined as joined_columns

Family = tuple[str, str]
_SALT_BYTES = 16
# What the ledger itself gives a row stands beside these: position, recording time, correlation.
_KINDS: dict[str, Kind] = {
    "source": "text", "event_id": "text", "sequence": "text", "stream": "text",
    "revision": "bigint", "name": "text", "schema_number": "bigint", "subject": "text",
    "occurred_at": "bigint", "occurred_on": "text", "backfill": "text", "actor": "text",
    "leaf": "bytea", "data": "text",
}  # fmt: skip
Values = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch that only lacks its place: events, their columns as stored, the facts they tell of.

    `values` are the columns on SQLite, `packed` those on PostgreSQL.
    """

    events: list[Event]
    families: frozenset[Family]
    values: Values
    packed: Mapping[str, Column]

    @property
    def repeats(self) -> bool:
        """Whether some fact is told of twice."""
        return len(self.families) < len(self.events)


def ready(
    new: Sequence[NewEvent], *, pack: bool, actor: str = "", correlation_id: str = ""
) -> Ready:
    """Hash a batch and lay it out in columns; who names no actor has the one given."""
    moments = [to_micros(e.occurred_at) for e in new]
    return _laid_out(_hashed(new, moments, actor, correlation_id), moments, pack=pack)


def hashed(new: Sequence[NewEvent]) -> list[Event]:
    """Events that only lack their place, not laid out yet."""
    return _hashed(new, [to_micros(e.occurred_at) for e in new], "", "")


def laid_out(events: list[Event], *, pack: bool) -> Ready:
    """Hashed events with their columns."""
    return _laid_out(events, [to_micros(e.occurred_at) for e in events], pack=pack)


def _hashed(
    new: Sequence[NewEvent], moments: list[int], actor: str, correlation_id: str
) -> list[Event]:
    told = zip(new, moments, strict=True)
    return [_unplaced(e, at, e.actor or actor, correlation_id) for e, at in told]


def _laid_out(events: list[Event], moments: list[int], *, pack: bool) -> Ready:
    values = _values(events, moments)
    families = frozenset(zip(values["source"], values["event_id"], strict=True))
    if not pack or not events:
        return Ready(events, families, values, {})
    return Ready(
        events, families, {}, {name: column(values[name], kind) for name, kind in _KINDS.items()}
    )


def joined(batches: Sequence[Ready]) -> Ready:
    """Several batches as one, in order."""
    if len(batches) == 1:
        return batches[0]
    values: Values = {name: [] for name in batches[0].values}
    for batch in batches:
        for name, own in batch.values.items():
            values[name].extend(own)
    return Ready(
        [event for batch in batches for event in batch.events],
        frozenset().union(*(batch.families for batch in batches)),
        values,
        {
            name: joined_columns([batch.packed[name] for batch in batches])
            for name in batches[0].packed
        },
    )


def _unplaced(e: NewEvent, at: int, actor: str, correlation_id: str) -> Event:
    salts: Mapping[str, bytes] = {}
    committed: Mapping[str, str] = {}
    if e.personal:
        salts = {field: secrets.token_bytes(_SALT_BYTES) for field in e.personal}
        committed = commitments(e.personal, salts)
    # With more than fifteen arguments by name it would be made four times as slowly.
    event = Event(
        source=e.source, event_id=e.event_id, name=e.name, occurred_at=e.occurred_at,
        data=e.data, sequence=e.sequence, stream=e.stream, revision=e.revision,
        schema_number=e.schema_number, subject=e.subject, occurred_on=e.occurred_on,
        backfill=e.backfill, actor=actor, correlation_id=correlation_id,
        leaf=_leaf(e, at, actor, correlation_id, committed),
    )  # fmt: skip
    if salts:
        force_setattr(event, "personal", e.personal)
        force_setattr(event, "salts", salts)
    return event


def commitments(values: Mapping[str, str], salts: Mapping[str, bytes]) -> dict[str, str]:
    return {field: chain.commitment(salts[field], value) for field, value in values.items()}


def leaf_of(event: NewEvent, committed: Mapping[str, str]) -> bytes:
    """The hash of all that an event says, without its position and recording time."""
    at = to_micros(event.occurred_at)
    return _leaf(event, at, event.actor, event.correlation_id, committed)


def _leaf(
    event: NewEvent, at: int, actor: str, correlation_id: str, committed: Mapping[str, str]
) -> bytes:
    return chain.leaf_hash(
        [
            1, event.source, event.event_id, event.sequence, event.stream, event.revision,
            event.name, event.schema_number, event.subject, at,
            event.occurred_on.isoformat() if event.occurred_on else None, event.backfill,
            actor, correlation_id, event.data, sorted(committed.items()) if committed else (),
        ]
    )  # fmt: skip


def _values(events: Sequence[Event], moments: list[int]) -> Values:
    """The events' columns as stored, but for what the ledger gives them."""
    return {
        "source": [e.source for e in events],
        "event_id": [e.event_id for e in events],
        "sequence": [e.sequence for e in events],
        "stream": [e.stream for e in events],
        "revision": [e.revision for e in events],
        "name": [e.name for e in events],
        "schema_number": [e.schema_number for e in events],
        "subject": [e.subject for e in events],
        "occurred_at": moments,
        "occurred_on": [None if e.occurred_on is None else e.occurred_on.isoformat()
                        for e in events],
        "backfill": [e.backfill for e in events],
        "actor": [e.actor for e in events],
        "leaf": [e.leaf for e in events],
        "data": [e.data for e in events],
    }  # fmt: skip
