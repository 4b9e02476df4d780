"""A goal's family: each member of a dimension held against its own baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.goals.clients import ReplayAsked, ReplayRead, ValueRead
from services.goals.domain.goal import Commitment, Goal, GoalBody
from services.goals.domain.progress import Reading, read
from services.goals.queries.assessment import Question, previous_day
from services.goals.queries.standing import periods_of, way_of
from shared.errors import CONFLICT, invalid
from shared.periods import Calendar

# A family as large as this is shown whole.
MAX_MEMBERS = 1_000


@dataclass(frozen=True)
class Member:
    """One member: its own baseline, what the goal's change makes of it, and where it stands."""

    name: str
    baseline: Decimal | None
    target: Decimal | None
    current: ValueRead
    reading: Reading


def family(
    asked: Question, goal: Goal, today: date, days: Calendar, dimension: str
) -> list[Member]:
    """Where every member of a committed goal's dimension stands, by name.

    A change is asked of each member from its own baseline; a figure or a band is asked of all
    alike. A member's baseline is the mean of its figures over the baseline's periods (its pooled
    figure where that is one period); without one its status is `no_data`.
    """
    body, promised = goal.of_kind(GoalBody), goal.promised
    if promised is None:
        raise CONFLICT.refusal(f"The goal is {goal.state}; only a committed goal has progress.")
    periods = periods_of(goal, today, days)
    questions = [
        ReplayAsked(body.metric, names, body.where, promised.metric_version, [dimension])
        for names in (promised.baseline.periods, [periods[0].name])
    ]
    (before, now), _ = asked.metrics.replay(asked.credential, questions, **asked.known)
    if before.replay is None or now.replay is None:
        problem = before.problem or now.problem
        raise invalid("query:group_by", problem.detail if problem else "no answer", "dimension")
    baselines = _baselines(before.replay, dimension)
    members = [
        _member(body, promised, value, baselines, dimension, days) for value in now.replay.values
    ]
    return sorted(members, key=lambda member: member.name)[:MAX_MEMBERS]


def _baselines(replay: ReplayRead, dimension: str) -> dict[str, Decimal]:
    figures: dict[str, list[Decimal]] = {}
    for value in replay.values:
        if value.value is not None:
            figures.setdefault(value.group.get(dimension, ""), []).append(value.value)
    return {name: sum(found, Decimal(0)) / len(found) for name, found in figures.items()}


def _member(
    body: GoalBody, promised: Commitment, value: ValueRead, baselines: Mapping[str, Decimal],
    dimension: str, days: Calendar,
) -> Member:  # fmt: skip
    name = value.group.get(dimension, "")
    baseline = baselines.get(name)
    target = promised.target.resolve(baseline)
    if baseline is None and promised.target.band is None:
        return Member(name, None, target, value, Reading.without(value.period, "no_baseline"))
    own = promised.model_copy(update={
        "baseline": promised.baseline.model_copy(update={"value": baseline or Decimal(0)}),
        "target_value": target,
    })  # fmt: skip
    # Milestones are figures of the whole family; a member goes its own way straight.
    straight = body.model_copy(update={"milestones": []})
    way = way_of(straight, own, days)
    reading = read(own, value.period, previous_day(value.end), value.value, value.reason, way)
    return Member(name, baseline, target, value, reading)
