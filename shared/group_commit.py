"""Group commit: many small appends of one tenant share a transaction and one fsync."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from uuid import UUID

from shared.errors import TOO_MANY_REQUESTS, UNAVAILABLE
from shared.events import Event, NewEvent
from shared.ledger import Ledger, Outcome, Ready, Transaction, hashed, joined
from shared.telemetry import EVENTS_APPENDED

# At most this many tenants commit at once; a fifth waits, since 2 cores gain nothing from more.
WORKERS = 4
# What else wants to write waits for a group: cells of what the one before brought, on SQLite.
MAX_GROUP_EVENTS = 4_000
SMALL_BATCH = 16
MAX_WAITING_EVENTS = 50_000


@dataclass(frozen=True, slots=True)
class _Member:
    """What one sender waits for; `batch` where it was worth laying out by itself."""

    events: list[Event]
    batch: Ready | None
    atomic: bool
    done: asyncio.Future[list[Outcome]]


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
        if not events:
            return []
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        if len(events) > SMALL_BATCH:
            batch = self._ledger.ready(events)
            member = _Member(batch.events, batch, atomic, done)
        else:
            # Laid out with all that they are stored with.
            member = _Member(hashed(events), None, atomic, done)
        self._queue(tenant_id, member)
        return await done

    def _queue(self, tenant_id: UUID, member: _Member) -> None:
        with self._lock:
            if self._waiting + len(member.events) > MAX_WAITING_EVENTS:
                raise TOO_MANY_REQUESTS.refusal(
                    f"{self._waiting} events are waiting to be stored.",
                    headers={"Retry-After": "1"},
                )
            self._waiting += len(member.events)
            self._queues.setdefault(tenant_id, deque()).append(member)
            if tenant_id not in self._busy:
                self._start(tenant_id, member)

    def _start(self, tenant_id: UUID, member: _Member) -> None:
        try:
            self._pool.submit(self._drain, tenant_id)
        except RuntimeError as error:
            del self._queues[tenant_id]
            self._waiting -= len(member.events)
            raise UNAVAILABLE.refusal(
                "The service is stopping.", headers={"Retry-After": "1"}
            ) from error
        self._busy.add(tenant_id)

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._pool.shutdown(wait=True)

    def _drain(self, tenant_id: UUID) -> None:
        while waiting := self._waiting_for(tenant_id):
            group: list[_Member] | None = None
            try:
                with self._ledger.transaction(tenant_id) as transaction:
                    # Whoever came while the ledger's lock was waited for goes along.
                    group = self._next_group(tenant_id)
                    outcomes = self._append(transaction, group)
            except BaseException as error:
                # Who came later may be luckier with the next transaction.
                group = self._taken(tenant_id, waiting) if group is None else group
                _wake(group, partial(_fail, group, _raisable(error)))
            else:
                EVENTS_APPENDED.inc(sum(o.status == "accepted" for o in outcomes))
                _wake(group, partial(_answer, group, outcomes))
            with self._lock:
                self._waiting -= sum(len(member.events) for member in group)

    def _waiting_for(self, tenant_id: UUID) -> int:
        """How many wait; if nobody does, the next who comes has to ask for a thread."""
        with self._lock:
            waiting = len(self._queues[tenant_id])
            if not waiting:
                self._busy.discard(tenant_id)
                del self._queues[tenant_id]
            return waiting

    def _taken(self, tenant_id: UUID, count: int) -> list[_Member]:
        """The first of those who wait, out of the queue."""
        with self._lock:
            queue = self._queues[tenant_id]
            return [queue.popleft() for _ in range(count)]

    def _next_group(self, tenant_id: UUID) -> list[_Member]:
        with self._lock:
            queue = self._queues[tenant_id]
            group: list[_Member] = []
            size = 0
            while queue and (not group or size + len(queue[0].events) <= MAX_GROUP_EVENTS):
                if group and (group[0].atomic or queue[0].atomic):
                    break
                member = queue.popleft()
                if member.done.cancelled():
                    self._waiting -= len(member.events)
                else:
                    group.append(member)
                    size += len(member.events)
            return group

    def _append(self, transaction: Transaction, group: list[_Member]) -> list[Outcome]:
        if not group:
            return []
        outcomes = transaction.append_ready(joined(list(self._laid_out(group))))
        if group[0].atomic and any(o.status == "conflict" for o in outcomes):
            raise RefusedWhole(outcomes)
        return outcomes

    def _laid_out(self, group: list[_Member]) -> Iterator[Ready]:
        for small, members in groupby(group, lambda member: member.batch is None):
            if small:
                yield self._ledger.laid_out([event for one in members for event in one.events])
            else:
                yield from (member.batch for member in members if member.batch is not None)


def _wake(group: list[_Member], tell: Callable[[], None]) -> None:
    """Let the loop that all senders of a process wait in go on, once for all of them."""
    for member in group[:1]:
        # Nobody waits any more where the loop has ended.
        with suppress(RuntimeError):
            member.done.get_loop().call_soon_threadsafe(tell)


def _raisable(error: BaseException) -> BaseException:
    """An error as a future takes it: the end of an iterator would end the loop's own work."""
    return RuntimeError(str(error)) if isinstance(error, StopIteration) else error


def _fail(group: list[_Member], error: BaseException) -> None:
    for member in group:
        if not member.done.done():
            member.done.set_exception(error)


def _answer(group: list[_Member], outcomes: list[Outcome]) -> None:
    start = 0
    for member in group:
        end = start + len(member.events)
        if not member.done.done():
            member.done.set_result(outcomes[start:end])
        start = end
