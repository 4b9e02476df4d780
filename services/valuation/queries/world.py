"""What goals and metrics say of a case, asked from one basis each with the caller's credential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from services.valuation.clients import Known
from services.valuation.clients.goals import FactorRead, GoalsClient
from services.valuation.clients.metrics import (
    Asked,
    BaselineRead,
    MetricsClient,
    ReplayAnswerRead,
    ReplayRead,
    ValueRead,
)
from services.valuation.domain.case import Case
from services.valuation.domain.lines import Input, money_inputs
from services.valuation.domain.measured import Baseline, Measured, Obstacle, Proof
from services.valuation.domain.risk import RiskTable, chance
from services.valuation.domain.schedule import (
    MONTHS,
    Slot,
    booking_spans,
    paying_days,
    share_of_periods,
    slots_of,
    until,
)
from services.valuation.domain.valuation import elapsed_on
from services.valuation.queries.definitions import BOOKED_COSTS, EXCHANGE_RATES
from shared.clock import format_instant
from shared.errors import Refusal

# So many periods metrics answers in one question, with room to spare.
DAYS_AT_ONCE = 500


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

    def known(self, basis: str | None) -> Known:
        """The moment or basis that is asked for."""
        if basis is not None:
            return {"basis": basis}
        return {"known_at": format_instant(self.known_at) if self.known_at else None}

    def replay(self, questions: Sequence[Asked]) -> list[ReplayAnswerRead]:
        """Figures of metrics; the first answer pins the basis, so that all are of one state."""
        if not questions:
            return []
        answers, self.metrics_basis = self.metrics.replay(
            self.credential, questions, self.known(self.metrics_basis)
        )
        return answers

    def note(self, code: str, **params: str) -> None:
        """Keep a finding, once."""
        if (code, params) not in self.findings:
            self.findings.append((code, params))


def measure(world: World, state: Case, today: date, table: RiskTable) -> Measured:
    """All that the other services can tell of a case as known at the world's moment."""
    slots = slots_of(state.body)
    elapsed = elapsed_on(slots, today)
    read = world.goals.initiative(
        world.credential, state.body.initiative_id, world.known(world.goals_basis)
    )
    world.goals_basis = read.basis
    measuring = _Measuring(world, state, slots, elapsed)
    inputs = measuring.inputs()
    actuals = measuring.actuals()
    return Measured(
        inputs=inputs,
        actuals=actuals,
        elapsed=elapsed,
        shares=_shares(world, state),
        obstacles=_obstacles(world, state, table),
        rates=measuring.stated_rates(),
        day_rates=_day_rates(world, state, slots),
        go_live=read.initiative.go_live,
        phases={phase.name: phase.go_live for phase in read.initiative.phases},
        related=_related(world, state),
        proofs=measuring.proofs,
        baselines=list(measuring.baselines.values()),
        findings=world.findings,
    )


