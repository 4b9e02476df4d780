"""Pipedrive over REST: deals that changed, and the flow of every deal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from services.metrics.connectors.reading import Connector, Gathering, Mark, Part
from services.metrics.sources import pipedrive
from services.metrics.sources.opportunities import CrmMapping
from shared.clock import format_instant
from shared.web.client import Outside

_PAGE = 100
# Each deal's flow is a request of its own.
_HISTORY_PAGE = 20


def _sign_in(api: Outside, key: str | None) -> None:
    if key is not None:
        api.send_with("x-api-token", key)


def _changed(api: Outside, since: datetime, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    """Deals by their last change, then those that were deleted since."""
    company, deleted = mark.get("company") or _company(api), bool(mark.get("deleted"))
    answer = api.get(
        "api/v2/deals",
        {
            "updated_since": format_instant(since.replace(microsecond=0)),
            "sort_by": "update_time", "sort_direction": "asc", "limit": _PAGE,
            **({"status": "deleted"} if deleted else {}), **_from(mark),
        },
    )  # fmt: skip
    found = Gathering()
    for deal in answer["data"] or ():
        pipedrive.observe_deal(found.said, company, deal, since, mapping)
        found.records += 1
    return found.part(_onward(answer, company, deleted))


def _history(api: Outside, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    company = mark.get("company") or _company(api)
    order = {"sort_by": "id", "sort_direction": "asc", "limit": _HISTORY_PAGE}
    answer = api.get("api/v2/deals", {**order, **_from(mark)})
    found = Gathering()
    for deal in answer["data"] or ():
        changes = list(_flow(api, deal["id"]))
        pipedrive.observe_flow(found.said, company, deal, changes, mapping)
        found.records += 1
    cursor = _cursor(answer)
    return found.part(None if cursor is None else {"company": company, "cursor": cursor})


def _flow(api: Outside, identity: Any) -> Iterator[dict[str, Any]]:
    """All changes of a deal's fields, custom ones included."""
    start: int | None = 0
    while start is not None:
        answer = api.get(
            f"api/v1/deals/{identity}/flow",
            {"items": "dealChange", "all_changes": 1, "start": start, "limit": _PAGE},
        )
        for entry in answer["data"] or ():
            if entry["object"] == "dealChange":
                yield entry["data"]
        paging = (answer.get("additional_data") or {}).get("pagination") or {}
        start = paging.get("next_start") if paging.get("more_items_in_collection") else None


def _company(api: Outside) -> str:
    """The company's number, which its webhooks name records by."""
    return str(api.get("api/v1/users/me")["data"]["company_id"])


def _from(mark: Mark) -> dict[str, Any]:
    return {"cursor": mark["cursor"]} if mark.get("cursor") else {}


def _cursor(answer: Any) -> str | None:
    return (answer.get("additional_data") or {}).get("next_cursor") or None


def _onward(answer: Any, company: str, deleted: bool) -> Mark | None:
    cursor = _cursor(answer)
    if cursor is not None:
        return {"company": company, "deleted": deleted, "cursor": cursor}
    return None if deleted else {"company": company, "deleted": True}


CONNECTOR = Connector(_changed, _history, "https://api.pipedrive.com/", _sign_in)
