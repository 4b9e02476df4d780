"""What goals asks of metrics: baselines, figures and history, put into the terms of a goal."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypedDict

from services.goals.clients import (
    BaselineRead,
    MetricBody,
    MetricsClient,
    ReplayAsked,
    ValueRead,
)
from services.goals.domain.delivery import check_delivery
from services.goals.domain.goal import (
    Commitment,
    DeliverableBody,
    FrozenBaseline,
    Goal,
    GoalBody,
    Target,
)
from services.goals.domain.smart import Evidence, Letter, Surroundings, check
from shared.clock import format_instant
from shared.errors import CONFLICT, Fault, Refusal, invalid, problem
from shared.periods import (
    Calendar,
    Grain,
    Period,
    PeriodError,
    following,
    grain_of,
    parse_period,
    period_holding,
    previous,
    trailing,
)

# How far back the metric's own changes are looked at.
HISTORY_PERIODS = 12
MAX_PERIODS_TO_GO = 240
IMPOSSIBLE_PERIOD = problem(
    "impossible-goal-period", 422, "No such period",
    "A period of the goal can't be given bounds: its name is in no known form.",
    "Write 2025-Q3, 2025-07, 2025, FY2026-Q1 or 2025-01-01..2025-04-01 (end exclusive).",
)  # fmt: skip


class Known(TypedDict):
    """As known when metrics is to answer."""

    basis: str | None
    known_at: str | None


@dataclass(frozen=True)
class Question:
    """Who asks metrics, and as known when."""

    metrics: MetricsClient
    credential: str
    known_at: datetime | None = None
    metrics_basis: str | None = None

    @property
    def known(self) -> Known:
        if self.metrics_basis is not None:
            return Known(basis=self.metrics_basis, known_at=None)
        return Known(basis=None, known_at=format_instant(self.known_at) if self.known_at else None)

    def calendar(self) -> Calendar:
        return self.metrics.calendar(self.credential)

    def metric(self, key: str) -> MetricBody:
        return self.metrics.metric(self.credential, key)


def parse(name: str, days: Calendar, pointer: str) -> Period:
    """A period by name; refuses with a pointer."""
    try:
        return parse_period(name, days)
    except PeriodError as error:
        fault = Fault(pointer, str(error), "period")
        raise IMPOSSIBLE_PERIOD.refusal(str(error), [fault]) from error


def due_of(target_period: str, days: Calendar) -> date:
    """The end of the target period: its last day."""
    return previous_day(parse(target_period, days, "/target_period").end)


def demand_ahead(due: date, target_period: str, today: date) -> None:
    """Refuse to move a promise into a period that is over: its outcome is known already."""
    if due < today:
        detail = f"The target period {target_period} is over already."
        raise invalid("/target_period", detail, "due_past")


def demand_after_baseline(commitment: Commitment, target_period: str, days: Calendar) -> None:
    """Refuse a target period that does not come after the baseline."""
    last = parse(commitment.baseline.periods[-1], days, "/baseline/periods")
    if parse(target_period, days, "/target_period").end <= last.end:
        detail = f"{target_period} does not come after the baseline, which ends with {last.name}."
        raise invalid("/target_period", detail, "due_before_baseline")


def previous_day(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)


def baseline_of(asked: Question, body: GoalBody) -> BaselineRead:
    """The goal's baseline: the frozen one that it names, or a look at its periods."""
    spec = body.baseline
    if spec.id is not None:
        found = asked.metrics.baseline(asked.credential, spec.id)
        if found.metric != body.metric:
            detail = f"The baseline is one of {found.metric!r}, the goal measures {body.metric!r}."
            raise invalid("/baseline/id", detail, "other_metric")
        return found
    return asked.metrics.preview_baseline(
        asked.credential, body.metric, spec.periods, spec.method, body.where
    )


@dataclass(frozen=True)
class Checked:
    """A goal's letters, with the baseline and the metric that they were read from."""

    letters: dict[str, Letter]
    baseline: BaselineRead | None = None
    metric: MetricBody | None = None


def smart_of(asked: Question, goal: Goal, today: date, around: Surroundings) -> Checked:
    """The SMART check of a goal; a measured one is held against its metric's real history."""
    if isinstance(goal.body, DeliverableBody):
        return Checked(check_delivery(goal.body, today, around))
    body = goal.body
    days, metric = asked.calendar(), asked.metric(body.metric)
    baseline = baseline_of(asked, body)
    last_baseline = parse(baseline.periods[-1], days, "/baseline/periods")
    target = parse(body.target_period, days, "/target_period")
    grain = grain_of(last_baseline.name)
    current = last_complete(today, grain or "quarter", days)
    past = trailing(current, HISTORY_PERIODS, days)
    values = asked.metrics.values(
        asked.credential, body.metric, [p.name for p in past], where=body.where, **asked.known
    ).values
    last, kind = values[-1], str(metric.definition.get("kind"))
    quality = asked.metrics.quality(asked.credential, body.metric, current.name, **asked.known)
    evidence = Evidence(
        unit=metric.unit, direction=metric.direction, kind=kind, guidelines=metric.guidelines,
        last_period=last.period, last_value=last.value, last_reason=last.reason,
        baseline_value=baseline.value, baseline_state=baseline.state,
        baseline_cause=baseline.cause, baseline_mend=baseline.mend,
        baseline_end=previous_day(last_baseline.end), baseline_periods=baseline.periods,
        history=[v.value for v in values if v.value is not None],
        periods_to_go=_periods_between(last_baseline, target, days),
        today=today,
        drivers=asked.metrics.drivers(asked.credential, body.metric) if kind == "sum" else (),
        fresh=quality.fresh,
        last_arrival=quality.last_occurred_at,
        measuring=goal.measuring,
        legs=_legs(body, baseline.value, last_baseline, target, days),
        yearly=_yearly(body, last_baseline, target, days),
        surroundings=around,
    )  # fmt: skip
    return Checked(check(body, evidence), baseline, metric)


