"""SuperOffice CRM Online: sale events, signed over the raw body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from typing import Any

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    equal,
    event_item,
    moment_of,
    object_of,
)
from services.metrics.sources.opportunities import CrmMapping

_STATUS: dict[Any, str] = {1: "open", 2: "won", 3: "lost"}
_STATES = {"Open": "open", "Stalled": "open", "Sold": "won", "Lost": "lost"}
_EVENTS = {"sale.sold": "won", "sale.lost": "lost"}


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """Base64 of HMAC-SHA256 over the raw body; raises `NotAuthentic`."""
    given = delivery.headers.get("x-superoffice-signature", "")
    for secret in secrets:
        digest = hmac.new(secret.encode(), delivery.body, hashlib.sha256).digest()
        if equal(base64.b64encode(digest), given):
            return
    raise NotAuthentic("X-SuperOffice-Signature does not fit the body and any valid secret.")


def is_test(delivery: Delivery) -> bool:
    """A registration's test is answered, and nothing of it is kept."""
    return delivery.headers.get("x-superoffice-event", "").lower() == "test"


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """What one event says of a sale, a contact person or an appointment."""
    body, translation = object_of(delivery), Translation()
    try:
        event, scope = body["Event"], body.get("ContextIdentifier", "Default")
        if mapping.account and mapping.account != scope:
            raise NotReadable("The event is another customer's.")
        kind, _, action = event.partition(".")
        at, key = moment_of(body["Timestamp"]), body["PrimaryKey"]
        if kind == "sale":
            _sale(f"{scope}/deal/{key}", event, body, translation, mapping)
        elif kind == "activity" and action == "created":
            translation.items.append(
                event_item("crm.activity.logged", source, f"{scope}/activity/{key}", at,
                           {})
            )  # fmt: skip
        else:
            translation.ignored += 1
    except GARBLED as error:
        raise NotReadable(f"The event lacks or garbles {error}.") from error
    return translation


def _sale(
    record: str, event: str, body: dict[str, Any], translation: Translation, mapping: CrmMapping
) -> None:
    at, fields = moment_of(body["Timestamp"]), body.get("FieldValues") or {}
    if event == "sale.deleted":
        translation.observe(record, at, {"deleted": True})
        return
    changes = set(body.get("Changes") or [])
    status = _EVENTS.get(event) or _STATUS.get(fields.get("status"))
    if event == "sale.changed" and "status" not in changes:
        status = None
    stage = fields.get("rank") or fields.get("probability_idx")
    said = {
        "snapshot": True,
        "born": True if event == "sale.created" else None,
        "stage": stage,
        "same_stage": None if "probability_idx" in changes else True,
        # Amounts are not sent; they are read back, or stay unknown.
        "currency_id": fields.get("currency_id"),
        "owner": fields.get("associate_id"),
        "account": fields.get("contact_id"),
        "pipeline": fields.get("saleType_id"),
        "status": status,
        **mapping.own_fields(fields),
    }
    translation.observe(record, at, said)


def observe_sale(
    translation: Translation, scope: str, sale: dict[str, Any], since: datetime,
    mapping: CrmMapping,
) -> None:  # fmt: skip
    """How a sale stands by the REST interface; its last change is all that it tells a time of."""
    record, updated = f"{scope}/deal/{sale['SaleId']}", moment_of(sale["UpdatedDate"])
    born = moment_of(sale["CreatedDate"])
    if born >= since:
        translation.observe(record, born, {"snapshot": True, "born": True})
    said = {
        "snapshot": True,
        "status": _STATES.get(sale["Status"]),
        "stage": _id(sale, "Rating", "Id"),
        "amount": sale.get("Amount"),
        "currency_id": _id(sale, "Currency", "Id"),
        "owner": _id(sale, "Associate", "AssociateId"),
        "account": _id(sale, "Contact", "ContactId"),
        "pipeline": _id(sale, "SaleType", "Id"),
        **mapping.own_fields({**(sale.get("CustomFields") or {}), **sale}),
    }
    translation.observe(record, updated, said)


def _id(sale: dict[str, Any], name: str, key: str) -> Any:
    """The id of what a sale refers to; 0 refers to nothing."""
    return (sale.get(name) or {}).get(key) or None
