"""Counting what became of what was sent: kept in memory, written down every few seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.dialects import postgresql, sqlite

from services.metrics.tables import intake
from shared.database import Database

FLUSH_SECONDS = 5.0


class Intake:
    """Counts per tenant, event type and result; what is not written yet is lost with the process.

    These are figures for people who run the service. No metric rests on them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[UUID, str, str]] = Counter()
        self._flushed = time.monotonic()

    def count(self, tenant_id: UUID, results: Mapping[tuple[str, str], int]) -> bool:
        """Count results by (event type, result); says whether it is time to flush."""
        with self._lock:
            for (name, status), count in results.items():
                self._waiting[tenant_id, name, status] += count
            return time.monotonic() - self._flushed > FLUSH_SECONDS

    def flush(self) -> None:
        """Write down what was counted since the last time."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
            self._flushed = time.monotonic()
        tenants = {tenant_id for tenant_id, _, _ in waiting}
        dialect = postgresql if self._database.is_postgresql else sqlite
        for tenant_id in tenants:
            with self._database.write(tenant_id) as connection:
                for (owner, name, status), count in sorted(waiting.items()):
                    if owner != tenant_id:
                        continue
                    row = {"tenant_id": owner, "name": name, "status": status, "count": count}
                    added = dialect.insert(intake).values(row)
                    connection.execute(
                        added.on_conflict_do_update(
                            index_elements=["tenant_id", "name", "status"],
                            set_={"count": intake.c.count + added.excluded.count},
                        )
                    )