class _Measuring:
    """The questions of one case to metrics, asked together."""

    def __init__(self, world: World, state: Case, slots: Sequence[Slot], elapsed: int) -> None:
        self.world, self.state, self.slots = world, state, slots
        self.over = tuple(slot.name for slot in slots[1 : elapsed + 1])
        self.proofs: list[Proof] = []
        self.baselines: dict[str, Baseline] = {}
        self._frozen: dict[str, BaselineRead] = {}
        self._answers: dict[str, ReplayAnswerRead] = {}
        self._rates: dict[str, list[Decimal | None]] = {}
        self._booked = Asked(
            BOOKED_COSTS, tuple(name for _, name in booking_spans(slots)),
            {"field": "initiative", "op": "eq", "value": state.body.initiative_id},
            group_by=("item",),
        )  # fmt: skip
        self._ask()

    def _ask(self) -> None:
        asked = {self._booked.identity: self._booked}
        for line in self.state.benefits:
            for source in line.inputs.values():
                if source.is_measured:
                    # Baselines are read whether or not a period is over.
                    question = self._question(source)
                    if self.over:
                        asked[question.identity] = question
        answers = self.world.replay(list(asked.values()))
        self._answers = dict(zip(asked, answers, strict=True))
        for question, answer in zip(asked.values(), answers, strict=True):
            if answer.replay is not None and question is not self._booked:
                self._prove(answer.replay)

    def _question(self, source: Input) -> Asked:
        """Like is compared with like: the filter and version that a baseline was frozen with."""
        if source.metric is not None:
            return Asked(source.metric.key, self.over, source.metric.where)
        change = source.metric_change
        assert change is not None, "a measured input names a metric"
        frozen = self._frozen.get(change.baseline_id)
        if frozen is None:
            frozen = self.world.metrics.baseline(self.world.credential, change.baseline_id)
            self._frozen[change.baseline_id] = frozen
            ends = frozen.limits
            self.baselines[change.baseline_id] = Baseline(
                baseline_id=change.baseline_id, metric=frozen.metric, version=frozen.version,
                value=frozen.value, basis=frozen.basis, periods=frozen.periods, n=frozen.n,
                per_period=frozen.value,
                lower=ends.lower if ends else None, upper=ends.upper if ends else None,
            )  # fmt: skip
        return Asked(change.metric, self.over, frozen.where, frozen.version)

    def _prove(self, replay: ReplayRead) -> None:
        self.proofs += [
            Proof(
                metric=replay.metric, version=replay.version, period=value.period,
                value=value.value, numerator=value.numerator, denominator=value.denominator,
                n=value.n, reason=value.reason,
            )
            for value in replay.values
        ]  # fmt: skip

    def inputs(self) -> dict[str, dict[str, list[Decimal | None]]]:
        """The figure of every measured input per period that is over."""
        return {
            line.benefit_id: {
                name: self._figures(source)
                for name, source in line.inputs.items()
                if source.is_measured and self.over
            }
            for line in self.state.benefits
        }

    def _figures(self, source: Input) -> list[Decimal | None]:
        answer = self._answers[self._question(source).identity]
        if answer.replay is None:
            why = answer.problem.detail if answer.problem else ""
            self.world.note("metric_unknown", metric=source.key or "", why=why)
            return [None] * len(self.over)
        change = source.metric_change
        if change is None:
            return [self._money(v, v.value, i + 1) for i, v in enumerate(answer.replay.values)]
        frozen = self._frozen[change.baseline_id]
        before = self._per_period(change.baseline_id, answer.replay.additive)
        sign = -1 if change.sense == "fall" else 1
        found: list[Decimal | None] = []
        for place, value in enumerate(answer.replay.values, 1):
            after = self._money(value, value.value, place)
            # Both at one rate, so that a change of the rate is no change of the metric.
            stood = self._in_currency(frozen.currency, before, place, value.period)
            found.append(None if after is None or stood is None else sign * (after - stood))
        return found

    def _per_period(self, baseline_id: str, additive: bool) -> Decimal | None:
        """A baseline's figure for a period as long as the case's: sums grow with their period."""
        frozen = self._frozen[baseline_id]
        length = MONTHS[self.state.body.grain]
        figure, scaled = frozen.value, False
        if additive and figure is not None:
            share = share_of_periods(length, [(v.start, v.end) for v in frozen.values])
            figure, scaled = figure * share, share != 1
        told = {"per_period": figure, "scaled": scaled}
        self.baselines[baseline_id] = self.baselines[baseline_id].model_copy(update=told)
        return figure

    def _money(self, value: ValueRead, amount: Decimal | None, place: int) -> Decimal | None:
        """A figure in the case's currency."""
        return self._in_currency(value.currency, amount, place, value.period)

    def _in_currency(
        self, currency: str | None, amount: Decimal | None, place: int, period: str
    ) -> Decimal | None:
        if amount is None or currency in (None, self.state.body.currency):
            return amount
        rate = self.rates(str(currency))[place]
        if rate is None:
            self.world.note("no_rate", currency=str(currency), period=period)
            return None
        return amount * rate

    def actuals(self) -> dict[str, dict[int, Decimal]]:
        """Booked costs by item and place of the axis."""
        answer = self._answers[self._booked.identity]
        found: dict[str, dict[int, Decimal]] = {}
        if answer.replay is None:
            if answer.problem is not None:
                self.world.note("actuals_unknown", why=answer.problem.detail)
            return found
        places = {name: index for index, name in booking_spans(self.slots)}
        items = {c.cost_id for c in self.state.costs} | {c.name for c in self.state.costs}
        for value in answer.replay.values:
            if value.numerator is None or not value.n:
                continue
            item, place = value.group["item"], places[value.period]
            amount = None if value.reason else self._money(value, value.numerator, place)
            if amount is None:
                why = value.reason or f"{item} is booked in {value.currency}"
                self.world.note("actuals_unknown", why=why)
            elif item not in items:
                self.world.note("unknown_item", amount=format(value.numerator, "f"), item=item)
            else:
                found.setdefault(item, {})[place] = amount
        return found

    def stated_rates(self) -> dict[str, list[Decimal | None]]:
        """The rates of all currencies in which lines are stated."""
        for currency in foreign_currencies(self.state):
            self.rates(currency)
        return {currency: list(found) for currency, found in self._rates.items()}

    def rates(self, currency: str) -> list[Decimal | None]:
        """What one unit of a currency was worth at each place of the axis."""
        if currency not in self._rates:
            quote = self.state.body.currency
            self._rates[currency] = exchange(self.world, currency, quote, self.slots)
        return self._rates[currency]