def _yearly(body: GoalBody, start: Period, target: Period, days: Calendar) -> bool:
    """Whether no more than a year lies between two milestones, the start and the end."""
    stops = [parse(m.period, days, "/milestones").end for m in body.milestones]
    ends = sorted([start.end, *stops, target.end])
    return all((after - before).days <= 366 for before, after in itertools.pairwise(ends))


def _legs(
    body: GoalBody, baseline: Decimal | None, start: Period, target: Period, days: Calendar
) -> list[Decimal]:
    """The change per period that each milestone asks, and the target after the last of them."""
    if baseline is None or not body.milestones:
        return []
    stops = [(parse(m.period, days, "/milestones"), m.value) for m in body.milestones]
    end = body.target.resolve(baseline)
    stops += [(target, end)] if end is not None else []
    legs, here, value = [], start, baseline
    for period, figure in sorted(stops, key=lambda stop: stop[0].end):
        legs.append((figure - value) / max(1, _periods_between(here, period, days)))
        here, value = period, figure
    return legs


def demand_filter(
    asked: Question, metric: str, where: dict[str, Any] | None, period: str, pointer: str
) -> None:
    """Refuse a filter that the metric does not know, before it is stored anywhere."""
    if where is None:
        return
    try:
        (answer,), _ = asked.metrics.replay(
            asked.credential, [ReplayAsked(metric, [period], where)]
        )
    except Refusal as refusal:
        if refusal.problem.status != 422:
            raise
        raise invalid(pointer, refusal.detail, "filter") from refusal
    if answer.problem is not None:
        raise invalid(pointer, answer.problem.detail, "filter")


def demand_money(metric: MetricBody, currency: str, days: Calendar) -> None:
    """Refuse a metric that does not say money in a currency: it can't watch a budget in it."""
    said = days.currency if metric.unit == "money" else metric.unit
    if said != currency:
        detail = f"{metric.key} is in {said}, the budget in {currency}."
        raise invalid("/budget/metric", detail, "currency")


def last_complete(today: date, grain: Grain, days: Calendar) -> Period:
    """The last period of a grain that was over before today."""
    return previous(period_holding(today, grain, days), days)


def _periods_between(start: Period, target: Period, days: Calendar) -> int:
    count, current = 0, start
    while current.end < target.end and count < MAX_PERIODS_TO_GO:
        current, count = following(current, days), count + 1
    return count


def commitment_of(
    frozen: BaselineRead, metric: MetricBody, target: Target, target_period: str, due: date
) -> Commitment:
    """What is promised, with every figure fixed."""
    if frozen.value is None or frozen.id is None:
        raise no_baseline(frozen)
    limits = frozen.limits
    return Commitment(
        baseline=FrozenBaseline(
            id=frozen.id,
            value=frozen.value,
            periods=frozen.periods,
            lower=limits.lower if limits else None,
            upper=limits.upper if limits else None,
            spread=frozen.spread,
        ),
        target=target,
        target_value=target.resolve(frozen.value),
        target_period=target_period,
        due=due,
        metric_version=metric.version,
        direction=metric.direction,
    )


def no_baseline(found: BaselineRead) -> Refusal:
    return CONFLICT.refusal(
        f"The baseline can't be measured ({found.cause}). {found.mend or ''}".strip(),
        [Fault("/baseline", "A commitment needs a baseline with a value.", "no_baseline")],
    )


def figure_of_target(asked: Question, goal: Goal) -> tuple[Decimal, str, Period]:
    """The figure of the target period with its basis; refuses where there is none."""
    body, commitment = goal.of_kind(GoalBody), goal.promised
    if commitment is None:
        raise CONFLICT.refusal(f"The goal is {goal.state}; only a committed goal is closed.")
    period = parse(commitment.target_period, asked.calendar(), "/target_period")
    answer = asked.metrics.values(
        asked.credential,
        body.metric,
        [period.name],
        where=body.where,
        version=commitment.metric_version,
        **asked.known,
    )
    value: ValueRead = answer.values[0]
    if value.value is None:
        raise CONFLICT.refusal(
            f"{body.metric} has no value for {period.name} ({value.reason}); the goal "
            "can't be judged."
        )
    return value.value, answer.basis, period


def defaults_from(metric: MetricBody, stated: dict[str, Any]) -> dict[str, Any]:
    """Audience, indicator and nature as the metric has them, where the goal does not say."""
    return {
        name: stated[name] if stated.get(name) is not None else getattr(metric, name)
        for name in ("audience", "indicator", "nature")
    }
