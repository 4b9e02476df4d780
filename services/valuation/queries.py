"""Questions about cases: their state, what the world measured of them, and their valuation."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select

from services.valuation.clients import GoalsClient, MetricsClient, ReplayRead
from services.valuation.domain.case import BenefitLine, Case, Input
from services.valuation.domain.schedule import Slot, booking_spans, slots_of
from services.valuation.domain.valuation import Measured
from services.valuation.tables import cases
from shared.clock import format_instant
from shared.errors import NOT_FOUND, Refusal
from shared.ledger import View
from shared.ledger.projecting import known

# The metric over `cost.booked` events by which booked costs are read; actuals define it.
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


def case(view: View, identity: str) -> Case:
    """A case as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(cases.c.state).where(
            cases.c.tenant_id == view.tenant_id,
            cases.c.case_id == identity,
            known(cases, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no case {identity!r}.")
    return Case.model_validate_json(state)


def case_list(view: View, initiative_id: str | None, after: str, limit: int) -> list[Case]:
    query = select(cases.c.state).where(
        cases.c.tenant_id == view.tenant_id,
        cases.c.case_id > after,
        known(cases, view.position),
    )
    if initiative_id is not None:
        query = query.where(cases.c.initiative_id == initiative_id)
    rows = view.connection.execute(query.order_by(cases.c.case_id).limit(limit))
    return [Case.model_validate_json(state) for state in rows.scalars()]


@dataclass
class World:
    """Goals and metrics, asked with the caller's credential from one basis each."""

    goals: GoalsClient
    metrics: MetricsClient
    credential: str
    known_at: datetime | None = None
    goals_basis: str | None = None
    metrics_basis: str | None = None
    findings: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def known(self, basis: str | None) -> dict[str, str | None]:
        if basis is not None:
            return {"basis": basis}
        return {"known_at": format_instant(self.known_at) if self.known_at else None}

    def values(self, key: str, periods: list[str], **narrowed: object) -> ReplayRead:
        answer = self.metrics.values(
            self.credential,
            key,
            periods,
            self.known(self.metrics_basis),
            **narrowed,  # type: ignore[arg-type]
        )
        # The first answer pins the basis, so that all figures are of one state of the ledger.
        self.metrics_basis = self.metrics_basis or answer.basis
        return answer


def measure(world: World, state: Case, today: date) -> Measured:
    """All that metrics can tell of a case: its inputs per elapsed period, and booked costs."""
    slots = slots_of(state.body)
    elapsed = sum(slot.end <= today for slot in slots[1:])
    world.goals_basis = world.goals.initiative(
        world.credential, state.body.initiative_id, world.known(world.goals_basis)
    ).basis
    inputs = {
        line.benefit_id: _inputs(world, line, slots[1 : elapsed + 1]) for line in state.benefits
    }
    return Measured(inputs, _actuals(world, state, slots), elapsed)


def _inputs(world: World, line: BenefitLine, slots: list[Slot]) -> dict[str, list[Decimal | None]]:
    return {
        name: _figures(world, source, slots)
        for name, source in line.inputs.items()
        if source.is_measured and slots
    }


def _figures(world: World, source: Input, slots: list[Slot]) -> list[Decimal | None]:
    names, change = [slot.name for slot in slots], source.metric_change
    if change is None:
        assert source.metric is not None, "a measured input names a metric"
        answer = world.values(source.metric.key, names, where=source.metric.where)
        return [value.value for value in answer.values]
    # Like is compared with like: the same filter and version as the baseline was frozen with.
    baseline = world.metrics.baseline(world.credential, change.baseline_id)
    answer = world.values(change.metric, names, where=baseline.where, version=baseline.version)
    before = baseline.value
    return [
        None if value.value is None or before is None else value.value - before
        for value in answer.values
    ]


def _actuals(world: World, state: Case, slots: list[Slot]) -> dict[str, dict[int, Decimal]]:
    spans = booking_spans(slots)
    mine = {"field": "initiative", "op": "eq", "value": state.body.initiative_id}
    found: dict[str, dict[int, Decimal]] = defaultdict(dict)
    try:
        answer = world.values(
            BOOKED_COSTS, [name for _, name in spans], where=mine, group_by="item"
        )
    except Refusal as refusal:
        if refusal.problem.slug == "unknown-metric":
            return found
        raise
    places = {name: index for index, name in spans}
    items = {c.cost_id for c in state.costs} | {c.name for c in state.costs}
    for value in answer.values:
        if value.numerator is None or not value.numerator:
            continue
        item = value.group["item"]
        if value.reason is not None or value.currency != state.body.currency:
            why = value.reason or f"{item} is booked in {value.currency}"
            world.findings.append(("actuals_unknown", {"why": why}))
        elif item not in items:
            shown = {"amount": format(value.numerator, "f"), "item": item}
            world.findings.append(("unknown_item", shown))
        else:
            found[item][places[value.period]] = value.numerator
    return found