def foreign_currencies(state: Case) -> list[str]:
    """Currencies in which lines are stated, besides the case's."""
    found = {line.currency for line in state.costs if line.currency}
    for line in state.costs:
        found |= money_inputs(line.inputs)
    for benefit in state.benefits:
        found |= money_inputs(benefit.inputs) | money_inputs(benefit.planned)
    return sorted(found - {state.body.currency})


def exchange(world: World, base: str, quote: str, slots: Sequence[Slot]) -> list[Decimal | None]:
    """The last recorded rate up to the end of each place: the pair's, else the other's inverse."""
    return _exchanged(world, base, quote, booking_spans(slots))


def _exchanged(
    world: World, base: str, quote: str, spans: Sequence[tuple[int, str]]
) -> list[Decimal | None]:
    """The last recorded rate up to the end of each of some spans, in order of their ends."""
    answers = world.replay(
        [_rate_question(spans, *pair) for pair in ((base, quote), (quote, base))]
    )
    direct, inverse = (
        {} if a.replay is None else {v.period: v.value for v in a.replay.values} for a in answers
    )
    found: list[Decimal | None] = []
    there: Decimal | None = None
    back: Decimal | None = None
    for _, span in spans:
        there = direct.get(span) or there
        back = inverse.get(span) or back
        found.append(there if there is not None else 1 / back if back else None)
    return found


def _day_rates(
    world: World, state: Case, slots: Sequence[Slot]
) -> dict[str, dict[date, Decimal | None]]:
    """What a unit of each other currency was worth on the days on which costs in it are paid."""
    days: dict[str, set[date]] = {}
    for line in state.costs:
        if line.currency not in (None, state.body.currency):
            days.setdefault(str(line.currency), set()).update(paying_days(line, slots))
    found: dict[str, dict[date, Decimal | None]] = {}
    for currency, wanted in sorted(days.items()):
        found[currency] = {}
        for start in range(0, len(wanted), DAYS_AT_ONCE):
            part = sorted(wanted)[start : start + DAYS_AT_ONCE]
            spans = [(n, until(day)) for n, day in enumerate(part)]
            rates = _exchanged(world, currency, state.body.currency, spans)
            found[currency].update(zip(part, rates, strict=True))
    return found


def _rate_question(spans: Sequence[tuple[int, str]], base: str, quote: str) -> Asked:
    pair: list[dict[str, Any]] = [
        {"field": "base", "op": "eq", "value": base},
        {"field": "quote", "op": "eq", "value": quote},
    ]
    return Asked(EXCHANGE_RATES, tuple(name for _, name in spans), {"all": pair})


def _shares(world: World, state: Case) -> dict[str, Decimal]:
    """Shares that a goal's owner has acknowledged, by goal."""
    found = {}
    for identity in dict.fromkeys(b.goal_id for b in state.benefits if b.goal_id):
        try:
            goal = world.goals.goal(world.credential, identity, world.known(world.goals_basis))
        except Refusal as refusal:
            if refusal.problem.status != 404:
                raise
            continue
        if goal.expected_share is not None and goal.acknowledged_by is not None:
            found[identity] = goal.expected_share
    return found


def _obstacles(world: World, state: Case, table: RiskTable) -> dict[str, list[Obstacle]]:
    """Open obstacles that were rated, by the goals of the case's benefits."""
    wanted = {b.goal_id for b in state.benefits if b.goal_id}
    if not wanted:
        return {}
    factors = world.goals.factors(
        world.credential, state.body.initiative_id, world.known(world.goals_basis)
    )
    found: dict[str, list[Obstacle]] = {}
    for factor in factors:
        if factor.kind != "obstacle" or factor.status != "open":
            continue
        obstacle = _obstacle(factor, table)
        for goal in wanted.intersection(factor.goals) if obstacle else ():
            assert obstacle is not None, "rated obstacles only"
            found.setdefault(str(goal), []).append(obstacle)
    return found


def _obstacle(factor: FactorRead, table: RiskTable) -> Obstacle | None:
    """An obstacle with its chance before and after its mitigations; None where not rated."""
    if factor.likelihood is None or factor.impact is None:
        return None
    likelihood, impact = factor.likelihood, factor.impact
    before = chance(table, likelihood, impact)
    after = [
        (m.done, chance(table, m.likelihood_after or likelihood, m.impact_after or impact))
        for m in factor.mitigations
    ]
    return Obstacle(
        factor_id=factor.id, text=factor.text, chance=before,
        left=min([before, *(left for done, left in after if done)]),
        possible=min([before, *(left for _, left in after)]),
        cost_lines=[m.cost_line for m in factor.mitigations if m.cost_line],
    )  # fmt: skip


def _related(world: World, state: Case) -> list[tuple[str, str]]:
    """Which of the case's metrics drives which other; asked only where two could overlap."""
    keys = {driver.metric for line in state.benefits for driver in line.drivers}
    if len(keys) < 2:
        return []
    return [pair for pair in world.metrics.drives(world.credential) if set(pair) <= keys]
