"""Webhook deliveries: authenticated and stored verbatim first, translated into events after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select, update

from services.metrics.commands.credentials import source_of_token
from services.metrics.commands.inbox import Address
from services.metrics.commands.settling import append_translation
from services.metrics.domain.facts import SourceDescribed
from services.metrics.queries.definitions import source as find_source
from services.metrics.queries.definitions import sources_of
from services.metrics.sources.delivery import (
    Delivery,
    NotAuthentic,
    NotReadable,
    Translation,
)
from services.metrics.sources.vendors import vendor_of
from services.metrics.tables import deliveries
from shared.chain import canonical_json, parse_json
from shared.errors import UNAUTHENTICATED, UNAVAILABLE, Refusal
from shared.ids import new_id
from shared.ledger import Ledger, Transaction
from shared.telemetry import log

# How the detail of a delivery begins that is worth another try.
NOT_YET = "Not read back yet"
_KEPT_HEADERS = ("content-type", "user-agent")


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery that proved itself, as it is to be stored, and the answer its vendor waits for.

    There is nothing to store of a test that a vendor sends to see whether we answer.
    """

    delivery: dict[str, Any] | None
    answer: tuple[bytes, str] | None


def receive(
    address: Address, headers: dict[str, str], body: bytes, url: str, now: datetime
) -> Received:
    """Authenticate a delivery on its raw bytes; refuses one that does not prove itself."""
    described = address.described
    vendor = vendor_of(described.kind)
    delivery = Delivery(signed_address(described.public_url, url), headers, body, now)
    try:
        mapping = vendor.mapping.model_validate(described.mapping)
        vendor.authenticate(delivery, address.secrets, mapping)
    except NotAuthentic as error:
        raise UNAUTHENTICATED.refusal(str(error)) from error
    if vendor.ignores(delivery):
        return Received(None, vendor.answer)
    kept = {
        name: value
        for name, value in headers.items()
        if name in _KEPT_HEADERS or name.startswith(vendor.headers)
    }
    row = {
        "tenant_id": address.tenant_id, "delivery_id": new_id(), "source": described.key,
        "received_at": now, "headers": canonical_json(kept), "body": vendor.kept(body),
        "state": "received", "detail": "", "events": 0,
    }  # fmt: skip
    return Received(row, vendor.answer)


def takes_cloudevents(ledger: Ledger, token: str) -> bool:
    """Whether an address is one that CloudEvents may be sent to."""
    try:
        tenant_id, key = source_of_token(ledger.database, token)
        with ledger.view(tenant_id) as view:
            described, _ = find_source(view, key)
    except Refusal:
        return False
    return described.kind == "cloudevents" and described.state == "active"


def signed_address(public_url: str | None, url: str) -> str:
    """The address as the vendor knows it: our public one, with the query that came."""
    if public_url is None:
        return url
    query = urlsplit(url).query
    return f"{public_url}?{query}" if query else public_url


# Reads what a delivery only names; None where it says all itself.
ReadBack = Callable[[UUID, str], Any]


def translate_pending(
    ledger: Ledger, tenant_ids: Iterable[UUID], read_back: ReadBack,
    give_way: Callable[[], None] = lambda: None, limit: int = 100, *,
    kinds: Collection[str], named: bool,
) -> int:  # fmt: skip
    """Translate stored deliveries, oldest first; returns how many were looked at.

    `named` says whether those of the sources of some kinds are meant, or those of all others: a
    vendor that has to be asked may be slow, and holds up no other. `give_way` is called before
    each, so that what is coming in can go first.
    """
    count = 0
    for tenant_id in tenant_ids:
        with ledger.view(tenant_id) as view:
            asked = sorted(sources_of(view, kinds))
            of_them = deliveries.c.source.in_(asked)
            pending = view.connection.execute(
                select(deliveries.c.delivery_id)
                .where(
                    deliveries.c.tenant_id == tenant_id,
                    deliveries.c.state == "received",
                    of_them if named else ~of_them,
                )
                .order_by(deliveries.c.delivery_id)
                .limit(limit)
            ).scalars()
            ids = list(pending)
        for delivery_id in ids:
            give_way()
            translate_or_set_aside(ledger, tenant_id, delivery_id, read_back)
            count += 1
    return count


