"""Group commit: many small appends of one tenant share a transaction and one fsync."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from shared.errors import TOO_MANY_REQUESTS
from shared.events import NewEvent
from shared.ledger import Ledger, Outcome, Ready, joined
from shared.telemetry import EVENTS_APPENDED

# At most this many tenants commit at once; a fifth waits, since 2 cores gain nothing from more.
WORKERS = 4
MAX_GROUP_EVENTS = 5_000
MAX_WAITING_EVENTS = 50_000


@dataclass(slots=True)
class _Member:
    batch: Ready
    atomic: bool
    done: Future[list[Outcome]] = field(default_factory=Future)


class RefusedWhole(Exception):
    """An all-or-nothing batch had a conflict; nothing of it was stored."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__("a conflict in an atomic batch")
        self.outcomes = outcomes


class GroupCommit:
    """Queues validated events per tenant and appends each queue in one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._queues: dict[UUID, deque[_Member]] = {}
        self._busy: set[UUID] = set()
        self._waiting = 0
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="commit")

    async def append(
        self, tenant_id: UUID, events: Sequence[NewEvent], *, atomic: bool = False
    ) -> list[Outcome]:
        """Append durably; returns after the commit, one outcome for each event.

        Raises `RefusedWhole` when `atomic` and some event conflicts; refuses with
        `too-many-requests` before memory grows.
        """
        return await asyncio.wrap_future(self.submit(tenant_id, events, atomic=atomic))

    def submit(
        self, tenant_id: UUID, events: Sequence[NewEvent], *, atomic: bool = False
    ) -> Future[list[Outcome]]:
        member = _Member(self._ledger.ready(events), atomic)
        if not events:
            member.done.set_result([])
            return member.done
        with self._lock:
            if self._waiting + len(events) > MAX_WAITING_EVENTS:
                raise TOO_MANY_REQUESTS.refusal(
                    f"{self._waiting} events are waiting to be stored.",
                    headers={"Retry-After": "1"},
                )
            self._waiting += len(events)
            self._queues.setdefault(tenant_id, deque()).append(member)
            if tenant_id not in self._busy:
                self._busy.add(tenant_id)
                self._pool.submit(self._drain, tenant_id)
        return member.done

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._pool.shutdown(wait=True)

    def _drain(self, tenant_id: UUID) -> None:
        while group := self._next_group(tenant_id):
            try:
                self._commit(tenant_id, group)
            finally:
                with self._lock:
                    self._waiting -= sum(len(m.batch.events) for m in group)

    def _next_group(self, tenant_id: UUID) -> list[_Member]:
        with self._lock:
            queue = self._queues[tenant_id]
            group: list[_Member] = []
            size = 0
            while queue and (not group or size + len(queue[0].batch.events) <= MAX_GROUP_EVENTS):
                if group and (group[0].atomic or queue[0].atomic):
                    break
                member = queue.popleft()
                if member.done.set_running_or_notify_cancel():
                    group.append(member)
                    size += len(member.batch.events)
                else:
                    self._waiting -= len(member.batch.events)
            if not group:
                self._busy.discard(tenant_id)
                del self._queues[tenant_id]
            return group

    def _commit(self, tenant_id: UUID, group: list[_Member]) -> None:
        try:
            outcomes = self._append(tenant_id, group)
        except BaseException as error:
            for member in group:
                member.done.set_exception(error)
            return
        EVENTS_APPENDED.inc(sum(o.status == "accepted" for o in outcomes))
        start = 0
        for member in group:
            end = start + len(member.batch.events)
            member.done.set_result(outcomes[start:end])
            start = end

    def _append(self, tenant_id: UUID, group: list[_Member]) -> list[Outcome]:
        together = joined([member.batch for member in group])
        with self._ledger.transaction(tenant_id) as transaction:
            outcomes = transaction.append_ready(together)
            if group[0].atomic and any(o.status == "conflict" for o in outcomes):
                raise RefusedWhole(outcomes)
        return outcomes
