"""What the metrics service does without a request: translating deliveries and building cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from heapq import heapify, heapreplace
from typing import Any
from uuid import UUID

from services.metrics.commands.deliveries import (
    ReadBack,
    forget_bodies,
    not_read_back,
    translate_or_set_aside,
    translate_pending,
)
from services.metrics.commands.import_jobs import Importing
from services.metrics.commands.jobs import Jobs
from services.metrics.commands.loading import Loading, reconcile_due
from services.metrics.commands.reading_back import ASKED_BACK, ReadsBack
from services.metrics.commands.restated import tell_holders
from services.metrics.queries.series import wanted_series
from services.metrics.replay.cells.build import drop_cells, fold_next, write
from services.metrics.replay.cells.series import SEGMENT, Series
from services.metrics.settings import MetricsSettings
from shared.ledger import Ledger
from shared.ledger.rebuild import head_of, tenant_ids
from shared.telemetry import log
from shared.workers import MAX_PAUSE_SECONDS, Task, Workers

PAUSE_SECONDS = 0.5
# While events come in a segment may be whole at any moment.
FIRST_LOOK_SECONDS = 0.01
LONGER = 1.05
# What looking in vain may take of a core: at one organisation, and at all that rest.
LOOKING_SHARE, IDLE_SHARE = 0.1, 0.02
ASKING_SECONDS = 0.5
FORGETTING_SECONDS = 60.0
TELLING_PAUSE_SECONDS = 5.0
READ_BACK_PAUSE_SECONDS = 60.0
HOUR_SECONDS = 3_600.0


def _tenants(ledger: Ledger) -> list[UUID]:
    with ledger.database.read(None) as connection:
        return tenant_ids(connection)


def translate_step(
    ledger: Ledger, read_back: ReadBack, give_way: Callable[[], None], *, named: bool
) -> bool:
    """Translate what is pending, of vendors to be asked or of the others; True for more."""
    tenants = _tenants(ledger)
    count = translate_pending(ledger, tenants, read_back, give_way, kinds=ASKED_BACK, named=named)
    return count > 0


def read_back_step(ledger: Ledger, read_back: ReadBack) -> bool:
    """Try again what could not be read back; the vendor may answer by now."""
    for tenant_id in _tenants(ledger):
        for delivery_id in not_read_back(ledger, tenant_id):
            translate_or_set_aside(ledger, tenant_id, delivery_id, read_back)
    return False


class Building:
    """Builds the cells of every tenant, one look at a time: at the one whose turn has come.

    A tenant for whom something was built is looked at again at once, and then after pauses that
    grow. It is remembered where those stand that lack nothing: what they have is looked at again
    when a segment is whole, when a rule changed, and once in a while, since a command may have
    dropped their cells.
    """

    def __init__(self, ledger: Ledger, segment_size: int = SEGMENT) -> None:
        self._ledger, self._segment_size = ledger, segment_size
        self._tenants: set[UUID] = set()
        # When each is looked at next, in monotonic seconds, the next one first.
        self._turns: list[tuple[float, UUID]] = []
        # How long those rest for whom something was built not long ago, or failed.
        self._pauses: dict[UUID, float] = {}
        # What a look took lately.
        self._look_seconds = 0.0
        self._stand: dict[UUID, tuple[int, Any]] = {}
        self._wanted: tuple[UUID | None, Any, list[Series]] = None, None, []
        self._asks_at = self._forgets_at = 0.0

    def step(self) -> float:
        """Look at one tenant and build what it lacks; in how many seconds the next turn comes."""
        now = time.monotonic()
        if now >= self._asks_at:
            self._meet(set(_tenants(self._ledger)), now)
        if now >= self._forgets_at:
            self._forgets_at = now + FORGETTING_SECONDS
            self._stand.clear()
        if self._turns and self._turns[0][0] <= now:
            _, tenant_id = self._turns[0]
            pause = self._looked_at(tenant_id)
            heapreplace(self._turns, (time.monotonic() + pause, tenant_id))
        next_at = min(self._turns[0][0], self._asks_at) if self._turns else self._asks_at
        return max(next_at - time.monotonic(), 0.0)

    def _meet(self, tenants: set[UUID], now: float) -> None:
        """Give those a turn who are new, and none to those who are gone."""
        if tenants != self._tenants:
            kept = [turn for turn in self._turns if turn[1] in tenants]
            self._turns = [*kept, *((now, one) for one in tenants - self._tenants)]
            heapify(self._turns)
            for gone in self._tenants - tenants:
                self._pauses.pop(gone, None)
            self._tenants = tenants
        self._asks_at = now + ASKING_SECONDS

    def _looked_at(self, tenant_id: UUID) -> float:
        """How long a tenant rests after this look; one's trouble is not the others'."""
        # What this thread does, and not how long others keep it waiting.
        began, stood = time.thread_time(), tenant_id in self._stand
        try:
            built = self.build_some(tenant_id)
        except Exception as error:
            pause = min(max(2 * self._pauses.get(tenant_id, 0.0), PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            self._pauses[tenant_id] = pause
            log("workers").warning(
                "building-failed", tenant_id=str(tenant_id), error=str(error)[:500]
            )
            return pause
        took = time.thread_time() - began
        if built:
            self._pauses[tenant_id] = 0.0
            return 0.0
        if stood:
            # One at an organisation that was not looked at before reads more, once a minute.
            self._look_seconds += (took - self._look_seconds) / 10
        most = len(self._tenants) * self._look_seconds / IDLE_SHARE
        most = min(max(most, PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        longer = LONGER * self._pauses.pop(tenant_id, most)
        pause = min(max(longer, FIRST_LOOK_SECONDS, took / LOOKING_SHARE), most)
        if pause < most:
            self._pauses[tenant_id] = pause
        return pause

    def build_some(self, tenant_id: UUID) -> int:
        """Build the next segments of one tenant's cells; how many were built."""
        with self._ledger.view(tenant_id) as view:
            stand = view.position // self._segment_size, view.beside
            if self._stand.get(tenant_id) == stand:
                return 0
            if not stand[0]:
                self._stand[tenant_id] = stand
                return 0
            if self._wanted[:2] != (tenant_id, view.beside):
                self._wanted = tenant_id, view.beside, wanted_series(view)
            folded = fold_next(view, self._wanted[2], self._segment_size)
        write(self._ledger.database, folded)
        if not folded.left:
            self._stand[tenant_id] = stand
        return folded.segments


