"""Since when each source has sent facts of each type, as far as was known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from services.metrics.tables import spans
from shared.events import Event
from shared.ledger import Transaction
from shared.ledger.projecting import supersede


def move_spans(transaction: Transaction, facts: Sequence[Event]) -> None:
    """Remember, per source and type, since when there are facts and from where they are known."""
    earliest: dict[tuple[str, str], tuple[datetime, int]] = {}
    for event in facts:
        key, found = (event.source, event.name), (event.occurred_at, event.position)
        if key not in earliest or found < earliest[key]:
            earliest[key] = found
    connection, tenant_id = transaction.connection, transaction.tenant_id
    standing = {
        (row.source, row.name): row.first_occurred_at
        for row in connection.execute(
            select(spans).where(
                spans.c.tenant_id == tenant_id,
                spans.c.to_position.is_(None),
                spans.c.source.in_({source for source, _ in earliest}),
            )
        )
    }
    for (source, name), (moment, position) in sorted(earliest.items(), key=lambda kv: kv[1][1]):
        if (source, name) not in standing or moment < standing[source, name]:
            keys = {"tenant_id": tenant_id, "source": source, "name": name}
            supersede(connection, spans, keys, position, {"first_occurred_at": moment})