def translate_or_set_aside(
    ledger: Ledger, tenant_id: UUID, delivery_id: str, read_back: ReadBack
) -> None:
    """Translate a delivery; one that we fail on is set aside, so that it holds up no other."""
    try:
        # Outside of the transaction: a vendor may take its time to answer.
        answer = read_back(tenant_id, delivery_id)
        with ledger.transaction(tenant_id, actor="translator") as transaction:
            translate_one(transaction, delivery_id, answer)
    except NotReadable as error:
        _set_aside(ledger, tenant_id, delivery_id, str(error))
    except Exception as error:
        if isinstance(error, Refusal) and error.problem is UNAVAILABLE:
            raise
        log("deliveries").error("translation-failed", delivery=delivery_id, exc_info=error)
        detail = "We failed to translate this; see the log."
        _set_aside(ledger, tenant_id, delivery_id, detail)


def _set_aside(ledger: Ledger, tenant_id: UUID, delivery_id: str, detail: str) -> None:
    with ledger.database.write(tenant_id) as connection:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.tenant_id == tenant_id, deliveries.c.delivery_id == delivery_id)
            .values(state="quarantined", detail=detail[:2_000])
        )


def forget_bodies(ledger: Ledger, tenant_id: UUID, days: int) -> int:
    """Empty the bodies of deliveries that were understood, or dismissed, so many days ago."""
    before = ledger.clock.now() - timedelta(days=days)
    with ledger.database.write(tenant_id) as connection:
        forgotten = connection.execute(
            update(deliveries)
            .where(
                deliveries.c.tenant_id == tenant_id,
                deliveries.c.state.in_(("translated", "dismissed")),
                deliveries.c.received_at < before,
                deliveries.c.body != b"",
            )
            .values(body=b"")
        )
        return forgotten.rowcount


def not_read_back(ledger: Ledger, tenant_id: UUID) -> list[str]:
    """The deliveries that were set aside because their vendor did not answer."""
    with ledger.database.read(tenant_id) as connection:
        rows = connection.execute(
            select(deliveries.c.delivery_id)
            .where(
                deliveries.c.tenant_id == tenant_id,
                deliveries.c.state == "quarantined",
                deliveries.c.detail.startswith(NOT_YET),
            )
            # Some may never be read; by chance all have their turn.
            .order_by(func.random())
            .limit(100)
        )
        return list(rows.scalars())


def delivery_of(row: Any) -> Delivery:
    """A stored delivery as its vendor's file reads it."""
    return Delivery("", parse_json(row.headers), row.body, row.received_at)


def translate_one(transaction: Transaction, delivery_id: str, answer: Any = None) -> str:
    """Turn one stored delivery into events, in one transaction; its new state.

    `answer` is what was read back of the record that it names.
    """
    mine = (
        deliveries.c.tenant_id == transaction.tenant_id,
        deliveries.c.delivery_id == delivery_id,
    )
    row = transaction.connection.execute(select(deliveries).where(*mine)).one()
    done = row.state not in ("received", "quarantined")
    if done and (not row.body or (not row.detail and row.events)):
        return str(row.state)
    described, _ = find_source(transaction, row.source)
    try:
        translation = _translate(described, delivery_of(row), answer)
    except NotReadable as error:
        state, detail, count = "quarantined", str(error), 0
    else:
        count = append_translation(transaction, described, translation)
        faults = translation.faults
        nothing = bool(faults) and not count and not translation.known
        state = "quarantined" if nothing else "translated"
        detail = "; ".join(f.detail for _, f in faults)[:2_000]
    transaction.connection.execute(
        update(deliveries).where(*mine).values(state=state, detail=detail, events=count)
    )
    return state


def _translate(described: SourceDescribed, delivery: Delivery, answer: Any) -> Translation:
    vendor = vendor_of(described.kind)
    mapping = vendor.mapping.model_validate(described.mapping)
    source = f"/sources/{described.key}"
    if answer is not None and vendor.complete is not None:
        return vendor.complete(delivery, answer, mapping, source)
    return vendor.translate(delivery, mapping, source)
