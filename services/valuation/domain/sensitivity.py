"""What the worth of a case hangs on: tornado, and the figure of each assumption that turns it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import pairwise

from services.valuation.domain.assumptions import Assumption, assumptions, overridden
from services.valuation.domain.case import Case, Override
from services.valuation.domain.figures import ZERO, Figures
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.lines import BenefitLine, CostLine
from services.valuation.domain.measured import Measured
from services.valuation.domain.roots import rate_where_zero
from services.valuation.domain.schedule import MONTHS
from services.valuation.domain.valuation import Valuing, value

# How far an assumption is followed for a turning point: ten times itself either way.
_REACH = 10
_STEPS, _HALVINGS = 20, 50
_RATIO = Decimal("1.122")  # Twenty of them are ten times as much.
# The first so many assumptions are moved; work grows with each, and with the lines.
MAX_ASSUMPTIONS = 400
_TINY = Decimal("1e-15")


@dataclass(frozen=True)
class Swing:
    """What the net present value is when one assumption goes down and up, and where it turns.

    `switching` is the value (or factor, for a `relative` assumption) at which the net present value
    is 0, None where there is none within reach.
    """

    assumption: Assumption
    low: Decimal
    high: Decimal
    npv_low: Decimal
    npv_high: Decimal
    switching: Decimal | None

    @property
    def width(self) -> Decimal:
        return abs(self.npv_high - self.npv_low)


class Worth:
    """The planned net present value of a case under other assumptions, line by line.

    Only the line that an assumption belongs to is computed anew.
    """

    def __init__(self, case: Case, measured: Measured, included: Collection[str]) -> None:
        self.case, self.measured, self.included = case, measured, included
        plan = value(case, measured, included).plan
        self.base, self.rows = plan.npv, plan.rows
        self._counted = {line.line_id for line in plan.lines if line.left_out is None}
        self._work = Valuing(case, measured, included)
        self.turning_rate = self._turning_rate(plan)

    def at(self, override: Override) -> Decimal:
        """The net present value with one assumption stated otherwise."""
        with localcontext(PRECISION):
            other = overridden(self.case, [override])
            if override.of == "discount_rate":
                return value(other, self.measured, self.included).plan.npv
            return self.base + self._difference(other)

    def _difference(self, other: Case) -> Decimal:
        """What the lines that another case states otherwise are worth more."""
        total = ZERO
        for now, then in zip(self.case.costs, other.costs, strict=True):
            if now is not then:
                total += self._cost(now) - self._cost(then)
        for before, after in zip(self.case.benefits, other.benefits, strict=True):
            if before is not after and before.benefit_id in self._counted:
                total += self._benefit(after) - self._benefit(before)
        return total

    def _cost(self, line: CostLine) -> Decimal:
        flows, frame = self._work.planned_cost(line), self._work.frame
        return sum((f.amount * frame.factor(f) for f in flows), ZERO)

    def _benefit(self, line: BenefitLine) -> Decimal:
        amounts = self._work.planned_benefit(line)
        factors = self._work.frame.places
        return sum((a * f for a, f in zip(amounts, factors, strict=True) if a), ZERO)

    def _turning_rate(self, plan: Figures) -> Decimal | None:
        """The discount rate at which the case is worth nothing, if there is just one."""
        convention = self.case.body.convention
        if convention == "end_of_period":
            found = plan.irr
        elif convention == "exact_dates":
            found = plan.xirr
        else:
            years = MONTHS[self.case.body.grain] / 12
            places = [max(0.0, n - 0.5) * years for n in range(len(plan.rows))]
            found = rate_where_zero([float(row.net) for row in plan.rows], places)
        return None if found.value is None else Decimal(repr(found.value))


def tornado(
    case: Case, measured: Measured, included: Collection[str] = (), swing: Decimal = Decimal("0.1")
) -> list[Swing]:
    """Every assumption moved down and up, the widest swing first.

    An input with a distribution goes to its low and high; others by `swing` of themselves, within
    what makes sense for them.
    """
    worth, found = Worth(case, measured, included), []
    for one in assumptions(case)[:MAX_ASSUMPTIONS]:
        low, high = _ends(one, swing)
        at = _mover(worth, one)
        found.append(Swing(one, low, high, at(low), at(high), _switching(worth, one, at)))
    return sorted(found, key=lambda s: (-s.width, s.assumption.address))


def _mover(worth: Worth, one: Assumption) -> Callable[[Decimal], Decimal]:
    name = "factor" if one.relative else "value"
    return lambda figure: worth.at(Override.model_validate({"of": one.address, name: figure}))


def _ends(one: Assumption, swing: Decimal) -> tuple[Decimal, Decimal]:
    spread = one.input.distribution if one.input is not None else None
    if spread is not None and spread.low is not None and spread.high is not None:
        return spread.low, spread.high
    ends = one.figure * (1 - swing), one.figure * (1 + swing)
    low, high = min(ends), max(ends)
    least, most = one.bounds
    return (low if least is None else max(low, least)), (high if most is None else min(high, most))


def _switching(worth: Worth, one: Assumption, at: Callable[[Decimal], Decimal]) -> Decimal | None:
    """Where the net present value is 0: solved where it is straight, else looked for nearby."""
    if one.address == "discount_rate":
        return worth.turning_rate
    with localcontext(PRECISION):
        if worth.base == 0:
            return one.figure
        least, most = one.bounds
        step = abs(one.figure) or Decimal(1)
        second = one.figure - step / 2
        if least is not None and second < least:
            second = one.figure + step / 2
        slope = (worth.base - at(second)) / (one.figure - second)
        if not slope:
            return None
        found = one.figure - worth.base / slope
        if (least is not None and found < least) or (most is not None and found > most):
            return None
        if abs(at(found)) <= _TINY * max(abs(worth.base), Decimal(1)):
            return found
        low = one.figure - _REACH * step if least is None else least
        high = one.figure + _REACH * step if most is None else most
        return _scanned(at, _grid(low, high, one.figure), one.figure)


def _grid(low: Decimal, high: Decimal, figure: Decimal) -> list[Decimal]:
    """Figures to look at: evenly over the reach, and in even ratios to the present one."""
    even = [low + (high - low) * n / _STEPS for n in range(_STEPS + 1)]
    ratios = [figure * _RATIO**n for n in range(-_STEPS, _STEPS + 1)]
    return sorted({*even, *(f for f in ratios if low <= f <= high)})


def _scanned(
    at: Callable[[Decimal], Decimal], grid: list[Decimal], near: Decimal
) -> Decimal | None:
    """The crossing that lies nearest to the present figure."""
    values = [at(figure) for figure in grid]
    crossings = [
        pair
        for pair, (one, other) in zip(pairwise(grid), pairwise(values), strict=True)
        if (one < 0) != (other < 0)
    ]
    if not crossings:
        return None
    low, high = min(crossings, key=lambda pair: abs((pair[0] + pair[1]) / 2 - near))
    low_is_negative = at(low) < 0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if (at(middle) < 0) == low_is_negative:
            low = middle
        else:
            high = middle
    return (low + high) / 2
