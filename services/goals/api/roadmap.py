"""`GET /v1/initiatives/{id}/roadmap`: everything of an initiative on one time axis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated

from fastapi import Depends, Response

from services.goals.api.goals import question
from services.goals.api.pages import roadmap_page
from services.goals.api.roadmap_shapes import Bar, Roadmap
from services.goals.domain.goal import DeliverableBody, Goal
from services.goals.domain.initiative import InitiativeBody
from services.goals.domain.plan import V2MOM
from services.goals.domain.texts import sentence
from services.goals.queries import records
from services.goals.queries import states as queries
from services.goals.queries.assessment import parse, previous_day
from services.goals.queries.states import MAX_GOALS
from shared.periods import Calendar
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads

router = make_router("initiatives")


@router.get("/initiatives/{initiative_id}/roadmap")
def show_roadmap(
    initiative_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Roadmap:
    """Show phases, go-lives, goals, milestones and methods on one time axis.

    A goal spans from the end of its baseline to the day that it is due.
    """
    return _roadmap(reader, initiative_id)[0]


@router.get("/initiatives/{initiative_id}/roadmap/page", response_class=Response)
def show_roadmap_page(
    initiative_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Response:
    """Show the roadmap as a page that works without scripts, and prints."""
    found, name = _roadmap(reader, initiative_id)
    title = sentence("page_roadmap", {"name": name})
    return roadmap_page(found, title, reader.runtime.clock.now())


def _roadmap(reader: Reader, initiative_id: str) -> tuple[Roadmap, str]:
    days = question(reader).calendar()
    with reader.view() as view:
        body = queries.initiative(view, initiative_id).body
        bars = [
            *_of_initiative(body),
            *(
                bar
                for goal in queries.goal_list(view, initiative_id, "", MAX_GOALS)
                for bar in _of_goal(goal, body, days)
            ),
            *(
                Bar(kind="method", id=plan.record_id, title=method.text, area=None, phase=None,
                    begins=method.due, ends=method.due, state="done" if method.done else "open")
                for plan in records.statements(view, V2MOM, initiative_id)
                for method in plan.body.methods
                if method.due is not None
            ),
        ]  # fmt: skip
        today = view.known_at.date()
        ordered = sorted(bars, key=lambda b: (b.area or "", b.phase or "", b.begins, b.title))
        found = Roadmap(
            begins=min((bar.begins for bar in bars), default=today),
            ends=max((bar.ends for bar in bars), default=today),
            bars=ordered, known_at=view.known_at, basis=view.basis.token, open=view.open,
        )  # fmt: skip
        return found, body.name


def _of_initiative(body: InitiativeBody) -> Iterator[Bar]:
    def day(title: str, when: date, phase: str | None) -> Bar:
        return Bar(kind="go_live", id=None, title=title, area=None, phase=phase, begins=when,
                   ends=when, state=None)  # fmt: skip

    if body.go_live is not None:
        yield day(body.name, body.go_live, None)
    for phase in body.phases:
        known = [d for d in (phase.starts_on, phase.go_live, phase.ends_on) if d is not None]
        if known:
            yield Bar(kind="phase", id=None, title=phase.name, area=None, phase=phase.name,
                      begins=min(known), ends=max(known), state=None)  # fmt: skip
        if phase.go_live is not None:
            yield day(phase.name, phase.go_live, phase.name)


def _of_goal(goal: Goal, initiative: InitiativeBody, days: Calendar) -> Iterator[Bar]:
    body = goal.body

    def bar(kind: str, title: str, begins: date, ends: date, state: str) -> Bar:
        return Bar.model_validate(
            {"kind": kind, "id": goal.goal_id, "title": title, "area": body.area,
             "phase": body.phase, "begins": min(begins, ends), "ends": ends, "state": state}
        )  # fmt: skip

    if isinstance(body, DeliverableBody):
        begins = min([initiative.starts_on or goal.due, *(step.due for step in body.steps)])
        yield bar("goal", body.title, begins, goal.due, goal.state)
        for step in body.steps:
            done = "done" if step.title in goal.steps_done else "open"
            yield bar("milestone", step.title, step.due, step.due, done)
        return
    periods = goal.promised.baseline.periods if goal.promised else body.baseline.periods
    last = parse(periods[-1], days, "/baseline/periods").end if periods else goal.due
    yield bar("goal", body.title, last, goal.due, goal.state)
    for milestone in body.milestones:
        end = previous_day(parse(milestone.period, days, "/milestones").end)
        yield bar("milestone", f"{body.title}: {milestone.value:f}", end, end, "open")
