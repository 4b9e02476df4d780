"""The event types of each organisation, kept in memory for the door through which events come."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from services.metrics.domain.types import EventType
from services.metrics.queries.definitions import types
from shared.ledger import Ledger

# Other processes learn of a registered type this much later; a registration waits as long before
# it is answered, so that from its answer on every process marks personal fields as it says.
KEPT_SECONDS = 0.5


class KeptTypes:
    """Types by tenant, never older than `KEPT_SECONDS`.

    While many ask, one of them looks anew halfway, and the others go on with what is kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: dict[UUID, tuple[float, Mapping[str, EventType]]] = {}
        self._looking: dict[UUID, threading.Lock] = defaultdict(threading.Lock)
        self._sent: set[UUID] = set()

    def recall(self, tenant_id: UUID) -> Mapping[str, EventType] | None:
        """The types, where they are known without waiting; None for who has to look."""
        kept = self._kept.get(tenant_id)
        age = time.monotonic() - kept[0] if kept else KEPT_SECONDS
        if kept is None or age >= KEPT_SECONDS:
            return None
        if age > KEPT_SECONDS / 2 and tenant_id not in self._sent:
            self._sent.add(tenant_id)
            return None
        return kept[1]

    def of(self, tenant_id: UUID) -> Mapping[str, EventType]:
        """The types that an organisation's senders may use."""
        with self._looking[tenant_id]:
            # Whoever waited here was told by who went before.
            kept = self._kept.get(tenant_id)
            if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS / 2:
                kept = self._look(tenant_id)
            return kept[1]

    def _look(self, tenant_id: UUID) -> tuple[float, Mapping[str, EventType]]:
        # The age counts from before the look, so that nothing newer is missed for longer.
        began = time.monotonic()
        try:
            with self._ledger.view(tenant_id) as view:
                found = self._kept[tenant_id] = (began, types(view))
        finally:
            self._sent.discard(tenant_id)
        return found

    def settle(self, tenant_id: UUID) -> None:
        """Return when every process knows what was registered before this call."""
        time.sleep(KEPT_SECONDS)
        self._kept.pop(tenant_id, None)
