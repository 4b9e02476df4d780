"""Where committed goals stand: the figures of all of them asked at once, from one basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.goals.clients import ReplayAnswerRead, ReplayAsked, ValueRead
from services.goals.domain.goal import Commitment, Goal, GoalBody
from services.goals.domain.progress import Point, Reading, read
from services.goals.queries.assessment import Question, last_complete, parse, previous_day
from shared.periods import Calendar, Grain, Period, following, grain_of


@dataclass(frozen=True)
class Standing:
    """Progress with the figures that it was read from."""

    reading: Reading
    current: ValueRead
    running: ValueRead | None


def standings(
    asked: Question, goals: Sequence[Goal], today: date, days: Calendar
) -> tuple[list[Standing | str], str]:
    """Where committed goals stand by the last complete period, the running one beside it.

    One question to metrics for all of them; in the place of a goal that it can't answer stands why.
    The basis of the metrics ledger comes with them.
    """
    looked = [_periods(goal, today, days) for goal in goals]
    questions = [
        ReplayAsked(goal.body.metric, [p.name for p in periods], goal.body.where, _version(goal))
        for goal, periods in zip(goals, looked, strict=True)
    ]
    answers, basis = asked.metrics.replay(asked.credential, questions, **asked.known)
    found = [_standing(goal, one, days) for goal, one in zip(goals, answers, strict=True)]
    return found, basis


def _version(goal: Goal) -> int:
    assert goal.present is not None, "only a committed goal has progress"
    return goal.present.metric_version


def _periods(goal: Goal, today: date, days: Calendar) -> list[Period]:
    """The period that progress is read from, and the running one if that is another."""
    commitment = goal.present
    assert commitment is not None, "only a committed goal has progress"
    target = parse(commitment.target_period, days, "/target_period")
    current = last_complete(today, _grain(goal.body, commitment), days)
    if current.start >= target.start:
        return [target]
    return [current, following(current, days)]


def _standing(goal: Goal, answer: ReplayAnswerRead, days: Calendar) -> Standing | str:
    if answer.replay is None:
        return answer.problem.detail if answer.problem else "no answer"
    commitment, last = goal.present, answer.replay.values[0]
    assert commitment is not None, "only a committed goal has progress"
    way = way_of(goal.body, commitment, days)
    reading = read(commitment, last.period, previous_day(last.end), last.value, last.reason, way)
    running = answer.replay.values[1] if len(answer.replay.values) > 1 else None
    return Standing(reading, last, running)


def _grain(body: GoalBody, commitment: Commitment) -> Grain:
    if body.measured_over in ("month", "quarter", "year"):
        return body.measured_over
    return grain_of(commitment.target_period) or "quarter"


def way_of(body: GoalBody, commitment: Commitment, days: Calendar) -> Sequence[Point]:
    """From the baseline over the milestones to the target."""
    start = parse(commitment.baseline.periods[-1], days, "/baseline/periods")
    points = [Point(previous_day(start.end), commitment.baseline.value)]
    for milestone in body.milestones:
        end = previous_day(parse(milestone.period, days, "/milestones").end)
        points.append(Point(end, milestone.value))
    if commitment.target_value is not None:
        points.append(Point(commitment.due, commitment.target_value))
    return sorted(points, key=lambda p: p.day)
