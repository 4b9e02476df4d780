"""Webhook deliveries: authenticated and stored verbatim first, translated into events after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import insert, select, update

from services.metrics.commands.credentials import Vault, source_of_token
from services.metrics.domain.cloudevents import Rejected, read_cloudevent
from services.metrics.domain.facts import RecordObserved, Retracted, SourceDescribed
from services.metrics.queries.definitions import source as find_source
from services.metrics.queries.definitions import types
from services.metrics.queries.seen import record_names
from services.metrics.sources.delivery import (
    Delivery,
    Fact,
    NotAuthentic,
    NotReadable,
    Observation,
    Translation,
)
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.records import data_of, fold_record
from services.metrics.sources.vendors import vendor_of
from services.metrics.tables import deliveries, quarantine
from shared.chain import canonical_json, parse_json
from shared.clock import to_micros
from shared.errors import NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, Fault, Refusal
from shared.events import NewEvent
from shared.ids import new_id
from shared.ledger import Ledger, Transaction, new_event
from shared.telemetry import log

_KEPT_HEADERS = ("content-type", "user-agent")


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a delivery, and the answer that its vendor waits for."""

    delivery_id: str | None
    answer: tuple[bytes, str] | None


def receive(
    ledger: Ledger, vault: Vault, token: str, headers: dict[str, str], body: bytes, url: str
) -> Received:
    """Authenticate a delivery on its raw bytes and store it as it came."""
    tenant_id, key = source_of_token(ledger.database, token)
    with ledger.view(tenant_id) as view:
        described, _ = find_source(view, key)
        secrets = vault.open(view.connection, tenant_id, key)
    if described.state == "retired":
        raise NOT_FOUND.refusal("This webhook address is not in use.")
    now, vendor = ledger.clock.now(), vendor_of(described.kind)
    delivery = Delivery(signed_address(described.public_url, url), headers, body, now)
    try:
        vendor.authenticate(delivery, secrets, vendor.mapping.model_validate(described.mapping))
    except NotAuthentic as error:
        raise UNAUTHENTICATED.refusal(str(error)) from error
    if vendor.ignores(delivery):
        return Received(None, vendor.answer)
    delivery_id = new_id()
    kept = {
        name: value
        for name, value in headers.items()
        if name in _KEPT_HEADERS or name.startswith(vendor.headers)
    }
    with ledger.database.write(tenant_id) as connection:
        connection.execute(
            insert(deliveries).values(
                tenant_id=tenant_id,
                delivery_id=delivery_id,
                source=key,
                received_at=now,
                headers=canonical_json(kept),
                body=vendor.kept(body),
                state="received",
                detail="",
                events=0,
            )
        )
    return Received(delivery_id, vendor.answer)


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
    ledger: Ledger, tenant_ids: Iterable[UUID], read_back: ReadBack, limit: int = 100
) -> int:
    """Translate stored deliveries, oldest first; returns how many were looked at."""
    count = 0
    for tenant_id in tenant_ids:
        with ledger.database.read(tenant_id) as connection:
            pending = connection.execute(
                select(deliveries.c.delivery_id)
                .where(deliveries.c.tenant_id == tenant_id, deliveries.c.state == "received")
                .order_by(deliveries.c.delivery_id)
                .limit(limit)
            ).scalars()
            ids = list(pending)
        for delivery_id in ids:
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


