"""A measured goal: its events, its state, and which decisions are allowed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, PlainSerializer

from shared.errors import CONFLICT, INVALID, Fault
from shared.events import Payload, event

Horizon = Literal["short", "medium", "long"]
Aim = Literal["control", "quick_use", "automation"]
State = Literal["draft", "committed", "closed", "abandoned"]
Verdict = Literal["achieved", "improved", "unchanged", "worsened"]
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


class GoalBody(_Value):
    """All that is stated of a goal."""

    initiative_id: str
    title: str
    metric: str
    where: dict[str, Any] | None = None
    baseline: BaselineSpec
    target: Target
    target_period: str
    measured_over: Literal["month", "quarter", "year", "trailing", "at_end"]
    business_owner: str | None
    audience: Literal["customer", "prospect", "stakeholder", "business"]
    indicator: Literal["leading", "lagging"]
    nature: Literal["value", "operational", "usage"]
    priority: Literal["must", "should", "could", "later"] = "must"
    phase: str | None = None
    milestones: list[Milestone] = []
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


class Override(_Value):
    """Why a goal that fails its check is committed all the same, and who answers for it."""

    reason: str
    responsible: str


@event("goal.drafted")
class GoalDrafted(Payload):
    """A goal was stated."""

    goal_id: str
    body: GoalBody


@event("goal.redrafted")
class GoalRedrafted(Payload):
    """A draft was stated anew."""

    body: GoalBody


@event("goal.committed")
class GoalCommitted(Payload):
    """Baseline, target, due date and metric version are fixed."""

    commitment: Commitment
    smart: dict[str, str]
    override: Override | None
    authority: str | None = None


@event("goal.amended")
class GoalAmended(Payload):
    """The commitment was changed; the first one stays beside it."""

    commitment: Commitment
    reason: str
    authority: str | None = None


@event("goal.closed")
class GoalClosed(Payload):
    """The goal was judged, against the first and the present commitment."""

    value: Exact
    first: Verdict
    present: Verdict
    basis: str


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
    GoalDrafted
    | GoalRedrafted
    | GoalCommitted
    | GoalAmended
    | GoalClosed
    | GoalAbandoned
    | GoalMetricRedefined
    | GoalCheckedIn
)


class Goal(BaseModel):
    """A goal as its events have left it."""

    model_config = ConfigDict(frozen=True)
    goal_id: str
    revision: int
    state: State
    body: GoalBody
    first: Commitment | None = None
    present: Commitment | None = None
    override: Override | None = None
    verdict: GoalClosed | None = None
    check_in: GoalCheckedIn | None = None


def evolve(state: Goal | None, fact: GoalEvent) -> Goal:
    """The goal after one more event."""
    if isinstance(fact, GoalDrafted):
        return Goal(goal_id=fact.goal_id, revision=1, state="draft", body=fact.body)
    assert state is not None, "a goal begins with its draft"
    changed: dict[str, Any] = {"revision": state.revision + 1}
    match fact:
        case GoalRedrafted():
            changed["body"] = fact.body
        case GoalCommitted():
            changed |= {"state": "committed", "first": fact.commitment, "present": fact.commitment}
            changed["override"] = fact.override
        case GoalAmended():
            changed["present"] = fact.commitment
        case GoalClosed():
            changed |= {"state": "closed", "verdict": fact}
        case GoalAbandoned():
            changed["state"] = "abandoned"
        case GoalCheckedIn():
            changed["check_in"] = fact
        case GoalMetricRedefined():
            pass
        case _:
            assert_never(fact)
    return state.model_copy(update=changed)


def demand_committable(state: Goal, smart: dict[str, str], override: Override | None) -> list[str]:
    """The letters that fail; refuses what can't be committed, or not without an override."""
    if state.state != "draft":
        raise CONFLICT.refusal(f"The goal is {state.state}; only a draft is committed.")
    failing = [letter for letter in "SMT" if smart.get(letter) == "fail"]
    if failing and override is None:
        raise CONFLICT.refusal(
            f"The goal fails {', '.join(failing)} of its SMART check. Mend it, or commit with an "
            "`override` that names the reason and who is responsible.",
            [Fault(f"/letters/{letter}", "This letter fails.", "smart") for letter in failing],
        )
    return failing


