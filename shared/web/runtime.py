"""What a running service consists of, and the caller of a request with what they may do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from shared.clock import Clock
from shared.database import Database
from shared.errors import FORBIDDEN, STALE, UNAUTHENTICATED, UNAVAILABLE, UNCONDITIONAL, invalid
from shared.ledger import Ledger, Transaction, View
from shared.ledger.rebuild import head_of
from shared.settings import ServiceSettings
from shared.telemetry import current_trace
from shared.web.idempotency import recall, remember
from shared.web.wire import InstantField

SCOPES = (
    "events:write", "metrics:read", "metrics:write", "goals:read", "goals:write",
    "valuation:read", "valuation:write", "baselines:write", "admin",
)  # fmt: skip
# Holding the left scope is holding the right one too.
_IMPLIED = {"baselines:write": ("goals:write", "metrics:write")}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a credential stands for: one tenant, a person where there is one, and scopes."""

    tenant_id: UUID
    key_id: str
    name: str
    person: str | None
    scopes: frozenset[str]
    credential: str = field(repr=False)

    @property
    def actor(self) -> str:
        return self.person or self.name

    def may(self, scope: str) -> bool:
        granted = (scope, *_IMPLIED.get(scope, ()))
        return "admin" in self.scopes or any(s in self.scopes for s in granted)


class Authenticator(Protocol):
    """Turns a bearer credential into a principal, or None where it is not valid."""

    def __call__(self, credential: str, *, reading: bool) -> Principal | None: ...

    def recall(self, credential: str) -> Principal | None:
        """The principal, where it is known without waiting for anything."""
        ...


@dataclass(slots=True)
class Runtime:
    """The parts of one service, put together by its `create_app`."""

    service: str
    settings: ServiceSettings
    database: Database
    ledger: Ledger
    clock: Clock
    authenticate: Authenticator
    ready_checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    parts: dict[str, object] = field(default_factory=dict)


def runtime_of(request: Request) -> Runtime:
    runtime = request.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answers: the new state, its status and the headers that go with it."""

    body: BaseModel
    status: int = 200
    revision: int | None = None
    location: str | None = None

    def response(self) -> Response:
        headers = {}
        if self.revision is not None:
            headers["ETag"] = f'"{self.revision}"'
        if self.location is not None:
            headers["Location"] = self.location
        return Response(self.body.model_dump_json(), self.status, headers, "application/json")


@dataclass(frozen=True, slots=True)
class Caller:
    """A request's principal, with the transactions and views that it may open."""

    runtime: Runtime
    principal: Principal
    request: Request
    idempotency_key: str | None
    body_digest: bytes

    @property
    def tenant_id(self) -> UUID:
        return self.principal.tenant_id

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        trace = current_trace.get()
        with self.runtime.ledger.transaction(
            self.tenant_id,
            actor=self.principal.actor,
            correlation_id=trace.trace_id if trace else "",
        ) as transaction:
            yield transaction

    def past(self, transaction: Transaction, known_at: datetime | None, basis: str | None) -> View:
        """What was known at a moment or basis (by default: in this transaction), to be kept."""
        if known_at is not None and known_at > transaction.known_at:
            raise invalid("/known_at", "Nothing is known of the future yet.", "future")
        connection, tenant_id = transaction.connection, transaction.tenant_id
        if known_at is None and basis is None:
            # Nothing new has come for a while, perhaps; what is over by now is over all the same.
            return View(connection, tenant_id, transaction.basis, transaction.known_at, False)
        return self.runtime.ledger.view_in(connection, tenant_id, known_at=known_at, basis=basis)

    def command(self, work: Callable[[Transaction], Answer]) -> Response:
        """Run a command in one transaction and answer after its commit.

        With an `Idempotency-Key`, the same request answers what it answered before, and the same
        key on another request is refused.
        """
        with self.transaction() as transaction:
            operation = f"{self.request.method} {self.request.url.path}"
            if self.idempotency_key is not None:
                stored = recall(transaction, self.idempotency_key, operation, self.body_digest)
                if stored is not None:
                    return stored
            response = work(transaction).response()
            if self.idempotency_key is not None:
                remember(transaction, self.idempotency_key, operation, self.body_digest, response)
        return response

    def replayed(self) -> Response | None:
        """The stored answer of the same request, before anything else is asked for it."""
        if self.idempotency_key is None:
            return None
        operation = f"{self.request.method} {self.request.url.path}"
        with self.runtime.ledger.view(self.tenant_id) as view:
            return recall(view, self.idempotency_key, operation, self.body_digest)

    def demand_no_replay(self) -> None:
        """Refuse `Idempotency-Key` where the answer holds a secret that is never stored."""
        if self.idempotency_key is not None:
            raise FORBIDDEN.refusal(
                "The answer holds a secret that is not stored, so it can't be repeated; leave out "
                "Idempotency-Key."
            )

    def demand_revision(self, revision: int, *, required: bool = False) -> None:
        """Honour `If-Match`: refuse with 412 when it names another revision.

        Where it is `required`, since two people may edit the same text, refuse with 428 without it.
        """
        asked = self.request.headers.get("if-match")
        if asked is None and required:
            raise UNCONDITIONAL.refusal(f'Send `If-Match: "{revision}"` if you have read that.')
        if asked is None or asked.strip() == "*":
            return
        tags = [tag.strip().removeprefix("W/").strip('"') for tag in asked.split(",")]
        if str(revision) not in tags:
            raise STALE.refusal(f'If-Match is {asked}, but the present revision is "{revision}".')


