"""A goal's family: each member of a dimension held against its own baseline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.goals.clients import ReplayAsked, ReplayRead, ValueRead
from services.goals.domain.goal import Commitment, Goal, GoalBody
from services.goals.domain.progress import Reading, read
from services.goals.domain.texts import text
from services.goals.queries.assessment import Question, previous_day
from services.goals.queries.standing import periods_of, way_of
from shared.errors import CONFLICT, invalid
from shared.periods import Calendar, Period

# A family as large as this is shown whole.
MAX_MEMBERS = 1_000


@dataclass(frozen=True)
class Member:
    """One member: its own baseline, what the goal's change makes of it, and where it stands."""

    name: str
    baseline: Decimal | None
    target: Decimal | None
    current: ValueRead | None
    reading: Reading


def family(
    asked: Question, goal: Goal, today: date, days: Calendar, dimension: str
) -> list[Member]:
    """Where every member of a committed goal's dimension stands, by name.

    Figures that add up (counts, sums) are asked of each member in the proportion that the goal asks
    of the whole; of figures that do not (rates, means) a change is asked from each member's own
    baseline, and a value or a band of all alike. A member's baseline is the mean of its figures
    over the baseline's periods; without one its status is `no_data`.
    """
    body, promised = goal.of_kind(GoalBody), goal.promised
    if promised is None:
        raise CONFLICT.refusal(f"The goal is {goal.state}; only a committed goal has progress.")
    period = periods_of(goal, today, days)[0]
    questions = [
        ReplayAsked(body.metric, names, body.where, promised.metric_version, [dimension])
        for names in (promised.baseline.periods, [period.name])
    ]
    (before, now), _ = asked.metrics.replay(asked.credential, questions, **asked.known)
    if before.replay is None or now.replay is None:
        problem = before.problem or now.problem
        raise invalid("query:group_by", problem.detail if problem else "no answer", "dimension")
    baselines = _baselines(before.replay, dimension)
    current = {value.group.get(dimension, ""): value for value in now.replay.values}
    ask = _Asked(body, promised, period, days, now.replay.additive)
    names = sorted({*baselines, *current})[:MAX_MEMBERS]
    return [ask.member(name, baselines.get(name), current.get(name)) for name in names]


def _baselines(replay: ReplayRead, dimension: str) -> dict[str, Decimal]:
    figures: dict[str, list[Decimal]] = {}
    for value in replay.values:
        if value.value is not None:
            figures.setdefault(value.group.get(dimension, ""), []).append(value.value)
    return {name: sum(found, Decimal(0)) / len(found) for name, found in figures.items()}


@dataclass(frozen=True)
class _Asked:
    """What a goal asks of its members."""

    body: GoalBody
    promised: Commitment
    period: Period
    days: Calendar
    additive: bool

    def member(self, name: str, baseline: Decimal | None, value: ValueRead | None) -> Member:
        target = self._target(baseline)
        figure = value.value if value is not None else None
        if figure is None and self.additive:
            # Of what adds up no record is none: a shop that is closed sells nothing.
            figure = Decimal(0)
        if baseline is None:
            said = Reading.without(self.period.name, "no_baseline")
        elif figure is None:
            reason = value.reason if value is not None else "no_events"
            said = Reading.without(self.period.name, reason)
        else:
            said = self._read(baseline, target, figure)
        return Member(name, baseline, target, value, said)

    def _target(self, baseline: Decimal | None) -> Decimal | None:
        whole, reach = self.promised.baseline.value, self.promised.target_value
        if not self.additive or reach is None:
            return self.promised.target.resolve(baseline)
        return baseline * reach / whole if baseline is not None and whole else None

    def _read(self, baseline: Decimal, target: Decimal | None, figure: Decimal) -> Reading:
        own = self.promised.model_copy(update={
            "baseline": self.promised.baseline.model_copy(update={"value": baseline}),
            "target_value": target,
        })  # fmt: skip
        # Milestones are figures of the whole family; a member goes its own way straight.
        straight = self.body.model_copy(update={"milestones": []})
        way = way_of(straight, own, self.days)
        found = read(own, self.period.name, previous_day(self.period.end), figure, None, way)
        alike = self.promised.target.value is not None and not self.additive
        if target is None or not alike:
            return found
        return self._beyond(found, baseline, target, figure)

    def _beyond(
        self, found: Reading, baseline: Decimal, target: Decimal, figure: Decimal
    ) -> Reading:
        """Of a figure that is asked of all alike: who began past it is there while it stays."""
        rises = target >= self.promised.baseline.value
        began = baseline >= target if rises else baseline <= target
        if not began:
            return found
        stays = figure >= target if rises else figure <= target
        shown = {"value": f"{figure:f}", "period": self.period.name}
        if stays:
            said = text("target_reached", **shown, target=f"{target:f}")
            return Reading("reached", None, None, [said])
        said = text("wrong_way", **shown, baseline=f"{target:f}")
        return Reading("off_track", None, None, [said])
