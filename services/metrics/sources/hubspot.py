"""HubSpot: object subscriptions (v3, v2, v1 signatures) and the workflow action's body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    Fact,
    NotAuthentic,
    NotReadable,
    Observation,
    Secrets,
    Translation,
    garbled,
    json_of,
    moment_of,
)
from services.metrics.sources.opportunities import CrmMapping, Outcome
from services.metrics.sources.opportunities import settle as settle_deal
from shared.clock import EPOCH, to_micros

# HubSpot says five minutes; a sender's clock may also run a little ahead of ours.
TOLERANCE = timedelta(minutes=5)
MAKING = timedelta(seconds=5)
# Of a property HubSpot keeps at least so many versions; older ones may be gone.
KEPT_VERSIONS = 20
STAGES: dict[str, Outcome] = {"closedwon": "won", "closedlost": "lost"}
_DECODED = re.compile("|".join(("%3A", "%2F", "%3F", "%40", "%21", "%24", "%27", "%28", "%29", "%2A", "%2C", "%3B")), re.IGNORECASE)  # fmt: skip  # noqa: E501
_OBJECTS = {"0-1": "contact", "0-2": "company", "0-3": "deal", "0-5": "ticket"}
_PROPERTIES = {
    "dealstage": "stage", "amount": "amount", "deal_currency_code": "currency",
    "hubspot_owner_id": "owner", "pipeline": "pipeline", "dealtype": "type",
    "hs_is_closed_won": "won", "hs_is_closed": "closed",
}  # fmt: skip
_DEAL_TYPES = {"newbusiness": "new", "existingbusiness": "upsell"}


def signed_url(url: str) -> str:
    """The address as HubSpot signs it: exactly these twelve escapes undone."""
    return _DECODED.sub(lambda match: chr(int(match[0][1:], 16)), url)


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """Check the signature on the raw bytes; raises `NotAuthentic`."""
    headers = delivery.headers
    if "x-hubspot-signature-v3" in headers:
        _authenticate_v3(delivery, secrets)
        return
    given = headers.get("x-hubspot-signature")
    if given is None:
        raise NotAuthentic("The request carries no X-HubSpot-Signature.")
    version = headers.get("x-hubspot-signature-version", "v1")
    if version not in ("v1", "v2"):
        raise NotAuthentic(f"The signature version {version[:20]!r} is not known.")
    prefix = "" if version == "v1" else f"{delivery.method}{delivery.url}"
    for secret in secrets:
        expected = hashlib.sha256(f"{secret}{prefix}".encode() + delivery.body).hexdigest()
        if hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            return
    raise NotAuthentic(f"The {version} signature does not fit the body and any valid secret.")


def _authenticate_v3(delivery: Delivery, secrets: Secrets) -> None:
    timestamp = delivery.headers.get("x-hubspot-request-timestamp", "")
    if not timestamp.isdecimal() or len(timestamp) > 14:
        raise NotAuthentic("X-HubSpot-Request-Timestamp must be milliseconds since 1970.")
    sent_at = EPOCH + timedelta(milliseconds=int(timestamp))
    if abs(delivery.received_at - sent_at) > TOLERANCE:
        raise NotAuthentic("The request's timestamp is more than 5 minutes off; it is stale.")
    message = f"{delivery.method}{signed_url(delivery.url)}".encode() + delivery.body
    given = delivery.headers["x-hubspot-signature-v3"].encode("utf-8", "replace")
    for secret in secrets:
        digest = hmac.new(secret.encode(), message + timestamp.encode(), hashlib.sha256).digest()
        if hmac.compare_digest(base64.b64encode(digest), given):
            return
    raise NotAuthentic("The v3 signature does not fit the address, the body and any valid secret.")


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """What the notifications of a delivery say; one that is not understood blocks no other."""
    body = json_of(delivery)
    translation = Translation()
    if isinstance(body, dict) and "properties" in body:
        _translate_workflow(body, translation, mapping)
        return translation
    if not isinstance(body, list):
        raise NotReadable("The body is neither a list of notifications nor a workflow's object.")
    for item in body:
        try:
            _translate_item(item, translation, mapping)
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
    return translation


def _translate_item(item: dict[str, Any], translation: Translation, mapping: CrmMapping) -> None:
    kind, _, change = item["subscriptionType"].partition(".")
    if kind == "object":
        kind = _OBJECTS.get(str(item.get("objectTypeId")), "other")
    if kind not in ("deal", "contact"):
        translation.ignored += 1
        return
    if mapping.account and mapping.account != str(item["portalId"]):
        raise ValueError("portalId: the notification is another account's")
    record, at = _record(item, kind), _moment(item["occurredAt"])
    match change:
        case "creation":
            observed = ("created", str(item.get("changeSource") or ""))
        case "restore":
            observed = ("restored", "true")
        case "merge" if kind == "deal":
            _merge(item, at, translation)
            return
        case "deletion":
            observed = ("deleted", "true")
        case "propertyChange":
            observed = _property(kind, item["propertyName"], item.get("propertyValue"), mapping)
        case _:
            observed = ("", "")
    if not observed[0]:
        translation.ignored += 1
        return
    translation.observe(record, at, dict([observed]))


def _merge(item: dict[str, Any], at: Any, translation: Translation) -> None:
    """Of deals that became one all but that one are gone: a new one, or else the first."""
    stays = item.get("newObjectId") or item.get("primaryObjectId")
    for identity in (item.get("primaryObjectId"), *item["mergedObjectIds"]):
        if identity is not None and identity != stays:
            record = _record({**item, "objectId": identity}, "deal")
            translation.observe(record, at, {"deleted": True})


def _record(item: dict[str, Any], kind: str) -> str:
    portal, identity = item["portalId"], item["objectId"]
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise ValueError("objectId")
    return f"{portal}/{kind}/{identity}"


def _moment(milliseconds: Any) -> Any:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | Decimal):
        raise ValueError("occurredAt")
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def _property(kind: str, name: str, value: Any, mapping: CrmMapping) -> tuple[str, str]:
    text = "" if value is None else str(value)
    if kind == "contact":
        return ("lifecycle", text) if name == "lifecyclestage" else ("", "")
    own = mapping.fields.get(name)
    known = _PROPERTIES.get(name, f"field:{own}" if own else "")
    return (known, _DEAL_TYPES.get(text, "") if known == "type" else text)


def _translate_workflow(
    body: dict[str, Any], translation: Translation, mapping: CrmMapping
) -> None:
    """The 'send webhook' action: one whole object, each property with its own time."""
    try:
        kind = _OBJECTS.get(str(body.get("objectTypeId")), str(body.get("objectType", "")).lower())
        if kind not in ("deal", "contact"):
            translation.ignored += 1
            return
        if mapping.account and mapping.account != str(body["portalId"]):
            raise ValueError("portalId: the object is another account's")
        record = _record(body, kind)
        for name, wrapped in body["properties"].items():
            observed = _property(kind, name, wrapped["value"], mapping)
            if observed[0]:
                translation.observe(record, _moment(wrapped["timestamp"]), dict([observed]))
    except GARBLED as error:
        raise NotReadable(f"The workflow's object lacks or garbles {error}.") from error


def with_history(mapping: CrmMapping) -> list[str]:
    """The properties of a deal whose past is of interest."""
    return [*_PROPERTIES, *mapping.fields]


def observe_deal(
    translation: Translation, portal: str, deal: dict[str, Any], since: datetime | None,
    mapping: CrmMapping,
) -> datetime | None:  # fmt: skip
    """What a deal read with `propertiesWithHistory` says of itself since a moment.

    Answers from when on its stages are all told, where HubSpot has forgotten the first of them.
    """
    record, born = f"{portal}/deal/{deal['id']}", moment_of(deal["createdAt"])
    told = [("created", "", born)]
    for name, versions in (deal.get("propertiesWithHistory") or {}).items():
        for version in versions:
            at = moment_of(version["timestamp"])
            # What is filled in while a deal is made carries times a moment off its creation.
            at = born if abs(at - born) <= MAKING else at
            told.append((*_property("deal", name, version["value"], mapping), at))
    if deal.get("archived"):
        told.append(("deleted", "true", moment_of(deal["archivedAt"])))
    translation.observations += [
        Observation(record, name, value, at)
        for name, value, at in told
        if name and (since is None or at >= since)
    ]
    stages = (deal.get("propertiesWithHistory") or {}).get("dealstage") or []
    first = min((moment_of(one["timestamp"]) for one in stages), default=born)
    return first if len(stages) >= KEPT_VERSIONS and first - born > MAKING else None


def settle(record: str, observations: Iterable[Observation], mapping: CrmMapping) -> list[Fact]:
    """The facts of one record from all that was observed of it."""
    if "/contact/" in record:
        return _settle_contact(record, observations, mapping)
    return settle_deal(record, observations, mapping, STAGES)


def _settle_contact(
    record: str, observations: Iterable[Observation], mapping: CrmMapping
) -> list[Fact]:
    wanted = {"contact_created": "created", "lifecycle_stage": "lifecycle"}.get(mapping.lead)
    moments = sorted(
        o.at
        for o in observations
        if o.property == wanted and (wanted == "created" or o.value in mapping.lead_stages)
    )
    if not moments:
        return []
    identity = f"{record}/lead_created/{to_micros(moments[0])}"
    return [Fact(identity, "crm.lead.created", f"lead/{record}", moments[0], {})]
