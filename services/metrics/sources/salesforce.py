"""Salesforce: what its records mean, whichever way they come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.metrics.sources.delivery import NotAuthentic, Translation, event_item, moment_of
from services.metrics.sources.opportunities import CrmMapping, Outcome

STAGES: dict[str, Outcome] = {"Closed Won": "won", "Closed Lost": "lost"}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_id(identity: str) -> str:
    """The 18-character form of an id: three letters say which of the first fifteen are capitals."""
    if len(identity) != 15:
        return identity
    tail = ""
    for start in (0, 5, 10):
        bits = sum(identity[start + n].isupper() << n for n in range(5))
        tail += _ALPHABET[bits]
    return identity + tail


def demand_organisation(given: str, mapping: CrmMapping) -> None:
    """Refuse another organisation's messages, where the source names its own."""
    if mapping.account and full_id(given) != full_id(mapping.account):
        raise NotAuthentic("The message is another organisation's.")


def observe_record(
    translation: Translation, source: str, kind: str, identity: str, fields: Mapping[str, Any],
    at: datetime, mapping: CrmMapping, *, created: bool,
) -> None:  # fmt: skip
    """What one record's fields say at a moment; kinds that mean nothing here are counted."""
    record = full_id(identity)
    match kind:
        case "Opportunity":
            translation.observe(f"deal/{record}", at, _deal(fields, mapping, created))
        case "Lead" if created or "IsConverted" not in fields or "CreatedDate" in fields:
            born = fields.get("CreatedDate")
            moment = moment_of(born) if isinstance(born, str) else at
            # A lead that was changed since says so, and restates what was told of its beginning.
            more = {"sequence": at.isoformat()} if at > moment else {}
            data = {"channel": fields.get("LeadSource"), "campaign": fields.get("Campaign")}
            translation.items.append(
                event_item("crm.lead.created", source, f"lead/{record}/created", moment, data,
                           subject=f"lead/{record}", **more)
            )  # fmt: skip
        case _:
            translation.ignored += 1


def _deal(fields: Mapping[str, Any], mapping: CrmMapping, created: bool) -> dict[str, Any]:
    closed, won = _truth(fields.get("IsClosed")), _truth(fields.get("IsWon"))
    status = None
    if closed is not None or won:
        status = "won" if won else "lost" if closed else "open"
    return {
        "snapshot": True,
        "born": True if created else None,
        "stage": fields.get("StageName"),
        "amount": fields.get("Amount"),
        "currency": fields.get("CurrencyIsoCode"),
        "owner": fields.get("OwnerId"),
        "account": fields.get("AccountId"),
        "pipeline": fields.get("RecordTypeId"),
        "status": status,
        **mapping.own_fields(fields),
    }


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool) or value is None:
        return value
    return str(value).strip().lower() == "true"
