"""Pipedrive: webhooks v2, and the bodies of v1 that are still about."""

from __future__ import annotations

import base64
from collections.abc import Iterable
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
_FLOW = {
    "stage_id": "stage", "status": "status", "value": "amount", "currency": "currency",
    "user_id": "owner", "owner_id": "owner", "org_id": "account", "pipeline": "pipeline",
    "pipeline_id": "pipeline", "lost_reason": "reason",
}  # fmt: skip
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
        "pipeline": now.get("pipeline_id"),
        "reason": now.get("lost_reason"),
        "status": status if status in ("open", "won", "lost") else None,
        **_along(now, mapping),
    }
    if said["amount"] is None and (created or "value" in before):
        said["amount"] = ""
    ended = _time(now, f"{status}_time") if status in ("won", "lost") else None
    first = {**said, "status": "open"} if created and ended and ended > (at or sent) else said
    translation.observe(record, at or sent, first)
    if ended is not None and not closed:
        # The closing itself did not reach us; the deal still says when it was.
        names = ("snapshot", "status", "amount", "currency")
        translation.observe(record, ended, {name: said[name] for name in names})


def observe_deal(
    translation: Translation, account: str, deal: dict[str, Any], since: datetime,
    mapping: CrmMapping,
) -> None:  # fmt: skip
    """How a deal stands by the REST interface, each thing at the time that the deal gives it."""
    record, updated = f"{account}/deal/{deal['id']}", _time(deal, "update_time", "add_time")
    if updated is None:
        raise ValueError("update_time")
    if deal.get("is_deleted") or deal.get("status") == "deleted":
        translation.observe(record, updated, {"deleted": True})
        return
    born, status = _time(deal, "add_time"), deal.get("status")
    if born is not None and born >= since:
        translation.observe(record, born, {"snapshot": True, "born": True})
    moved = _time(deal, "stage_change_time") or born or updated
    stands = {"stage": deal.get("stage_id"), "pipeline": deal.get("pipeline_id")}
    translation.observe(record, moved, {"snapshot": True, **stands})
    translation.observe(record, updated, {"snapshot": True, **_along(deal, mapping)})
    ended = _time(deal, f"{status}_time", "close_time") if status in ("won", "lost") else None
    said = {"snapshot": True, "status": status, "reason": deal.get("lost_reason")}
    translation.observe(record, ended or updated, said)


def observe_flow(
    translation: Translation, account: str, deal: dict[str, Any],
    changes: Iterable[dict[str, Any]], mapping: CrmMapping,
) -> None:  # fmt: skip
    """A deal's whole past from its flow: how it was made, then every change at its time."""
    record, born = f"{account}/deal/{deal['id']}", _time(deal, "add_time")
    if born is None:
        raise ValueError("add_time")
    ordered = sorted(changes, key=lambda change: (change["log_time"], change["id"]))
    told = [(_FLOW[c["field_key"]], c) for c in ordered if c["field_key"] in _FLOW]
    first = {"stage": deal.get("stage_id"), "pipeline": deal.get("pipeline_id"),
             "status": deal.get("status"), **_along(deal, mapping)}  # fmt: skip
    # Before its first change a field held what that change replaced; without one, what it holds.
    for name, change in reversed(told):
        first[name] = change["old_value"]
    first["status"] = "open" if any(name == "status" for name, _ in told) else first["status"]
    translation.observe(record, born, {"snapshot": True, "born": True, **_told(first)})
    for name, change in told:
        at = moment_of(change["log_time"], zone_is_utc=True)
        if at == born and change["old_value"] in (None, ""):
            continue
        said = {"snapshot": True, **_told({name: change["new_value"]})}
        if name == "stage":
            said["from_stage"] = change["old_value"]
        translation.observe(record, at, said)
    if deal.get("is_deleted"):
        at = _time(deal, "update_time") or born
        translation.observe(record, at, {"deleted": True})


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if name != "status" or value in ("open", "won", "lost")
    }


def _along(deal: dict[str, Any], mapping: CrmMapping) -> dict[str, Any]:
    return {
        "amount": deal.get("value"),
        "currency": deal.get("currency"),
        "owner": deal.get("owner_id"),
        "account": deal.get("org_id"),
        **mapping.own_fields({**(deal.get("custom_fields") or {}), **deal}),
    }


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
    data = {"kind": _ACTIVITIES.get(now.get("type") or ""), "opportunity": deal,
            "owner": _text(now.get("owner_id")), "account": _text(now.get("org_id"))}  # fmt: skip
    more = {"subject": f"opportunity/{account}/deal/{deal}"} if deal else {}
    at = _time(now, "marked_as_done_time", "update_time") or sent
    translation.items.append(
        event_item("crm.activity.logged", source, f"{account}/activity/{now['id']}", at, data,
                   **more)
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