@dataclass(frozen=True, slots=True)
class Reader(Caller):
    """A caller that asks, as known at a moment or basis."""

    known_at: datetime | None = None
    basis: str | None = None
    awaited: int | None = None

    @contextmanager
    def view(self) -> Iterator[View]:
        if self.awaited is not None:
            wait_for(self.runtime, self.tenant_id, self.awaited)
        with self.runtime.ledger.view(
            self.tenant_id, known_at=self.known_at, basis=self.basis
        ) as view:
            yield view


def wait_for(runtime: Runtime, tenant_id: UUID, position: int) -> None:
    """Wait, for a bounded time, until a position is readable."""
    deadline = time.monotonic() + 5
    while True:
        with runtime.database.read(tenant_id) as connection:
            if head_of(connection, tenant_id) >= position:
                return
        if time.monotonic() > deadline:
            raise UNAVAILABLE.refusal(
                f"Position {position} is not readable yet.", headers={"Retry-After": "1"}
            )
        time.sleep(0.02)


def bearer_of(request: Request) -> str:
    """The bearer credential of a request; empty where it carries none."""
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def principal_of(request: Request) -> Principal:
    """The principal of a request's bearer credential; refuses with 401."""
    credential = bearer_of(request)
    if not credential:
        raise UNAUTHENTICATED.refusal("Send `Authorization: Bearer <key>`.")
    reading = request.method in ("GET", "HEAD")
    principal = runtime_of(request).authenticate(credential, reading=reading)
    if principal is None:
        raise UNAUTHENTICATED.refusal("The key is unknown, expired or revoked.")
    return principal


def demand_scope(principal: Principal, scope: str | None) -> None:
    """Refuse with 403 where the credential lacks a scope."""
    if scope is not None and not principal.may(scope):
        held = ", ".join(sorted(principal.scopes)) or "none"
        raise FORBIDDEN.refusal(f"This needs the scope {scope}; the key has: {held}.")


class Scoped:
    """Depends(...) of a route: a caller who has the scope; the route list shows it."""

    def __init__(self, scope: str | None) -> None:
        assert scope is None or scope in SCOPES, f"no scope is named {scope}"
        self.scope = scope


class writes(Scoped):
    """A caller that may write."""

    async def __call__(
        self,
        request: Request,
        idempotency_key: Annotated[
            str | None,
            Header(
                min_length=1,
                max_length=255,
                description="Repeat a request with the same key and it happens once (24 h)",
            ),
        ] = None,
        if_match: Annotated[
            str | None, Header(max_length=200, description="ETag that the change applies to")
        ] = None,
    ) -> Caller:
        credential = bearer_of(request)
        principal = runtime_of(request).authenticate.recall(credential) if credential else None
        if principal is None:
            principal = await run_in_threadpool(principal_of, request)
        demand_scope(principal, self.scope)
        digest = b""
        media_type = request.headers.get("content-type", "")
        if media_type.startswith(("multipart/", "application/x-ndjson")):
            # Files and streams of events are idempotent by themselves.
            idempotency_key = None
        if idempotency_key is not None:
            digest = hashlib.sha256(await request.body()).digest()
        return Caller(runtime_of(request), principal, request, idempotency_key, digest)


class reads(Scoped):
    """A caller that asks."""

    def __call__(
        self,
        request: Request,
        known_at: Annotated[
            InstantField | None,
            Query(description="Answer as known at this moment (RFC 3339); default: now"),
        ] = None,
        basis: Annotated[
            str | None,
            Query(description="Answer as known at this basis token", max_length=200),
        ] = None,
        awaited: Annotated[
            int | None,
            Query(
                alias="await", ge=0, le=10**15, description="Wait until this position is readable"
            ),
        ] = None,
    ) -> Reader:
        principal = principal_of(request)
        demand_scope(principal, self.scope)
        if known_at is not None and basis is not None:
            raise invalid("query:basis", "Say either `known_at` or `basis`.", "contradiction")
        return Reader(
            runtime_of(request), principal, request, None, b"",
            known_at=known_at, basis=basis, awaited=awaited,
        )  # fmt: skip
