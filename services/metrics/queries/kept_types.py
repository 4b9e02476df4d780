"""The event types of each organisation, kept in memory for the door through which events come."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

from services.metrics.domain.types import EventType
from services.metrics.queries.definitions import types
from shared.ledger import Ledger

# Other processes learn of a registered type this much later; a registration waits as long before
# it is answered, so that from its answer on every process marks personal fields as it says.
KEPT_SECONDS = 0.5


class KeptTypes:
    """Types by tenant, read again when they are older than `KEPT_SECONDS`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: dict[UUID, tuple[float, Mapping[str, EventType]]] = {}

    def of(self, tenant_id: UUID) -> Mapping[str, EventType]:
        """The types that an organisation's senders may use."""
        kept = self._kept.get(tenant_id)
        if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
            # The age counts from before the look, so that nothing newer is missed for longer.
            began = time.monotonic()
            with self._ledger.view(tenant_id) as view:
                kept = self._kept[tenant_id] = (began, types(view))
        return kept[1]

    def settle(self, tenant_id: UUID) -> None:
        """Return when every process knows what was registered before this call."""
        time.sleep(KEPT_SECONDS)
        self._kept.pop(tenant_id, None)
