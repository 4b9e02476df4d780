"""What the open obstacles of a case's goals cost, and what their mitigations are worth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal, localcontext

from services.valuation.domain.case import Case
from services.valuation.domain.figures import ZERO
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.measured import Measured, Obstacle
from services.valuation.domain.valuation import Valuing, value

# Those that may cost most; each is computed without it and with its mitigations.
MAX_OBSTACLES = 40


@dataclass(frozen=True)
class Worth:
    """An obstacle with what it costs in net present value, and what its mitigations would bring.

    `mitigation_cost` is the present value of the cost lines that its mitigations name.
    """

    obstacle: Obstacle
    costs: Decimal
    mitigation: Decimal
    mitigation_cost: Decimal | None


def obstacle_worths(case: Case, measured: Measured, included: Collection[str] = ()) -> list[Worth]:
    """Every obstacle that lowers a benefit (`risk_source: obstacles`), the dearest first."""
    now = value(case, measured, included).plan.npv
    unique = {o.factor_id: o for found in measured.obstacles.values() for o in found}
    found = []
    for obstacle in sorted(unique.values(), key=lambda o: -o.left)[:MAX_OBSTACLES]:
        gone = value(case, _with(measured, obstacle, ZERO), included).plan.npv
        less = value(case, _with(measured, obstacle, obstacle.possible), included).plan.npv
        found.append(
            Worth(obstacle, gone - now, less - now, _cost(case, measured, obstacle.cost_lines))
        )
    return sorted(found, key=lambda one: (-one.costs, one.obstacle.factor_id))


def _with(measured: Measured, obstacle: Obstacle, left: Decimal) -> Measured:
    """The same world with another chance left of one obstacle."""
    changed = {
        goal: [
            o.model_copy(update={"left": left}) if o.factor_id == obstacle.factor_id else o
            for o in found
        ]
        for goal, found in measured.obstacles.items()
    }
    return measured.model_copy(update={"obstacles": changed})


def _cost(case: Case, measured: Measured, names: list[str]) -> Decimal | None:
    lines = [c for c in case.costs if c.name in names or c.cost_id in names]
    if not lines:
        return None
    with localcontext(PRECISION):
        work = Valuing(case, measured)
        flows = [flow for line in lines for flow in work.planned_cost(line)]
        return sum((f.amount * work.frame.factor(f) for f in flows), ZERO)
