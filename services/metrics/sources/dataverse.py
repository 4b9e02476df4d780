"""Dynamics 365 / Dataverse: the serialised execution context of a registered step."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    demand_key,
    epoch_ms,
    equal,
    event_item,
    object_of,
)
from services.metrics.sources.opportunities import CrmMapping

_DATE = re.compile(r"/Date\((-?\d{1,16})(?:[+-]\d{4})?\)/")
# The same closing is told as Win and as Update, a moment apart.
CLOSE_BY = timedelta(minutes=5)
_STATES = {0: "open", 1: "won", 2: "lost"}
_ACTIVITIES = {"phonecall": "call", "appointment": "meeting", "email": "email", "task": "task"}


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """A static key of the registration, and the organisation where the source names its own."""
    demand_key(delivery, secrets)
    given = delivery.headers.get("x-ms-dynamics-organization", "")
    if mapping.account and not equal(mapping.account.lower(), given.lower()):
        raise NotAuthentic("The delivery is another organisation's.")


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """What one operation did to one row."""
    context, translation = object_of(delivery), Translation()
    try:
        parameters = _pairs(context["InputParameters"])
        message, kind = context["MessageName"], context["PrimaryEntityName"]
        if message in ("Win", "Lose") and "OpportunityClose" in parameters:
            _close(message, parameters["OpportunityClose"], context, translation, mapping)
        elif message == "Assign" and kind == "opportunity":
            _assign(parameters, context, translation)
        elif "EntityMoniker" in parameters and kind == "opportunity":
            _set_state(parameters, context, translation)
        elif kind == "opportunity" and (
            message == "Delete" or "Attributes" in parameters["Target"]
        ):
            _opportunity(message, parameters, context, translation, mapping)
        elif kind == "lead" and message == "Create":
            _lead(parameters["Target"], context, translation, source)
        elif kind in _ACTIVITIES and message == "Create":
            _activity(kind, parameters["Target"], context, translation, source)
        else:
            translation.ignored += 1
    except GARBLED as error:
        if "x-ms-dynamics-msg-size-exceeded" in delivery.headers:
            raise NotReadable("The message was over 256 KB; Dataverse left its content out.") from (
                error
            )
        raise NotReadable(f"The context lacks or garbles {error}.") from error
    return translation


def _pairs(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in entries}


def _attributes(entity: dict[str, Any]) -> dict[str, Any]:
    """An entity's columns; wrapped values as what they hold."""
    return {name: _plain(value) for name, value in _pairs(entity["Attributes"]).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("Value", value.get("Id"))
    return value


def _shown(value: Any) -> Any:
    """A column as facts carry it: dates as others write them."""
    return _moment(value).isoformat() if _DATE.fullmatch(str(value)) else value


def _moment(value: Any) -> datetime:
    match = _DATE.fullmatch(str(value))
    if match is None:
        raise ValueError(f"the date {str(value)[:40]!r}")
    return epoch_ms(match[1])


def _set_state(
    parameters: dict[str, Any], context: dict[str, Any], translation: Translation
) -> None:
    """The older way in which a deal is closed or opened again."""
    status = _STATES.get(_plain(parameters["State"]))
    at = _moment(context["OperationCreatedOn"])
    record = f"deal/{parameters['EntityMoniker']['Id']}"
    translation.observe(record, at, {"snapshot": True, "status": status})


def _assign(parameters: dict[str, Any], context: dict[str, Any], translation: Translation) -> None:
    """The older way in which a deal gets another owner."""
    record = f"deal/{parameters['Target']['Id']}"
    said = {"snapshot": True, "owner": parameters["Assignee"]["Id"]}
    translation.observe(record, _moment(context["OperationCreatedOn"]), said)


def _opportunity(
    message: str, parameters: dict[str, Any], context: dict[str, Any], translation: Translation,
    mapping: CrmMapping,
) -> None:  # fmt: skip
    record = f"deal/{context['PrimaryEntityId']}"
    if message == "Delete":
        at = _moment(context["OperationCreatedOn"])
        translation.observe(record, at, {"deleted": True})
        return
    changed = _attributes(parameters["Target"])
    images = [_attributes(image["value"]) for image in context.get("PostEntityImages") or []]
    known = {**(images[0] if images else {}), **changed}
    at = _moment(changed.get("modifiedon") or context["OperationCreatedOn"])
    state = _STATES.get(known.get("statecode"))  # type: ignore[arg-type]
    worth = known.get("actualvalue") if state in ("won", "lost") else known.get("estimatedvalue")
    said = {
        "snapshot": True,
        "born": True if message == "Create" else None,
        "stage": known.get("stepname"),
        "same_stage": True if "stepname" not in changed else None,
        "amount": worth if worth is not None else known.get("estimatedvalue"),
        "currency_id": known.get("transactioncurrencyid"),
        "owner": known.get("ownerid"),
        "account": known.get("customerid") or known.get("parentaccountid"),
        "status": state,
        **mapping.own_fields({name: _shown(value) for name, value in known.items()}),
    }
    if message == "Create" and said["amount"] is None:
        said["amount"] = ""
    translation.observe(record, at, said)


def _close(
    message: str, close: dict[str, Any], context: dict[str, Any], translation: Translation,
    mapping: CrmMapping,
) -> None:  # fmt: skip
    fields = _attributes(close)
    # `actualend` may be a day without a time, or dated back; then the operation says when.
    at = _moment(context["OperationCreatedOn"])
    if fields.get("actualend") and abs(at - _moment(fields["actualend"])) <= CLOSE_BY:
        at = _moment(fields["actualend"])
    said = {
        "snapshot": True,
        "status": "won" if message == "Win" else "lost",
        "amount": fields.get("actualrevenue"),
        "currency_id": fields.get("transactioncurrencyid"),
    }
    translation.observe(f"deal/{fields['opportunityid']}", at, said)


def _lead(
    target: dict[str, Any], context: dict[str, Any], translation: Translation, source: str
) -> None:
    fields, labels = _attributes(target), _pairs(target.get("FormattedValues") or [])
    identity = context["PrimaryEntityId"]
    at = _moment(fields.get("createdon") or context["OperationCreatedOn"])
    translation.items.append(
        event_item("crm.lead.created", source, f"lead/{identity}/created", at,
                   {"channel": labels.get("leadsourcecode")}, subject=f"lead/{identity}")
    )  # fmt: skip


def _activity(
    kind: str, target: dict[str, Any], context: dict[str, Any], translation: Translation,
    source: str,
) -> None:  # fmt: skip
    fields, identity = _attributes(target), context["PrimaryEntityId"]
    about = _pairs(target["Attributes"]).get("regardingobjectid")
    linked = (
        about["Id"] if isinstance(about, dict) and about["LogicalName"] == "opportunity" else None
    )
    at = _moment(
        fields.get("actualend") or fields.get("createdon") or context["OperationCreatedOn"]
    )
    data = {
        "kind": _ACTIVITIES[kind], "owner": fields.get("ownerid"), "opportunity": linked,
        "minutes": fields.get("actualdurationminutes"),
    }  # fmt: skip
    more = {"subject": f"opportunity/deal/{linked}"} if linked else {}
    translation.items.append(
        event_item("crm.activity.logged", source, f"activity/{identity}", at, data, **more)
    )
