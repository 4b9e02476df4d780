"""Bitrix24: a form that names a record; what it says is read back over REST."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

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
    pairs_of,
)
from services.metrics.sources.opportunities import CrmMapping, Outcome

STAGES: dict[str, Outcome] = {"WON": "won", "LOSE": "lost", "APOLOGY": "lost"}
_SEMANTICS = {"S": "won", "F": "lost", "P": "open"}
_KINDS = {"ONCRMDEAL": "deal", "ONCRMLEAD": "lead", "ONCRMACTIVITY": "activity"}
_ACTIVITIES = {"1": "meeting", "2": "call", "3": "task", "4": "email"}
MAKING = timedelta(minutes=1)
# The kind of a row of the stage history that a deal begins with.
CREATION = "1"
# Everything else of `auth[...]` is a credential of somebody else's.
_KEPT_AUTH = ("auth[domain]", "auth[member_id]")


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """The application token of the webhook; raises `NotAuthentic`."""
    try:
        given = dict(pairs_of(delivery.body)).get("auth[application_token]", "")
    except NotReadable as error:
        raise NotAuthentic(str(error)) from error
    if not any(equal(secret, given) for secret in secrets):
        raise NotAuthentic("auth[application_token] is not the token of this webhook.")
    form = dict(pairs_of(delivery.body))
    if mapping.account and mapping.account not in (
        form.get("auth[member_id]"), form.get("auth[domain]"),
    ):  # fmt: skip
        raise NotAuthentic("The delivery is another portal's.")


def kept(body: bytes) -> bytes:
    """The form without the tokens that ride in it."""
    pairs = pairs_of(body)
    return "&".join(
        f"{quote_plus(name)}={quote_plus(value)}"
        for name, value in pairs
        if not name.startswith("auth[") or name in _KEPT_AUTH
    ).encode()


def named(delivery: Delivery) -> tuple[str, str, str]:
    """Kind, action and id of the record that a delivery names; raises `NotReadable`."""
    form = dict(pairs_of(delivery.body))
    event, identity = form.get("event", "").upper(), form.get("data[FIELDS][ID]", "")
    kind = next((k for prefix, k in _KINDS.items() if event.startswith(prefix)), None)
    if not identity.isdecimal():
        raise NotReadable("The form names no record (data[FIELDS][ID]).")
    prefix = next((p for p in _KINDS if event.startswith(p)), "")
    return kind or "other", event.removeprefix(prefix).lower(), identity


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """What can be said without reading back: that a record is there, or gone."""
    kind, action, identity = named(delivery)
    translation = Translation()
    # `ts` is when the queue sent it; nothing tells when it happened but the record itself.
    try:
        at = epoch_ms(int(dict(pairs_of(delivery.body))["ts"]) * 1_000)
    except GARBLED as error:
        raise NotReadable("The form has no `ts`.") from error
    if kind == "deal" and action == "delete":
        translation.observe(_name(source, "deal", identity), at, {"deleted": True})
    elif kind == "lead" and action == "add":
        subject = f"lead/{_name(source, 'lead', identity)}"
        translation.items.append(
            event_item("crm.lead.created", source, f"{subject}/created", at, {}, subject=subject)
        )
    elif kind == "activity" and action == "add":
        translation.items.append(
            event_item("crm.activity.logged", source, _name(source, "activity", identity), at,
                       {})
        )  # fmt: skip
    elif kind == "deal":
        raise NotReadable(
            f"Only the id {identity} was sent; the deal has to be read back from the portal."
        )
    else:
        translation.ignored += 1
    return translation


def complete(delivery: Delivery, answer: Any, mapping: CrmMapping, source: str) -> Translation:
    """What a delivery means, now that the deal that it names was read back."""
    _, action, _ = named(delivery)
    return read_deal(answer, action == "add", mapping, source)


def read_deal(answer: Any, created: bool, mapping: CrmMapping, source: str) -> Translation:
    """What a portal's answer says of a deal: `crm.item.get`, or the older `crm.deal.get`."""
    translation = Translation()
    try:
        result = answer["result"]
        fields = result.get("item", result)
        now = {_plain(name): value for name, value in fields.items()}
        record, updated = _name(source, "deal", now["id"]), moment_of(now["updatedtime"])
        moved = moment_of(now["movedtime"]) if now.get("movedtime") else updated
        if created:
            born = moment_of(now.get("createdtime") or now["updatedtime"])
            translation.observe(record, born, {"snapshot": True, "born": True})
        stands = {
            "snapshot": True,
            "stage": now.get("stageid"),
            "status": _SEMANTICS.get(now.get("stagesemanticid") or ""),
            "pipeline": now.get("categoryid"),
        }
        translation.observe(record, moved, stands)
        said = {"snapshot": True, **_along(now, fields, mapping)}
        translation.observe(record, updated, said)
    except GARBLED as error:
        raise NotReadable(f"The portal's answer lacks or garbles {error}.") from error
    return translation


def observe_deal(
    translation: Translation, item: dict[str, Any], since: datetime, mapping: CrmMapping,
    source: str,
) -> None:  # fmt: skip
    """What a list of changed deals says of one: how it stands, and that it is new if it is."""
    found = read_deal({"result": {"item": item}}, False, mapping, source)
    translation.observations += found.observations
    created = item.get("createdTime")
    if created and moment_of(created) >= since:
        record = found.observations[0].record
        translation.observe(record, moment_of(created), {"snapshot": True, "born": True})


def observe_history(
    translation: Translation, row: dict[str, Any], deal: dict[str, Any] | None,
    mapping: CrmMapping, source: str,
) -> None:  # fmt: skip
    """What a row of the stage history says, and of the deal itself what no history keeps."""
    record, at = _name(source, "deal", row["OWNER_ID"]), moment_of(row["CREATED_TIME"])
    if deal is not None:
        now = {_plain(name): value for name, value in deal.items()}
        born = moment_of(now["createdtime"])
        translation.observe(
            record, born, {"snapshot": True, "born": True, **_along(now, deal, mapping)}
        )
        at = born if str(row["TYPE_ID"]) == CREATION else at
    stands = {
        "snapshot": True,
        "born": True if str(row["TYPE_ID"]) == CREATION else None,
        "stage": row["STAGE_ID"],
        "status": _SEMANTICS.get(row.get("STAGE_SEMANTIC_ID") or ""),
        "pipeline": row.get("CATEGORY_ID"),
    }
    translation.observe(record, at, stands)


def _along(now: dict[str, Any], fields: dict[str, Any], mapping: CrmMapping) -> dict[str, Any]:
    return {
        "amount": now.get("opportunity"),
        "currency": now.get("currencyid"),
        "owner": now.get("assignedbyid"),
        "account": now.get("companyid"),
        **mapping.own_fields(fields),
    }


def _name(source: str, kind: str, identity: Any) -> str:
    """A record's name; by the source's key, for a portal may answer to several addresses."""
    return f"{source.rpartition('/')[2]}/{kind}/{identity}"


# The older method writes the same fields in capitals, and some under other names.
_RENAMED = {"datecreate": "createdtime", "datemodify": "updatedtime"}


def _plain(name: str) -> str:
    plain = name.replace("_", "").lower()
    return _RENAMED.get(plain, plain)
