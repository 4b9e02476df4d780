"""`GET /v1/feed`: the ledger as batches of CloudEvents, by polling with long poll."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy import select

from shared.clock import format_instant
from shared.events import Event
from shared.ledger import Ledger, find_basis
from shared.ledger.basis import Basis
from shared.ledger.rows import read_event
from shared.ledger.tables import batches, events, heads
from shared.web.routes import router as make_router
from shared.web.runtime import Caller, reads, runtime_of
from shared.web.wire import BasisToken, Wire

MAX_EVENTS = 1_000
MAX_WAIT_MS = 30_000
POLL_SECONDS = 0.05

_EXACT = msgspec.json.Encoder(decimal_format="number")


class FeedEvent(Wire):
    """One event of the ledger in CloudEvents form."""

    specversion: str = Field("1.0", description="CloudEvents version")
    id: str = Field(description="Unique within the source")
    source: str = Field(description="Which system says so")
    type: str = Field(description="Name of the event")
    subject: str | None = Field(None, description="What it is about")
    time: str = Field(description="When it occurred")
    occurredon: str | None = Field(None, description="The date, where only a date is known")
    sequence: str | None = Field(None, description="Version of the fact; the highest counts")
    position: int = Field(description="Place in the ledger", ge=1)
    recordedtime: str = Field(description="When it was recorded")
    stream: str | None = Field(None, description="The thing whose history it belongs to")
    revision: int | None = Field(None, description="Its number in that history")
    schemanumber: int = Field(description="Schema number of the data", ge=1)
    actor: str = Field(description="Who did it")
    data: dict[str, Any] = Field(description="What happened (personal fields left out)")


class Feed(Wire):
    """A batch of events that follow a basis, without gap or repetition."""

    items: list[FeedEvent] = Field(description="Events in order of position", max_length=MAX_EVENTS)
    next: BasisToken = Field(description="Ask on with `after=` this")
    more: bool = Field(description="True when more events can be read at once")


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Whole batches of the ledger."""

    events: list[Event]
    next: str
    more: bool

    def response(self) -> Response:
        return exact_json(
            {"items": [feed_event(e) for e in self.events], "next": self.next, "more": self.more}
        )


def feed_router(scope: str) -> APIRouter:
    """The feed of a service; reading it needs the service's reading scope."""
    router = make_router("feed")
    # Bound here, since an annotation could not see this function's argument.
    reader = Depends(reads(scope))

    @router.get("/feed", response_model=Feed)
    async def read_feed(
        request: Request,
        after: Annotated[
            str | None, Query(max_length=64, description="Basis read up to; default: the beginning")
        ] = None,
        timeout: Annotated[
            int, Query(ge=0, le=MAX_WAIT_MS, description="Wait so many ms for new events")
        ] = 0,
        limit: Annotated[
            int, Query(ge=1, le=MAX_EVENTS, description="Events at most")
        ] = MAX_EVENTS,
        caller: Caller = reader,
    ) -> Response:
        """Read the ledger on from a basis.

        Every event appears exactly once and in order, also while others append. Batches are kept
        whole, so that `next` is always a basis; a batch larger than `limit` comes whole.
        """
        ledger = runtime_of(request).ledger
        deadline = asyncio.get_running_loop().time() + timeout / 1000
        while True:
            page = await run_in_threadpool(read_page, ledger, caller.tenant_id, after, limit)
            waited = asyncio.get_running_loop().time() >= deadline
            if page.events or waited or await request.is_disconnected():
                return page.response()
            await asyncio.sleep(POLL_SECONDS)

    return router


def read_page(ledger: Ledger, tenant_id: UUID, after: str | None, limit: int) -> FeedPage:
    """The whole batches after a basis, up to about `limit` events."""
    with ledger.database.read(tenant_id) as connection:
        start = find_basis(connection, tenant_id, after) if after else Basis(0, b"\0" * 32, None)
        ends = connection.execute(
            select(batches.c.last_position, batches.c.chain, batches.c.recorded_at)
            .where(batches.c.tenant_id == tenant_id, batches.c.last_position > start.position)
            .order_by(batches.c.last_position)
            .limit(limit)
        ).all()
        fitting = [row for row in ends if row.last_position <= start.position + limit] or ends[:1]
        end = Basis(*fitting[-1]) if fitting else start
        rows = connection.execute(
            select(events)
            .where(
                events.c.tenant_id == tenant_id,
                events.c.position > start.position,
                events.c.position <= end.position,
            )
            .order_by(events.c.position)
        )
        found = [read_event(row._mapping) for row in rows]
        head = connection.execute(
            select(heads.c.position).where(heads.c.tenant_id == tenant_id)
        ).scalar()
    return FeedPage(found, end.token, (head or 0) > end.position)


def feed_event(event: Event) -> dict[str, Any]:
    """An event in CloudEvents form; its data stand as they were stored, to the last digit."""
    return {
        "specversion": "1.0",
        "id": event.event_id,
        "source": event.source,
        "type": event.name,
        "subject": event.subject,
        "time": format_instant(event.occurred_at),
        "occurredon": event.occurred_on.isoformat() if event.occurred_on else None,
        "sequence": event.sequence or None,
        "position": event.position,
        "recordedtime": format_instant(event.recorded_at),
        "stream": event.stream,
        "revision": event.revision,
        "schemanumber": event.schema_number,
        "actor": event.actor,
        "data": msgspec.Raw(event.data.encode()),
    }


def exact_json(content: dict[str, Any]) -> Response:
    """An answer whose numbers are passed on to the last digit, never through a double."""
    return Response(_EXACT.encode(content), media_type="application/json")
