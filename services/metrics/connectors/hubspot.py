"""HubSpot over REST: deals with the history of their properties."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.metrics.connectors.reading import Connector, Gathering, Mark, Part, Turning
from services.metrics.sources import hubspot
from services.metrics.sources.delivery import moment_of
from services.metrics.sources.opportunities import CrmMapping
from shared.clock import to_micros
from shared.web.client import Outside

_DEALS = "crm/v3/objects/deals"
# With history fifty at once is the most.
_PAGE = 50


def _sign_in(api: Outside, key: str | None) -> None:
    if key is not None:
        api.send_with("Authorization", f"Bearer {key}")


def _changed(api: Outside, since: datetime, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    """Deals found by their last change, then those that were deleted since."""
    portal = mark.get("portal") or _portal(api)
    if "archived" in mark:
        return _archived(api, since, {**mark, "portal": portal}, mapping)
    turning = Turning.of(mark, since)
    answer = api.post(
        f"{_DEALS}/search",
        {
            "filterGroups": [{"filters": [{
                "propertyName": "hs_lastmodifieddate", "operator": "GTE",
                "value": str(to_micros(turning.since) // 1_000)}]}],
            "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}],
            "properties": ["hs_lastmodifieddate"], "limit": _PAGE, "after": str(turning.offset),
        },
    )  # fmt: skip
    found = Gathering(standing=False)
    page = [
        (str(one["id"]), moment_of(one["properties"]["hs_lastmodifieddate"]))
        for one in answer["results"]
    ]
    for deal in _with_history(api, turning.fresh(page), mapping):
        hubspot.observe_deal(found.said, portal, deal, since, mapping)
        found.records += 1
    if _next(answer) is None:
        return found.part({"portal": portal, "archived": None})
    return found.part({"portal": portal, **turning.onward(page)})


def _archived(api: Outside, since: datetime, mark: Mark, mapping: CrmMapping) -> Part:
    answer = api.get(_DEALS, _listing(mark["archived"], archived="true"))
    found = Gathering(standing=False)
    for deal in answer["results"]:
        if moment_of(deal["archivedAt"]) >= since:
            hubspot.observe_deal(found.said, mark["portal"], deal, since, mapping)
            found.records += 1
    after = _next(answer)
    return found.part(None if after is None else {**mark, "archived": after})


def _history(api: Outside, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    portal = mark.get("portal") or _portal(api)
    wanted = {"propertiesWithHistory": ",".join(hubspot.with_history(mapping))}
    archived = mark.get("archived", "false")
    answer = api.get(_DEALS, {**_listing(mark.get("after"), archived=archived), **wanted})
    found = Gathering(standing=False)
    for deal in answer["results"]:
        found.history_begins(hubspot.observe_deal(found.said, portal, deal, None, mapping))
        found.records += 1
    after = _next(answer)
    if after is not None:
        return found.part({"portal": portal, "archived": archived, "after": after})
    return found.part({"portal": portal, "archived": "true"} if archived == "false" else None)


def _listing(after: str | None, *, archived: str) -> dict[str, Any]:
    place = {} if after is None else {"after": after}
    return {"limit": _PAGE, "archived": archived, "properties": "createdate", **place}


def _with_history(api: Outside, identities: list[str], mapping: CrmMapping) -> list[Any]:
    if not identities:
        return []
    answer = api.post(
        f"{_DEALS}/batch/read",
        {
            "propertiesWithHistory": hubspot.with_history(mapping),
            "properties": ["createdate"],
            "inputs": [{"id": identity} for identity in identities],
        },
    )
    results: list[Any] = answer["results"]
    return results


def _portal(api: Outside) -> str:
    """The account's number, which its webhooks name records by."""
    return str(api.get("account-info/v3/details")["portalId"])


def _next(answer: Any) -> str | None:
    after = ((answer.get("paging") or {}).get("next") or {}).get("after")
    return None if after is None else str(after)


CONNECTOR = Connector(_changed, _history, "https://api.hubapi.com/", _sign_in)
