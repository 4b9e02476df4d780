"""Dropping every projection and folding the ledger again: the tables come out the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection, Table, delete, select

from shared.events import Event
from shared.ledger.ready import Family
from shared.ledger.rows import read_event
from shared.ledger.tables import batches, events, heads, tenants
from shared.ledger.transactions import Ledger, Transaction


def tenant_ids(connection: Connection) -> list[UUID]:
    """All tenants that this database holds a ledger of."""
    return list(
        connection.execute(select(tenants.c.tenant_id).order_by(tenants.c.tenant_id)).scalars()
    )


def rebuild(
    ledger: Ledger,
    tenant_id: UUID,
    projections: Sequence[Table],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Build a tenant's projections anew, under the head's lock; returns the events folded."""
    done = 0
    with ledger.transaction(tenant_id) as transaction:
        for table in reversed(projections):
            transaction.connection.execute(delete(table).where(table.c.tenant_id == tenant_id))
        total = transaction.position
        for batch in _batches(transaction, tenant_id):
            transaction.said_again = _said_again(transaction, batch)
            ledger.project(transaction, batch)
            done += len(batch)
            progress(done, total)
    return done


def _batches(transaction: Transaction, tenant_id: UUID) -> Iterator[list[Event]]:
    # A projection sees the very batches that it saw when they were appended.
    connection = transaction.connection
    bounds = connection.execute(
        select(batches.c.first_position, batches.c.last_position)
        .where(batches.c.tenant_id == tenant_id)
        .order_by(batches.c.last_position)
    ).all()
    for first, last in bounds:
        rows = connection.execute(
            select(events)
            .where(events.c.tenant_id == tenant_id, events.c.position.between(first, last))
            .order_by(events.c.position)
        )
        yield [read_event(row._mapping) for row in rows]


def _said_again(transaction: Transaction, batch: Sequence[Event]) -> set[Family]:
    """Facts of a stored batch of which other versions are stored too, before it, in it or after."""
    sibling = events.alias("sibling")
    found = transaction.connection.execute(
        select(events.c.source, events.c.event_id)
        .where(
            events.c.tenant_id == transaction.tenant_id,
            events.c.position.between(batch[0].position, batch[-1].position),
            select(sibling.c.position)
            .where(
                sibling.c.tenant_id == events.c.tenant_id,
                sibling.c.source == events.c.source,
                sibling.c.event_id == events.c.event_id,
                sibling.c.sequence != events.c.sequence,
            )
            .exists(),
        )
        .distinct()
    )
    return {(row.source, row.event_id) for row in found}


def head_of(connection: Connection, tenant_id: UUID) -> int:
    position = connection.execute(
        select(heads.c.position).where(heads.c.tenant_id == tenant_id)
    ).scalar()
    return position or 0
