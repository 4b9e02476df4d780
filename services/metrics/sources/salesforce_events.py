"""Salesforce's change events and platform events: by Event Relay, AppFlow, or an own subscriber."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, model_validator

from services.metrics.domain.mapping import Mapping
from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    Secrets,
    Translation,
    demand_key,
    epoch_ms,
    garbled,
    json_of,
)
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.salesforce import full_id, observe_record
from shared.clock import MICROSECOND
from shared.errors import Fault


class EventsMapping(CrmMapping):
    """What a CRM's own names mean, and how an organisation's own platform events become facts."""

    platform_events: Mapping = Field(
        default_factory=Mapping,
        description="Rules as for files, over the fields of a platform event beside `event` (its "
        "name, such as `Order_Placed__e`), `event_uuid` and `replay_id`",
    )

    @model_validator(mode="after")
    def _without_tables(self) -> EventsMapping:
        if self.platform_events.lookups:
            raise ValueError("`lookups` are tables beside a file; an event has none")
        return self


def authenticate(delivery: Delivery, secrets: Secrets, mapping: EventsMapping) -> None:
    """Salesforce signs nothing here; the hop before us adds the key."""
    demand_key(delivery, secrets)


def translate(delivery: Delivery, mapping: EventsMapping, source: str) -> Translation:
    """One observation per record of each change; a change event holds only what changed.

    Platform events hold what their organisation made them for, and are taken by its rules.
    """
    body = json_of(delivery)
    translation = Translation()
    for item in body if isinstance(body, list) else [body]:
        try:
            change = _change_in(item)
            if change is None:
                _translate_event(item, translation, mapping, source)
                continue
            _demand_own(item, mapping)
            _translate_change(change, translation, mapping, source)
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
    return translation


def _demand_own(item: Any, mapping: CrmMapping) -> None:
    """Refuse another organisation's events, where envelope and mapping name one."""
    found = re.search(r"salesforce\.com/(\w{15,18})/", str(item.get("source", "")))
    if mapping.account and found and full_id(found[1]) != full_id(mapping.account):
        raise ValueError("source: the event is another organisation's")


def _change_in(item: Any) -> dict[str, Any] | None:
    """The change itself, whichever envelope it came in."""
    places = [item]
    for name in ("detail", "payload", "data"):
        places += [place[name] for place in places if isinstance(place, dict) and name in place]
    return next((p for p in places if isinstance(p, dict) and "ChangeEventHeader" in p), None)


def _translate_event(
    item: Any, translation: Translation, mapping: EventsMapping, source: str
) -> None:
    """A platform event by the source's rules; one that none takes is kept in quarantine."""
    row = _row_of(item)
    if row is None:
        fault = Fault("/", "This holds neither a ChangeEventHeader nor a platform event.", "item")
        translation.faults.append((item, fault))
        return
    _demand_own(item, mapping)
    if not translation.take(mapping.platform_events, source, row, item):
        detail = f"No rule of `platform_events` in the source's mapping takes {row['event']!r}."
        translation.faults.append((item, Fault("/", detail, "unmapped_type")))


def _row_of(item: Any) -> dict[str, Any] | None:
    """A platform event's fields, its name and ids beside them, whichever envelope it came in."""
    if not isinstance(item, dict):
        return None
    payload, wrappers = item, [item]
    for name in ("detail", "data", "payload"):
        if isinstance(payload.get(name), dict):
            payload = payload[name]
            wrappers.append(payload)
    told = (item.get("detail-type"), str(item.get("channel", "")).rpartition("/")[2])
    event = next((name for name in told if isinstance(name, str) and name.endswith("__e")), None)
    if event is None:
        return None
    ids: dict[str, Any] = {}
    for wrapper in wrappers:
        ids |= wrapper["event"] if isinstance(wrapper.get("event"), dict) else {}
    uuid = payload.get("EventUuid") or ids.get("EventUuid") or item.get("id")
    return {**payload, "event": event, "event_uuid": uuid, "replay_id": ids.get("replayId")}


def _translate_change(
    change: dict[str, Any], translation: Translation, mapping: CrmMapping, source: str
) -> None:
    header = change["ChangeEventHeader"]
    kind, how = header["entityName"], header["changeType"]
    # Of one transaction the changes have one time, and their order.
    at = epoch_ms(header["commitTimestamp"]) + MICROSECOND * (header.get("sequenceNumber", 1) - 1)
    fields = {name: value for name, value in change.items() if name != "ChangeEventHeader"}
    if "Amount" in (header.get("nulledFields") or ()) or fields.get("Amount", 0) is None:
        fields["Amount"] = (
            ""  # There is no amount any more, which is more than nothing said of one.
        )
    for identity in header["recordIds"]:
        if how.startswith("GAP_") or identity.endswith("*"):
            # A gap says that something changed and not what; reconciliation reads it back.
            translation.ignored += 1
        elif how == "DELETE" and kind == "Opportunity":
            translation.observe(f"deal/{full_id(identity)}", at, {"deleted": True})
        elif how in ("CREATE", "UPDATE", "UNDELETE"):
            created = how == "CREATE"
            if kind == "Lead" and not created:
                translation.ignored += 1
                continue
            observe_record(
                translation, source, kind, identity, fields, at, mapping, created=created
            )
            if how == "UNDELETE" and kind == "Opportunity":
                translation.observe(f"deal/{full_id(identity)}", at, {"restored": True})
        else:
            translation.ignored += 1
