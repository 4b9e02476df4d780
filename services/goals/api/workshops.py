"""Workshops: a team's ideas, votes and themes, from which goals are drafted."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from services.goals.api.drafts import AnyDraft
from services.goals.api.goals import body_of, question
from services.goals.api.shapes import History, told
from services.goals.api.statements import INITIATIVE
from services.goals.commands import workshops as commands
from services.goals.domain import workshop as domain
from services.goals.domain.workshop import Workshop as State
from services.goals.queries import records
from shared.errors import FORBIDDEN
from shared.ids import new_id
from shared.ledger import Transaction
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Known, Wire
from shared.words import Id, Name, Prose, Reason

router = make_router("workshops")
Said = Annotated[Prose, Field(min_length=1)]
AsPerson = Annotated[
    Name | None, Field(description="For whom an admin writes it down; default: the key's person")
]


class ParticipantBody(Wire):
    """Somebody who takes part."""

    person: Name = Field(description="As the person's keys name them", examples=["Ann"])
    side: domain.Side = Field("own", description="Whose person it is")
    team: Name | None = Field(None, description="The team that they come from")


class NewWorkshop(Wire):
    """A workshop to be opened."""

    initiative_id: Id = Field(description="The initiative whose goals are looked for")
    name: Name = Field(description="Its name", examples=["What will we celebrate?"])
    prompt: Prose = Field("We celebrate. What did we do?", description="What is asked of everybody")
    participants: list[ParticipantBody] = Field(
        min_length=1, max_length=200, description="Who takes part"
    )
    points: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="Points that everybody gives to ideas"
    )


class NewIdea(Wire):
    """An idea."""

    text: Said = Field(description="What was done, when it is celebrated")
    person: AsPerson = None


class Votes(Wire):
    """All points that somebody gives; they replace those given before."""

    points: dict[Id, Annotated[int, Field(ge=0, le=100)]] = Field(
        max_length=500, description="Points by idea"
    )
    person: AsPerson = None


class Grouping(Wire):
    """Ideas that belong together."""

    name: Name = Field(description="What they have in common")
    ideas: list[Id] = Field(max_length=500, description="All ideas of the theme")


class ThemeGoals(Wire):
    """What a theme becomes."""

    goals: list[AnyDraft] = Field(min_length=1, max_length=20, description="Drafts of goals")


class Closing(Wire):
    """The end of a workshop."""

    reason: Reason = Field(description="Why now", examples=["All themes have goals"])


class IdeaShown(Wire):
    """An idea with its points."""

    id: Id = Field(description="Id")
    by: str = Field(description="Who had it")
    text: str = Field(description="What it is")
    theme: Id | None = Field(description="Its theme")
    points: int = Field(ge=0, description="Points that it was given")


class ThemeShown(Wire):
    """Ideas that belong together."""

    id: Id = Field(description="Id")
    name: str = Field(description="What they have in common")
    points: int = Field(ge=0, description="Points of all its ideas")
    goals: list[Id] = Field(description="Goals that it became")


class Workshop(NewWorkshop):
    """A workshop."""

    id: Id = Field(description="Id")
    revision: int = Field(ge=1, description="Number of changes; the ETag")
    closed: str | None = Field(description="Why it was closed; null while it is open")
    ideas: list[IdeaShown] = Field(description="Those with most points first")
    themes: list[ThemeShown] = Field(description="Those with most points first")
    voted: list[str] = Field(description="Who has given points")


class WorkshopAnswer(Known):
    """A workshop as known at a basis."""

    workshop: Workshop = Field(description="The workshop")


class Suggestion(Wire):
    """Ideas that say nearly the same."""

    ideas: list[IdeaShown] = Field(description="The ideas")


class Suggestions(Known):
    """Groups of ideas that seem to belong together."""

    items: list[Suggestion] = Field(description="Groups; ideas that stand alone are left out")


def _idea(state: State, idea: domain.Idea) -> IdeaShown:
    points = state.points_of(idea.idea_id)
    return IdeaShown(id=idea.idea_id, by=idea.by, text=idea.text, theme=idea.theme, points=points)


def _shown(state: State) -> Workshop:
    ideas = [_idea(state, idea) for idea in domain.ranked(state)]
    themes = [
        ThemeShown(
            id=theme.theme_id, name=theme.name, goals=theme.goals,
            points=sum(idea.points for idea in ideas if idea.theme == theme.theme_id),
        )
        for theme in state.themes
    ]  # fmt: skip
    told = state.model_dump(exclude={"record_id", "ideas", "themes", "votes"})
    return Workshop.model_validate(
        {**told, "id": state.record_id, "ideas": ideas, "voted": sorted(state.votes),
         "themes": sorted(themes, key=lambda theme: -theme.points)}
    )  # fmt: skip


def _answer(state: State, status: int = 200) -> Answer:
    location = f"/v1/workshops/{state.record_id}" if status == 201 else None
    return Answer(_shown(state), status, state.revision, location)


def _person(caller: Caller, named: str | None) -> str:
    """Who speaks: the key's person, or whoever an admin writes down for."""
    actor = caller.principal.actor
    if named is None or named == actor:
        return actor
    if "admin" not in caller.principal.scopes:
        raise FORBIDDEN.refusal(f"Only an admin writes down what {named} says.")
    return named


