"""Bitrix24 over REST: one deal, or all that changed since a moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from shared.clock import format_instant
from shared.web.client import Outside

_DEALS = 2
MAX_PAGES = 2_000


def read_deal(portal: Outside, identity: str) -> Any:
    """The portal's answer about one deal."""
    return portal.get("crm.item.get", {"entityTypeId": _DEALS, "id": identity})


def changed_deals(portal: Outside, since: datetime) -> Iterator[dict[str, Any]]:
    """All deals that changed since a moment, oldest change first."""
    start: int | None = 0
    for _ in range(MAX_PAGES):
        answer = portal.get(
            "crm.item.list",
            {"entityTypeId": _DEALS, "filter[>=updatedTime]": format_instant(since),
             "order[updatedTime]": "ASC", "order[id]": "ASC", "start": start},
        )  # fmt: skip
        yield from answer["result"]["items"]
        start = answer.get("next")
        if start is None:
            return
