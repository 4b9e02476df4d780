"""What findings are read from: the goals with their past, and figures that metrics watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.goals.clients import ReplayAsked
from services.goals.domain.factor import FACTOR
from services.goals.domain.findings import Known, Watched
from services.goals.domain.goal import GoalBody
from services.goals.queries import records
from services.goals.queries.assessment import Question, last_complete
from services.goals.queries.records import MAX_RECORDS
from services.goals.queries.states import MAX_GOALS, goal_list, initiative
from shared.ledger import View
from shared.periods import period_holding, previous

# Ids of the catalogue, which are the keys of metrics unless another was given.
USAGE = ("wau", "mau", "activity-coverage", "licence-utilisation")
TRAINING = ("trained-share",)
INTEGRITY = ("data-completeness", "duplicate-rate", "timeliness")
BYPASS = (
    "closed-without-activity", "skipped-stages", "process-compliance", "born-closed",
    "deals-without-contact",
)  # fmt: skip
# Of so many metrics of active goals it is asked whether data come in as promised.
MAX_CHECKED = 20
_FEEDBACK = {"kind": "count", "events": ["feedback.recorded"]}
# As whom the senders of feedback may name those who spoke.
_HEARD_AS = {
    "customer": "customer", "prospect": "prospect", "stakeholder": "stakeholder",
    "employee": "stakeholder", "investor": "stakeholder", "partner": "stakeholder",
}  # fmt: skip


def known_of(view: View, initiative_id: str) -> dict[str, Any]:
    """What the goals ledger knows of an initiative."""
    state = initiative(view, initiative_id)
    goals = goal_list(view, initiative_id, "", MAX_GOALS)
    told = view.streams([f"goal/{goal.goal_id}" for goal in goals])
    commitments = [
        event.recorded_at
        for events in told.values()
        for event in events
        if event.name in ("goal.committed", "goal.measuring")
    ]
    drafted: dict[str, datetime] = {
        stream.removeprefix("goal/"): events[0].recorded_at for stream, events in told.items()
    }
    return {
        "initiative": state.body,
        "goals": goals,
        "drafted": drafted,
        "first_commitment": min(commitments, default=None),
        "bodies": records.bodies(view, initiative_id, "", MAX_RECORDS),
        "reviews": records.reviews(view, initiative_id, "", MAX_RECORDS),
        "factors": [one.body for one in records.statements(view, FACTOR, initiative_id)],
    }


@dataclass(frozen=True)
class Figures:
    """What metrics says: who was heard, what is late, and the watched figures."""

    heard: frozenset[str]
    stale: list[str]
    usage: list[Watched]
    bypass: list[Watched]
    training: list[Watched]
    integrity: list[Watched]
    basis: str
    today: date


def figures_of(asked: Question, known: dict[str, Any], moment: datetime) -> Figures:
    """The figures that metrics watches for an initiative; metrics that nobody has are left out."""
    days = asked.calendar()
    today = days.day_of(moment)
    quarter = last_complete(today, "quarter", days)
    names = [previous(quarter, days).name, quarter.name]
    keys = [*USAGE, *BYPASS, *TRAINING, *INTEGRITY]
    answers, basis = asked.metrics.replay(
        asked.credential, [ReplayAsked(key, names) for key in keys], **asked.known
    )
    found = {
        key: Watched(key, one.replay.values[1].value, one.replay.values[0].value,
                     one.replay.values[1].reason)
        for key, one in zip(keys, answers, strict=True)
        if one.replay is not None
    }  # fmt: skip
    return Figures(
        heard=_heard(asked, period_holding(today, "quarter", days).name, basis),
        stale=_stale(asked, known, quarter.name),
        usage=[found[key] for key in USAGE if key in found],
        bypass=[found[key] for key in BYPASS if key in found],
        training=[found[key] for key in TRAINING if key in found],
        integrity=[found[key] for key in INTEGRITY if key in found],
        basis=basis,
        today=today,
    )


def _heard(asked: Question, quarter: str, basis: str) -> frozenset[str]:
    """Of whom feedback came in this quarter."""
    voices = asked.metrics.preview(
        asked.credential, "Feedback", _FEEDBACK, quarter, ["audience"], basis=basis
    )
    return frozenset(
        _HEARD_AS[value.group["audience"]]
        for value in voices.values
        if value.value and value.group.get("audience") in _HEARD_AS
    )


def _stale(asked: Question, known: dict[str, Any], quarter: str) -> list[str]:
    """The metrics of committed goals whose data do not come in at the promised cadence."""
    metrics = {
        goal.body.metric
        for goal in known["goals"]
        if goal.state == "committed" and isinstance(goal.body, GoalBody)
    }
    return [
        key
        for key in sorted(metrics)[:MAX_CHECKED]
        if asked.metrics.quality(asked.credential, key, quarter, **asked.known).fresh is False
    ]


def complete(known: dict[str, Any], figures: Figures | None, moment: datetime) -> Known:
    """Both together; without figures where metrics does not answer."""
    names = ("heard", "stale", "usage", "bypass", "training", "integrity")
    more = {} if figures is None else {name: getattr(figures, name) for name in names}
    today = figures.today if figures else moment.date()
    return Known(**known, today=today, **more)
