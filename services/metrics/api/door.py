"""The ingest door: items checked, appended by group commit, answered one by one; streams too."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from msgspec import Struct, to_builtins
from pydantic import Field
from starlette.types import Receive, Scope, Send

from services.metrics.commands.history import demand_open
from services.metrics.commands.intake import Intake
from services.metrics.commands.settling import keep_in_quarantine
from services.metrics.domain.cloudevents import Rejected, read_cloudevent
from services.metrics.domain.plain import read_plain_batch
from services.metrics.domain.types import EventType
from services.metrics.queries.backfills import without_effect
from services.metrics.queries.kept_types import KeptTypes
from shared.chain import parse_json
from shared.errors import CONFLICT, INVALID, Fault, Refusal
from shared.events import NewEvent
from shared.group_commit import GroupCommit, RefusedWhole
from shared.ledger import Outcome
from shared.web.routes import strict_json, unstorable
from shared.web.runtime import Caller, Runtime
from shared.web.wire import ProblemError, Wire

MAX_BATCH = 10_000
MAX_LINE_BYTES = 262_144
STREAM_COMMIT = 2_000


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


def kept_types(runtime: Runtime) -> KeptTypes:
    kept = runtime.parts["types"]
    assert isinstance(kept, KeptTypes)
    return kept


@dataclass(frozen=True, slots=True)
class Offer:
    """What a sender offers: the events as they were read, and all items as they came."""

    read: Sequence[NewEvent | Rejected]
    as_sent: Callable[[], Sequence[Any]]


class Told(Struct):
    """What is told of one event; `Result` documents it."""

    id: str | None
    status: str
    position: int | None
    errors: Sequence[Fault] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """Where a sender's events come in: who sends, which types are known, into which backfill."""

    caller: Caller
    kinds: Mapping[str, EventType]
    backfill: str | None

    def renewed(self) -> Door:
        """The same door with the types known by now; a stream may be open for hours."""
        kept, tenant_id = kept_types(self.caller.runtime), self.caller.tenant_id
        kinds = kept.recall(tenant_id) or kept.of(tenant_id)
        return Door(self.caller, kinds, self.backfill)

    def read(self, items: Sequence[Any]) -> Offer:
        """Items as events, or what is wrong with them."""
        now, actor = self.caller.runtime.clock.now(), self.caller.principal.actor
        read = [
            read_cloudevent(item, self.kinds, now, actor=actor, backfill=self.backfill)
            for item in items
        ]
        return Offer(read, lambda: items)

    def read_batch(self, body: bytes) -> Offer | None:
        """A whole batch at once, or None where some event of it wants a closer look."""
        now, actor = self.caller.runtime.clock.now(), self.caller.principal.actor
        read = read_plain_batch(body, self.kinds, now, actor=actor, backfill=self.backfill)
        return None if read is None else Offer(read, lambda: strict_json(body))


async def open_door(caller: Caller, backfill: str | None) -> Door:
    """The door for a caller; refuses where the backfill takes no events."""
    kinds = kept_types(caller.runtime).recall(caller.tenant_id) if backfill is None else None
    if kinds is not None:
        return Door(caller, kinds, None)
    return await run_in_threadpool(_look_and_open, caller, backfill)


def _look_and_open(caller: Caller, backfill: str | None) -> Door:
    if backfill is not None:
        with caller.runtime.ledger.view(caller.tenant_id) as view:
            demand_open(view, backfill)
    return Door(caller, kept_types(caller.runtime).of(caller.tenant_id), backfill)


async def append(door: Door, offer: Offer, *, atomic: bool = False) -> list[Told]:
    """Store what is good and say of each item what became of it; with `atomic` all or nothing."""
    caller, read = door.caller, offer.read
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
            raise _refused_whole(refused.outcomes) from refused
    again = [outcome.position for outcome in outcomes if outcome.status == "duplicate"]
    idle = await run_in_threadpool(_idle, caller, again) if again else {}
    remaining = iter(outcomes)
    results = [
        _outcome(event, next(remaining), idle)
        if isinstance(event, NewEvent)
        else _rejected(offer, index, event)
        for index, event in enumerate(read)
    ]
    kept = [n for n, r in enumerate(results) if r.status in ("conflict", "quarantined")]
    if kept:
        items = offer.as_sent()
        await run_in_threadpool(_quarantine, caller, [(items[n], results[n]) for n in kept])
    await _count(door, offer, results)
    return results


