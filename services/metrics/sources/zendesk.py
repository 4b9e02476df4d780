"""Zendesk: ticket events, and whatever a trigger was made to say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

from services.metrics.domain.mapping import Mapping
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
from shared.errors import Fault

TOLERANCE = timedelta(minutes=5)
_PREFIX = "zen:event-type:ticket."
_RATINGS = {"good": 5, "bad": 1}


def authenticate(delivery: Delivery, secrets: Secrets, mapping: Mapping) -> None:
    """Base64 of HMAC-SHA256 over timestamp and body; the secret is the key as it stands."""
    stamp = delivery.headers.get("x-zendesk-webhook-signature-timestamp", "")
    given = delivery.headers.get("x-zendesk-webhook-signature", "")
    for secret in secrets:
        digest = hmac.new(secret.encode(), stamp.encode() + delivery.body, hashlib.sha256).digest()
        if equal(base64.b64encode(digest), given):
            break
    else:
        raise NotAuthentic("X-Zendesk-Webhook-Signature does not fit any valid secret.")
    try:
        sent_at = moment_of(stamp)
    except ValueError as error:
        raise NotAuthentic("X-Zendesk-Webhook-Signature-Timestamp is no time.") from error
    if abs(delivery.received_at - sent_at) > TOLERANCE:
        raise NotAuthentic("The signature's timestamp is more than 5 minutes off; it is stale.")


def translate(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """A ticket's events by their type; a trigger's JSON by the mapping, or as a rating."""
    body, translation = object_of(delivery), Translation()
    try:
        if str(body.get("type", "")).startswith(_PREFIX):
            _ticket(body, translation, source)
        elif not translation.take(mapping, source, body, body):
            _by_convention(body, translation, source)
    except GARBLED as error:
        raise NotReadable(f"The body lacks or garbles {error}.") from error
    return translation


def _by_convention(body: dict[str, Any], translation: Translation, source: str) -> None:
    """A trigger's JSON that no rule takes: a rating, or nothing that we know."""
    if "rating" in body and "ticket_id" in body:
        _rating(body, translation, source)
    elif "type" in body:
        translation.ignored += 1
    else:
        fault = Fault("/", "No rule of the source's mapping takes this JSON.", "unmapped")
        translation.faults.append((body, fault))


def _ticket(body: dict[str, Any], translation: Translation, source: str) -> None:
    what, detail = body["type"].removeprefix(_PREFIX), body["detail"]
    at, ticket, identity = moment_of(body["time"]), detail["id"], body["id"]
    subject = f"case/{ticket}"
    common = {"queue": detail.get("group_id"), "customer": detail.get("requester_id"),
              "priority": _lower(detail.get("priority"))}  # fmt: skip

    def add(name: str, key: str, **data: Any) -> None:
        translation.items.append(
            event_item(name, source, key, at, {**common, **data}, subject=subject)
        )

    if what == "created":
        add("contact.case.opened", f"ticket/{ticket}/created")
    elif what == "status_changed":
        status = _lower(body["event"]["current"])
        add("contact.case.changed", identity, status=status)
        if status == "solved":
            add("contact.case.closed", f"{identity}/closed", resolution=status)
    elif what in ("priority_changed", "group_assignment_changed"):
        add("contact.case.changed", identity, status=_lower(detail.get("status")))
    else:
        translation.ignored += 1


def _rating(body: dict[str, Any], translation: Translation, source: str) -> None:
    ticket, rating = str(body["ticket_id"]), str(body["rating"]).lower()
    at = moment_of(body["rated_at"])
    score = _RATINGS.get(rating, body["rating"])
    data = {"kind": "csat", "score": score, "about": f"case/{ticket}", "rating": rating,
            "agent": body.get("agent"), "comment": body.get("comment")}  # fmt: skip
    translation.items.append(
        event_item("survey.response.received", source, f"ticket/{ticket}/rating/{at.isoformat()}",
                   at, data, subject=f"case/{ticket}")
    )  # fmt: skip


def _lower(value: Any) -> str | None:
    return str(value).lower() if value else None
