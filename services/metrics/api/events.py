"""`POST /v1/events`: CloudEvents in every mode, a result per item; retractions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import unquote
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator
from starlette.types import Receive, Scope, Send

from services.metrics.commands.definitions import retract
from services.metrics.commands.deliveries import keep_in_quarantine
from services.metrics.domain.cloudevents import Rejected, read_cloudevent
from services.metrics.domain.facts import Retracted
from services.metrics.domain.types import EventType
from services.metrics.queries.definitions import types
from shared.chain import parse_json
from shared.errors import (
    CONFLICT,
    INVALID,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
    Refusal,
    problem,
)
from shared.events import NewEvent
from shared.group_commit import GroupCommit, RefusedWhole
from shared.ledger import Outcome
from shared.web.problems import problem_response
from shared.web.routes import router as make_router
from shared.web.routes import strict_json, unstorable
from shared.web.runtime import Answer, Caller, Runtime, writes
from shared.web.wire import InstantField, ProblemError, Reason, Wire

router = make_router("events")
MAX_BATCH = 10_000
MAX_LINE_BYTES = 262_144
STREAM_COMMIT = 2_000
# Registered types change rarely; a sender may be told 'unknown' this long after a registration.
_TYPES_SECONDS = 2.0
_types_kept: dict[tuple[int, UUID], tuple[float, dict[str, EventType]]] = {}

EVENT_CONFLICT = problem(
    "event-conflict", 409, "The event is known with other content",
    "An event with this source, id and sequence is stored with other content; it was not replaced. "
    "What was sent is kept in quarantine.",
    "Send a restatement with a higher `sequence`, or retract the event first.",
)  # fmt: skip


class Result(Wire):
    """What became of one event."""

    id: str | None = Field(description="The event's id, as sent")
    status: Literal["accepted", "duplicate", "conflict", "invalid", "quarantined"] = Field(
        description="`duplicate` is a success: it was stored before"
    )
    position: int | None = Field(description="From where on it is readable", ge=1)
    errors: list[ProblemError] = Field(
        default_factory=list, description="What is wrong, and the mend"
    )


class Results(Wire):
    """What became of each event of a batch, in its order."""

    results: list[Result] = Field(description="One result per event", max_length=MAX_BATCH)
    accepted: int = Field(ge=0, description="Events stored now")
    position: int | None = Field(description="Position from which the whole batch is readable")


class NewRetraction(Wire):
    """What should no longer count."""

    source: str = Field(min_length=1, max_length=1_000, description="Source of the facts")
    event_id: str | None = Field(None, max_length=1_000, description="One fact, all its versions")
    starts_at: InstantField | None = Field(None, description="Or a span: occurred at or after")
    ends_at: InstantField | None = Field(None, description="... and before this moment")
    reason: Reason = Field(description="Why it is taken back")

    @model_validator(mode="after")
    def _one_or_range(self) -> NewRetraction:
        ranged = self.starts_at is not None or self.ends_at is not None
        if (self.event_id is None) != ranged:
            raise ValueError("name either `event_id`, or `starts_at` and `ends_at`")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            raise ValueError("`starts_at` must lie before `ends_at`")
        return self


class Retraction(Wire):
    """A retraction in force."""

    source: str = Field(description="Source of the facts")
    event_id: str | None = Field(description="The fact; null for a span")
    starts_at: InstantField | None = Field(description="Begin of the span")
    ends_at: InstantField | None = Field(description="End of the span")
    reason: str = Field(description="Why it was taken back")
    position: int = Field(description="From here on it does not count", ge=1)


def _types_of(runtime: Runtime, tenant_id: UUID) -> dict[str, EventType]:
    key = (id(runtime), tenant_id)
    kept = _types_kept.get(key)
    if kept is None or time.monotonic() - kept[0] > _TYPES_SECONDS:
        with runtime.ledger.view(tenant_id) as view:
            kept = (time.monotonic(), types(view))
        _types_kept[key] = kept
    return kept[1]


@router.post(
    "/events",
    response_model=Results,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                media: {"schema": {"type": "object"} if "batch" not in media else {"type": "array"}}
                for media in (
                    "application/cloudevents+json",
                    "application/cloudevents-batch+json",
                    "application/json",
                    "application/x-ndjson",
                )
            },
        }
    },
)
async def push_events(
    request: Request,
    caller: Annotated[Caller, Depends(writes("events:write"))],
    atomic: Annotated[bool, Query(description="Store all events of a batch, or none")] = False,
) -> Response:
    """Push events as CloudEvents 1.0.

    Structured (`application/cloudevents+json`), batch (`application/cloudevents-batch+json`) and
    binary mode (`ce-` headers, data as body), and for bulk `application/x-ndjson`, one event per
    line. Each event gets a result; one bad event never fails its neighbours, unless `atomic=true`.
    What is `accepted` is on disk. Single events answer 201, or 200 for a duplicate, 409 for a
    conflict and 422 when invalid; batches 200.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    runtime = caller.runtime
    kinds = await run_in_threadpool(_types_of, runtime, caller.tenant_id)
    if media_type == "application/x-ndjson":
        return LineByLine(_stream(request, caller, kinds))
    if "ce-specversion" in request.headers:
        items: list[Any] = [_binary(request, strict_json(await request.body()))]
        return await _single(request, caller, kinds, items[0])
    if media_type == "application/cloudevents-batch+json":
        items = strict_json(await request.body())
        return await _batch(caller, kinds, items, atomic)
    if media_type in ("application/cloudevents+json", "application/json"):
        body = strict_json(await request.body())
        if isinstance(body, list):
            return await _batch(caller, kinds, body, atomic)
        return await _single(request, caller, kinds, body)
    raise UNSUPPORTED_MEDIA_TYPE.refusal(
        "Send application/cloudevents+json, application/cloudevents-batch+json, "
        "application/x-ndjson, or binary mode with ce- headers."
    )


