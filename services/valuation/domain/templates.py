"""The usual rules by which a change becomes money: formula, units of the inputs, what counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

MONEY = "money"
# A unit that depends on the metric, so that it is not checked.
UNKNOWN = "?"


@dataclass(frozen=True)
class Template:
    """A formula per period, with the unit of each input and the sense of a measured change.

    `counted` says in which units people would count the benefit: a word and its formula.
    """

    formula: str
    units: Mapping[str, str]
    what: str
    counted: str | None = None
    sense: Literal["rise", "fall"] = "rise"
    negative: bool = False
    evidence: Literal["conditional", "unverified"] = "conditional"
    # Whether the formula gives the money of a year, of which a period has its part.
    yearly: bool = False

    def formula_for(self, months: int) -> str:
        """The formula for periods of so many months."""
        return f"{self.formula} * {months} / 12" if self.yearly and months != 12 else self.formula


_PER_HOUR = f"{MONEY}/h"
TEMPLATES: dict[str, Template] = {
    "rate-uplift": Template(
        "change * volume * value * margin",
        {"change": "ratio", "volume": "count", "value": MONEY, "margin": "ratio"},
        "more of many succeed", "change * volume",
    ),
    "order-value": Template(
        "change * orders * margin",
        {"change": MONEY, "orders": "count", "margin": "ratio"},
        "orders are worth more", "orders",
    ),
    "revenue": Template(
        "change * margin", {"change": MONEY, "margin": "ratio"}, "more is sold",
    ),
    "time-saved": Template(
        "change * volume * hourly_cost / 3600",
        {"change": "s", "volume": "count", "hourly_cost": _PER_HOUR},
        "work takes less time; `change` is in seconds", "change * volume / 3600", "fall",
    ),
    "cost-reduction": Template(
        "change * volume", {"change": MONEY, "volume": "count"},
        "a piece costs less", "volume", "fall",
    ),
    "deflection": Template(
        "avoided * unit_cost", {"avoided": "count", "unit_cost": MONEY},
        "contacts are not needed", "avoided", "fall",
    ),
    "retention": Template(
        "change * customers * margin",
        {"change": "ratio", "customers": "count", "margin": MONEY},
        "fewer customers leave; `margin` is the yearly margin per customer",
        "change * customers", "fall",
    ),
    "acquisition": Template(
        "new_customers * change", {"new_customers": "count", "change": MONEY},
        "a new customer costs less to win (only where spending really falls)",
        "new_customers", "fall",
    ),
    "rescued-deals": Template(
        "deals * value * margin", {"deals": "count", "value": MONEY, "margin": "ratio"},
        "won deals that were marked as rescued; the metric's events are the evidence", "deals",
    ),
    "upsell": Template(
        "change * revenue * margin",
        {"change": "ratio", "revenue": MONEY, "margin": "ratio"},
        "a larger share of revenue comes from upselling",
    ),
    "cross-sell": Template(
        "change * revenue * margin",
        {"change": "ratio", "revenue": MONEY, "margin": "ratio"},
        "a larger share of revenue comes from cross-selling",
    ),
    "cash-flow": Template(
        "change * daily_revenue * cost_of_capital",
        {"change": "days", "daily_revenue": f"{MONEY}/day", "cost_of_capital": "ratio"},
        "customers pay sooner; `change` is in days, `cost_of_capital` is of a year", None, "fall",
        yearly=True,
    ),
    "legacy-retired": Template(
        "spend * share_retired", {"spend": MONEY, "share_retired": "ratio"},
        "an old system is switched off",
    ),
    "expected-loss": Template(
        "exposure * change", {"exposure": MONEY, "change": "ratio"},
        "a loss becomes less probable", None, "fall",
    ),
    "satisfaction-to-retention": Template(
        "change * elasticity * customers * margin",
        {"change": UNKNOWN, "elasticity": UNKNOWN, "customers": "count", "margin": MONEY},
        "satisfied customers stay; `elasticity` is the stated fall of churn per point",
        "change * elasticity * customers", evidence="unverified",
    ),
    "avoided-cost": Template("amount", {"amount": MONEY}, "a cost that does not come"),
    "dis-benefit": Template(
        "amount", {"amount": MONEY}, "what becomes worse, as a positive amount", negative=True
    ),
}  # fmt: skip