def not_read_back(ledger: Ledger, tenant_id: UUID, detail: str) -> list[str]:
    """The deliveries that were set aside with a detail that begins so."""
    with ledger.database.read(tenant_id) as connection:
        rows = connection.execute(
            select(deliveries.c.delivery_id)
            .where(
                deliveries.c.tenant_id == tenant_id,
                deliveries.c.state == "quarantined",
                deliveries.c.detail.startswith(detail, autoescape=True),
            )
            .order_by(deliveries.c.delivery_id)
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
    if row.state not in ("received", "quarantined") and (not row.detail or not row.body):
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


def append_translation(
    transaction: Transaction, described: SourceDescribed, translation: Translation
) -> int:
    """Append the events that a translation gives, and keep what it can't; how many were new."""
    new: list[NewEvent] = []
    kinds = types(transaction)
    for item in translation.items:
        event = read_cloudevent(item, kinds, transaction.known_at)
        if isinstance(event, Rejected):
            translation.faults += [(item, fault) for fault in event.faults]
        else:
            new.append(event)
    records: dict[str, list[Observation]] = defaultdict(list)
    for observation in translation.observations:
        records[observation.record].append(observation)
    for record, said in records.items():
        new += _settle(transaction, described, record, said, translation)
    outcomes = transaction.append(new)
    translation.known += sum(o.status == "duplicate" for o in outcomes)
    for outcome, event in zip(outcomes, new, strict=True):
        if outcome.status == "conflict":
            detail = f"The event {event.event_id!r} is known with other content."
            translation.faults.append((event.data, Fault("/id", detail, "conflict")))
    for item, fault in translation.faults:
        keep_in_quarantine(transaction, f"/sources/{described.key}", "quarantined", item, [fault])
    return sum(o.status == "accepted" for o in outcomes)


def keep_in_quarantine(
    transaction: Transaction, source: str, status: str, item: Any, faults: Iterable[Fault]
) -> None:
    """Keep what can't be a fact, with its reason, so that nothing sent is lost."""
    shown = [{"pointer": f.pointer, "detail": f.detail, "code": f.code} for f in faults]
    transaction.connection.execute(
        insert(quarantine).values(
            tenant_id=transaction.tenant_id,
            item_id=new_id(),
            at=transaction.known_at,
            source=source[:1_000],
            status=status,
            faults=canonical_json(shown),
            item=canonical_json(item),
        )
    )


def _settle(
    transaction: Transaction,
    described: SourceDescribed,
    record: str,
    said: list[Observation],
    translation: Translation,
) -> list[NewEvent]:
    """The events that bring a record's stream up to all that was ever observed of it."""
    source = f"/sources/{described.key}"
    stream = f"record/{described.key}/{record}"
    known = fold_record(transaction.stream(stream))
    fresh = [o for o in dict.fromkeys(said) if o not in known.observed]
    if said and not fresh:
        translation.known += 1
        return []
    mapping = CrmMapping.model_validate(described.mapping)
    settle = vendor_of(described.kind).settle
    assert settle is not None, "kinds that observe records settle them"
    facts = {f.event_id: f for f in settle(record, {*known.observed, *fresh}, mapping)}
    revision, new = known.revision, list[NewEvent]()
    if fresh:
        revision += 1
        new.append(_observed(source, stream, revision, record, fresh, transaction.known_at))
    for identity, fact in facts.items():
        data, faults = data_of(fact)
        translation.faults += [(identity, fault) for fault in faults]
        before = known.standing.get(identity)
        if before is not None and before.data == data:
            continue
        revision += 1
        version = known.versions.get(identity, 0)
        new.append(_fact_event(source, stream, revision, fact, data, version))
    for identity in known.standing.keys() - facts.keys():
        revision += 1
        gone = Retracted(
            source=source, event_id=identity, reason="no longer follows from the record"
        )
        new.append(
            new_event(gone, source="/metrics", stream=stream, revision=revision,
                      subject=source, occurred_at=transaction.known_at)
        )  # fmt: skip
    return new


def settle_again(transaction: Transaction, described: SourceDescribed) -> int:
    """Bring every record of a source up to its present mapping; how many facts changed."""
    changed, translation = 0, Translation()
    for record in record_names(transaction, described.key):
        new = _settle(transaction, described, record, [], translation)
        if new:
            changed += sum(o.status == "accepted" for o in transaction.append(new))
    return changed


def _observed(
    source: str, stream: str, revision: int, record: str, fresh: list[Observation], now: datetime
) -> NewEvent:
    said = [{"property": o.property, "value": o.value, "at": to_micros(o.at)} for o in fresh]
    payload = RecordObserved(record=record, observations=said)
    return new_event(
        payload,
        source="/metrics",
        stream=stream,
        revision=revision,
        subject=source,
        occurred_at=now,
    )


def _fact_event(
    source: str, stream: str, revision: int, fact: Fact, data: str, version: int
) -> NewEvent:
    return NewEvent(
        source=source,
        event_id=fact.event_id,
        sequence=str(version) if version else "",
        name=fact.name,
        subject=fact.subject,
        occurred_at=fact.occurred_at,
        stream=stream,
        revision=revision,
        data=data,
    )
