"""Standard Webhooks: any sender that signs `{type, timestamp, data}` by that specification."""

from __future__ import annotations

import binascii
import hmac
from datetime import timedelta
from typing import Any

from standardwebhooks import Webhook

from services.metrics.domain.mapping import Mapping
from services.metrics.domain.types import CANONICAL
from services.metrics.sources.delivery import (
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    json_of,
    without_persons,
)
from shared.clock import EPOCH
from shared.errors import Fault

TOLERANCE = timedelta(minutes=5)
# Where no mapping is given: types that are canonical already, and two everyday names.
_ALIASES = {
    "order.placed": "commerce.order.placed",
    "survey.answered": "survey.response.received",
}
_TIMES = ("placed_at", "occurred_at", "completed_at", "created_at", "day", "date")


def authenticate(delivery: Delivery, secrets: Secrets, mapping: Mapping) -> None:
    """Check id, timestamp and signatures on the raw bytes; raises `NotAuthentic`."""
    identity, timestamp, given = (_header(delivery, n) for n in ("id", "timestamp", "signature"))
    if not identity or not timestamp.isdecimal() or len(timestamp) > 11:
        raise NotAuthentic("webhook-id and webhook-timestamp (seconds) are needed.")
    sent_at = EPOCH + timedelta(seconds=int(timestamp))
    if abs(delivery.received_at - sent_at) > TOLERANCE:
        raise NotAuthentic("webhook-timestamp is more than 5 minutes off; the delivery is stale.")
    entries = {entry for entry in given.split(" ") if entry.startswith("v1,")}
    for secret in secrets:
        try:
            expected = Webhook(secret).sign(identity, sent_at, delivery.body.decode())
        except (binascii.Error, ValueError) as error:
            raise NotAuthentic("The body or the stored secret can't be read as text.") from error
        if any(_equal(expected, entry) for entry in entries):
            return
    raise NotAuthentic("No v1 signature fits the id, the timestamp, the body and any valid secret.")


def _header(delivery: Delivery, name: str) -> str:
    """One of the specification's headers, also under the name that it had before."""
    headers = delivery.headers
    return headers.get(f"webhook-{name}") or headers.get(f"svix-{name}", "")


def _equal(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def translate(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """The event that a delivery carries; `webhook-id` identifies it where the mapping does not."""
    body = json_of(delivery)
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise NotReadable("The body is no object with a `type`.")
    identity = _header(delivery, "id")
    translation = Translation()
    if mapping.events:
        taken = translation.take(mapping, source, {**body, "webhook-id": identity}, body)
    elif taken := (item := _by_convention(body, source, identity)) is not None:
        translation.items.append(item)
    if not taken:
        detail = f"No rule of the source's mapping takes the type {body['type']!r}."
        translation.faults.append((body, Fault("/type", detail, "unmapped_type")))
    return translation


def _by_convention(body: dict[str, Any], source: str, identity: str) -> dict[str, Any] | None:
    name = _ALIASES.get(body["type"], body["type"])
    data = body.get("data")
    if name not in CANONICAL or not isinstance(data, dict):
        return None
    moment = next((data[t] for t in _TIMES if isinstance(data.get(t), str)), body.get("timestamp"))
    item = {
        "specversion": "1.0",
        "type": name,
        "source": source,
        "id": identity,
        "time": moment,
        "data": without_persons(
            _renamed({k: v for k, v in data.items() if k not in _TIMES}), CANONICAL[name]
        ),
    }
    subject = data.get("id")
    if isinstance(subject, str) and subject:
        item["subject"] = f"{name.split('.')[1]}/{subject}"
    return item


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    """`customer_id` and the like under their canonical names."""
    return {("customer" if k == "customer_id" else k): v for k, v in data.items()}
