"""A business case: its events, its state, and the lines that it consists of."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, PlainSerializer

from shared.errors import CONFLICT, NOT_FOUND
from shared.events import Payload, event

Exact = Annotated[
    Decimal, PlainSerializer(lambda d: format(d, "f"), return_type=str, when_used="json")
]
Grain = Literal["month", "quarter", "year"]
Convention = Literal["end_of_period", "mid_period", "exact_dates"]
Evidence = Literal["verified", "conditional", "unverified"]
MAX_LINES = 500
TEMPLATES = {
    "rate-uplift": "change * volume * value * margin",
}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseBody(_Value):
    """All that is stated of a case, without its lines."""

    initiative_id: str
    name: str
    currency: str
    start: date
    grain: Grain
    periods: int
    discount_rate: Exact
    convention: Convention


class Once(_Value):
    """A cost that falls due once."""

    on: date
    amount: Exact


class Recurring(_Value):
    """A cost that comes back."""

    from_: date
    to: date
    every: Literal["P1M", "P3M", "P1Y"]
    amount: Exact
    indexation: Exact = Decimal(0)


class CostLine(_Value):
    """A cost, by one of three plans."""

    cost_id: str
    name: str
    category: str
    amounts: list[Exact] | None = None
    once: Once | None = None
    recurring: Recurring | None = None
    risk: Exact = Decimal(0)
    phase: str | None = None


class MetricChange(_Value):
    """A metric's change against a frozen baseline."""

    metric: str
    baseline_id: str


class MetricValue(_Value):
    """A metric's value per period."""

    key: str
    where: dict[str, Any] | None = None


class Input(_Value):
    """A named input: exactly one of the four."""

    metric_change: MetricChange | None = None
    metric: MetricValue | None = None
    curve: list[Exact] | None = None
    value: Exact | None = None
    unit: str | None = None

    @property
    def is_measured(self) -> bool:
        return self.metric_change is not None or self.metric is not None

    def stated(self, index: int) -> Decimal | None:
        """The figure stated for the period of that index; a curve's last one holds on."""
        if self.curve is not None:
            return self.curve[min(index, len(self.curve) - 1)]
        return self.value


class Attribution(_Value):
    """The share that is due to this initiative, and why."""

    share: Exact
    reason: str


class BenefitLine(_Value):
    """A rule that turns a metric's change into money."""

    benefit_id: str
    name: str
    category: str
    audience: Literal["customer", "prospect", "stakeholder", "business"]
    template: str | None
    formula: str
    inputs: dict[str, Input]
    planned: dict[str, Input]
    adoption: list[Exact]
    capture: Exact
    attribution: Attribution
    risk: Exact
    goal_id: str | None
    evidence: Evidence
    phase: str | None = None


@event("case.opened")
class CaseOpened(Payload):
    """A case was stated."""

    case_id: str
    body: CaseBody


@event("case.changed")
class CaseChanged(Payload):
    """A case's frame was stated anew."""

    body: CaseBody
    reason: str


@event("case.cost_added")
class CostAdded(Payload):
    """A cost joined the case."""

    line: CostLine


@event("case.benefit_added")
class BenefitAdded(Payload):
    """A benefit joined the case."""

    line: BenefitLine


@event("case.line_withdrawn")
class LineWithdrawn(Payload):
    """A cost or benefit left the case."""

    line_id: str
    reason: str


CaseEvent = CaseOpened | CaseChanged | CostAdded | BenefitAdded | LineWithdrawn


class Case(BaseModel):
    """A case as its events have left it."""

    model_config = ConfigDict(frozen=True)
    case_id: str
    revision: int
    body: CaseBody
    costs: list[CostLine] = []
    benefits: list[BenefitLine] = []


def evolve(state: Case | None, fact: CaseEvent) -> Case:
    """The case after one more event."""
    if isinstance(fact, CaseOpened):
        return Case(case_id=fact.case_id, revision=1, body=fact.body)
    assert state is not None, "a case begins with its opening"
    changed: dict[str, Any] = {"revision": state.revision + 1}
    match fact:
        case CaseChanged():
            changed["body"] = fact.body
        case CostAdded():
            changed["costs"] = [*state.costs, fact.line]
        case BenefitAdded():
            changed["benefits"] = [*state.benefits, fact.line]
        case LineWithdrawn():
            changed["costs"] = [c for c in state.costs if c.cost_id != fact.line_id]
            changed["benefits"] = [b for b in state.benefits if b.benefit_id != fact.line_id]
        case _:
            assert_never(fact)
    return state.model_copy(update=changed)


def add_cost(state: Case, line: CostLine) -> CostAdded:
    """Add a cost; names are unique, since booked costs find their line by them."""
    _demand_room(state)
    if any(c.name == line.name for c in state.costs):
        raise CONFLICT.refusal(f"The case has a cost named {line.name!r} already.")
    return CostAdded(line=line)


def add_benefit(state: Case, line: BenefitLine) -> BenefitAdded:
    """Add a benefit."""
    _demand_room(state)
    if any(b.name == line.name for b in state.benefits):
        raise CONFLICT.refusal(f"The case has a benefit named {line.name!r} already.")
    return BenefitAdded(line=line)


def withdraw(state: Case, line_id: str, reason: str) -> LineWithdrawn:
    """Take a line out; its past stays readable."""
    if line_id not in {c.cost_id for c in state.costs} | {b.benefit_id for b in state.benefits}:
        raise NOT_FOUND.refusal(f"The case has no line {line_id!r}.")
    return LineWithdrawn(line_id=line_id, reason=reason)


def _demand_room(state: Case) -> None:
    if len(state.costs) + len(state.benefits) >= MAX_LINES:
        raise CONFLICT.refusal(f"A case has at most {MAX_LINES} lines.")
