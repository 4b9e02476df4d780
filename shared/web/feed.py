"""`GET /v1/feed`: the ledger as batches of CloudEvents, by polling with long poll."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy import BigInteger, BindParameter, String, bindparam, select, type_coerce

from shared.asking import ask_together
from shared.clock import from_micros
from shared.events import Event
from shared.ledger import EMPTY_BASIS, Ledger
from shared.ledger.basis import BARE, named, position_in, told
from shared.ledger.tables import batches, events, heads
from shared.web.routes import router as make_router
from shared.web.runtime import Caller, reads, runtime_of
from shared.web.wire import BasisToken, Wire

USUAL_EVENTS = 1_000
MAX_EVENTS = 5_000
MAX_WAIT_MS = 30_000
# Who waits looks this soon, and then less and less often: most wait long for nothing.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25

_TENANT: BindParameter[UUID] = bindparam("tenant")
_AFTER: BindParameter[int] = bindparam("after")
_ENDS = (
    select(batches.c.last_position, batches.c.chain, type_coerce(batches.c.recorded_at, BigInteger))
    .where(batches.c.tenant_id == _TENANT, batches.c.last_position > _AFTER)
    .order_by(batches.c.last_position)
    .limit(bindparam("limit"))
)
_HEAD = select(heads.c.position).where(heads.c.tenant_id == _TENANT)
# In the order of `Line`.
_LINES = (
    select(
        events.c.event_id, events.c.source, events.c.name, events.c.subject,
        type_coerce(events.c.occurred_at, BigInteger), type_coerce(events.c.occurred_on, String),
        events.c.sequence, events.c.position, type_coerce(events.c.recorded_at, BigInteger),
        events.c.stream, events.c.revision, events.c.schema_number, events.c.actor, events.c.data,
    )
    .where(
        events.c.tenant_id == _TENANT, events.c.position > _AFTER,
        events.c.position <= bindparam("until"),
    )
    .order_by(events.c.position)
)  # fmt: skip
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

    items: list[FeedEvent] = Field(description="Events in order of position")
    next: BasisToken = Field(description="Ask on with `after=` this")
    more: bool = Field(description="True when more events can be read at once")


class Line(msgspec.Struct, tag_field="specversion", tag="1.0", gc=False):
    """A `FeedEvent` as it is written: its moments in UTC, its data as they were stored."""

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime
    occurredon: str | None
    sequence: str | None
    position: int
    recordedtime: datetime
    stream: str | None
    revision: int | None
    schemanumber: int
    actor: str
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Whole batches of the ledger."""

    lines: list[Line]
    next: str
    more: bool

    def response(self) -> Response:
        return exact_json({"items": self.lines, "next": self.next, "more": self.more})


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
            int, Query(ge=1, le=MAX_EVENTS, description="Events at most, but for one batch")
        ] = USUAL_EVENTS,
        caller: Caller = reader,
    ) -> Response:
        """Read the ledger on from a basis.

        Every event appears exactly once and in order, also while others append. Batches are kept
        whole, so that `next` is always a basis; a batch larger than `limit` comes whole.
        """
        ledger = runtime_of(request).ledger
        deadline = asyncio.get_running_loop().time() + timeout / 1000
        page = await run_in_threadpool(read_page, ledger, caller.tenant_id, after, limit)
        pause = FIRST_PAUSE
        while not page.lines and asyncio.get_running_loop().time() < deadline:
            if await request.is_disconnected():
                break
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            if await run_in_threadpool(_is_beyond, ledger, caller.tenant_id, page.next):
                page = await run_in_threadpool(read_page, ledger, caller.tenant_id, after, limit)
        return await run_in_threadpool(page.response)

    return router


def _is_beyond(ledger: Ledger, tenant_id: UUID, token: str) -> bool:
    """Whether the ledger has grown since a basis."""
    with ledger.database.read(tenant_id) as connection:
        (last,) = ask_together(connection, [(_HEAD, {"tenant": tenant_id})])
    return any(position > position_in(token) for (position,) in last)


def read_page(ledger: Ledger, tenant_id: UUID, after: str | None, limit: int) -> FeedPage:
    """The whole batches after a basis, up to about `limit` events."""
    token = after or EMPTY_BASIS.token
    asked: dict[str, Any] = {"tenant": tenant_id, "after": position_in(token)}
    with ledger.database.read(tenant_id) as connection:
        found, ends, last = ask_together(
            connection,
            [
                BARE.of_token(tenant_id, token),
                (_ENDS, {**asked, "limit": limit}),
                (_HEAD, {"tenant": tenant_id}),
            ],
        )
        start = named(token, found)
        # As many batches as fit, or one that is larger than was asked for.
        fitting = [row for row in ends if row[0] <= start.position + limit][-1:] or ends[:1]
        end = told(fitting) if fitting else start
        (rows,) = ask_together(connection, [(_LINES, {**asked, "until": end.position})])
    lines = [_line(row) for row in rows]
    return FeedPage(lines, end.token, any(position > end.position for (position,) in last))


def _line(row: Sequence[Any]) -> Line:
    (id_, source, name, subject, at, on, sequence, position, recorded, stream, revision, schema,
     actor, data) = row  # fmt: skip
    return Line(
        id_, source, name, subject, from_micros(at), on, sequence or None, position,
        _recorded(recorded), stream, revision, schema, actor, msgspec.Raw(data.encode()),
    )  # fmt: skip


@lru_cache(maxsize=64)
def _recorded(micros: int) -> datetime:
    """The moment that all events of a batch share."""
    return from_micros(micros)


def feed_event(event: Event) -> Line:
    """An event in CloudEvents form; its data stand as they were stored, to the last digit."""
    return Line(
        event.event_id, event.source, event.name, event.subject, event.occurred_at,
        event.occurred_on.isoformat() if event.occurred_on else None, event.sequence or None,
        event.position, event.recorded_at, event.stream, event.revision, event.schema_number,
        event.actor, msgspec.Raw(event.data.encode()),
    )  # fmt: skip


def exact_json(content: dict[str, Any]) -> Response:
    """An answer whose numbers are passed on to the last digit, never through a double."""
    return Response(_EXACT.encode(content), media_type="application/json")
