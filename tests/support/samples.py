"""Events, definitions and goals that many tests begin with."""

from __future__ import annotations

from typing import Any

CLOSED: dict[str, Any] = {"kind": "count", "events": ["crm.opportunity.closed"]}
WON: dict[str, Any] = {**CLOSED, "where": {"field": "outcome", "op": "eq", "value": "won"}}
WIN_RATE: dict[str, Any] = {
    "key": "win-rate",
    "name": "Win rate",
    "unit": "ratio",
    "dimensions": ["region"],
    "definition": {"kind": "ratio", "numerator": WON, "denominator": CLOSED},
}
GUIDELINES = {
    "how": "Counted by closing date",
    "sources": ["CRM"],
    "cadence": "quarterly",
    "responsible": "Sales operations",
    "helpers": ["CRM administrator"],
}


def event(identity: str, name: str, time: str, **data: Any) -> dict[str, Any]:
    """A CloudEvent of a CRM; attributes are told from data by a leading underscore."""
    attributes = {k[1:]: v for k, v in data.items() if k.startswith("_")}
    moment = {"occurredon": time} if len(time) == 10 else {"time": time}
    return {
        "specversion": "1.0",
        "type": name,
        "source": "/crm",
        "id": identity,
        **moment,
        **attributes,
        "data": {k: v for k, v in data.items() if not k.startswith("_")},
    }


def closed(identity: str, time: str, outcome: str = "won", **data: Any) -> dict[str, Any]:
    """A deal that was closed."""
    return event(
        identity,
        "crm.opportunity.closed",
        time,
        outcome=outcome,
        **{"_subject": f"deal/{identity}", **data},
    )


def deals(quarter: str, won: int, lost: int) -> list[dict[str, Any]]:
    """So many deals won and lost in a quarter such as 2024-Q3."""
    year, number = quarter.split("-Q")
    day = f"{year}-{int(number) * 3 - 1:02}-15"
    return [
        closed(f"{quarter}/{n}", day, "won" if n < won else "lost", amount=1000, currency="EUR")
        for n in range(won + lost)
    ]