class Telling:
    """Tells who holds a figure that changed, and remembers how far each ledger was examined.

    After a start everything is examined once more; what was told before is not told again.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._examined: dict[UUID, int] = {}

    def step(self) -> bool:
        """Examine what every ledger has learned since the last time."""
        for tenant_id in _tenants(self._ledger):
            since = self._examined.get(tenant_id, 0)
            try:
                self._examined[tenant_id] = tell_holders(self._ledger, tenant_id, since)
            except Exception as error:  # One organisation's trouble is not the others'.
                log("workers").warning("telling-failed", error=str(error)[:500])
        return False


def rebuild_cells(
    ledger: Ledger, tenant_id: UUID, progress: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Forget all cells of a tenant and build them again; they come out the same."""
    with ledger.database.write(tenant_id) as connection:
        drop_cells(connection, tenant_id)
        total = head_of(connection, tenant_id) // SEGMENT
    done = 0
    building = Building(ledger)
    while built := building.build_some(tenant_id):
        done += built
        progress(done, total)


def forget_step(ledger: Ledger, days: int | None) -> bool:
    """Empty raw bodies that are older than they are to be kept."""
    if days is not None:
        for tenant_id in _tenants(ledger):
            forget_bodies(ledger, tenant_id, days)
    return False


def reconcile_step(ledger: Ledger, reads_back: ReadsBack, minutes: int) -> bool:
    """Have every source that can be read back reconciled, if its last time was long enough ago."""
    for tenant_id in _tenants(ledger) if minutes else ():
        reconcile_due(ledger, tenant_id, reads_back, timedelta(minutes=minutes))
    return False


def create_workers(
    ledger: Ledger, reads_back: ReadsBack, settings: MetricsSettings, give_way: Callable[[], None]
) -> Workers:
    """The workers of this service; translating gives way to what is coming in."""
    days, minutes, read_back = (
        settings.raw_body_days, settings.reconcile_minutes, reads_back.answer_for,
    )  # fmt: skip
    forget = Task("metrics.forget", lambda: forget_step(ledger, days), HOUR_SECONDS)
    steps = {**Loading(ledger, reads_back).steps(), **Importing(ledger).steps()}
    carry_on = Task("metrics.jobs", Jobs(ledger, steps).step, PAUSE_SECONDS)
    reconcile = Task(
        "metrics.reconcile", lambda: reconcile_step(ledger, reads_back, minutes),
        READ_BACK_PAUSE_SECONDS,
    )  # fmt: skip
    translate, ask = (
        Task(
            name, partial(translate_step, ledger, read_back, give_way, named=named), PAUSE_SECONDS
        )
        for name, named in (("metrics.translate", False), ("metrics.translate-named", True))
    )  # fmt: skip
    again = Task(
        "metrics.read-back", lambda: read_back_step(ledger, read_back), READ_BACK_PAUSE_SECONDS
    )
    build = Task("metrics.cells", Building(ledger).step, PAUSE_SECONDS)
    tell = Task("metrics.restated", Telling(ledger).step, TELLING_PAUSE_SECONDS)
    return Workers(
        ledger.database, [translate, ask, again, carry_on, reconcile, build, tell, forget]
    )
