"""Findings: what an initiative should look at, from its goals and what surrounds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from services.goals.domain.body import Body, next_meeting
from services.goals.domain.factor import Factor, planned
from services.goals.domain.goal import Commitment, DeliverableBody, DeliveryPromise, Goal, GoalBody
from services.goals.domain.initiative import InitiativeBody
from services.goals.domain.judging import should_rise
from services.goals.domain.review import Review
from services.goals.domain.texts import text

Severity = Literal["info", "warning", "serious"]
# So few and so many goals can be kept in mind at once; and so many musts.
FEWEST, MOST, MOST_MUST = 2, 7, 3
# From this share of work outside the system on, it is a finding.
BYPASSED = Decimal("0.1")
AUDIENCES = ("customer", "prospect", "stakeholder")


@dataclass(frozen=True)
class Finding:
    """Something to look at: how grave, the figures, and what to do."""

    code: str
    severity: Severity
    said: dict[str, Any]
    goals: Sequence[str] = ()


@dataclass(frozen=True)
class Watched:
    """A metric of use, of training or of work outside the system: its last two whole quarters."""

    key: str
    last: Decimal | None
    before: Decimal | None
    reason: str | None


@dataclass(frozen=True)
class Known:
    """What findings are read from."""

    initiative: InitiativeBody
    goals: Sequence[Goal]
    # When each goal was drafted, by its id; and when the first of all was committed.
    drafted: dict[str, datetime]
    first_commitment: datetime | None
    bodies: Sequence[Body]
    reviews: Sequence[Review]
    factors: Sequence[Factor]
    today: date
    # Audiences that have said something this quarter; None where metrics can't be asked.
    heard: frozenset[str] | None = None
    stale: Sequence[str] = ()
    usage: Sequence[Watched] = ()
    bypass: Sequence[Watched] = ()
    training: Sequence[Watched] = ()
    integrity: Sequence[Watched] = ()
    active: Sequence[Goal] = field(init=False)

    def __post_init__(self) -> None:
        alive = [goal for goal in self.goals if goal.state in ("draft", "committed")]
        object.__setattr__(self, "active", alive)


def find(known: Known) -> list[Finding]:
    """All findings, the gravest first."""
    found = [
        *_focus(known), *_balance(known), *_audiences(known), *_each_goal(known),
        *_surroundings(known), *_governance(known), *_watched(known),
    ]  # fmt: skip
    order = {"serious": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda one: order[one.severity])


def _finding(code: str, severity: Severity, goals: Sequence[Goal] = (), **params: Any) -> Finding:
    named = [goal.goal_id for goal in goals]
    titles = {"titles": ", ".join(goal.body.title for goal in goals)} if goals else {}
    return Finding(code, severity, text(f"finding_{code}", **titles, **params), named)


def _focus(known: Known) -> Iterator[Finding]:
    count = len(known.active)
    must = [goal for goal in known.active if goal.body.priority == "must"]
    if count < FEWEST:
        yield _finding("too_few_goals", "warning", count=count, fewest=FEWEST)
    if count > MOST:
        yield _finding("too_many_goals", "warning", count=count, most=MOST)
    if len(must) > MOST_MUST:
        yield _finding("too_many_must", "warning", must, count=len(must), most=MOST_MUST)
    if known.first_commitment is not None:
        since = known.first_commitment
        later = [g for g in known.active if known.drafted[g.goal_id] > since]
        before = sum(known.drafted[g.goal_id] <= since for g in known.goals)
        if 2 * len(later) > before:
            yield _finding("scope_grown", "warning", later, before=before, added=len(later))


def _balance(known: Known) -> Iterator[Finding]:
    measured = [goal for goal in known.active if isinstance(goal.body, GoalBody)]
    if not measured:
        return
    if all(goal.body.indicator == "lagging" for goal in measured):
        yield _finding("only_lagging", "warning", count=len(measured))
    if all(goal.body.indicator == "leading" for goal in measured):
        yield _finding("only_leading", "warning", count=len(measured))
    if all(goal.body.nature == "usage" for goal in measured):
        yield _finding("only_usage", "serious", count=len(measured))


def _audiences(known: Known) -> Iterator[Finding]:
    measured = {goal.body.audience for goal in known.active}
    for audience in AUDIENCES:
        if audience not in measured and known.heard is not None and audience not in known.heard:
            yield _finding("audience_unheard", "warning", audience=audience)
    served = {goal.body.aim for goal in known.active}
    for aim in known.initiative.aims:
        if aim not in served:
            yield _finding("aim_without_goal", "warning", aim=aim)


def _each_goal(known: Known) -> Iterator[Finding]:
    checks: tuple[tuple[str, Severity, Callable[[Goal], bool]], ...] = (
        ("no_owner", "serious", lambda goal: goal.body.business_owner is None),
        ("no_baseline", "warning", _lacks_baseline),
        ("long_without_milestones", "warning", _lacks_milestones),
        ("lowered_target", "warning", _lowered),
    )
    for code, severity, wrong in checks:
        goals = [goal for goal in known.active if wrong(goal)]
        if goals:
            yield _finding(code, severity, goals)


def _lacks_baseline(goal: Goal) -> bool:
    return isinstance(goal.body, GoalBody) and goal.measuring is not None and goal.first is None


def _lacks_milestones(goal: Goal) -> bool:
    steps = goal.body.steps if isinstance(goal.body, DeliverableBody) else goal.body.milestones
    return goal.body.horizon == "long" and not steps


def _lowered(goal: Goal) -> bool:
    """Whether the present promise is easier to keep than the first."""
    first, present = goal.first, goal.present
    if first is None or present is None:
        return False
    if present.due > first.due:
        return True
    if isinstance(first, DeliveryPromise) and isinstance(present, DeliveryPromise):
        if first.budget is None:
            return False
        return present.budget is None or present.budget > first.budget
    assert isinstance(first, Commitment), "both promises are of one kind"
    assert isinstance(present, Commitment), "both promises are of one kind"
    was_band, band = first.target.band, present.target.band
    if was_band is not None and band is not None:
        return band != was_band and band[0] <= was_band[0] and was_band[1] <= band[1]
    was, is_now = first.target_value, present.target_value
    if was is not None and band is not None:
        # The near edge of the band is all that has to be reached now.
        is_now = band[0] if should_rise(first) else band[1]
    if was is None or is_now is None:
        return False
    return is_now < was if should_rise(first) else is_now > was


def _surroundings(known: Known) -> Iterator[Finding]:
    for factor in known.factors:
        if factor.kind == "obstacle" and factor.status == "open" and not planned(factor):
            yield _finding("obstacle_without_plan", "warning", obstacle=factor.text)


def _governance(known: Known) -> Iterator[Finding]:
    for body in known.bodies:
        held = [review.on for review in known.reviews if review.body_id == body.record_id]
        due = next_meeting(body, held)
        if due < known.today:
            yield _finding("review_overdue", "warning", name=body.name, due=due.isoformat())
    sponsor, steering = known.initiative.sponsor, _steering(known)
    last = sorted(steering, key=lambda review: review.on)[-2:]
    if sponsor and len(last) == 2 and all(sponsor not in review.attendance for review in last):
        days = ", ".join(review.on.isoformat() for review in last)
        yield _finding("sponsor_absent", "serious", sponsor=sponsor, days=days)


def _steering(known: Known) -> list[Review]:
    ids = {body.record_id for body in known.bodies if body.level == "steering"}
    return [review for review in known.reviews if review.body_id in ids]


def _watched(known: Known) -> Iterator[Finding]:
    for key in known.stale:
        yield _finding("guideline_broken", "warning", metric=key)
    for one in known.usage:
        if one.last is not None and one.before is not None and one.last < one.before:
            yield _finding(
                "usage_falls", "serious", metric=one.key, last=_short(one.last),
                before=_short(one.before),
            )  # fmt: skip
    for one in known.bypass:
        share = one.last if one.key != "process-compliance" or one.last is None else 1 - one.last
        if share is not None and share >= BYPASSED:
            yield _finding("bypass", "serious", metric=one.key, share=f"{share * 100:.0f} %")


def sponsorship(known: Known) -> tuple[int, int] | None:
    """At how many of the steering reviews the sponsor was; None without sponsor or reviews."""
    steering, sponsor = _steering(known), known.initiative.sponsor
    if not steering or sponsor is None:
        return None
    return sum(sponsor in review.attendance for review in steering), len(steering)


def _short(value: Decimal) -> str:
    return format(value.quantize(Decimal("0.0001")).normalize(), "f")
