"""A goal, measured or to be delivered: what is stated and promised, its events, its state."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, assert_never

from pydantic import BaseModel, ConfigDict, PlainSerializer

from shared.errors import CONFLICT
from shared.events import Payload, event

Horizon = Literal["short", "medium", "long"]
Aim = Literal["control", "quick_use", "automation"]
State = Literal["draft", "committed", "closed", "abandoned"]
Verdict = Literal["achieved", "improved", "unchanged", "worsened"]
Delivery = Literal["delivered", "late", "over_budget", "late_and_over_budget"]
Cause = Literal["not_thought_of", "no_instrument", "source_silent", "no_history"]
Exact = Annotated[
    Decimal, PlainSerializer(lambda d: format(d, "f"), return_type=str, when_used="json")
]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Value):
    """What is to be reached: a value, a change against the baseline, or a band to stay in."""

    value: Exact | None = None
    change: Exact | None = None
    change_percent: Exact | None = None
    band: tuple[Exact, Exact] | None = None

    def resolve(self, baseline: Decimal | None) -> Decimal | None:
        """The figure to reach; None for a band, or while a change has no baseline."""
        if self.value is not None:
            return self.value
        if baseline is None or self.band is not None:
            return None
        if self.change is not None:
            return baseline + self.change
        if self.change_percent is not None:
            return baseline * (1 + self.change_percent / 100)
        return None


class BaselineSpec(_Value):
    """The periods that the goal starts from, or a frozen baseline of them."""

    periods: list[str] = []
    method: Literal["pooled", "mean_of_periods", "median_of_periods"] = "pooled"
    id: str | None = None


class Milestone(_Value):
    """A figure on the way."""

    period: str
    value: Exact


class OtherCause(_Value):
    """Something else that moves the metric, and how much of the change it is given."""

    cause: str
    share: Exact | None = None


class _Stated(_Value):
    """What is stated of a goal of either kind."""

    initiative_id: str
    title: str
    business_owner: str | None
    audience: Literal["customer", "prospect", "stakeholder", "business"]
    indicator: Literal["leading", "lagging"]
    nature: Literal["value", "operational", "usage"]
    priority: Literal["must", "should", "could", "later"] = "must"
    phase: str | None = None
    warns_for: list[str] = []
    other_causes: list[OtherCause] = []
    due: date
    horizon: Horizon | None = None
    aim: Aim | None = None
    rank: int | None = None
    area: str | None = None
    weight: Exact | None = None
    parent: str | None = None
    measure_of: str | None = None
    objective: str | None = None
    tags: list[str] = []
    theme: str | None = None


class GoalBody(_Stated):
    """All that is stated of a goal that is held against a metric."""

    kind: Literal["measured"] = "measured"
    metric: str
    where: dict[str, Any] | None = None
    baseline: BaselineSpec
    target: Target
    target_period: str
    measured_over: Literal["month", "quarter", "year", "trailing", "at_end"]
    milestones: list[Milestone] = []


class Step(_Value):
    """A dated milestone on the way to a delivery."""

    title: str
    due: date


class Budget(_Value):
    """What a delivery may cost, and the metric over booked costs that says what it did.

    The metric is read from `since` on; without one nobody can say what was spent.
    """

    amount: Exact
    currency: str
    metric: str | None = None
    where: dict[str, Any] | None = None
    since: date | None = None


class DeliverableBody(_Stated):
    """All that is stated of a goal that is delivered: accepted by somebody, by a day."""

    kind: Literal["deliverable"]
    criteria: list[str]
    acceptor: str | None
    steps: list[Step] = []
    budget: Budget | None = None
    enables: list[str] = []


AnyBody = GoalBody | DeliverableBody
_BodyT = TypeVar("_BodyT", GoalBody, DeliverableBody)


class FrozenBaseline(_Value):
    """The baseline as it was at the commitment."""

    id: str
    value: Exact
    periods: list[str]
    lower: Exact | None = None
    upper: Exact | None = None
    spread: Exact | None = None


class Commitment(_Value):
    """What was promised: fixed figures to be judged against."""

    baseline: FrozenBaseline
    target: Target
    target_value: Exact | None
    target_period: str
    due: date
    metric_version: int
    direction: Literal["up", "down", "band", "none"]


class DeliveryPromise(_Value):
    """What was promised of a delivery: by when, for how much."""

    due: date
    budget: Exact | None


AnyPromise = Commitment | DeliveryPromise


class Measuring(_Value):
    """Why a metric can't be measured yet, what will measure it, and from when on."""

    cause: Cause
    instrument: str
    by: date


class Override(_Value):
    """Why a goal that fails its check is committed all the same, and who answers for it."""

    reason: str
    responsible: str


@event("goal.drafted")
class GoalDrafted(Payload):
    """A goal was stated."""

    goal_id: str
    body: AnyBody


@event("goal.redrafted")
class GoalRedrafted(Payload):
    """A draft was stated anew."""

    body: AnyBody


