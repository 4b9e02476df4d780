"""Pipedrive: webhooks v2, and the bodies of v1 that are still about."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    epoch_ms,
    equal,
    event_item,
    moment_of,
    object_of,
)
from services.metrics.sources.opportunities import CrmMapping

SECOND = timedelta(seconds=1)
_ACTIONS = {"added": "create", "updated": "change", "deleted": "delete"}
_ACTIVITIES = {"call": "call", "meeting": "meeting", "email": "email", "task": "task"}


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """Basic authentication, where the webhook has it; the secret is `user:password`."""
    if not secrets:
        return
    scheme, _, given = delivery.headers.get("authorization", "").partition(" ")
    valid = [base64.b64encode(secret.encode()) for secret in secrets]
    if scheme.lower() != "basic" or not any(equal(one, given) for one in valid):
        raise NotAuthentic("The user and password of Basic authentication are not valid.")


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """What one change says of a deal, a lead or an activity."""
    body, translation = object_of(delivery), Translation()
    try:
        meta = body["meta"]
        first = "current" in body or meta.get("v") == 1
        kind = meta["object"] if first else meta["entity"]
        action = _ACTIONS.get(meta["action"], meta["action"])
        now = body["current"] if first else body["data"]
        before = body.get("previous") or {}
        if first and now is not None:
            before = {k: v for k, v in before.items() if v != now.get(k)}
        account = str(meta.get("company_id", ""))
        if mapping.account and mapping.account != account:
            raise NotReadable("The delivery is another company's.")
        sent = _sent_at(meta)
        if kind == "deal":
            _deal(action, account, now, before, sent, meta, translation, mapping)
        elif kind == "lead" and action == "create":
            _lead(account, now, translation, source, sent)
        elif kind == "activity" and now is not None and now.get("done"):
            _activity(action, account, now, before, translation, source, sent)
        else:
            translation.ignored += 1
    except GARBLED as error:
        raise NotReadable(f"The change lacks or garbles {error}.") from error
    return translation


def _sent_at(meta: dict[str, Any]) -> datetime:
    stamp = meta["timestamp"]
    return epoch_ms(stamp * 1_000) if isinstance(stamp, int) else moment_of(stamp)


def _time(fields: dict[str, Any], *names: str) -> datetime | None:
    found = next((fields[name] for name in names if fields.get(name)), None)
    return None if found is None else moment_of(found, zone_is_utc=True)


def _deal(
    action: str, account: str, now: dict[str, Any] | None, before: dict[str, Any],
    sent: datetime, meta: dict[str, Any], translation: Translation, mapping: CrmMapping,
) -> None:  # fmt: skip
    if action == "delete" or now is None:
        identity = (now or before).get("id") or meta.get("entity_id") or meta.get("id")
        translation.observe(f"{account}/deal/{identity}", sent, {"deleted": True})
        return
    record = f"{account}/deal/{now['id']}"
    created, status = action == "create", now.get("status")
    moved, closed = "stage_id" in before, "status" in before and status in ("won", "lost")
    if created:
        at = _time(now, "add_time")
    elif closed:
        at = _time(now, f"{status}_time", "close_time", "update_time")
    else:
        at = _time(now, "stage_change_time" if moved else "update_time", "update_time")
        # Times of a deal are whole seconds; the message tells two edits of one second apart.
        if not moved and at is not None and at <= sent < at + SECOND:
            at = sent
    said = {
        "snapshot": True,
        "born": True if created else None,
        "stage": now.get("stage_id"),
        "from_stage": before.get("stage_id"),
        "same_stage": None if moved or created else True,
        "amount": now.get("value"),
        "currency": now.get("currency"),
        "owner": now.get("owner_id"),
        "account": now.get("org_id"),
        "pipeline": now.get("pipeline_id"),
        "reason": now.get("lost_reason"),
        "status": status if status in ("open", "won", "lost") else None,
        **mapping.own_fields({**(now.get("custom_fields") or {}), **now}),
    }
    ended = _time(now, f"{status}_time") if status in ("won", "lost") else None
    first = {**said, "status": "open"} if created and ended and ended > (at or sent) else said
    translation.observe(record, at or sent, first)
    if ended is not None and not closed:
        # The closing itself did not reach us; the deal still says when it was.
        names = ("snapshot", "status", "amount", "currency")
        translation.observe(record, ended, {name: said[name] for name in names})


def _lead(
    account: str, now: dict[str, Any], translation: Translation, source: str, sent: datetime
) -> None:
    subject = f"lead/{account}/lead/{now['id']}"
    data = {"channel": now.get("source_name"), "owner": _text(now.get("owner_id")),
            "account": _text(now.get("organization_id"))}  # fmt: skip
    at = _time(now, "add_time") or sent
    translation.items.append(
        event_item("crm.lead.created", source, f"{subject}/created", at, data, subject=subject)
    )


def _activity(
    action: str, account: str, now: dict[str, Any], before: dict[str, Any],
    translation: Translation, source: str, sent: datetime,
) -> None:  # fmt: skip
    if action == "change" and "done" not in before:
        translation.ignored += 1
        return
    deal = _text(now.get("deal_id"))
    data = {"kind": _ACTIVITIES.get(now.get("type") or "", "task"), "opportunity": deal,
            "owner": _text(now.get("owner_id")), "account": _text(now.get("org_id"))}  # fmt: skip
    more = {"subject": f"opportunity/{account}/deal/{deal}"} if deal else {}
    at = _time(now, "marked_as_done_time", "update_time") or sent
    translation.items.append(
        event_item("crm.activity.logged", source, f"{account}/activity/{now['id']}", at, data,
                   **more)
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
