"""An initiative: the investment whose worth is in question."""

from __future__ import annotations

from datetime import date
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict

from shared.events import Payload, event

SystemKind = Literal["crm", "erp", "bpm", "hrm", "e_commerce", "contact_centre", "other"]
Rule = Literal["moved_right_way", "beyond_noise", "target_reached"]
Priority = Literal["must", "should", "could", "later"]


class Phase(BaseModel):
    """A part of a roll-out with a go-live of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    go_live: date | None = None


class SuccessRule(BaseModel):
    """How the initiative will be judged; fixed with the first commitment."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rule: Rule = "beyond_noise"
    goals: Literal["must", "all"] = "must"


class InitiativeBody(Payload):
    """All that is stated of an initiative."""

    name: str
    description: str
    system_kind: SystemKind
    sponsor: str | None
    business_owner: str | None
    project_owner: str | None
    currency: str
    go_live: date | None
    phases: list[Phase]
    success_rule: SuccessRule
    retrospective: bool


@event("initiative.started")
class InitiativeStarted(InitiativeBody):
    """An initiative was stated for the first time."""

    initiative_id: str


@event("initiative.changed")
class InitiativeChanged(InitiativeBody):
    """An initiative was stated anew."""

    reason: str


class Initiative(BaseModel):
    """An initiative as its events have left it."""

    model_config = ConfigDict(frozen=True)
    initiative_id: str
    revision: int
    body: InitiativeBody


InitiativeEvent = InitiativeStarted | InitiativeChanged


def evolve(state: Initiative | None, fact: InitiativeEvent) -> Initiative:
    """The initiative after one more event."""
    match fact:
        case InitiativeStarted():
            body = InitiativeBody(**fact.model_dump(exclude={"initiative_id"}))
            return Initiative(initiative_id=fact.initiative_id, revision=1, body=body)
        case InitiativeChanged():
            assert state is not None, "only what was started can be changed"
            body = InitiativeBody(**fact.model_dump(exclude={"reason"}))
            return state.model_copy(update={"revision": state.revision + 1, "body": body})
        case _:
            assert_never(fact)