async def _count(door: Door, offer: Offer, results: Sequence[Told]) -> None:
    intake = door.caller.runtime.parts["intake"]
    assert isinstance(intake, Intake)
    names = [
        event.name if isinstance(event, NewEvent) else _type_of(offer, index, door)
        for index, event in enumerate(offer.read)
    ]
    told = Counter(zip(names, [result.status for result in results], strict=True))
    if intake.count(door.caller.tenant_id, told):
        await run_in_threadpool(intake.flush)


def _type_of(offer: Offer, index: int, door: Door) -> str:
    item = offer.as_sent()[index]
    name = item.get("type") if isinstance(item, dict) else None
    return name if isinstance(name, str) and name in door.kinds else "(unknown)"


def _atomic_refusal(refusal: Refusal, read: Sequence[NewEvent | Rejected]) -> Refusal:
    refusal.errors = tuple(
        Fault(f"/{index}{fault.pointer}", fault.detail, fault.code)
        for index, event in enumerate(read)
        if isinstance(event, Rejected)
        for fault in event.faults
    )
    return refusal


def _refused_whole(outcomes: Sequence[Outcome]) -> Refusal:
    overlaps = tuple(
        replace(outcome.fault, pointer=f"/{index}{outcome.fault.pointer}")
        for index, outcome in enumerate(outcomes)
        if outcome.fault is not None
    )
    known = sum(outcome.status == "conflict" for outcome in outcomes) - len(overlaps)
    told = [f"{known} events are known with other content"] if known else []
    told += [f"{len(overlaps)} figures are given by other facts"] if overlaps else []
    return CONFLICT.refusal(f"{', '.join(told)}; nothing was stored.", overlaps)


def _quarantine(caller: Caller, kept: Sequence[tuple[Any, Told]]) -> None:
    with caller.transaction() as transaction:
        for item, result in kept:
            source = str(item.get("source", "")) if isinstance(item, dict) else ""
            keep_in_quarantine(transaction, source, result.status, item, list(result.errors))


def _rejected(offer: Offer, index: int, rejected: Rejected) -> Told:
    item = offer.as_sent()[index]
    identity = item.get("id") if isinstance(item, dict) else None
    return Told(
        identity if isinstance(identity, str) else None, rejected.status, None, rejected.faults
    )


def _idle(caller: Caller, positions: Sequence[int]) -> dict[int, str]:
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        return without_effect(view, positions)


def _outcome(event: NewEvent, outcome: Outcome, idle: Mapping[int, str]) -> Told:
    told = Told(event.event_id, outcome.status, outcome.position or None)
    if outcome.status == "accepted":
        return told
    if outcome.fault is not None:
        told.errors = (outcome.fault,)
    elif outcome.status == "conflict":
        detail = (
            f"The event {event.event_id!r} of {event.source!r} is known with other content; "
            "send a restatement with a higher sequence."
        )
        told.errors = (Fault("/id", detail, "conflict"),)
    elif outcome.position in idle:
        detail = (
            f"It stands in the backfill {idle[outcome.position]}, which was dropped or reverted, "
            "and does not count; send it with a higher sequence to let it count."
        )
        told.errors = (Fault("/id", detail, "without_effect"),)
    return told


async def stream(request: Request, door: Door) -> AsyncIterator[bytes]:
    """A line per commit, a line per event that was not accepted, a summary; constant memory."""
    counts: dict[str, int] = {}
    waiting: list[tuple[int, Any]] = []
    number = 0
    async for line in _lines(request):
        number += 1
        if line.strip():
            waiting.append((number, _parse_line(line)))
        if len(waiting) >= STREAM_COMMIT:
            async for answer in _commit_lines(door, waiting, counts):
                yield answer
            waiting = []
    async for answer in _commit_lines(door, waiting, counts):
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
    door: Door,
    waiting: Sequence[tuple[int, Any]],
    counts: dict[str, int],
) -> AsyncIterator[bytes]:
    if not waiting:
        return
    parsed = [(n, item) for n, item in waiting if not isinstance(item, Rejected)]
    broken = [
        (n, Told(None, item.status, None, item.faults))
        for n, item in waiting
        if isinstance(item, Rejected)
    ]
    door = await run_in_threadpool(door.renewed)
    results = await append(door, door.read([item for _, item in parsed]))
    told = [*zip((n for n, _ in parsed), results, strict=True), *broken]
    for number, result in sorted(told, key=lambda pair: pair[0]):
        counts[result.status] = counts.get(result.status, 0) + 1
        if result.status != "accepted":
            yield msgspec.json.encode({"line": number, **to_builtins(result)}) + b"\n"
    positions = [r.position for r in results if r.position is not None]
    stored = sum(r.status == "accepted" for r in results)
    yield (
        msgspec.json.encode({"committed": stored, "position": max(positions, default=None)}) + b"\n"
    )
