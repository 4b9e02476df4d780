"""What surrounds goals: V2MOMs, stakeholders, communication, factors, lessons, the pre-mortem."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from fastapi import Depends, Response
from pydantic import Field

from services.goals.api.statements import Resource, routes
from services.goals.commands import statements as commands
from services.goals.domain.factor import (
    FACTOR,
    LESSON,
    PREMORTEM,
    Factor,
    Lesson,
    LessonStated,
    Obstacle,
    PremortemAnswer,
    Spread,
    exposure,
    exposure_after,
    planned,
)
from services.goals.domain.plan import (
    COMMUNICATION,
    STAKEHOLDER,
    V2MOM,
    Communication,
    Stakeholder,
    V2mom,
)
from services.goals.domain.statement import Statement
from services.goals.domain.texts import text
from services.goals.queries import records
from services.goals.queries import states as queries
from services.goals.queries.states import MAX_GOALS
from shared.ledger import Transaction, View
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Known, Text, Wire
from shared.words import Id, Name, Reason

router = make_router("initiatives")
factors_router = make_router("factors")


class V2momExtra(Wire):
    """What belongs to a V2MOM besides what is stated in it."""

    measures: list[Id] = Field(description="Goals whose `measure_of` names it")


def _measures(view: View, state: Statement[V2mom]) -> dict[str, Any]:
    goals = view.once("goals", lambda: queries.goal_list(view, None, "", MAX_GOALS))
    return {"measures": [g.goal_id for g in goals if g.body.measure_of == state.record_id]}


routes(router, Resource(
    V2MOM, "v2moms", "a V2MOM",
    "Vision, values, methods, obstacles and measures of an initiative for a period; the old ones "
    "stay when a new one is written.",
    V2mom, _measures, V2momExtra, two_edit=True,
))  # fmt: skip
routes(router, Resource(
    STAKEHOLDER, "stakeholders", "a stakeholder",
    "A person or a group that the initiative concerns.", Stakeholder,
))  # fmt: skip
routes(router, Resource(
    COMMUNICATION, "communications", "a line of the communication plan",
    "What is told to whom, when, by whom, and what they have of it.", Communication,
))  # fmt: skip


class FactorExtra(Wire):
    """What follows from what is stated of a factor."""

    planned: bool = Field(description="Whether it has an owner and an answer")
    exposure: int | None = Field(description="Likelihood times impact, 1 to 25")
    exposure_after: int | None = Field(description="What the mitigations leave of it")


def _exposure(view: View, state: Statement[Factor]) -> dict[str, Any]:
    factor = state.body
    return {
        "planned": planned(factor), "exposure": exposure(factor),
        "exposure_after": exposure_after(factor),
    }  # fmt: skip


routes(factors_router, Resource(
    FACTOR, "factors", "a factor",
    "Accelerators bring information, influence or knowledge; obstacles have a response.",
    Factor, _exposure, FactorExtra,
))  # fmt: skip
shown_lesson = routes(factors_router, Resource(
    LESSON, "lessons", "a lesson", "What a quick win or a review has taught, and where it went.",
    LessonStated,
))  # fmt: skip
routes(factors_router, Resource(
    PREMORTEM, "pre-mortem-answers", "an answer of the pre-mortem",
    "One of the usual obstacles: found here, as a factor, or dismissed with a reason.",
    PremortemAnswer,
))  # fmt: skip


class Spreading(Wire):
    """Where a lesson is carried."""

    to: Name = Field(description="A phase or an organisational unit")
    reason: Reason = Field(description="Why it helps there")


@factors_router.post("/lessons/{identity}/spread", response_model=shown_lesson.shape)
def spread_lesson(
    identity: str, body: Spreading, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Carry a lesson to another phase or unit; it then applies there, too."""

    def work(transaction: Transaction) -> Answer:
        state = records.statement(transaction, LESSON, identity)
        caller.demand_revision(state.revision)
        who, day = caller.principal.actor, transaction.known_at.date()
        carried = [*state.body.spread, Spread(to=body.to, by=who, on=day)]
        whole: Lesson = state.body.model_copy(update={"spread": carried})
        changed = commands.restate(transaction, LESSON, state, whole, body.reason)
        return shown_lesson.answer(transaction, changed)

    return caller.command(work)


class Prompt(Wire):
    """One of the usual obstacles, asked about."""

    prompt: Obstacle = Field(description="Which obstacle")
    question: Text = Field(description="'Why will this not succeed?', for this obstacle")
    state: Literal["open", "found", "dismissed"] = Field(description="What became of it")
    answer: Id | None = Field(description="The answer; null while it is open")
    factor: Id | None = Field(description="The obstacle that was found")
    dismissed: str | None = Field(description="Why it is none here")


class Premortem(Known):
    """The pre-mortem of an initiative."""

    complete: bool = Field(description="True when no prompt is open")
    prompts: list[Prompt] = Field(description="The usual obstacles")


@factors_router.get("/initiatives/{initiative_id}/pre-mortem")
def show_premortem(
    initiative_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Premortem:
    """Ask why an initiative will not succeed: the usual obstacles, answered or still open."""
    with reader.view() as view:
        queries.initiative(view, initiative_id)
        answers = {a.body.prompt: a for a in records.statements(view, PREMORTEM, initiative_id)}
        prompts = [_prompt(one, answers.get(one)) for one in get_args(Obstacle)]
        return Premortem(
            complete=all(one.state != "open" for one in prompts), prompts=prompts,
            known_at=view.known_at, basis=view.basis.token, open=view.open,
        )  # fmt: skip


def _prompt(obstacle: Obstacle, answer: Statement[PremortemAnswer] | None) -> Prompt:
    found = answer.body if answer else None
    return Prompt(
        prompt=obstacle,
        question=Text(**text(f"premortem_{obstacle}")),
        state="open" if found is None else "found" if found.factor else "dismissed",
        answer=answer.record_id if answer else None,
        factor=found.factor if found else None,
        dismissed=found.dismissed if found else None,
    )
