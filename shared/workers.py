"""Work without a request: named tasks in threads, each done by one process at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, String, Table, or_, select, update

from shared.database import Database, Instant, insert_once
from shared.ids import new_id
from shared.ledger.tables import kit
from shared.telemetry import log

LEASE = timedelta(seconds=30)
MAX_PAUSE_SECONDS = 30.0

leases = Table(
    "leases", kit,
    Column("task", String(64), primary_key=True),
    Column("holder", String(36), nullable=False),
    Column("expires_at", Instant, nullable=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do again and again.

    `step` says whether there is more to do at once, or in how many seconds there may be; without
    more the task rests for its pause.
    """

    name: str
    step: Callable[[], bool | float]
    pause_seconds: float

    def pause_after(self, told: bool | float) -> float:
        """How long to rest after a step that told this."""
        if isinstance(told, bool):
            return 0.0 if told else self.pause_seconds
        return told


class Workers:
    """Runs tasks until stopped; a task whose lease another process holds is left to it."""

    def __init__(self, database: Database, tasks: Sequence[Task]) -> None:
        self._database = database
        self._holder = new_id()
        # Until which monotonic second the tasks that this process leads are certainly its own.
        self._led: dict[str, float] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(task,), name=task.name, daemon=True)
            for task in tasks
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every task finish its present step."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=MAX_PAUSE_SECONDS)

    def wait(self) -> None:
        self._stopping.wait()

    def _run(self, task: Task) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            try:
                pause = task.pause_after(self._lead(task.name) and task.step())
            except Exception as error:  # A task must outlive whatever one step meets.
                pause = min(max(pause, 0.5) * 2, MAX_PAUSE_SECONDS)
                log("workers").warning("step-failed", task=task.name, error=str(error)[:500])
            self._stopping.wait(pause)

    def _lead(self, task: str) -> bool:
        asked = time.monotonic()
        if asked < self._led.get(task, 0.0):
            return True
        left = self._left_of(task)
        # No longer than half a lease, whatever the clock says meanwhile.
        self._led[task] = asked + min(left - LEASE / 2, LEASE / 2).total_seconds() if left else 0.0
        return left is not None

    def _left_of(self, task: str) -> timedelta | None:
        """How long this process leads a task; None where another one does."""
        now = datetime.now(UTC)
        with self._database.read(None) as connection:
            row = connection.execute(select(leases).where(leases.c.task == task)).one_or_none()
        if row is not None and row.expires_at - now > LEASE / 2:
            return row.expires_at - now if row.holder == self._holder else None
        fresh = {"task": task, "holder": self._holder, "expires_at": now + LEASE}
        mine = or_(leases.c.holder == self._holder, leases.c.expires_at < now)
        with self._database.write(None) as connection:
            leads = (
                insert_once(connection, leases, fresh)
                or connection.execute(
                    update(leases).where(leases.c.task == task, mine).values(fresh)
                ).rowcount
                > 0
            )
        return LEASE if leads else None
