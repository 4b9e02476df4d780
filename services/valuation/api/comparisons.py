"""Cases or options held against each other, and the best set of them within a budget."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Depends
from pydantic import Field, model_validator

from services.valuation.api.asking import seen
from services.valuation.api.figures import Payback, Roi, slice_shown
from services.valuation.domain.comparison import Candidate, best_set
from services.valuation.domain.figures import ZERO
from services.valuation.domain.finance import ratio
from services.valuation.domain.valuation import Valuing, value
from shared.errors import invalid
from shared.money import Amount, DecimalString, Money
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Figure, Wire
from shared.words import Id

router = make_router("valuations")
MAX_CASES = 20


class ComparisonAsked(Wire):
    """Cases to be compared."""

    cases: Annotated[list[Id], Field(min_length=1, max_length=MAX_CASES)] = Field(
        description="Cases, in one currency"
    )
    budget: Annotated[DecimalString, Field(ge=0)] | None = Field(
        None, description="Present value of costs that can be spent in all"
    )
    options: Annotated[list[Annotated[list[Id], Field(min_length=2)]], Field(max_length=20)] = (
        Field(default_factory=list, description="Groups of which at most one is taken, such as "
              "keep, replace and do nothing")
    )  # fmt: skip

    @model_validator(mode="after")
    def _known(self) -> ComparisonAsked:
        grouped = [case for group in self.options for case in group]
        if len(set(self.cases)) < len(self.cases) or len(set(grouped)) < len(grouped):
            raise ValueError("a case is named twice")
        if set(grouped) - set(self.cases):
            raise ValueError("options name cases that are not compared")
        return self


class Compared(Wire):
    """A case beside the others, as planned."""

    case_id: Id = Field(description="The case")
    name: str = Field(description="Its name")
    npv: Money = Field(description="Net present value")
    pv_costs: Money = Field(description="Present value of the costs: what it takes of a budget")
    roi: Roi = Field(description="Return on investment")
    payback_months: Payback = Field(description="From the first outlay")
    npv_per_unit: float | None = Field(
        description="Net present value per unit of budget; null without costs"
    )
    risk: Figure = Field(description="Part of the planned benefits that risk takes away")
    outlook_npv: Money = Field(description="Net present value in outlook")


class Comparison(Wire):
    """Cases side by side."""

    currency: str = Field(description="Currency of every amount")
    cases: list[Compared] = Field(description="The highest net present value first")
    best: list[Id] | None = Field(
        description="The set that is worth most within the budget; null without a budget, or where "
        "there are too many sets to try"
    )
    best_npv: Amount | None = Field(description="What that set is worth")


@router.post("/comparisons")
def compare_cases(
    body: ComparisonAsked, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> Comparison:
    """Hold cases or options against each other, and find the best set within a budget."""
    found: list[tuple[Compared, Candidate]] = []
    currencies = {}
    for place, case_id in enumerate(body.cases):
        known = seen(reader, case_id)
        currencies[known.case.body.currency] = place
        if len(currencies) > 1:
            detail = f"The cases are in {', '.join(sorted(currencies))}; compare one currency."
            raise invalid(f"/cases/{place}", detail, "currency")
        valued = value(known.case, known.measured)
        work, currency = Valuing(known.case, known.measured), known.case.body.currency
        plan = slice_shown(valued.plan, currency)
        compared = Compared(
            case_id=case_id, name=known.case.body.name, npv=plan.npv, pv_costs=plan.pv_costs,
            roi=plan.roi, payback_months=plan.payback_months,
            npv_per_unit=ratio(valued.plan.npv, valued.plan.pv_costs),
            risk=_risk(work),
            outlook_npv=slice_shown(valued.outlook, currency).npv,
        )  # fmt: skip
        candidate = Candidate(case_id, plan.npv.amount, plan.pv_costs.amount)
        found.append((compared, candidate))
    return _compared(body, found, next(iter(currencies)))


def _risk(work: Valuing) -> Decimal:
    """The mean risk of the benefits, weighted by what each would bring without it."""
    sure, whole = ZERO, ZERO
    for line in work.case.benefits:
        kept = 1 - work.risk(line)
        gained = sum((a for a in work.planned_benefit(line) if a is not None), ZERO)
        if kept > 0 and gained > 0:
            sure, whole = sure + gained, whole + gained / kept
    return (1 - sure / whole).quantize(Decimal("0.0001")) if whole else ZERO


def _compared(
    body: ComparisonAsked, found: list[tuple[Compared, Candidate]], currency: str
) -> Comparison:
    groups = {case: str(n) for n, group in enumerate(body.options) for case in group}
    candidates = [candidate for _, candidate in found]
    best = None if body.budget is None else best_set(candidates, groups, body.budget)
    worth = {c.case_id: c.npv for c in candidates}
    return Comparison(
        currency=currency,
        cases=sorted((c for c, _ in found), key=lambda c: (-c.npv.amount, c.case_id)),
        best=best,
        best_npv=None if best is None else sum((worth[c] for c in best), ZERO),
    )
