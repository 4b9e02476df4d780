"""What the metrics service does without a request: translating deliveries and building cells."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from services.metrics.commands.deliveries import translate_pending
from services.metrics.commands.restated import tell_holders
from services.metrics.queries.series import wanted_series
from services.metrics.replay.cells.build import build_step, drop_cells
from services.metrics.replay.cells.series import SEGMENT
from shared.ledger import Ledger
from shared.ledger.rebuild import head_of, tenant_ids
from shared.telemetry import log
from shared.workers import Task, Workers

PAUSE_SECONDS = 0.5
CELLS_PAUSE_SECONDS = 2.0
TELLING_PAUSE_SECONDS = 5.0


def translate_step(ledger: Ledger) -> bool:
    """Translate what is pending; True where there may be more."""
    with ledger.database.read(None) as connection:
        tenants = tenant_ids(connection)
    return translate_pending(ledger, tenants) > 0


def cells_step(ledger: Ledger) -> bool:
    """Build the next cells of every tenant; True where there may be more."""
    with ledger.database.read(None) as connection:
        tenants = tenant_ids(connection)
    return sum(_build_some(ledger, tenant_id) for tenant_id in tenants) > 0


def _build_some(ledger: Ledger, tenant_id: UUID) -> int:
    with ledger.database.read(tenant_id) as connection:
        if head_of(connection, tenant_id) < SEGMENT:
            return 0
    with ledger.view(tenant_id) as view:
        wanted = wanted_series(view)
    return build_step(ledger.database, tenant_id, wanted)


class Telling:
    """Tells who holds a figure that changed, and remembers how far each ledger was examined.

    After a start everything is examined once more; what was told before is not told again.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._examined: dict[UUID, int] = {}

    def step(self) -> bool:
        """Examine what every ledger has learned since the last time."""
        with self._ledger.database.read(None) as connection:
            tenants = tenant_ids(connection)
        for tenant_id in tenants:
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
    while built := _build_some(ledger, tenant_id):
        done += built
        progress(done, total)


def create_workers(ledger: Ledger) -> Workers:
    """The workers of this service."""
    translate = Task("metrics.translate", lambda: translate_step(ledger), PAUSE_SECONDS)
    build = Task("metrics.cells", lambda: cells_step(ledger), CELLS_PAUSE_SECONDS)
    tell = Task("metrics.restated", Telling(ledger).step, TELLING_PAUSE_SECONDS)
    return Workers(ledger.database, [translate, build, tell])
