"""The event types of each organisation, kept in memory for the door through which events come."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from uuid import UUID

from services.metrics.domain.types import EventType
from services.metrics.queries.definitions import types
from shared.ledger import Ledger

# Other processes learn of a registered type this much later; a registration waits as long before
# it is answered, so that from its answer on every process marks personal fields as it says.
KEPT_SECONDS = 0.5


_Found = tuple[float, Mapping[str, EventType]]


class KeptTypes:
    """Types by tenant, never older than `KEPT_SECONDS`.

    While many ask, one of them looks anew halfway, and the others go on with what is kept; where
    nothing is, all of them take what the one finds, or its failure.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: dict[UUID, _Found] = {}
        self._lock = threading.Lock()
        self._looks: dict[UUID, Future[_Found]] = {}
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
        came = time.monotonic()
        while True:
            began, found = self._look(tenant_id)
            # A look that began before we came may be older by now than what it is kept for.
            if began >= came or time.monotonic() - began < KEPT_SECONDS:
                return found

    def _look(self, tenant_id: UUID) -> _Found:
        """What the look finds that is under way, or a new one of ours."""
        with self._lock:
            look = self._looks.get(tenant_id)
            if ours := look is None:
                look = self._looks[tenant_id] = Future()
        if ours:
            try:
                found = self._looked_up(tenant_id)
            except BaseException as error:  # It is raised here and in all who wait.
                self._end(tenant_id)
                look.set_exception(error)
            else:
                self._end(tenant_id)
                look.set_result(found)
        return look.result()

    def _end(self, tenant_id: UUID) -> None:
        """Let a new look begin; before the old one is told, so that nobody takes it for running."""
        self._sent.discard(tenant_id)
        with self._lock:
            self._looks.pop(tenant_id)

    def _looked_up(self, tenant_id: UUID) -> _Found:
        # The age counts from before the look, so that nothing newer is missed for longer.
        began = time.monotonic()
        with self._ledger.view(tenant_id) as view:
            found = self._kept[tenant_id] = (began, types(view))
        return found

    def settle(self, tenant_id: UUID) -> None:
        """Return when every process knows what was registered before this call."""
        time.sleep(KEPT_SECONDS)
        self._kept.pop(tenant_id, None)
