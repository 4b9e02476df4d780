"""Initiatives: the investments whose worth is in question."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Response
from pydantic import Field, ValidationError, model_validator

from services.goals.api.shapes import History, told
from services.goals.commands import goals as commands
from services.goals.domain.initiative import Initiative as State
from services.goals.queries import states as queries
from shared.closed import faults_of
from shared.errors import INVALID
from shared.ledger import Transaction
from shared.money import Currency
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Change, InstantField, Known, Wire
from shared.words import Id, Name, Prose, Reason

router = make_router("initiatives")
OutcomeName = Literal["successful", "unsuccessful", "undecided"]
Status = Literal["planned", "running", "live", "ended"]
Aim = Literal["control", "quick_use", "automation"]
SystemKind = Literal["crm", "erp", "bpm", "hrm", "e_commerce", "contact_centre", "other"]


class PhaseBody(Wire):
    """A part of a roll-out with a go-live of its own."""

    name: Name = Field(description="Name of the phase")
    starts_on: date | None = Field(None, description="First day of work")
    go_live: date | None = Field(None, description="First day of use")
    ends_on: date | None = Field(None, description="Last day of work")

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> PhaseBody:
        demand_order(self.starts_on, self.ends_on, "phase")
        return self


def demand_order(begins: date | None, ends: date | None, what: str) -> None:
    """Refuse what ends before it begins."""
    if begins is not None and ends is not None and ends < begins:
        raise ValueError(f"the {what} ends before it begins")


class SuccessRuleBody(Wire):
    """How the initiative will be judged."""

    rule: Literal["moved_right_way", "beyond_noise", "target_reached"] = Field(
        "beyond_noise", description="What a goal must do to count as a success"
    )
    goals: Literal["must", "all"] = Field("must", description="Over which goals")


class NewInitiative(Wire):
    """An investment to be judged."""

    name: Name = Field(description="Name", examples=["Salesforce roll-out"])
    description: Prose = Field("", description="What it is about")
    system_kind: SystemKind = Field("crm", description="Kind of system")
    sponsor: Name | None = Field(None, description="Who pays and decides")
    business_owner: Name | None = Field(None, description="Whose figures are to change")
    project_owner: Name | None = Field(None, description="Who runs the project")
    currency: Currency = Field("EUR", description="Currency of its money")
    go_live: date | None = Field(None, description="First day of use", examples=["2025-01-01"])
    phases: list[PhaseBody] = Field(
        default_factory=list, max_length=50, description="Phases in order"
    )
    success_rule: SuccessRuleBody = Field(
        default_factory=SuccessRuleBody, description="Fixed at the start, applied at the end"
    )
    retrospective: bool = Field(False, description="Set up after the fact, from loaded history")
    status: Status = Field("planned", description="Where it stands")
    aims: list[Aim] = Field(
        default_factory=list, max_length=3, description="What the system is introduced for: "
        "control of information, quick use of it for decisions, automation of work"
    )  # fmt: skip
    systems: list[Name] = Field(
        default_factory=list, max_length=50, description="Systems that are involved"
    )
    decided_on: date | None = Field(None, description="When it was decided")
    starts_on: date | None = Field(None, description="First day of work")
    planned_end: date | None = Field(None, description="Last day, as planned")
    units: list[Name] = Field(
        default_factory=list, max_length=200, description="Organisational units"
    )
    areas: list[Name] = Field(default_factory=list, max_length=200, description="Digital areas")

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> NewInitiative:
        demand_order(self.starts_on, self.planned_end, "initiative")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError("two phases have the same name")
        return self


class InitiativeChange(Change):
    """What should change; what is left out stays."""

    name: Name | None = Field(None, description="Name")
    description: Prose | None = Field(None, description="What it is about")
    sponsor: Name | None = Field(None, description="Who pays and decides")
    business_owner: Name | None = Field(None, description="Whose figures are to change")
    project_owner: Name | None = Field(None, description="Who runs the project")
    go_live: date | None = Field(None, description="First day of use")
    phases: list[PhaseBody] | None = Field(None, max_length=50, description="Phases in order")
    status: Status | None = Field(None, description="Where it stands")
    aims: list[Aim] | None = Field(None, max_length=3, description="What it is introduced for")
    systems: list[Name] | None = Field(None, max_length=50, description="Systems involved")
    decided_on: date | None = Field(None, description="When it was decided")
    starts_on: date | None = Field(None, description="First day of work")
    planned_end: date | None = Field(None, description="Last day, as planned")
    units: list[Name] | None = Field(None, max_length=200, description="Organisational units")
    areas: list[Name] | None = Field(None, max_length=200, description="Digital areas")
    success_rule: SuccessRuleBody | None = Field(
        None, description="Only before the first goal is committed; then it is fixed"
    )
    reason: Reason = Field(description="Why it changes")


class GoalOutcome(Wire):
    """What a goal says to the question whether the initiative was a success."""

    goal_id: Id = Field(description="The goal")
    title: str = Field(description="What was to become true")
    first: bool | None = Field(description="Held against what was promised first; null: not yet")
    present: bool | None = Field(description="Held against what was promised last")
    because: str = Field(description="Its verdict; `not_judged`, or `abandoned`")


class Judgement(Wire):
    """An initiative judged by the rule that was fixed at the start."""

    first: OutcomeName = Field(description="By what the goals promised first")
    present: OutcomeName = Field(description="By what they promised last; given up ones left out")
    goals: list[GoalOutcome] = Field(description="The goals that the rule is about")
    reason: str = Field(description="Why it was judged then")
    at: InstantField = Field(description="When")


class Exit(Wire):
    """A request to judge an initiative."""

    reason: Reason = Field(description="Why now: its end, or the lag is over")


class Initiative(NewInitiative):
    """An initiative."""

    judgements: list[Judgement] = Field(description="How it was judged, oldest first")

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")


class InitiativeAnswer(Known):
    """An initiative as known at a basis."""

    initiative: Initiative = Field(description="The initiative")


def shown(state: State) -> Initiative:
    """An initiative as the API shows it."""
    body = state.body.model_dump(mode="json")
    return Initiative.model_validate(
        {
            **body,
            "id": state.initiative_id,
            "revision": state.revision,
            "judgements": [one.model_dump() for one in state.judgements],
        }
    )


@router.post("/initiatives", status_code=201, response_model=Initiative)
def create_initiative(
    body: NewInitiative, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """State an initiative."""

    def work(transaction: Transaction) -> Answer:
        state = commands.start_initiative(transaction, body.model_dump())
        return Answer(shown(state), 201, state.revision, f"/v1/initiatives/{state.initiative_id}")

    return caller.command(work)


@router.get("/initiatives")
def list_initiatives(
    reader: Annotated[Reader, Depends(reads("goals:read"))], pages: Pages
) -> Page[Initiative]:
    """List initiatives, oldest first."""
    with reader.view() as view:
        rows = queries.initiative_list(view, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda state: state.initiative_id, shown)


@router.get("/initiatives/{initiative_id}")
def get_initiative(
    initiative_id: str,
    response: Response,
    reader: Annotated[Reader, Depends(reads("goals:read"))],
) -> InitiativeAnswer:
    """Show an initiative."""
    with reader.view() as view:
        state = queries.initiative(view, initiative_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return InitiativeAnswer(
            initiative=shown(state),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.patch("/initiatives/{initiative_id}", response_model=Initiative)
def change_initiative(
    initiative_id: str,
    body: InitiativeChange,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Change an initiative, with a reason."""

    def work(transaction: Transaction) -> Answer:
        state = queries.initiative(transaction, initiative_id)
        caller.demand_revision(state.revision)
        changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"reason"})
        _demand_sound({**state.body.model_dump(), **changes})
        changed = commands.change_initiative(transaction, state, changes, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


def _demand_sound(stated: dict[str, Any]) -> None:
    """Refuse a change that contradicts what stays."""
    try:
        NewInitiative.model_validate(stated)
    except ValidationError as error:
        raise INVALID.refusal(
            "With this change the initiative contradicts itself.", faults_of(error, stated, "")
        ) from error


@router.post("/initiatives/{initiative_id}/exit", response_model=Initiative)
def exit_initiative(
    initiative_id: str, body: Exit, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Judge an initiative by its success rule: at its end, and again after the lag.

    `successful` when every goal that the rule is about did what it asks; `undecided` while one of
    them is not judged and none has failed. Moving the goalposts shows: it is held against what was
    promised first, and last.
    """

    def work(transaction: Transaction) -> Answer:
        state = queries.initiative(transaction, initiative_id)
        caller.demand_revision(state.revision)
        judged = commands.judge_initiative(transaction, state, body.reason)
        return Answer(shown(judged), 200, judged.revision)

    return caller.command(work)


@router.get("/initiatives/{initiative_id}/history")
def get_initiative_history(
    initiative_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words who changed what of an initiative, when and why."""
    with reader.view() as view:
        return told(view, f"initiative/{initiative_id}")
