"""Objectives and key results: scored from the goals that name them, rolled up along the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, Query, Response
from pydantic import Field

from services.goals.api.goals import question
from services.goals.api.progress import Found, Progressed, asked_as, demand_answer, progress_of_all
from services.goals.api.statements import Resource, routes
from services.goals.commands import objectives as commands
from services.goals.domain.goal import Goal
from services.goals.domain.objective import (
    OBJECTIVE,
    Objective,
    ObjectiveStated,
    rolled_up,
    weighted,
)
from services.goals.domain.statement import Statement
from services.goals.queries import records
from services.goals.queries import states as queries
from services.goals.queries.states import MAX_GOALS
from shared.errors import CONFLICT, STALE
from shared.ledger import Transaction, View
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Figure, InstantField, PeriodName, Wire
from shared.words import Id, Reason

router = make_router("objectives")


class ClosingShown(Wire):
    """How an objective ended."""

    at: InstantField = Field(description="When it was closed")
    score: Figure | None = Field(description="Weighted mean of its key results then")
    scores: dict[str, Figure | None] = Field(description="Score of each key result, by its id")
    next: str | None = Field(description="The objective in which it goes on; null if it does not")


class ObjectiveExtra(Wire):
    """What follows from what is stated of an objective."""

    closing: ClosingShown | None = Field(None, description="How it ended; null while it is open")
    key_results: list[Id] = Field(description="Goals whose `objective` names it")


def _key_results(view: View, state: Statement[Objective]) -> dict[str, Any]:
    return {"key_results": [goal.goal_id for goal in results_of(view, state.record_id)]}


def results_of(view: View, objective_id: str) -> list[Goal]:
    """The goals that are key results of an objective; those that were given up are none."""
    goals = view.once("goals", lambda: queries.goal_list(view, None, "", MAX_GOALS))
    return [g for g in goals if g.body.objective == objective_id and g.state != "abandoned"]


shown = routes(router, Resource(
    OBJECTIVE, "objectives", "an objective",
    "What is to be reached in a period; the goals that name it are its key results.",
    ObjectiveStated, _key_results, ObjectiveExtra,
))  # fmt: skip


class KeyResult(Wire):
    """A goal as a key result."""

    goal_id: Id = Field(description="The goal")
    title: str = Field(description="What is to become true")
    weight: Figure | None = Field(description="Its share; null: what the others leave, alike")
    status: str = Field(description="Where it stands")
    score: Figure | None = Field(
        description="0 where it started, 1 where it is reached; below 0 where it got worse. Null "
        "while nobody can say"
    )


class ScoredObjective(Wire):
    """An objective with its score."""

    id: Id = Field(description="The objective")
    text: str = Field(description="What is to be reached")
    period: PeriodName
    parent: Id | None = Field(description="The objective that it serves")
    closed: bool = Field(description="Whether it is closed; then it keeps its score")
    score: Figure | None = Field(description="Weighted mean of its key results")
    rolled_up: Figure | None = Field(description="Mean of its score and those of its children")
    key_results: list[KeyResult] = Field(description="Its key results")


class ObjectiveTree(Wire):
    """The objectives of an organisation or initiative, scored."""

    items: list[ScoredObjective] = Field(description="Oldest first; `parent` makes them a tree")
    known_at: InstantField = Field(description="The moment of knowledge")
    goals_basis: str = Field(description="Basis of the goals ledger")
    metrics_basis: str | None = Field(description="Basis of the metrics ledger; null: not asked")


@router.get("/objective-tree")
def score_objectives(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
    initiative_id: Annotated[
        str | None, Query(max_length=36, description="Only of this initiative")
    ] = None,
) -> ObjectiveTree:
    """Score objectives from their key results, and roll the scores up along the tree."""
    with reader.view() as view:
        objectives = records.statements(view, OBJECTIVE, None)
        goals = queries.goal_list(view, None, "", MAX_GOALS)
        moment, basis = view.known_at, view.basis.token
    ids = {one.record_id for one in objectives}
    results = [g for g in goals if g.body.objective in ids and g.state != "abandoned"]
    progressed = _scored(reader, results, moment)
    scored = _Scored(progressed.found)
    own = {one.record_id: weighted(scored.parts(one.record_id)) for one in objectives}
    up = rolled_up(objectives, own)
    return ObjectiveTree(
        items=[
            _objective(one, scored, own, up)
            for one in objectives
            if initiative_id in (None, one.initiative_id)
        ],
        known_at=moment, goals_basis=basis, metrics_basis=progressed.basis,
    )  # fmt: skip


@dataclass(frozen=True)
class _Scored:
    """Key results with their scores."""

    found: Sequence[Found]

    def of(self, objective_id: str) -> list[Found]:
        return [one for one in self.found if one.goal.body.objective == objective_id]

    def parts(self, objective_id: str) -> list[tuple[Decimal | None, Decimal | None]]:
        return [(one.score, one.goal.body.weight) for one in self.of(objective_id)]


def _scored(caller: Caller, goals: Sequence[Goal], moment: datetime) -> Progressed:
    return progress_of_all(asked_as(caller, moment), goals, moment)


def _objective(
    one: Statement[Objective], scored: _Scored, own: dict[str, Decimal | None],
    up: dict[str, Decimal | None],
) -> ScoredObjective:  # fmt: skip
    closing = one.body.closing
    results = [
        KeyResult(
            goal_id=found.goal.goal_id, title=found.goal.body.title,
            weight=found.goal.body.weight, status=found.status,
            score=closing.scores.get(found.goal.goal_id) if closing else found.score,
        )
        for found in scored.of(one.record_id)
    ]  # fmt: skip
    return ScoredObjective(
        id=one.record_id, text=one.body.text, period=one.body.period, parent=one.body.parent,
        closed=closing is not None, score=closing.score if closing else own[one.record_id],
        rolled_up=up[one.record_id], key_results=results,
    )  # fmt: skip


class ObjectiveClosing(Wire):
    """The end of an objective's period."""

    reason: Reason = Field(description="Why now", examples=["The quarter is over"])
    next_period: PeriodName | None = Field(None, description="The period in which it goes on")
    goes_on: list[Id] | None = Field(
        None, max_length=50, description="Key results that go on as drafts for that period; "
        "default: those that are committed and not reached"
    )  # fmt: skip


