"""From likelihood and impact in five degrees to the part of a benefit that may be lost."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from pydantic import BaseModel, ConfigDict, Field

from services.valuation.domain.lines import Exact, Value
from shared.events import Payload, event

# Whoever has a better table states it; these are examples and marked as such.
EXAMPLE_LIKELIHOOD = tuple(map(Decimal, ("0.05", "0.20", "0.40", "0.60", "0.85")))
EXAMPLE_IMPACT = tuple(map(Decimal, ("0.05", "0.15", "0.30", "0.60", "1.00")))
STREAM = "risk-table/own"


class RiskTable(Value):
    """What the degrees 1 to 5 of likelihood and impact stand for, as fractions."""

    likelihood: list[Exact] = Field(default_factory=lambda: list(EXAMPLE_LIKELIHOOD))
    impact: list[Exact] = Field(default_factory=lambda: list(EXAMPLE_IMPACT))


@event("risk_table.stated")
class RiskTableStated(Payload):
    """An organisation said what its degrees stand for."""

    table: RiskTable
    reason: str


class OwnTable(BaseModel):
    """An organisation's table as its events have left it."""

    model_config = ConfigDict(frozen=True)
    record_id: str = "own"
    revision: int
    table: RiskTable


def evolve(state: OwnTable | None, fact: RiskTableStated) -> OwnTable:
    """The table after one more event."""
    match fact:
        case RiskTableStated():
            return OwnTable(revision=state.revision + 1 if state else 1, table=fact.table)
        case _:
            assert_never(fact)


def chance(table: RiskTable, likelihood: int, impact: int) -> Decimal:
    """The part of a benefit that an obstacle may cost: p x i."""
    return table.likelihood[likelihood - 1] * table.impact[impact - 1]
