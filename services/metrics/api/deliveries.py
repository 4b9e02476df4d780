"""What sources delivered: webhooks taken, deliveries inspected and retried, the quarantine."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sqlalchemy import select, update

from services.metrics.commands.deliveries import receive, takes_cloudevents, translate_one
from services.metrics.commands.inbox import Addresses, Inbox
from services.metrics.commands.reading_back import ReadsBack
from services.metrics.sources.delivery import NotReadable
from services.metrics.tables import deliveries, quarantine
from shared.chain import parse_json
from shared.errors import CONFLICT, NOT_FOUND
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, runtime_of, writes
from shared.web.wire import InstantField, ProblemError, Wire
from shared.words import Reason

router = make_router("deliveries")


class Delivery(Wire):
    """A webhook request as it came, and what became of it."""

    id: str = Field(description="Id of the delivery")
    source: str = Field(description="Key of the source")
    received_at: InstantField = Field(description="When it came")
    state: Literal["received", "translated", "quarantined", "dismissed"] = Field(
        description="`quarantined`: kept, but not understood; mend the mapping and retry"
    )
    detail: str = Field(description="Why it was not understood, or what was left out")
    events: int = Field(ge=0, description="Events that it gave")


class InspectedDelivery(Delivery):
    """A delivery with what came."""

    headers: dict[str, str] = Field(description="Headers that were kept")
    body: str | None = Field(
        description="The body as text; null once it is older than raw bodies are kept"
    )


class SourceDismissal(Wire):
    """Why a delivery needs no translation."""

    reason: Reason = Field(description="Why it is dismissed")


class Accepted(Wire):
    """A delivery that is stored."""

    delivery_id: str | None = Field(
        description="Id under which it can be inspected; null for a test, of which nothing is kept"
    )


class Quarantined(Wire):
    """Something that was sent and could not become a fact."""

    id: str = Field(description="Id of the item")
    at: InstantField = Field(description="When it was put here")
    source: str = Field(description="Who sent it")
    status: str = Field(description="conflict or quarantined")
    errors: list[ProblemError] = Field(description="Why")
    item: Any = Field(description="What was sent")


SMALL_BODY = 100_000


@router.post(
    "/webhooks/{token}",
    response_model=Accepted,
    openapi_extra={"x-open": True, "x-any-query": True},
)
async def receive_webhook(token: str, request: Request) -> Response:
    """Take a vendor's delivery.

    It is authenticated on its raw bytes, stored as it came and answered; its events follow at
    once. The address itself is the credential, and the vendor's signature comes on top.
    """
    body = await request.body()
    runtime = runtime_of(request)
    addresses, inbox = runtime.parts["addresses"], runtime.parts["inbox"]
    assert isinstance(addresses, Addresses)
    assert isinstance(inbox, Inbox)
    address = addresses.recall(token)
    if address is None:
        address = await run_in_threadpool(addresses.look_up, token)
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = (address, headers, body, str(request.url), runtime.clock.now())
    # Small bodies are checked sooner than a thread takes over; large ones would hold up others.
    small = len(body) < SMALL_BODY
    received = receive(*told) if small else await run_in_threadpool(receive, *told)
    if received.delivery is not None:
        await asyncio.wrap_future(inbox.store(received.delivery))
    if received.answer is not None:
        content, media_type = received.answer
        return Response(content, 200, media_type=media_type)
    accepted = Accepted(delivery_id=received.delivery and received.delivery["delivery_id"])
    return Response(accepted.model_dump_json(), 200, media_type="application/json")


@router.options(
    "/webhooks/{token}",
    response_model=None,
    openapi_extra={"x-open": True, "x-any-query": True},
)
def agree_to_deliveries(token: str, request: Request) -> Response:
    """Agree to be sent CloudEvents: the handshake by which a sender asks before it sends.

    Consent is the headers of the answer, whatever its status: the asking origin is allowed at the
    address of a source of kind `cloudevents`, and nowhere else.
    """
    origin = request.headers.get("webhook-request-origin", "")
    headers = {"Allow": "POST, OPTIONS"}
    if origin and takes_cloudevents(runtime_of(request).ledger, token):
        headers["WebHook-Allowed-Origin"] = origin[:300]
        headers["WebHook-Allowed-Rate"] = "*"
    return Response(status_code=200, headers=headers)


@router.get("/deliveries")
def list_deliveries(
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    state: Annotated[
        Literal["received", "translated", "quarantined", "dismissed"] | None,
        Query(description="Only in this state"),
    ] = None,
    source: Annotated[str | None, Query(max_length=64, description="Only of this source")] = None,
) -> Page[Delivery]:
    """List deliveries, oldest first."""
    with reader.view() as view:
        query = select(deliveries).where(
            deliveries.c.tenant_id == view.tenant_id,
            deliveries.c.delivery_id > pages.text_after(),
        )
        if state is not None:
            query = query.where(deliveries.c.state == state)
        if source is not None:
            query = query.where(deliveries.c.source == source)
        rows = view.connection.execute(
            query.order_by(deliveries.c.delivery_id).limit(pages.limit + 1)
        ).all()
        return pages.page(view, rows, lambda row: row.delivery_id, _delivery)


@router.get("/deliveries/{delivery_id}")
def inspect_delivery(
    delivery_id: str, caller: Annotated[Reader, Depends(reads("metrics:write"))]
) -> InspectedDelivery:
    """Look at a delivery as it came: for whoever mends the mapping.

    Credentials that ride in a body were left out when it was stored.
    """
    with caller.view() as view:
        row = _find(view, delivery_id)
        text = row.body.decode("utf-8", "replace")
        return InspectedDelivery(
            **vars(_delivery(row)),
            headers=parse_json(row.headers),
            body=text if row.body else None,
        )


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.delivery_id,
        source=row.source,
        received_at=row.received_at,
        state=row.state,
        detail=row.detail,
        events=row.events,
    )


def _find(view: View, delivery_id: str) -> Any:
    row = view.connection.execute(
        select(deliveries).where(
            deliveries.c.tenant_id == view.tenant_id,
            deliveries.c.delivery_id == delivery_id,
        )
    ).one_or_none()
    if row is None:
        raise NOT_FOUND.refusal(f"There is no delivery {delivery_id!r}.")
    return row


@router.post("/deliveries/{delivery_id}/retry", response_model=Delivery)
def retry_delivery(
    delivery_id: str, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Translate a quarantined delivery again, now that the mapping is mended."""

    reads_back = caller.runtime.parts["reads_back"]
    assert isinstance(reads_back, ReadsBack)
    try:
        answer = reads_back.answer_for(caller.tenant_id, delivery_id)
    except NotReadable as error:
        raise CONFLICT.refusal(str(error)) from error

    def work(transaction: Transaction) -> Answer:
        _find(transaction, delivery_id)
        translate_one(transaction, delivery_id, answer)
        return Answer(_delivery(_find(transaction, delivery_id)))

    return caller.command(work)


