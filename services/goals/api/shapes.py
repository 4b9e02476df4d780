"""Wire shapes of goals: what the service answers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from services.goals.domain.deciding import expected_share
from services.goals.domain.goal import AnyPromise, DeliverableBody
from services.goals.domain.goal import Goal as State
from services.goals.queries.history import history
from shared.ledger import View
from shared.money import Amount
from shared.web.wire import BasisToken, Figure, InstantField, Known, PeriodName, Text, Wire
from shared.words import Id

Verdict = Literal["achieved", "improved", "unchanged", "worsened"]
DeliveryVerdict = Literal["delivered", "late", "over_budget", "late_and_over_budget"]


class TargetShown(Wire):
    """What is to be reached."""

    value: Figure | None = Field(None, description="A figure")
    change: Figure | None = Field(None, description="A change against the baseline")
    change_percent: Figure | None = Field(None, description="The same in percent")
    band: list[Figure] | None = Field(None, description="Lower and upper edge")


class BaselineSpecShown(Wire):
    """What the goal starts from."""

    periods: list[PeriodName] = Field(description="Periods")
    method: str = Field(description="How several periods become one figure")
    id: str | None = Field(description="Or a frozen baseline")


class BaselineShown(Wire):
    """The frozen baseline of a commitment."""

    id: Id = Field(description="Id in metrics")
    value: Figure = Field(description="Its figure")
    periods: list[PeriodName] = Field(description="Its periods")


class CommitmentShown(Wire):
    """What was promised."""

    baseline: BaselineShown = Field(description="Where it starts")
    target: TargetShown = Field(description="As it was stated")
    target_value: Figure | None = Field(description="The figure to reach; null for a band")
    target_period: PeriodName
    due: date = Field(description="Last day of the target period")
    metric_version: int = Field(ge=1, description="Version of the metric that it is held against")


class VerdictShown(Wire):
    """How the goal was judged."""

    value: Figure = Field(description="The figure of the target period")
    first: Verdict = Field(description="Against what was promised first")
    present: Verdict = Field(description="Against what was promised last")
    basis: BasisToken


class MilestoneShown(Wire):
    """A figure on the way."""

    period: PeriodName
    value: Figure = Field(description="Figure expected")


class OtherCauseShown(Wire):
    """Something else that moves the metric."""

    cause: str = Field(description="What it is")
    share: Figure | None = Field(None, description="Share of the change that it is given")


class OverrideShown(Wire):
    """Why a failing goal was committed."""

    reason: str = Field(description="Why")
    responsible: str = Field(description="Who answers for it")


class MeasuringShown(Wire):
    """Why a goal is measured first."""

    cause: str = Field(description="not_thought_of, no_instrument, source_silent or no_history")
    instrument: str = Field(description="What will measure it")
    by: date = Field(description="From when on")


class GoalShown(Wire):
    """What goals of either kind show."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Figure of changes; the ETag")
    state: Literal["draft", "committed", "closed", "abandoned"] = Field(
        description="Where it stands"
    )
    initiative_id: Id = Field(description="The initiative that it belongs to")
    title: str = Field(description="What is to become true")
    due: date = Field(description="Last day of the target period, or day of the delivery")
    business_owner: str | None = Field(description="Whose figure it is")
    audience: str = Field(description="Whose value")
    indicator: str = Field(description="leading or lagging")
    nature: str = Field(description="value, operational or usage")
    priority: str = Field(description="Weight in the verdict")
    phase: str | None = Field(description="Phase of the initiative")
    warns_for: list[str] = Field(description="Goals whose early warning this is")
    other_causes: list[OtherCauseShown] = Field(description="What else moves it")
    acknowledged_by: str | None = Field(
        description="Who acknowledged the other causes for the business owner; null: nobody yet"
    )
    expected_share: Figure | None = Field(
        description="Share of the change that is expected of the initiative; null where not every "
        "other cause has one"
    )
    horizon: Literal["short", "medium", "long"] | None = Field(
        description="How far it looks ahead; null for goals from before this was kept"
    )
    aim: str | None = Field(description="Which aim of introducing a system it serves")
    rank: int | None = Field(description="Place among goals of the same priority")
    area: str | None = Field(description="Digital area or organisational unit")
    weight: Figure | None = Field(description="Share of its parent, or of its objective")
    parent: str | None = Field(description="The business goal that it serves")
    measure_of: str | None = Field(description="V2MOM that it is a measure of")
    objective: str | None = Field(description="Objective (OKR) that it is a key result of")
    tags: list[str] = Field(description="Words to find it by")
    theme: str | None = Field(description="Theme of a workshop that it comes from")
    override: OverrideShown | None = Field(description="Why it was committed although it failed")


class Goal(GoalShown):
    """A goal that is held against a metric."""

    kind: Literal["measured"] = Field(description="Held against a metric")
    metric: str = Field(description="Key of the metric")
    where: dict[str, Any] | None = Field(description="A FILTER, besides the metric's own")
    baseline: BaselineSpecShown = Field(description="What it starts from")
    target: TargetShown = Field(description="What is to be reached")
    target_period: PeriodName
    measured_over: str = Field(description="Length of the periods looked at")
    milestones: list[MilestoneShown] = Field(description="Figures on the way")
    measure_first: MeasuringShown | None = Field(description="Why it was measured first")
    instrumented_on: date | None = Field(
        description="Since when a metric that was measured first is measurable: a result of its own"
    )
    first_commitment: CommitmentShown | None = Field(description="What was promised first")
    commitment: CommitmentShown | None = Field(description="What is promised now")
    verdict: VerdictShown | None = Field(description="How it was judged")


