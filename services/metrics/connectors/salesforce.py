"""Salesforce over its REST query: opportunities that changed, and OpportunityHistory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.metrics.connectors.reading import Connector, Gathering, Mark, Part
from services.metrics.sources import salesforce
from services.metrics.sources.opportunities import CrmMapping
from shared.clock import format_instant
from shared.errors import UNAVAILABLE
from shared.web.client import Outside

_DATA = "services/data/v60.0"
_STANDING = (
    "Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp", "LastStageChangeDate",
    "StageName", "IsClosed", "IsWon", "Amount", "CurrencyIsoCode", "OwnerId", "AccountId",
    "RecordTypeId",
)  # fmt: skip
_ROW = ("OpportunityId", "CreatedDate", "StageName", "Amount", "CurrencyIsoCode")
_PARENT = ("CreatedDate", "OwnerId", "AccountId", "RecordTypeId", "CurrencyIsoCode")


def _sign_in(api: Outside, key: str | None) -> None:
    """Client credentials of a connected app (`client_id:client_secret`), or an access token."""
    if key is None:
        return
    client, colon, secret = key.partition(":")
    if colon:
        answer = api.post(
            "services/oauth2/token",
            form={"grant_type": "client_credentials", "client_id": client, "client_secret": secret},
        )
        if not isinstance(answer, dict) or "access_token" not in answer:
            raise UNAVAILABLE.refusal("Salesforce gave no access token.")
        key = str(answer["access_token"])
    api.send_with("Authorization", f"Bearer {key}")


def _changed(api: Outside, since: datetime, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    if "next" in mark:
        answer = api.get(mark["next"])
    else:
        fields = _known(api, "Opportunity", [*_STANDING, *_own(mapping)])
        since_then = f"WHERE SystemModstamp >= {format_instant(since)}"
        order = "ORDER BY SystemModstamp, Id"
        answer = _query(api, "queryAll", fields, "Opportunity", since_then, order)
    found = Gathering()
    for record in answer["records"]:
        salesforce.observe_opportunity(found.said, record, since, mapping)
        found.records += 1
    return found.part(None if answer["done"] else {"next": answer["nextRecordsUrl"]})


def _history(api: Outside, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    if "next" in mark:
        answer, outcomes = api.get(mark["next"]), mark["outcomes"]
    else:
        outcomes = _outcomes(api)
        rows = _known(api, "OpportunityHistory", _ROW)
        parents = _known(api, "Opportunity", [*_PARENT, *_own(mapping)])
        fields = [*rows, *(f"Opportunity.{name}" for name in parents)]
        order = "ORDER BY OpportunityId, CreatedDate, Id"
        answer = _query(api, "query", fields, "OpportunityHistory", order)
    found, last = Gathering(), mark.get("last")
    for row in answer["records"]:
        first, last = row["OpportunityId"] != last, row["OpportunityId"]
        begins = salesforce.observe_history(found.said, row, first, outcomes, mapping)
        found.history_begins(begins)
        found.records += first
    onward = {"next": answer.get("nextRecordsUrl"), "outcomes": outcomes, "last": last}
    return found.part(None if answer["done"] else onward)


def _known(api: Outside, name: str, wanted: Iterable[str]) -> list[str]:
    """Of some fields those that this organisation's object has; a query fails on any other."""
    described = api.get(f"{_DATA}/sobjects/{name}/describe")
    there = {field["name"] for field in described["fields"]}
    return [field for field in dict.fromkeys(wanted) if field in there]


def _own(mapping: CrmMapping) -> list[str]:
    return [name for name in mapping.fields if name.replace("_", "").isalnum()]


def _outcomes(api: Outside) -> dict[str, str]:
    fields = ["ApiName", "MasterLabel", "IsClosed", "IsWon"]
    return salesforce.outcomes_of(_query(api, "query", fields, "OpportunityStage")["records"])


def _query(api: Outside, how: str, fields: list[str], name: str, *rest: str) -> Any:
    """Ask in SOQL; all that stands in it is a name of Salesforce's own or a moment."""
    parts = ("SELECT", ", ".join(fields), "FROM", name, *rest)
    return api.get(f"{_DATA}/{how}", {"q": " ".join(parts)})


CONNECTOR = Connector(_changed, _history, sign_in=_sign_in)