def _binary(request: Request, data: Any) -> dict[str, Any]:
    item: dict[str, Any] = {"data": data}
    for name, value in request.headers.items():
        if name.startswith("ce-"):
            try:
                item[name[3:]] = unquote(value.strip('"'), errors="strict")
            except UnicodeDecodeError as error:
                fault = Fault(f"header:{name}", "This is no percent-encoded UTF-8.", "encoding")
                raise INVALID.refusal(fault.detail, [fault]) from error
    return item


def _read(item: Any, kinds: dict[str, EventType], caller: Caller) -> NewEvent | Rejected:
    event = read_cloudevent(item, kinds, caller.runtime.clock.now())
    if isinstance(event, NewEvent):
        object.__setattr__(event, "actor", caller.principal.actor)
    return event


async def _single(
    request: Request, caller: Caller, kinds: dict[str, EventType], item: Any
) -> Response:
    result = (await _append(caller, kinds, [item]))[0]
    if result.status in ("accepted", "duplicate"):
        return JSONResponse(result.model_dump(), 201 if result.status == "accepted" else 200)
    faults = tuple(Fault(e.pointer, e.detail, e.code) for e in result.errors)
    kind = EVENT_CONFLICT if result.status == "conflict" else INVALID
    return problem_response(request, kind, faults[0].detail, faults)


