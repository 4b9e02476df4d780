"""Bitrix24 over REST: one deal, all that changed since a moment, and the history of stages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.metrics.connectors.reading import Connector, Gathering, Mark, Part, Turning
from services.metrics.sources import bitrix24
from services.metrics.sources.delivery import Delivery, moment_of
from services.metrics.sources.opportunities import CrmMapping
from shared.clock import format_instant
from shared.web.client import Outside

_DEALS = 2


def _named(delivery: Delivery) -> str | None:
    kind, action, identity = bitrix24.named(delivery)
    return identity if kind == "deal" and action != "delete" else None


def _read_deal(portal: Outside, identity: str) -> Any:
    return portal.get("crm.item.get", {"entityTypeId": _DEALS, "id": identity})


def _changed(
    portal: Outside, since: datetime, mark: Mark, mapping: CrmMapping, source: str
) -> Part:
    turning = Turning.of(mark, since)
    answer = portal.get(
        "crm.item.list",
        {"entityTypeId": _DEALS, "filter[>=updatedTime]": format_instant(turning.since),
         "order[updatedTime]": "ASC", "order[id]": "ASC", "start": turning.offset},
    )  # fmt: skip
    found, items = Gathering(), answer["result"]["items"]
    page = [(str(item["id"]), moment_of(item["updatedTime"])) for item in items]
    fresh = set(turning.fresh(page))
    for item in items:
        if str(item["id"]) in fresh:
            bitrix24.observe_deal(found.said, item, since, mapping, source)
            found.records += 1
    return found.part(turning.onward(page) if "next" in answer else None)


def _history(portal: Outside, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    """A page of stage history, by id: what is added meanwhile comes at the end."""
    answer = portal.get(
        "crm.stagehistory.list",
        {"entityTypeId": _DEALS, "order[ID]": "ASC", "filter[>ID]": mark.get("after", 0)},
    )
    rows, found = answer["result"]["items"], Gathering()
    if not rows:
        return found.part(None)
    deals = _deals(portal, sorted({str(row["OWNER_ID"]) for row in rows}))
    for row in rows:
        deal = deals.pop(str(row["OWNER_ID"]), None)
        bitrix24.observe_history(found.said, row, deal, mapping, source)
        found.records += 1
    if not mark:
        found.history_begins(_begins(portal, moment_of(rows[0]["CREATED_TIME"])))
    return found.part({"after": rows[-1]["ID"]})


def _deals(portal: Outside, identities: list[str]) -> dict[str, Any]:
    """The deals that a page of history is about; those that are gone are left out."""
    wanted = {f"filter[@id][{n}]": identity for n, identity in enumerate(identities)}
    answer = portal.get("crm.item.list", {"entityTypeId": _DEALS, **wanted})
    return {str(item["id"]): item for item in answer["result"]["items"]}


def _begins(portal: Outside, first: datetime) -> datetime | None:
    """The moment of the first row, where the portal had deals before it kept a history."""
    answer = portal.get("crm.item.list", {"entityTypeId": _DEALS, "order[createdTime]": "ASC"})
    oldest = answer["result"]["items"][:1]
    older = oldest and moment_of(oldest[0]["createdTime"]) < first - bitrix24.MAKING
    return first if older else None


CONNECTOR = Connector(_changed, _history, named=_named, read=_read_deal)
