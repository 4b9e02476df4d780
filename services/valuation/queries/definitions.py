"""Metrics that valuation defines for itself: booked costs, and exchange rates as recorded."""

from __future__ import annotations

BOOKED_COSTS = "booked-costs"
BOOKED_COSTS_DEFINITION = {
    "key": BOOKED_COSTS,
    "name": "Booked costs",
    "description": "What was really spent, as booked",
    "unit": "money",
    "direction": "down",
    "nature": "operational",
    "dimensions": ["initiative", "phase", "category", "item"],
    "definition": {"kind": "sum", "events": ["cost.booked"], "field": "amount"},
    "reason": "Business cases compare their planned costs with it",
}
EXCHANGE_RATES = "recorded-exchange-rates"
EXCHANGE_RATES_DEFINITION = {
    "key": EXCHANGE_RATES,
    "name": "Recorded exchange rates",
    "description": "What one unit of the base currency was last worth in the quoted one",
    "unit": "rate",
    "direction": "none",
    "nature": "operational",
    "dimensions": ["base", "quote"],
    "definition": {"kind": "latest", "events": ["fx.rate.observed"], "field": "rate"},
    "reason": "Business cases convert what is stated in other currencies with it",
}