async def _batch(caller: Caller, kinds: dict[str, EventType], items: Any, atomic: bool) -> Response:
    if not isinstance(items, list):
        raise INVALID.refusal("A batch is a JSON array of events.")
    if len(items) > MAX_BATCH:
        raise TOO_LARGE.refusal(f"At most {MAX_BATCH} events in a batch; these are {len(items)}.")
    results = await _append(caller, kinds, items, atomic=atomic)
    positions = [r.position for r in results if r.position is not None]
    answer = Results(
        results=results,
        accepted=sum(r.status == "accepted" for r in results),
        position=max(positions, default=None),
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def _append(
    caller: Caller, kinds: dict[str, EventType], items: Sequence[Any], *, atomic: bool = False
) -> list[Result]:
    read = [_read(item, kinds, caller) for item in items]
    good = [event for event in read if isinstance(event, NewEvent)]
    if atomic and len(good) < len(read):
        raise _atomic_refusal(INVALID.refusal("An event is invalid; nothing was stored."), read)
    outcomes: Sequence[Outcome] = []
    if good:
        group = caller.runtime.parts["group_commit"]
        assert isinstance(group, GroupCommit)
        try:
            outcomes = await group.append(caller.tenant_id, good, atomic=atomic)
        except RefusedWhole as refused:
            known = sum(o.status == "conflict" for o in refused.outcomes)
            raise CONFLICT.refusal(
                f"{known} events are known with other content; nothing was stored."
            ) from refused
    remaining = iter(outcomes)
    results = [
        _rejected(item, event) if isinstance(event, Rejected) else _outcome(event, next(remaining))
        for item, event in zip(items, read, strict=True)
    ]
    kept = [
        (i, r)
        for i, r in zip(items, results, strict=True)
        if r.status in ("conflict", "quarantined")
    ]
    if kept:
        await run_in_threadpool(_quarantine, caller, kept)
    return results


def _atomic_refusal(refusal: Refusal, read: Sequence[NewEvent | Rejected]) -> Refusal:
    refusal.errors = tuple(
        Fault(f"/{index}{fault.pointer}", fault.detail, fault.code)
        for index, event in enumerate(read)
        if isinstance(event, Rejected)
        for fault in event.faults
    )
    return refusal


def _quarantine(caller: Caller, kept: Sequence[tuple[Any, Result]]) -> None:
    with caller.transaction() as transaction:
        for item, result in kept:
            faults = [Fault(e.pointer, e.detail, e.code) for e in result.errors]
            source = str(item.get("source", "")) if isinstance(item, dict) else ""
            keep_in_quarantine(transaction, source, result.status, item, faults)


def _rejected(item: Any, rejected: Rejected) -> Result:
    identity = item.get("id") if isinstance(item, dict) else None
    return Result(
        id=identity if isinstance(identity, str) else None,
        status=rejected.status,
        position=None,
        errors=[
            ProblemError(pointer=f.pointer, detail=f.detail, code=f.code) for f in rejected.faults
        ],
    )


def _outcome(event: NewEvent, outcome: Outcome) -> Result:
    errors = []
    if outcome.status == "conflict":
        detail = (
            f"The event {event.event_id!r} of {event.source!r} is known with other content; "
            "send a restatement with a higher sequence."
        )
        errors.append(ProblemError(pointer="/id", detail=detail, code="conflict"))
    return Result(
        id=event.event_id, status=outcome.status, position=outcome.position, errors=errors
    )


async def _stream(
    request: Request, caller: Caller, kinds: dict[str, EventType]
) -> AsyncIterator[bytes]:
    """A line per commit, a line per event that was not accepted, a summary; constant memory."""
    counts: dict[str, int] = {}
    waiting: list[tuple[int, Any]] = []
    number = 0
    async for line in _lines(request):
        number += 1
        if line.strip():
            waiting.append((number, _parse_line(line)))
        if len(waiting) >= STREAM_COMMIT:
            async for answer in _commit_lines(caller, kinds, waiting, counts):
                yield answer
            waiting = []
    async for answer in _commit_lines(caller, kinds, waiting, counts):
        yield answer
    yield msgspec.json.encode({"summary": counts, "lines": number}) + b"\n"


class LineByLine(Response):
    """Answers while the request is still being read.

    Starlette's streaming response also listens for the client's leaving, and would take pieces of
    the body for that.
    """

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for line in self._lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _parse_line(line: bytes) -> Any:
    if len(line) > MAX_LINE_BYTES:
        return Rejected(
            "invalid", (Fault("/", f"A line has at most {MAX_LINE_BYTES} bytes.", "long"),)
        )
    try:
        value = parse_json(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return Rejected("invalid", (Fault("/", f"This is no JSON: {error}", "json"),))
    fault = unstorable(value, line)
    return Rejected("invalid", (Fault("/", f"It {fault}.", "json"),)) if fault else value


async def _lines(request: Request) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for chunk in request.stream():
        buffer += chunk
        *whole, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest[: MAX_LINE_BYTES + 1])
        for line in whole:
            yield line
    if buffer:
        yield bytes(buffer)


async def _commit_lines(
    caller: Caller,
    kinds: dict[str, EventType],
    waiting: Sequence[tuple[int, Any]],
    counts: dict[str, int],
) -> AsyncIterator[bytes]:
    if not waiting:
        return
    parsed = [(n, item) for n, item in waiting if not isinstance(item, Rejected)]
    broken = [(n, _rejected(None, item)) for n, item in waiting if isinstance(item, Rejected)]
    results = await _append(caller, kinds, [item for _, item in parsed])
    told = [*zip((n for n, _ in parsed), results, strict=True), *broken]
    for number, result in sorted(told, key=lambda pair: pair[0]):
        counts[result.status] = counts.get(result.status, 0) + 1
        if result.status != "accepted":
            yield msgspec.json.encode({"line": number, **result.model_dump()}) + b"\n"
    positions = [r.position for r in results if r.position is not None]
    stored = sum(r.status == "accepted" for r in results)
    yield (
        msgspec.json.encode({"committed": stored, "position": max(positions, default=None)}) + b"\n"
    )


@router.post("/retractions", status_code=201, response_model=Retraction)
def retract_facts(
    body: NewRetraction, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Take facts back: one by its id, or all of a source in a span.

    They stop counting from this position of the ledger on; answers about earlier knowledge keep
    them. A fact that is sent again with a higher `sequence` counts again.
    """

    def work(transaction: Any) -> Answer:
        payload = Retracted(**body.model_dump())
        position = retract(transaction, payload)
        return Answer(Retraction(**body.model_dump(), position=position), 201)

    return caller.command(work)
