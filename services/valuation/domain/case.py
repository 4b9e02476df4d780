"""A business case: its events, its state, and the decisions about it."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict

from services.valuation.domain.finance import Convention
from services.valuation.domain.lines import BenefitLine, CostLine, Exact, Value
from shared.errors import CONFLICT, NOT_FOUND
from shared.events import Payload, event

Grain = Literal["month", "quarter", "year"]
MAX_LINES = 500
MAX_SCENARIOS = 20
BASE = "base"


class CaseBody(Value):
    """All that is stated of a case, without its lines; rates are yearly fractions."""

    initiative_id: str
    name: str
    currency: str
    start: date
    grain: Grain
    periods: int
    discount_rate: Exact
    convention: Convention
    users: int | None = None
    finance_rate: Exact | None = None
    reinvest_rate: Exact | None = None


class Override(Value):
    """An assumption that a scenario states otherwise: a figure, a curve, or a factor on what is."""

    of: str
    value: Exact | None = None
    curve: list[Exact] | None = None
    factor: Exact | None = None


class Scenario(Value):
    """Another way in which things could go."""

    key: str
    name: str
    overrides: list[Override]


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


@event("case.cost_changed")
class CostChanged(Payload):
    """A cost was stated anew."""

    line: CostLine
    reason: str


@event("case.benefit_changed")
class BenefitChanged(Payload):
    """A benefit was stated anew."""

    line: BenefitLine
    reason: str


@event("case.scenario_stated")
class ScenarioStated(Payload):
    """A scenario was stated, or stated anew."""

    scenario: Scenario
    reason: str


@event("case.scenario_dropped")
class ScenarioDropped(Payload):
    """A scenario was given up."""

    key: str
    reason: str


@event("case.line_withdrawn")
class LineWithdrawn(Payload):
    """A cost or benefit left the case."""

    line_id: str
    reason: str


CaseEvent = (
    CaseOpened
    | CaseChanged
    | CostAdded
    | BenefitAdded
    | CostChanged
    | BenefitChanged
    | LineWithdrawn
    | ScenarioStated
    | ScenarioDropped
)


class Case(BaseModel):
    """A case as its events have left it."""

    model_config = ConfigDict(frozen=True)
    case_id: str
    revision: int
    body: CaseBody
    costs: list[CostLine] = []
    benefits: list[BenefitLine] = []
    scenarios: list[Scenario] = []

    def scenario(self, key: str) -> Scenario:
        """A scenario by its key; refuses with 404."""
        for one in self.scenarios:
            if one.key == key:
                return one
        known = ", ".join([BASE, *(one.key for one in self.scenarios)])
        raise NOT_FOUND.refusal(f"The case has no scenario {key!r}; there are {known}.")


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
        case CostChanged():
            line = fact.line
            changed["costs"] = [line if c.cost_id == line.cost_id else c for c in state.costs]
        case BenefitChanged():
            new = fact.line
            changed["benefits"] = [
                new if b.benefit_id == new.benefit_id else b for b in state.benefits
            ]
        case ScenarioStated():
            others = [s for s in state.scenarios if s.key != fact.scenario.key]
            changed["scenarios"] = [*others, fact.scenario]
        case ScenarioDropped():
            changed["scenarios"] = [s for s in state.scenarios if s.key != fact.key]
        case LineWithdrawn():
            changed["costs"] = [c for c in state.costs if c.cost_id != fact.line_id]
            changed["benefits"] = [b for b in state.benefits if b.benefit_id != fact.line_id]
        case _:
            assert_never(fact)
    return state.model_copy(update=changed)


def add_cost(state: Case, line: CostLine) -> CostAdded:
    """Add a cost; names are unique, since booked costs find their line by them."""
    _demand_room(state)
    _demand_free(state, line.name, line.cost_id)
    return CostAdded(line=line)


def change_cost(state: Case, line: CostLine, reason: str) -> CostChanged:
    """State a cost anew."""
    if line.cost_id not in {c.cost_id for c in state.costs}:
        raise NOT_FOUND.refusal(f"The case has no cost {line.cost_id!r}.")
    _demand_free(state, line.name, line.cost_id)
    return CostChanged(line=line, reason=reason)


def add_benefit(state: Case, line: BenefitLine) -> BenefitAdded:
    """Add a benefit."""
    _demand_room(state)
    _demand_free(state, line.name, line.benefit_id)
    _demand_split(state, line)
    return BenefitAdded(line=line)


def change_benefit(state: Case, line: BenefitLine, reason: str) -> BenefitChanged:
    """State a benefit anew."""
    if line.benefit_id not in {b.benefit_id for b in state.benefits}:
        raise NOT_FOUND.refusal(f"The case has no benefit {line.benefit_id!r}.")
    _demand_free(state, line.name, line.benefit_id)
    _demand_split(state, line)
    return BenefitChanged(line=line, reason=reason)


def state_scenario(state: Case, scenario: Scenario, reason: str) -> ScenarioStated:
    """State a scenario; the base is the case itself."""
    known = {s.key for s in state.scenarios}
    if scenario.key == BASE:
        raise CONFLICT.refusal("The base scenario is the case itself; change its lines.")
    if scenario.key not in known and len(known) >= MAX_SCENARIOS:
        raise CONFLICT.refusal(f"A case has at most {MAX_SCENARIOS} scenarios.")
    return ScenarioStated(scenario=scenario, reason=reason)


def drop_scenario(state: Case, key: str, reason: str) -> ScenarioDropped:
    """Give a scenario up; its past stays readable."""
    return ScenarioDropped(key=state.scenario(key).key, reason=reason)


def withdraw(state: Case, line_id: str, reason: str) -> LineWithdrawn:
    """Take a line out; its past stays readable."""
    if line_id not in {c.cost_id for c in state.costs} | {b.benefit_id for b in state.benefits}:
        raise NOT_FOUND.refusal(f"The case has no line {line_id!r}.")
    return LineWithdrawn(line_id=line_id, reason=reason)


def _demand_room(state: Case) -> None:
    if len(state.costs) + len(state.benefits) >= MAX_LINES:
        raise CONFLICT.refusal(f"A case has at most {MAX_LINES} lines.")


def _demand_free(state: Case, name: str, line_id: str) -> None:
    """Names are unique in a case, since people and booked costs find lines by them."""
    taken = {c.name: c.cost_id for c in state.costs} | {
        b.name: b.benefit_id for b in state.benefits
    }
    if taken.get(name, line_id) != line_id:
        raise CONFLICT.refusal(f"The case has a line named {name!r} already.")


def _demand_split(state: Case, line: BenefitLine) -> None:
    """Parts of one movement that are claimed by several benefits never exceed the whole."""
    if line.overlap is None:
        return
    group = [
        b.overlap.share
        for b in state.benefits
        if b.overlap is not None
        and b.overlap.group == line.overlap.group
        and b.benefit_id != line.benefit_id
    ]
    total = sum(group, line.overlap.share)
    if total > 1:
        detail = f"The parts of {line.overlap.group!r} add up to {total}; they can't exceed 1."
        raise CONFLICT.refusal(detail)
