"""A workshop: a team's ideas, its votes, and the themes that become goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict

from shared.errors import CONFLICT, FORBIDDEN, invalid
from shared.events import Payload, event

Side = Literal["own", "vendor", "partner"]
# So alike two ideas are suggested to be of one theme (share of their words, 0 to 1).
ALIKE = 0.5
# So many letters of a word tell it apart; shorter words say little.
STEM = 4
# So many ideas a workshop holds.
MAX_IDEAS = 500


class Participant(BaseModel):
    """Somebody who takes part."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    person: str
    side: Side
    team: str | None = None


@event("workshop.opened")
class WorkshopOpened(Payload):
    """A workshop was opened."""

    workshop_id: str
    initiative_id: str
    name: str
    prompt: str
    participants: list[Participant]
    points: int


@event("workshop.idea_added")
class IdeaAdded(Payload):
    """Somebody had an idea."""

    idea_id: str
    by: str
    text: str


@event("workshop.voted")
class Voted(Payload):
    """Somebody gave all their points anew."""

    by: str
    points: dict[str, int]


@event("workshop.themed")
class Themed(Payload):
    """Ideas were grouped under a theme; an idea belongs to one theme at most."""

    theme_id: str
    name: str
    ideas: list[str]


@event("workshop.theme_became_goals")
class ThemeBecameGoals(Payload):
    """A theme became drafts of goals."""

    theme_id: str
    goals: list[str]


@event("workshop.closed")
class WorkshopClosed(Payload):
    """The workshop ended; it is only read from here on."""

    reason: str


WorkshopEvent = WorkshopOpened | IdeaAdded | Voted | Themed | ThemeBecameGoals | WorkshopClosed


class Idea(BaseModel):
    """An idea and its theme."""

    model_config = ConfigDict(frozen=True)
    idea_id: str
    by: str
    text: str
    theme: str | None = None


class Theme(BaseModel):
    """Ideas that belong together, and the goals that they became."""

    model_config = ConfigDict(frozen=True)
    theme_id: str
    name: str
    goals: list[str] = []


class Workshop(BaseModel):
    """A workshop as its events have left it."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    initiative_id: str
    revision: int
    name: str
    prompt: str
    participants: list[Participant]
    points: int
    ideas: list[Idea] = []
    themes: list[Theme] = []
    votes: dict[str, dict[str, int]] = {}
    closed: str | None = None

    def points_of(self, idea_id: str) -> int:
        return sum(given.get(idea_id, 0) for given in self.votes.values())


def evolve(state: Workshop | None, fact: WorkshopEvent) -> Workshop:
    """The workshop after one more event."""
    if isinstance(fact, WorkshopOpened):
        told = fact.model_dump(exclude={"workshop_id"})
        return Workshop(record_id=fact.workshop_id, revision=1, **told)
    assert state is not None, "a workshop is opened first"
    changed: dict[str, Any] = {"revision": state.revision + 1}
    match fact:
        case IdeaAdded():
            changed["ideas"] = [*state.ideas, Idea(**fact.model_dump())]
        case Voted():
            changed["votes"] = {**state.votes, fact.by: fact.points}
        case Themed():
            changed |= _themed(state, fact)
        case ThemeBecameGoals():
            changed["themes"] = [
                theme.model_copy(update={"goals": [*theme.goals, *fact.goals]})
                if theme.theme_id == fact.theme_id
                else theme
                for theme in state.themes
            ]
        case WorkshopClosed():
            changed["closed"] = fact.reason
        case _:
            assert_never(fact)
    return state.model_copy(update=changed)


def _themed(state: Workshop, fact: Themed) -> dict[str, Any]:
    others = [theme for theme in state.themes if theme.theme_id != fact.theme_id]
    before = [theme.goals for theme in state.themes if theme.theme_id == fact.theme_id]
    theme = Theme(theme_id=fact.theme_id, name=fact.name, goals=before[0] if before else [])
    ideas = [
        idea.model_copy(update={"theme": fact.theme_id})
        if idea.idea_id in fact.ideas
        else idea.model_copy(update={"theme": None})
        if idea.theme == fact.theme_id
        else idea
        for idea in state.ideas
    ]
    return {"themes": [*others, theme], "ideas": ideas}


def add_idea(state: Workshop, idea_id: str, by: str, text: str) -> IdeaAdded:
    """Add an idea of a participant."""
    demand_open(state)
    _demand_participant(state, by)
    if len(state.ideas) >= MAX_IDEAS:
        raise CONFLICT.refusal(f"The workshop holds {MAX_IDEAS} ideas; more can't be looked at.")
    return IdeaAdded(idea_id=idea_id, by=by, text=text)


def vote(state: Workshop, by: str, points: Mapping[str, int]) -> Voted:
    """Give all of a participant's points anew; refuses more than everybody has."""
    demand_open(state)
    _demand_participant(state, by)
    known = {idea.idea_id for idea in state.ideas}
    for idea_id in points:
        if idea_id not in known:
            raise invalid(f"/points/{idea_id}", "There is no such idea.", "unknown")
    given = sum(points.values())
    if given > state.points:
        detail = f"These are {given} points; everybody has {state.points}."
        raise invalid("/points", detail, "too_many_points")
    return Voted(by=by, points={idea: count for idea, count in points.items() if count})


def group(state: Workshop, theme_id: str, name: str, ideas: Sequence[str]) -> Themed:
    """Group ideas under a theme; what was under it and is not named leaves it."""
    demand_open(state)
    known = {idea.idea_id for idea in state.ideas}
    for index, idea_id in enumerate(ideas):
        if idea_id not in known:
            raise invalid(f"/ideas/{index}", "There is no such idea.", "unknown")
    return Themed(theme_id=theme_id, name=name, ideas=list(ideas))


def close(state: Workshop, reason: str) -> WorkshopClosed:
    """End a workshop, once."""
    demand_open(state)
    return WorkshopClosed(reason=reason)


def demand_open(state: Workshop) -> None:
    """Refuse to change a workshop that is closed."""
    if state.closed is not None:
        raise CONFLICT.refusal(f"The workshop is closed ({state.closed}); it is only read.")


def _demand_participant(state: Workshop, person: str) -> None:
    if person not in {one.person for one in state.participants}:
        names = ", ".join(one.person for one in state.participants)
        raise FORBIDDEN.refusal(f"{person} takes no part in {state.name!r}; these do: {names}.")


def ranked(state: Workshop) -> list[Idea]:
    """The ideas, those with most points first; among equals the older first."""
    return sorted(state.ideas, key=lambda idea: -state.points_of(idea.idea_id))


def suggested_themes(ideas: Sequence[Idea]) -> list[list[Idea]]:
    """Ideas that say nearly the same, by the words they share; those that stand alone left out."""
    groups: list[list[tuple[Idea, frozenset[str]]]] = []
    for idea in ideas:
        stems = _stems(idea.text)
        near = [g for g in groups if any(_alike(stems, other) >= ALIKE for _, other in g)]
        groups = [g for g in groups if g not in near]
        groups.append([one for g in near for one in g] + [(idea, stems)])
    return [[idea for idea, _ in group] for group in groups if len(group) > 1]


def _alike(mine: frozenset[str], theirs: frozenset[str]) -> float:
    """The share of its words that the shorter of two ideas has in common with the other."""
    fewer = min(len(mine), len(theirs))
    return len(mine & theirs) / fewer if fewer > 1 else 0.0


def _stems(text: str) -> frozenset[str]:
    """The beginnings of an idea's words: 'answered' and 'answers' begin alike."""
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return frozenset(word[:STEM] for word in words if len(word) >= STEM)