@event("goal.committed")
class GoalCommitted(Payload):
    """What is promised is fixed: baseline, target and metric version, or due date and budget.

    `instrumented_on` says since when a metric that had to be measured first is measurable.
    """

    commitment: AnyPromise
    smart: dict[str, str]
    override: Override | None
    authority: str | None = None
    instrumented_on: date | None = None


@event("goal.measuring")
class GoalMeasuring(Payload):
    """The goal is committed, and is measured first: its target follows its first baseline."""

    measuring: Measuring
    smart: dict[str, str]
    authority: str | None = None


@event("goal.amended")
class GoalAmended(Payload):
    """The commitment was changed; the first one stays beside it."""

    commitment: AnyPromise
    reason: str
    authority: str | None = None


@event("goal.closed")
class GoalClosed(Payload):
    """The goal was judged, against the first and the present commitment."""

    value: Exact
    first: Verdict
    present: Verdict
    basis: str


@event("goal.delivered")
class GoalDelivered(Payload):
    """What was to be delivered was accepted, and judged against the first and present promise.

    Days late are negative where it came early; `spent` is None where no metric says it.
    """

    on: date
    accepted_by: str
    note: str
    spent: Exact | None
    first: Delivery
    present: Delivery
    days_late_first: int
    days_late: int
    basis: str | None


@event("goal.step_done")
class StepDone(Payload):
    """A dated milestone of a delivery was reached."""

    title: str
    on: date
    note: str


@event("goal.causes_acknowledged")
class CausesAcknowledged(Payload):
    """Whose figure it is knows what else moves it, and which share is expected from this."""

    by: str
    share: Exact | None


@event("goal.abandoned")
class GoalAbandoned(Payload):
    """The goal was given up."""

    reason: str
    authority: str | None = None


@event("goal.checked_in")
class GoalCheckedIn(Payload):
    """Somebody's view of whether a committed goal will be reached."""

    by: str
    at: datetime
    confidence: Exact
    comment: str


@event("goal.metric_redefined")
class GoalMetricRedefined(Payload):
    """The metric of a committed goal has a new version; the goal stays with its own."""

    metric: str
    version: int


GoalEvent = (
    GoalDrafted | GoalRedrafted | GoalCommitted | GoalMeasuring | GoalAmended | GoalClosed
    | GoalDelivered | GoalAbandoned | GoalMetricRedefined | GoalCheckedIn | StepDone
    | CausesAcknowledged
)  # fmt: skip


class Goal(BaseModel):
    """A goal as its events have left it."""

    model_config = ConfigDict(frozen=True)
    goal_id: str
    revision: int
    state: State
    body: AnyBody
    first: AnyPromise | None = None
    present: AnyPromise | None = None
    override: Override | None = None
    verdict: GoalClosed | GoalDelivered | None = None
    check_in: GoalCheckedIn | None = None
    measuring: Measuring | None = None
    instrumented_on: date | None = None
    steps_done: dict[str, date] = {}
    acknowledged_by: str | None = None

    @property
    def promised(self) -> Commitment | None:
        """What a measured goal promises now, if anything; None for what is delivered."""
        return self.present if isinstance(self.present, Commitment) else None

    @property
    def unpromised(self) -> bool:
        """Whether its target is still to be promised: of a draft, or of what is measured first."""
        return self.state == "draft" or (self.state == "committed" and self.first is None)

    @property
    def due(self) -> date:
        """The day that counts now: as promised, else as stated."""
        return self.body.due if self.present is None else self.present.due

    def of_kind(self, kind: type[_BodyT]) -> _BodyT:
        """Its statement, which must be one of a kind; refuses with 409."""
        if not isinstance(self.body, kind):
            raise CONFLICT.refusal(f"The goal is {self.body.kind}; this is for the other kind.")
        return self.body


def evolve(state: Goal | None, fact: GoalEvent) -> Goal:
    """The goal after one more event."""
    if isinstance(fact, GoalDrafted):
        return Goal(goal_id=fact.goal_id, revision=1, state="draft", body=fact.body)
    assert state is not None, "a goal begins with its draft"
    changed: dict[str, Any] = {"revision": state.revision + 1}
    match fact:
        case GoalRedrafted():
            changed["body"] = fact.body
            was, body = state.body, fact.body
            if (body.other_causes, body.business_owner) != (was.other_causes, was.business_owner):
                changed["acknowledged_by"] = None
        case GoalCommitted():
            changed |= {"state": "committed", "first": fact.commitment, "present": fact.commitment}
            changed |= {"override": fact.override, "instrumented_on": fact.instrumented_on}
        case GoalMeasuring():
            changed |= {"state": "committed", "measuring": fact.measuring}
        case GoalAmended():
            changed["present"] = fact.commitment
        case GoalClosed() | GoalDelivered():
            changed |= {"state": "closed", "verdict": fact}
        case GoalAbandoned():
            changed["state"] = "abandoned"
        case GoalCheckedIn():
            changed["check_in"] = fact
        case StepDone():
            changed["steps_done"] = {**state.steps_done, fact.title: fact.on}
        case CausesAcknowledged():
            changed["acknowledged_by"] = fact.by
        case GoalMetricRedefined():
            pass
        case _:
            assert_never(fact)
    return state.model_copy(update=changed)