class StepShown(Wire):
    """A dated milestone of a deliverable."""

    title: str = Field(description="What is done then")
    due: date = Field(description="Until when")
    done_on: date | None = Field(description="When it was done; null while it is not")


class BudgetShown(Wire):
    """What a deliverable may cost."""

    amount: Amount = Field(description="As it was stated")
    currency: str = Field(description="ISO 4217")
    metric: str | None = Field(description="Metric that says what was spent")
    where: dict[str, Any] | None = Field(description="A FILTER, besides the metric's own")
    since: date | None = Field(description="First day whose costs count")


class PromiseShown(Wire):
    """What was promised of a delivery."""

    due: date = Field(description="By when")
    budget: Amount | None = Field(description="For how much; null: no budget")


class DeliveryVerdictShown(Wire):
    """How a delivery was judged."""

    on: date = Field(description="When it was delivered")
    accepted_by: str = Field(description="Who accepted it")
    note: str = Field(description="What there was to say of it")
    spent: Amount | None = Field(description="What it has cost; null where nothing says it")
    first: DeliveryVerdict = Field(description="Against what was promised first")
    present: DeliveryVerdict = Field(description="Against what was promised last")
    days_late_first: int = Field(description="Days after the first due date; negative: before it")
    days_late: int = Field(description="Days after the present due date; negative: before it")
    basis: str | None = Field(description="Basis of the metrics ledger for what was spent")


class Deliverable(GoalShown):
    """A goal that is delivered."""

    kind: Literal["deliverable"] = Field(description="Accepted by somebody, by a day")
    criteria: list[str] = Field(description="What it must do to be accepted")
    acceptor: str | None = Field(description="Who accepts it")
    steps: list[StepShown] = Field(description="Dated milestones")
    budget: BudgetShown | None = Field(description="What it may cost")
    enables: list[str] = Field(description="Measured goals that it enables")
    first_commitment: PromiseShown | None = Field(description="What was promised first")
    commitment: PromiseShown | None = Field(description="What is promised now")
    verdict: DeliveryVerdictShown | None = Field(description="How it was judged")


AnyGoal = TypeAliasType("AnyGoal", Annotated[Goal | Deliverable, Field(discriminator="kind")])


class GoalAnswer(Known):
    """A goal as known at a basis."""

    goal: AnyGoal = Field(description="The goal")


class LetterShown(Wire):
    """One letter of SMART."""

    result: Literal["pass", "warn", "fail"] = Field(description="S, M and T must not fail")
    evidence: dict[str, Any] = Field(description="The figures that it rests on")
    advice: list[Text] = Field(description="What is so, and the mend")


class Smart(Wire):
    """A goal's SMART check."""

    goal_id: Id = Field(description="The goal")
    letters: dict[str, LetterShown] = Field(description="S, M, A, R, T")
    committable: bool = Field(description="True when no letter that blocks fails")


class HistoryItem(Wire):
    """One change in words."""

    at: InstantField = Field(description="When it was recorded")
    who: str = Field(description="Who did it")
    what: Text = Field(description="What was done")
    reason: str | None = Field(description="Why")
    authority: str | None = Field(description="In whose name; null where that was not asked")
    position: int = Field(ge=1, description="Position in the goals ledger")


class History(Known):
    """The history of something in words, oldest first."""

    items: list[HistoryItem] = Field(description="Changes")


def told(view: View, stream: str) -> History:
    """The history of one thing as the API tells it; refuses with 404 where there is none."""
    return History(
        items=[HistoryItem(**entry) for entry in history(view, stream)],
        known_at=view.known_at, basis=view.basis.token, open=view.open,
    )  # fmt: skip


def shown(state: State) -> Goal | Deliverable:
    """A goal as the API shows it."""
    told = {
        **state.body.model_dump(),
        "id": state.goal_id,
        "revision": state.revision,
        "state": state.state,
        "due": state.due,
        "acknowledged_by": state.acknowledged_by,
        "expected_share": expected_share(state.body),
        "override": state.override.model_dump() if state.override else None,
        "verdict": state.verdict.model_dump() if state.verdict else None,
    }
    if isinstance(state.body, DeliverableBody):
        steps = [
            {**step.model_dump(), "done_on": state.steps_done.get(step.title)}
            for step in state.body.steps
        ]
        first, present = (one and one.model_dump() for one in (state.first, state.present))
        return Deliverable.model_validate(
            {**told, "steps": steps, "first_commitment": first, "commitment": present}
        )
    return Goal.model_validate(
        {
            **told,
            "measure_first": state.measuring.model_dump() if state.measuring else None,
            "instrumented_on": state.instrumented_on,
            "first_commitment": _commitment(state.first),
            "commitment": _commitment(state.present),
        }
    )


def _commitment(made: AnyPromise | None) -> dict[str, Any] | None:
    if made is None:
        return None
    dumped = made.model_dump(exclude={"direction"})
    dumped["baseline"] = {k: dumped["baseline"][k] for k in ("id", "value", "periods")}
    return dumped
