"""How goals and valuation know a caller: they ask metrics, and keep the answer for a while."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from uuid import UUID

from pydantic import Field

from shared.errors import UNAUTHENTICATED, UNAVAILABLE, Refusal
from shared.web.client import Peer, Reads
from shared.web.runtime import Principal

FRESH_SECONDS = 60.0
STALE_READS_SECONDS = 600.0
MAX_KEPT = 10_000


class CredentialsSelf(Reads):
    """`GET /v1/credentials/self` of the metrics service."""

    tenant_id: UUID
    key_id: str
    name: str
    person: str | None = Field(None)
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class _Kept:
    principal: Principal | None
    asked_at: float


class Introspection:
    """An authenticator that asks the metrics service.

    An answer is good for 60 s; while metrics is down, reads go on for 10 minutes with what was
    answered last.
    """

    def __init__(self, metrics: Peer) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._kept: dict[bytes, _Kept] = {}

    def __call__(self, credential: str, *, reading: bool) -> Principal | None:
        digest = hashlib.sha256(credential.encode()).digest()
        kept = self._kept.get(digest)
        age = time.monotonic() - kept.asked_at if kept else float("inf")
        if kept is not None and age < FRESH_SECONDS:
            return kept.principal
        try:
            principal = self._ask(credential)
        except Refusal as refusal:
            if refusal.problem is not UNAVAILABLE:
                raise
            if kept is not None and reading and age < STALE_READS_SECONDS:
                return kept.principal
            raise
        with self._lock:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[digest] = _Kept(principal, time.monotonic())
        return principal

    def recall(self, credential: str) -> Principal | None:
        """The principal, where it was asked for within the last minute."""
        kept = self._kept.get(hashlib.sha256(credential.encode()).digest())
        if kept is None or time.monotonic() - kept.asked_at >= FRESH_SECONDS:
            return None
        return kept.principal

    def _ask(self, credential: str) -> Principal | None:
        try:
            answer = self._metrics.get("/v1/credentials/self", CredentialsSelf, credential)
        except Refusal as refusal:
            if refusal.problem is UNAUTHENTICATED:
                return None
            raise
        return Principal(
            answer.tenant_id, answer.key_id, answer.name, answer.person,
            frozenset(answer.scopes), credential,
        )  # fmt: skip
