"""SuperOffice over REST: sales that changed. A history of stages is not kept there."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta

from services.metrics.connectors.reading import Connector, Gathering, Mark, Part
from services.metrics.sources import superoffice
from services.metrics.sources.delivery import moment_of
from services.metrics.sources.opportunities import CrmMapping
from shared.web.client import Outside

_PAGE = 50


def _sign_in(api: Outside, key: str | None) -> None:
    """An access token; on site also `user:password`."""
    if key is None:
        return
    basic = f"Basic {base64.b64encode(key.encode()).decode()}"
    api.send_with("Authorization", basic if ":" in key else f"Bearer {key}")


def _changed(api: Outside, since: datetime, mark: Mark, mapping: CrmMapping, source: str) -> Part:
    """Sales that were updated on a day since; a filter knows days, and the customer's own ones."""
    day = (since - timedelta(days=2)).date()
    skip = int(mark.get("skip", 0))
    answer = api.get(
        "api/v1/Sale",
        {"$select": "saleId", "$filter": f"updatedDate after '{day.isoformat()}'",
         "$orderBy": "saleId asc", "$top": _PAGE, "$skip": skip},
    )  # fmt: skip
    found, scope = Gathering(), mapping.account or _customer(api)
    for row in answer["value"]:
        sale = api.get(f"api/v1/Sale/{int(row['PrimaryKey'])}")
        if moment_of(sale["UpdatedDate"]) >= since:
            superoffice.observe_sale(found.said, scope, sale, since, mapping)
            found.records += 1
    return found.part({"skip": skip + _PAGE} if len(answer["value"]) == _PAGE else None)


def _customer(api: Outside) -> str:
    """The customer as the address names it; its webhooks name records by that."""
    named = re.search(r"/(Cust\d+)/", api.path)
    return named[1] if named else "Default"


CONNECTOR = Connector(_changed, sign_in=_sign_in)