def commit(
    state: Goal, commitment: Commitment, smart: dict[str, str], override: Override | None
) -> GoalCommitted:
    """Commit a draft; a failing S, M or T needs an override."""
    failing = demand_committable(state, smart, override)
    return GoalCommitted(commitment=commitment, smart=smart, override=override if failing else None)


def amend(state: Goal, commitment: Commitment | None, reason: str) -> GoalAmended:
    """Change what was promised; the verdict is given against the first promise too."""
    if state.state != "committed" or commitment is None:
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is amended.")
    if commitment == state.present:
        raise INVALID.refusal("The amendment changes nothing.")
    return GoalAmended(commitment=commitment, reason=reason)


def redraft(state: Goal, body: GoalBody) -> GoalRedrafted:
    """State a draft anew."""
    if state.state != "draft":
        instead = "; amend it instead" if state.state == "committed" else " and stays as it is"
        raise CONFLICT.refusal(f"The goal is {state.state}{instead}.")
    return GoalRedrafted(body=body)


def close(state: Goal, value: Decimal, basis: str, *, target_period_over: bool) -> GoalClosed:
    """Judge a committed goal by the figure of its target period."""
    if state.state != "committed" or state.first is None or state.present is None:
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is closed.")
    if not target_period_over:
        raise CONFLICT.refusal(
            f"The target period {state.present.target_period} is not over yet; abandon the goal "
            "if it is given up."
        )
    return GoalClosed(
        value=value,
        first=judge(state.first, value),
        present=judge(state.present, value),
        basis=basis,
    )


def abandon(state: Goal, reason: str) -> GoalAbandoned:
    """Give a goal up."""
    if state.state not in ("draft", "committed"):
        raise CONFLICT.refusal(f"The goal is {state.state} already.")
    return GoalAbandoned(reason=reason)


def check_in(
    state: Goal, by: str, at: datetime, confidence: Decimal, comment: str
) -> GoalCheckedIn:
    """Say how likely a committed goal is to be reached."""
    if state.state != "committed":
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is checked in.")
    return GoalCheckedIn(by=by, at=at, confidence=confidence, comment=comment)


def judge(commitment: Commitment, value: Decimal) -> Verdict:
    """The verdict on a figure: reached, better beyond noise, unchanged, or worse beyond noise.

    Noise is what lies within the natural limits of the baseline, or within its mean moving range
    where there are too few periods for limits.
    """
    band = commitment.target.band
    if band is not None and band[0] <= value <= band[1]:
        return "achieved"
    baseline, target = commitment.baseline.value, commitment.target_value
    rises = _should_rise(commitment)
    held = value >= baseline if rises else value <= baseline
    if target is not None and (held if target == baseline else reached(value, target, baseline)):
        return "achieved"
    better = value > baseline if rises else value < baseline
    if band is not None:
        better = _distance(value, band) < _distance(baseline, band)
    if value == baseline or not _beyond_noise(commitment.baseline, value):
        return "unchanged"
    return "improved" if better else "worsened"


def _distance(value: Decimal, band: tuple[Decimal, Decimal]) -> Decimal:
    return max(band[0] - value, value - band[1], Decimal(0))


def reached(value: Decimal, target: Decimal, baseline: Decimal) -> bool:
    """Whether a figure is at the target or past it, seen from the baseline."""
    return value >= target if target >= baseline else value <= target


def moved_right_way(commitment: Commitment, value: Decimal) -> bool:
    """Whether a figure lies on the good side of the baseline, be it within noise."""
    baseline, band = commitment.baseline.value, commitment.target.band
    if band is not None:
        return _distance(value, band) == 0 or _distance(value, band) < _distance(baseline, band)
    return value > baseline if _should_rise(commitment) else value < baseline


def _should_rise(commitment: Commitment) -> bool:
    """What is better: as the metric says, else as the first look at target and baseline tells."""
    if commitment.direction in ("up", "down"):
        return commitment.direction == "up"
    if commitment.target_value is not None and commitment.target_value != commitment.baseline.value:
        return commitment.target_value > commitment.baseline.value
    return True


def _beyond_noise(baseline: FrozenBaseline, value: Decimal) -> bool:
    if baseline.lower is not None and baseline.upper is not None:
        return not baseline.lower <= value <= baseline.upper
    return abs(value - baseline.value) > (baseline.spread or 0)
