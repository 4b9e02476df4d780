"""What it takes to pay for a case: in money, in time, and in units that people know."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext

from services.valuation.domain.figures import ZERO
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.lines import BenefitLine
from services.valuation.domain.templates import TEMPLATES
from services.valuation.domain.valuation import Valued, Valuing, parsed
from shared.expression import FormulaError, evaluate


@dataclass(frozen=True)
class Units:
    """How many units of one benefit pay for the whole case, or why that can't be said.

    `margin` is what a unit brings over the periods, weighted by their present value; `planned` how
    many units the plan counts on.
    """

    line: BenefitLine
    what: str | None
    units: Decimal | None
    planned: Decimal | None
    margin: Decimal | None
    reason: str | None


def units(work: Valuing, valued: Valued, line: BenefitLine) -> Units:
    """PV(costs) / PV-weighted margin per unit / (attribution x (1 - risk)), rounded up."""
    template = TEMPLATES.get(line.template or "")
    counted = line.counts.formula if line.counts else template.counted if template else None
    what = line.counts.what if line.counts else None
    if counted is None:
        return Units(line, what, None, None, None, "no_unit_stated")
    with localcontext(PRECISION):
        try:
            made, many, planned = _weighted(work, line, counted)
        except FormulaError:
            return Units(line, what, None, None, None, "not_computable")
        sure = work.share(line) * (1 - work.risk(line))
        if line.negative or many <= 0 or made <= 0 or not sure:
            return Units(line, what, None, planned, None, "no_margin")
        margin = made / many
        needed = valued.plan.pv_costs / margin / sure
        whole = max(ZERO, needed).to_integral_value(rounding=ROUND_CEILING)
        return Units(line, what, whole, planned, margin, None)


def _weighted(work: Valuing, line: BenefitLine, counted: str) -> tuple[Decimal, Decimal, Decimal]:
    """Discounted money and discounted units over all periods, and the units undiscounted."""
    money, unit = parsed(line.formula), parsed(counted)
    split = line.overlap.share if line.overlap is not None else Decimal(1)
    made, many, planned = ZERO, ZERO, ZERO
    found = {name: work.stated(line.plan_of(name)) for name in line.inputs}
    for index in range(work.periods):
        known: dict[str, Decimal] = {}
        for name, column in found.items():
            figure = column[index] if isinstance(column, list) else column
            if figure is None:
                raise FormulaError("a rate is missing")
            known[name] = figure
        factor = work.frame.places[index + 1]
        count = evaluate(unit, known, Decimal)
        made += evaluate(money, known, Decimal) * line.capture * split * factor
        many += count * factor
        planned += count * line.adoption[min(index, len(line.adoption) - 1)]
    return made, many, planned
