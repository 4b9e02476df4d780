"""`POST /v1/events`: CloudEvents in every mode, a result per item; retractions."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import Field, model_validator

from services.metrics.api.door import (
    MAX_BATCH,
    Door,
    LineByLine,
    Result,
    append,
    open_door,
    stream,
)
from services.metrics.commands.history import retract
from services.metrics.domain.facts import Retracted
from shared.errors import (
    INVALID,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Fault,
    problem,
)
from shared.web.problems import problem_response
from shared.web.routes import router as make_router
from shared.web.routes import strict_json
from shared.web.runtime import Answer, Caller, writes
from shared.web.wire import InstantField, Wire
from shared.words import Reason

router = make_router("events")

EVENT_CONFLICT = problem(
    "event-conflict", 409, "The event is known with other content",
    "An event with this source, id and sequence is stored with other content; it was not replaced. "
    "What was sent is kept in quarantine.",
    "Send a restatement with a higher `sequence`, or retract the event first.",
)  # fmt: skip


FIGURE_OVERLAP = problem(
    "figure-overlap", 409, "Another fact gives this figure",
    "An event of this source gives the same figure for the same moment; both would count. What was "
    "sent is kept in quarantine.",
    "Restate the other event with a higher `sequence`, or retract it first.",
)  # fmt: skip


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
    backfill: Annotated[
        str | None, Query(max_length=36, description="Send into this open backfill")
    ] = None,
) -> Response:
    """Push events as CloudEvents 1.0.

    Structured (`application/cloudevents+json`), batch (`application/cloudevents-batch+json`) and
    binary mode (`ce-` headers, data as body), and for bulk `application/x-ndjson`, one event per
    line. Each event gets a result; one bad event never fails its neighbours, unless `atomic=true`.
    What is `accepted` is on disk. Single events answer 201, or 200 for a duplicate, 409 for a
    conflict and 422 when invalid; batches 200. A plain figure (`metric.observed`) that another fact
    of its source gives for the same moment is a conflict, too (`overlap`).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    door = await open_door(caller, backfill)
    if media_type == "application/x-ndjson":
        return LineByLine(stream(request, door))
    if "ce-specversion" in request.headers:
        items: list[Any] = [_binary(request, strict_json(await request.body()))]
        return await _single(request, door, items[0])
    if media_type in _STRUCTURED:
        body = await request.body()
        if media_type == _STRUCTURED[0] or body.lstrip()[:1] == b"[":
            return await _batch(door, body, atomic)
        return await _single(request, door, strict_json(body))
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


_STRUCTURED = (
    "application/cloudevents-batch+json", "application/cloudevents+json", "application/json",
)  # fmt: skip


async def _single(request: Request, door: Door, item: Any) -> Response:
    result = (await append(door, door.read([item])))[0]
    if result.status in ("accepted", "duplicate"):
        return Response(
            msgspec.json.encode(result), 201 if result.status == "accepted" else 200,
            media_type="application/json",
        )  # fmt: skip
    faults = tuple(result.errors)
    kind = EVENT_CONFLICT if result.status == "conflict" else INVALID
    kind = FIGURE_OVERLAP if faults[0].code == "overlap" else kind
    return problem_response(request, kind, faults[0].detail, faults)


async def _batch(door: Door, body: bytes, atomic: bool) -> Response:
    offer = door.read_batch(body)
    if offer is None:
        items = strict_json(body)
        if not isinstance(items, list):
            raise INVALID.refusal("A batch is a JSON array of events.")
        _demand_size(len(items))
        offer = door.read(items)
    _demand_size(len(offer.read))
    results = await append(door, offer, atomic=atomic)
    positions = [r.position for r in results if r.position is not None]
    # Encoded by hand, since ten thousand results are checked by nobody; `Results` documents them.
    told = {
        "results": results,
        "accepted": sum(r.status == "accepted" for r in results),
        "position": max(positions, default=None),
    }
    return Response(msgspec.json.encode(told), media_type="application/json")


def _demand_size(count: int) -> None:
    if count > MAX_BATCH:
        raise TOO_LARGE.refusal(f"At most {MAX_BATCH} events in a batch; these are {count}.")


@router.post("/retractions", status_code=201, response_model=Retraction)
def retract_facts(
    body: NewRetraction,
    caller: Annotated[Caller, Depends(writes("events:write"))],
    backfill: Annotated[
        str | None, Query(max_length=36, description="Retract when this open backfill is closed")
    ] = None,
) -> Response:
    """Take facts back: one by its id, or all of a source in a span.

    They stop counting from this position of the ledger on; answers about earlier knowledge keep
    them. A fact that is sent again with a higher `sequence` counts again.
    """

    def work(transaction: Any) -> Answer:
        payload = Retracted(**body.model_dump())
        position = retract(transaction, payload, backfill)
        return Answer(Retraction(**body.model_dump(), position=position), 201)

    return caller.command(work)
