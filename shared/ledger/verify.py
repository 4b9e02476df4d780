"""Walking a ledger's chain to prove that nothing in it was changed, lost or slipped in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select

from shared import chain
from shared.clock import to_micros
from shared.events import Event
from shared.ledger.ready import leaf_of
from shared.ledger.rows import read_event
from shared.ledger.tables import batches, events, heads, personal


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk found: how far the chain holds, and the first break if there is one."""

    events: int
    position: int
    broken: str | None

    @property
    def intact(self) -> bool:
        return self.broken is None


def verify(connection: Connection, tenant_id: UUID) -> Verdict:
    """Recompute every leaf, root and chain value of a tenant's ledger, oldest first."""
    previous, position, count = chain.EMPTY_CHAIN, 0, 0
    rows = connection.execute(
        select(batches).where(batches.c.tenant_id == tenant_id).order_by(batches.c.last_position)
    ).all()
    for batch in rows:
        if batch.first_position != position + 1:
            return Verdict(count, position, f"positions after {position} are missing")
        found = _batch_events(connection, tenant_id, batch.first_position, batch.last_position)
        broken = _first_wrong(connection, tenant_id, found, batch.first_position)
        if any(event.recorded_at != batch.recorded_at for event in found):
            broken = (
                f"a recording time between {position + 1} and {batch.last_position} was changed"
            )
        if broken is None and len(found) != batch.last_position - position:
            broken = f"events are missing between {position + 1} and {batch.last_position}"
        if broken is not None:
            return Verdict(count, position, broken)
        root = chain.merkle_root([e.leaf for e in found])
        value = chain.next_chain(
            previous, root, batch.first_position, batch.last_position, to_micros(batch.recorded_at)
        )
        if root != batch.root or value != batch.chain:
            return Verdict(count, position, f"the chain breaks at position {batch.last_position}")
        previous, position, count = value, batch.last_position, count + len(found)
    head = connection.execute(select(heads).where(heads.c.tenant_id == tenant_id)).one_or_none()
    if head is not None and (head.position, head.chain) != (position, previous):
        return Verdict(count, position, f"the head says {head.position}, the chain {position}")
    return Verdict(count, position, None)


def _batch_events(connection: Connection, tenant_id: UUID, first: int, last: int) -> list[Event]:
    rows = connection.execute(
        select(events)
        .where(events.c.tenant_id == tenant_id, events.c.position.between(first, last))
        .order_by(events.c.position)
    )
    return [read_event(row._mapping) for row in rows]


def _first_wrong(
    connection: Connection, tenant_id: UUID, found: list[Event], first: int
) -> str | None:
    committed: dict[int, dict[str, str]] = {}
    if found:
        rows = connection.execute(
            select(personal).where(
                personal.c.tenant_id == tenant_id,
                personal.c.position.between(found[0].position, found[-1].position),
            )
        )
        for row in rows:
            if row.value is not None and chain.commitment(row.salt, row.value) != row.commitment:
                return f"the personal field {row.field} of event {row.position} was changed"
            committed.setdefault(row.position, {})[row.field] = row.commitment
    for offset, event in enumerate(found):
        if event.position != first + offset:
            return f"event {first + offset} is missing"
        if leaf_of(event, committed.get(event.position, {})) != event.leaf:
            return f"event {event.position} was changed"
    return None
