"""What the metrics service does without a request: translating stored deliveries."""

from __future__ import annotations

from services.metrics.commands.deliveries import translate_pending
from shared.ledger import Ledger
from shared.ledger.rebuild import tenant_ids
from shared.workers import Task, Workers

PAUSE_SECONDS = 0.5


def translate_step(ledger: Ledger) -> bool:
    """Translate what is pending; True where there may be more."""
    with ledger.database.read(None) as connection:
        tenants = tenant_ids(connection)
    return translate_pending(ledger, tenants) > 0


def create_workers(ledger: Ledger) -> Workers:
    """The workers of this service."""
    translate = Task("metrics.translate", lambda: translate_step(ledger), PAUSE_SECONDS)
    return Workers(ledger.database, [translate])
