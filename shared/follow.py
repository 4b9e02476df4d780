"""A follower: reads another service's feed and says in our own events what it means here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, String, Table, Uuid, select

from shared.database import Position, upsert
from shared.errors import UNKNOWN_BASIS, Refusal
from shared.events import NewEvent
from shared.ledger import EMPTY_BASIS, Ledger, Transaction
from shared.ledger.basis import position_in
from shared.ledger.tables import kit
from shared.telemetry import FOLLOWER_POSITION, log
from shared.web.client import Peer, Reads

LONG_POLL_MS = 20_000

checkpoints = Table(
    "checkpoints", kit,
    Column("tenant_id", Uuid, primary_key=True),
    Column("follower", String(64), primary_key=True),
    Column("position", Position, nullable=False),
    Column("basis", String(64), nullable=False),
)  # fmt: skip


class FollowedEvent(Reads):
    """An event of a neighbour's feed, with the fields that followers read."""

    id: str
    source: str
    type: str
    position: int
    time: str
    schemanumber: int
    data: dict[str, Any]


class FollowedFeed(Reads):
    """`GET /v1/feed` of a neighbour."""

    items: list[FollowedEvent]
    next: str
    more: bool


Meaning = Callable[[Transaction, FollowedEvent], Sequence[NewEvent]]


class Follower:
    """Follows one neighbour for one purpose; its checkpoint moves with what it appends."""

    def __init__(self, name: str, peer: Peer, ledger: Ledger, meaning: Meaning) -> None:
        self.name = name
        self._peer = peer
        self._ledger = ledger
        self._meaning = meaning

    def step(self, tenant_id: UUID, credential: str, *, wait_ms: int = 0) -> bool:
        """Read and apply one page of the feed; True when there is more to read at once.

        Refuses with `unknown-basis` when the neighbour was restored to an older state than the
        checkpoint: an operator has to decide then, and `docs/operating.md` says how.
        """
        after = self.checkpoint(tenant_id)
        try:
            page = self._peer.get(
                "/v1/feed",
                FollowedFeed,
                credential,
                {"after": after or None, "timeout": wait_ms or None},
            )
        except Refusal as refusal:
            if refusal.problem is UNKNOWN_BASIS:
                log("follow").error("neighbour-lost-events", follower=self.name, checkpoint=after)
            raise
        if page.next == (after or EMPTY_BASIS.token):
            return False
        self._apply(tenant_id, after, page)
        return page.more

    def checkpoint(self, tenant_id: UUID) -> str:
        """The basis of the neighbour's ledger that was read up to; empty before the first page."""
        with self._ledger.database.read(tenant_id) as connection:
            found = connection.execute(
                select(checkpoints.c.basis).where(
                    checkpoints.c.tenant_id == tenant_id, checkpoints.c.follower == self.name
                )
            ).scalar()
        return found or ""

    def _apply(self, tenant_id: UUID, after: str, page: FollowedFeed) -> None:
        with self._ledger.transaction(tenant_id, actor=f"follower:{self.name}") as transaction:
            standing = transaction.connection.execute(
                select(checkpoints.c.basis).where(
                    checkpoints.c.tenant_id == tenant_id, checkpoints.c.follower == self.name
                )
            ).scalar()
            if (standing or "") != after:
                return  # Another process has read this page meanwhile.
            for event in page.items:
                transaction.append(self._meaning(transaction, event))
            position = position_in(page.next)
            upsert(
                transaction.connection,
                checkpoints,
                {
                    "tenant_id": tenant_id,
                    "follower": self.name,
                    "position": position,
                    "basis": page.next,
                },
            )
        FOLLOWER_POSITION.labels(self.name).set(position)