@router.post("/deliveries/{delivery_id}/dismiss", response_model=Delivery)
def dismiss_delivery(
    delivery_id: str,
    body: SourceDismissal,
    caller: Annotated[Caller, Depends(writes("metrics:write"))],
) -> Response:
    """Say that a quarantined delivery needs no translation, and why."""

    def work(transaction: Transaction) -> Answer:
        row = _find(transaction, delivery_id)
        if row.state != "quarantined":
            raise CONFLICT.refusal(
                f"The delivery is {row.state}; only quarantined ones are dismissed."
            )
        transaction.connection.execute(
            update(deliveries)
            .where(
                deliveries.c.tenant_id == transaction.tenant_id,
                deliveries.c.delivery_id == delivery_id,
            )
            .values(state="dismissed", detail=f"{caller.principal.actor}: {body.reason}")
        )
        return Answer(_delivery(_find(transaction, delivery_id)))

    return caller.command(work)


@router.get("/quarantine")
def list_quarantine(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[Quarantined]:
    """List what was sent and could not become a fact, oldest first."""
    with reader.view() as view:
        rows = view.connection.execute(
            select(quarantine)
            .where(
                quarantine.c.tenant_id == view.tenant_id,
                quarantine.c.item_id > pages.text_after(),
            )
            .order_by(quarantine.c.item_id)
            .limit(pages.limit + 1)
        ).all()
        return pages.page(view, rows, lambda row: row.item_id, _quarantined)


def _quarantined(row: Any) -> Quarantined:
    return Quarantined(
        id=row.item_id,
        at=row.at,
        source=row.source,
        status=row.status,
        errors=[ProblemError(**e) for e in parse_json(row.faults)],
        item=parse_json(row.item),
    )
