"""Salesforce: what its records mean, whichever way they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.metrics.sources.delivery import NotAuthentic, Translation, event_item, moment_of
from services.metrics.sources.opportunities import CrmMapping, Outcome

# The first row of a history is written with its record, or a moment later.
MAKING = timedelta(seconds=5)
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
    if won or (closed and won is not None):
        status = "won" if won else "lost"
    elif closed is False:
        status = "open"
    return {
        "snapshot": True,
        "born": True if created else None,
        "stage": fields.get("StageName"),
        "amount": fields.get("Amount", "" if created else None),
        "currency": fields.get("CurrencyIsoCode"),
        "owner": fields.get("OwnerId"),
        "account": fields.get("AccountId"),
        "pipeline": fields.get("RecordTypeId"),
        "status": status,
        # A change that tells nothing of being closed leaves the deal as closed as it was.
        "unwon": True if won is False and closed is None else None,
        **mapping.own_fields(fields),
    }


def observe_opportunity(
    translation: Translation, fields: Mapping[str, Any], since: datetime, mapping: CrmMapping
) -> None:
    """How an opportunity stands by a query, each thing at the time that the record gives it."""
    record, changed = f"deal/{full_id(fields['Id'])}", moment_of(fields["LastModifiedDate"])
    if fields.get("IsDeleted"):
        translation.observe(record, moment_of(fields["SystemModstamp"]), {"deleted": True})
        return
    born = moment_of(fields["CreatedDate"])
    if born >= since:
        translation.observe(record, born, {"snapshot": True, "born": True})
    said = _deal(fields, mapping, False)
    moved = fields.get("LastStageChangeDate")
    stands = {name: said.pop(name) for name in ("stage", "status")}
    at = moment_of(moved) if moved else changed
    translation.observe(record, at, {"snapshot": True, **stands})
    translation.observe(record, changed, said)


def observe_history(
    translation: Translation, row: Mapping[str, Any], first: bool, outcomes: Mapping[str, str],
    mapping: CrmMapping,
) -> datetime | None:  # fmt: skip
    """What a row of OpportunityHistory says; `first` is the first of its opportunity.

    `outcomes` is what the organisation's stages mean. What the history does not keep (owner,
    account, own fields) is told as it stands today. Answers from when on the opportunity's history
    is kept, where that is not its beginning.
    """
    record, at = f"deal/{full_id(row['OpportunityId'])}", moment_of(row["CreatedDate"])
    parent = row.get("Opportunity") or {}
    born = moment_of(parent.get("CreatedDate") or row["CreatedDate"])
    begins = first and at - born <= MAKING
    if first:
        along = {**_deal(parent, mapping, True), "stage": None, "status": None, "amount": None}
        translation.observe(record, born, along)
    stage = row.get("StageName")
    said = {
        "snapshot": True,
        "stage": stage,
        "status": outcomes.get(stage or ""),
        "amount": row.get("Amount"),
        "currency": row.get("CurrencyIsoCode"),
    }
    translation.observe(record, born if begins else at, said)
    return at if first and not begins else None


def outcomes_of(stages: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What the rows of OpportunityStage say of an organisation's stages: open, won or lost."""
    return {
        name: "won" if row.get("IsWon") else "lost" if row.get("IsClosed") else "open"
        for row in stages
        for name in (row.get("ApiName"), row.get("MasterLabel"))
        if name
    }


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool) or value is None:
        return value
    return str(value).strip().lower() == "true"
