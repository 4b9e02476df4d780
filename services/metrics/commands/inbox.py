"""Deliveries on their way in: known addresses, and one fsync for many that come at once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from services.metrics.commands.credentials import Vault, source_of_token
from services.metrics.domain.facts import SourceDescribed
from services.metrics.queries.definitions import source as find_source
from services.metrics.tables import deliveries
from shared.database import Database
from shared.errors import NOT_FOUND, TOO_MANY_REQUESTS, Refusal
from shared.ledger import Ledger

# An address that was looked up is good for so long; another process's change is seen then.
KEPT_SECONDS = 2.0
MAX_KEPT = 10_000
MAX_GROUP = 200
MAX_WAITING_BYTES = 100_000_000
# The longest that translating stands back for what is coming in.
MAX_STANDING_BACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Whose webhook address it is, and what a delivery to it has to prove."""

    tenant_id: UUID
    described: SourceDescribed
    secrets: list[str]


class Addresses:
    """The webhook addresses in use, as this process knows them."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger, self._vault = ledger, vault
        self._kept: dict[bytes, tuple[float, Address]] = {}

    def recall(self, token: str) -> Address | None:
        """An address, where it is known without waiting for anything."""
        found = self._kept.get(hashlib.sha256(token.encode()).digest())
        return found[1] if found and time.monotonic() - found[0] < KEPT_SECONDS else None

    def look_up(self, token: str) -> Address:
        """An address; refuses with 404 where it is not in use."""
        tenant_id, key = source_of_token(self._ledger.database, token)
        with self._ledger.view(tenant_id) as view:
            described, _ = find_source(view, key)
            secrets = self._vault.open(view.connection, tenant_id, key)
        if described.state == "retired":
            raise NOT_FOUND.refusal("This webhook address is not in use.")
        found = Address(tenant_id, described, secrets)
        if len(self._kept) >= MAX_KEPT:
            self._kept = {}
        self._kept[hashlib.sha256(token.encode()).digest()] = (time.monotonic(), found)
        return found

    def forget(self) -> None:
        """Look every address up anew: a source was changed here."""
        self._kept = {}


class Inbox:
    """Stores deliveries that come at the same time in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._queue: list[tuple[dict[str, Any], Future[None]]] = []
        self._waiting_bytes = 0
        self._draining = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")

    def store(self, delivery: dict[str, Any]) -> Future[None]:
        """Store a row of `deliveries`; done after the commit. Refuses before memory grows."""
        done: Future[None] = Future()
        with self._lock:
            if self._waiting_bytes > MAX_WAITING_BYTES:
                raise TOO_MANY_REQUESTS.refusal(
                    f"{len(self._queue)} deliveries are waiting to be stored.",
                    headers={"Retry-After": "5"},
                )
            self._waiting_bytes += len(delivery["body"])
            self._queue.append((delivery, done))
            if not self._draining:
                self._draining = True
                self._thread.submit(self._drain)
        return done

    def give_way(self) -> None:
        """Wait a little while deliveries are coming in: they have a deadline, the rest has none."""
        until = time.monotonic() + MAX_STANDING_BACK_SECONDS
        while self._draining and time.monotonic() < until:
            time.sleep(0.005)

    def close(self) -> None:
        """Finish what is queued, then stop."""
        self._thread.shutdown(wait=True)

    def _drain(self) -> None:
        while True:
            with self._lock:
                group, self._queue = self._queue[:MAX_GROUP], self._queue[MAX_GROUP:]
                if not group:
                    self._draining = False
                    return
            by_tenant: dict[UUID, list[tuple[dict[str, Any], Future[None]]]] = defaultdict(list)
            for delivery, done in group:
                if done.set_running_or_notify_cancel():
                    by_tenant[delivery["tenant_id"]].append((delivery, done))
            for tenant_id, members in by_tenant.items():
                self._commit(tenant_id, members)
            with self._lock:
                self._waiting_bytes -= sum(len(delivery["body"]) for delivery, _ in group)

    def _commit(self, tenant_id: UUID, members: list[tuple[dict[str, Any], Future[None]]]) -> None:
        try:
            with self._database.write(tenant_id) as connection:
                connection.execute(insert(deliveries), [delivery for delivery, _ in members])
        except BaseException as error:
            if len(members) == 1 or isinstance(error, Refusal):
                for _, done in members:
                    done.set_exception(error)
                return
            # One that can't be stored must not take the others with it.
            for member in members:
                self._commit(tenant_id, [member])
            return
        for _, done in members:
            done.set_result(None)
