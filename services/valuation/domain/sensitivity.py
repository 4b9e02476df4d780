"""What the worth of a case hangs on: tornado, and the figure of each assumption that turns it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal, localcontext

from services.valuation.domain.assumptions import Assumption, assumptions, overridden
from services.valuation.domain.case import Case, Override
from services.valuation.domain.figures import ZERO
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.measured import Measured
from services.valuation.domain.valuation import Valuing, value

# How far an assumption is followed for a turning point: ten times itself either way.
_REACH = 10
_STEPS, _HALVINGS = 40, 80
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
        self.base = value(case, measured, included).plan.npv
        left_out = value(case, measured, included).plan.lines
        self._counted = {line.line_id for line in left_out if line.left_out is None}

    def at(self, override: Override) -> Decimal:
        """The net present value with one assumption stated otherwise."""
        with localcontext(PRECISION):
            other = overridden(self.case, [override])
            if override.of == "discount_rate":
                return value(other, self.measured, self.included).plan.npv
            return self.base + self._sum(other, self.case) - self._sum(self.case, other)

    def _sum(self, case: Case, against: Case) -> Decimal:
        """The present value of the lines in which two cases differ."""
        work, total = Valuing(case, self.measured, self.included), ZERO
        for cost, other in zip(case.costs, against.costs, strict=True):
            if cost is not other:
                flows = work.planned_cost(cost)
                total -= sum((f.amount * work.frame.factor(f) for f in flows), ZERO)
        for line, same in zip(case.benefits, against.benefits, strict=True):
            if line is not same and line.benefit_id in self._counted:
                gains = work.benefit_line(line, work.planned_benefit(line), {}).flows
                total += sum((f.amount * work.frame.factor(f) for f in gains), ZERO)
        return total


def tornado(
    case: Case, measured: Measured, included: Collection[str] = (), swing: Decimal = Decimal("0.1")
) -> list[Swing]:
    """Every assumption moved down and up, the widest swing first.

    An input with a distribution goes to its low and high; others by `swing` of themselves, within
    what makes sense for them.
    """
    worth, found = Worth(case, measured, included), []
    for one in assumptions(case):
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
    with localcontext(PRECISION):
        if worth.base == 0:
            return one.figure
        least, most = one.bounds
        step = abs(one.figure) or Decimal(1)
        if one.address == "discount_rate":
            least, most = Decimal("-0.99"), Decimal(10)
        first, second = one.figure, one.figure - step / 2
        if least is not None and second < least:
            second = one.figure + step / 2
        slope = (worth.base - at(second)) / (first - second)
        if slope and one.address != "discount_rate":
            found = first - worth.base / slope
            inside = (least is None or found >= least) and (most is None or found <= most)
            if inside and abs(at(found)) <= _TINY * max(abs(worth.base), Decimal(1)):
                return found
            if not inside:
                return None
        elif not slope and one.address != "discount_rate":
            return None
        low = one.figure - _REACH * step if least is None else least
        high = one.figure + _REACH * step if most is None else most
        return _scanned(at, low, high, one.figure)


def _scanned(
    at: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, near: Decimal
) -> Decimal | None:
    """The crossing that lies nearest to the present figure."""
    grid = [low + (high - low) * n / _STEPS for n in range(_STEPS + 1)]
    values = [at(figure) for figure in grid]
    crossings = [
        (grid[n], grid[n + 1]) for n in range(_STEPS) if (values[n] < 0) != (values[n + 1] < 0)
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
