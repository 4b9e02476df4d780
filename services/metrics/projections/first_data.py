"""Since when each source has sent facts of each type, as far as was known."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from services.metrics.tables import spans
from shared.events import Event
from shared.ledger import Transaction
from shared.ledger.projecting import supersede

_STANDING = select(spans.c.source, spans.c.name, spans.c.first_occurred_at).where(
    spans.c.tenant_id == bindparam("tenant"),
    spans.c.to_position.is_(None),
    spans.c.source.in_(bindparam("sources", expanding=True)),
)


def move_spans(transaction: Transaction, facts: Sequence[Event]) -> None:
    """Remember, per source and type, since when there are facts and from where they are known."""
    first: dict[tuple[str, str], Event] = {}
    for event in facts:
        key = (event.source, event.name)
        if key not in first or event.occurred_at < first[key].occurred_at:
            first[key] = event
    connection, tenant_id = transaction.connection, transaction.tenant_id
    standing = {
        (row.source, row.name): row.first_occurred_at
        for row in connection.execute(
            _STANDING, {"tenant": tenant_id, "sources": sorted({source for source, _ in first})}
        )
    }
    for (source, name), event in sorted(first.items(), key=lambda kv: kv[1].position):
        if (source, name) not in standing or event.occurred_at < standing[source, name]:
            keys = {"tenant_id": tenant_id, "source": source, "name": name}
            row = {"first_occurred_at": event.occurred_at}
            supersede(connection, spans, keys, event.position, row)