@router.post("/workshops", status_code=201, response_model=Workshop)
def open_workshop(
    body: NewWorkshop, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Open a workshop, in which a team finds its goals."""

    def work(transaction: Transaction) -> Answer:
        return _answer(commands.open_workshop(transaction, body.model_dump()), 201)

    return caller.command(work)


@router.get("/workshops")
def list_workshops(
    reader: Annotated[Reader, Depends(reads("goals:read"))], pages: Pages,
    initiative_id: INITIATIVE = None,
) -> Page[Workshop]:  # fmt: skip
    """List workshops, oldest first."""
    with reader.view() as view:
        rows = records.workshops(view, initiative_id, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda state: state.record_id, _shown)


@router.get("/workshops/{workshop_id}")
def get_workshop(
    workshop_id: str, response: Response, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> WorkshopAnswer:
    """Show a workshop: its ideas ranked by points, and its themes."""
    with reader.view() as view:
        state = records.workshop(view, workshop_id)
        response.headers["ETag"] = f'"{state.revision}"'
        return WorkshopAnswer(
            workshop=_shown(state), known_at=view.known_at, basis=view.basis.token, open=view.open
        )


@router.get("/workshops/{workshop_id}/suggested-themes")
def suggest_themes(
    workshop_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Suggestions:
    """Suggest which ideas belong together, by the words that they share."""
    with reader.view() as view:
        state = records.workshop(view, workshop_id)
        known_at, basis, is_open = view.known_at, view.basis.token, view.open
    found = domain.suggested_themes(state.ideas)
    return Suggestions(
        items=[Suggestion(ideas=[_idea(state, idea) for idea in group]) for group in found],
        known_at=known_at, basis=basis, open=is_open,
    )  # fmt: skip


@router.post("/workshops/{workshop_id}/ideas", status_code=201, response_model=Workshop)
def add_idea(
    workshop_id: str, body: NewIdea, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Add an idea of a participant."""

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        fact = domain.add_idea(state, new_id(), _person(caller, body.person), body.text)
        return _answer(commands.record(transaction, state, fact), 201)

    return caller.command(work)


@router.post("/workshops/{workshop_id}/votes", response_model=Workshop)
def vote(
    workshop_id: str, body: Votes, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Give one's points to ideas; they can be given anew until the workshop is closed."""

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        fact = domain.vote(state, _person(caller, body.person), body.points)
        return _answer(commands.record(transaction, state, fact))

    return caller.command(work)


@router.post("/workshops/{workshop_id}/themes", status_code=201, response_model=Workshop)
def add_theme(
    workshop_id: str, body: Grouping, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Group ideas under a new theme; an idea belongs to one theme at most."""

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        fact = domain.group(state, new_id(), body.name, body.ideas)
        return _answer(commands.record(transaction, state, fact), 201)

    return caller.command(work)


@router.put("/workshops/{workshop_id}/themes/{theme_id}", response_model=Workshop)
def regroup_theme(
    workshop_id: str,
    theme_id: str,
    body: Grouping,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Say anew which ideas belong to a theme."""

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        commands.demand_theme(state, theme_id)
        fact = domain.group(state, theme_id, body.name, body.ideas)
        return _answer(commands.record(transaction, state, fact))

    return caller.command(work)


@router.post(
    "/workshops/{workshop_id}/themes/{theme_id}/goals", status_code=201, response_model=Workshop
)
def make_goals_of_theme(
    workshop_id: str,
    theme_id: str,
    body: ThemeGoals,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Make drafts of goals of a theme, all of them or none; theme and goals keep the link."""
    if (stored := caller.replayed()) is not None:
        return stored
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        initiative_id = records.workshop(view, workshop_id).initiative_id
    asked = question(caller)
    bodies = [body_of(caller, draft, initiative_id, asked) for draft in body.goals]

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        return _answer(commands.become_goals(transaction, state, theme_id, bodies), 201)

    return caller.command(work)


@router.post("/workshops/{workshop_id}/close", response_model=Workshop)
def close_workshop(
    workshop_id: str, body: Closing, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Close a workshop; it is only read from then on."""

    def work(transaction: Transaction) -> Answer:
        state = records.workshop(transaction, workshop_id)
        caller.demand_revision(state.revision)
        fact = domain.close(state, body.reason)
        return _answer(commands.record(transaction, state, fact))

    return caller.command(work)


@router.get("/workshops/{workshop_id}/history")
def get_workshop_history(
    workshop_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> History:
    """Tell in words what happened in a workshop, when and by whom."""
    with reader.view() as view:
        return told(view, f"workshop/{workshop_id}")
