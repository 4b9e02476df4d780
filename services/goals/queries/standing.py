"""Where committed goals stand: the figures of all of them asked at once, from one basis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.goals.clients import ProblemRead, ReplayAnswerRead, ReplayAsked, ValueRead
from services.goals.domain.delivery import Spending, read_delivery
from services.goals.domain.goal import (
    Commitment,
    DeliverableBody,
    DeliveryPromise,
    Goal,
    GoalBody,
    GoalDelivered,
)
from services.goals.domain.progress import Point, Reading, read
from services.goals.queries.assessment import Question, last_complete, parse, previous_day
from shared.errors import CONFLICT, Refusal
from shared.periods import Calendar, Grain, Period, following, grain_of

_QUESTION = re.compile(r"/questions/(\d+)(/|$)")


@dataclass(frozen=True)
class DeliveryStanding:
    """Where a delivery stands, with what was spent by now."""

    reading: Reading
    spent: ValueRead | None


@dataclass(frozen=True)
class Standing:
    """Progress with the figures that it was read from."""

    reading: Reading
    current: ValueRead
    running: ValueRead | None


AnyStanding = Standing | DeliveryStanding


def standings(
    asked: Question, goals: Sequence[Goal], today: date, days: Calendar
) -> tuple[list[AnyStanding | str], str | None]:
    """Where committed goals stand: measured ones by the last complete period, the running beside.

    One question to metrics for all of them; in the place of a goal that it can't answer stands why.
    The basis of the metrics ledger comes with them; None where nothing had to be asked.
    """
    questions = [_question(goal, today, days) for goal in goals]
    put = [question for question in questions if question is not None]
    answers: list[ReplayAnswerRead] = []
    basis = None
    if put:
        answers, basis = _answers(asked, put)
    left = iter(answers)
    found = [
        _standing(goal, None if question is None else next(left), today, days)
        for goal, question in zip(goals, questions, strict=True)
    ]
    return found, basis


def _answers(
    asked: Question, put: Sequence[ReplayAsked]
) -> tuple[list[ReplayAnswerRead], str | None]:
    """The answers to all questions; those that metrics can't read are left out of the request.

    A question that was stored before such were refused must not spoil the others.
    """
    spoilt: dict[int, str] = {}
    while True:
        kept = [n for n in range(len(put)) if n not in spoilt]
        if not kept:
            return [_unread(spoilt[n]) for n in range(len(put))], None
        try:
            found, basis = asked.metrics.replay(
                asked.credential, [put[n] for n in kept], **asked.known
            )
        except Refusal as refusal:
            named = {
                kept[int(match[1])]: fault.detail
                for fault in refusal.errors
                if (match := _QUESTION.match(fault.pointer)) and int(match[1]) < len(kept)
            }
            if refusal.problem.status != 422 or not named:
                raise
            spoilt |= named
            continue
        read = dict(zip(kept, found, strict=True))
        return [read[n] if n in read else _unread(spoilt[n]) for n in range(len(put))], basis


def _unread(detail: str) -> ReplayAnswerRead:
    return ReplayAnswerRead(replay=None, problem=ProblemRead(detail=detail))


def _question(goal: Goal, today: date, days: Calendar) -> ReplayAsked | None:
    """What metrics is asked for a goal; None for a delivery whose spending nothing watches."""
    if isinstance(goal.body, DeliverableBody):
        return _spending(goal.body, today)
    body, promised = _promised(goal)
    names = [period.name for period in periods_of(goal, today, days)]
    return ReplayAsked(body.metric, names, body.where, promised.metric_version)


def _spending(body: DeliverableBody, today: date) -> ReplayAsked | None:
    budget = body.budget
    if budget is None or budget.metric is None or budget.since is None or budget.since > today:
        return None
    until = date.fromordinal(today.toordinal() + 1)
    return ReplayAsked(budget.metric, [f"{budget.since}..{until}"], budget.where)


def spent_by(
    asked: Question, body: DeliverableBody, today: date
) -> tuple[ValueRead | None, str | None]:
    """What a delivery has cost by now, and the basis; None where nothing watches it."""
    question = _spending(body, today)
    if question is None:
        return None, None
    (answer,), basis = asked.metrics.replay(asked.credential, [question], **asked.known)
    if answer.replay is None:
        raise CONFLICT.refusal(answer.problem.detail if answer.problem else "no answer")
    return answer.replay.values[0], basis


def _promised(goal: Goal) -> tuple[GoalBody, Commitment]:
    promised = goal.promised
    assert promised is not None, "only a committed goal with a target has progress"
    return goal.of_kind(GoalBody), promised


def periods_of(goal: Goal, today: date, days: Calendar) -> list[Period]:
    """The period that progress is read from, and the running one if that is another."""
    body, commitment = _promised(goal)
    target = parse(commitment.target_period, days, "/target_period")
    current = last_complete(today, _grain(body, commitment), days)
    if current.start >= target.start:
        return [target]
    return [current, following(current, days)]


def _standing(
    goal: Goal, answer: ReplayAnswerRead | None, today: date, days: Calendar
) -> AnyStanding | str:
    if isinstance(goal.body, DeliverableBody):
        return _delivery(goal, goal.body, answer, today)
    if answer is None or answer.replay is None:
        return answer.problem.detail if answer and answer.problem else "no answer"
    (body, commitment), last = _promised(goal), answer.replay.values[0]
    way = way_of(body, commitment, days)
    reading = read(commitment, last.period, previous_day(last.end), last.value, last.reason, way)
    running = answer.replay.values[1] if len(answer.replay.values) > 1 else None
    return Standing(reading, last, running)


def _delivery(
    goal: Goal, body: DeliverableBody, answer: ReplayAnswerRead | None, today: date
) -> DeliveryStanding:
    assert isinstance(goal.present, DeliveryPromise), "what is delivered promises a day"
    spent, said = None, Spending()
    if answer is not None and answer.replay is not None:
        spent = answer.replay.values[0]
        said = Spending(spent.value, spent.reason)
    elif answer is not None:
        said = Spending(None, answer.problem.detail if answer.problem else "no answer")
    verdict = goal.verdict
    on = verdict.on if isinstance(verdict, GoalDelivered) else None
    reading = read_delivery(body, goal.present, goal.steps_done, said, today, on)
    return DeliveryStanding(reading, spent)


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