@router.post("/objectives/{identity}/close", response_model=shown.shape)
def close_objective(
    identity: str,
    body: ObjectiveClosing,
    caller: Annotated[Caller, Depends(writes("goals:write"))],
) -> Response:
    """Close an objective with its scores; what goes on is copied into the next period.

    The copy is a new objective with drafts of the key results that are not reached, due at the
    end of `next_period`; what was promised for this one keeps its own verdict.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    asked = question(caller)
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        results, moment = results_of(view, identity), view.known_at
    progressed = _scored(caller, results, moment)
    demand_answer(progressed)
    scored = _Scored(progressed.found)
    chosen = body.goes_on
    if chosen is None:
        chosen = [
            one.goal.goal_id for one in scored.found
            if one.goal.state == "committed" and (one.score is None or one.score < 1)
        ]  # fmt: skip
    days = asked.calendar() if body.next_period else None
    if body.goes_on and days is None:
        raise CONFLICT.refusal("Name the `next_period` in which key results go on.")

    def work(transaction: Transaction) -> Answer:
        state = records.statement(transaction, OBJECTIVE, identity)
        caller.demand_revision(state.revision)
        if _revisions(results_of(transaction, identity)) != _revisions(results):
            raise STALE.refusal("A key result was changed while it was scored; close it again.")
        scores = {one.goal.goal_id: one.score for one in scored.found}
        mean = weighted(scored.parts(identity))
        onward = None
        if body.next_period is not None and days is not None:
            onward = commands.Onward(body.next_period, chosen, days)
        closed = commands.close(transaction, state, mean, scores, onward, body.reason)
        return shown.answer(transaction, closed)

    return caller.command(work)


def _revisions(goals: Sequence[Goal]) -> dict[str, int]:
    return {goal.goal_id: goal.revision for goal in goals}
