"""Starting points: a draft initiative with goals from the catalogue, in one call."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Response
from pydantic import Field

from services.goals.api.drafts import BaselineBody, GoalDraft, TargetBody
from services.goals.api.goals import body_of, question, today_of
from services.goals.api.initiatives import Initiative, NewInitiative
from services.goals.api.initiatives import shown as initiative_shown
from services.goals.commands import goals as commands
from services.goals.commands import statements
from services.goals.domain.factor import FACTOR, Factor
from services.goals.domain.starting import STARTING_POINTS, StartingGoal, StartingPoint
from services.goals.domain.texts import sentence, text
from services.goals.queries.assessment import Question, last_complete, parse
from shared.errors import NOT_FOUND, Refusal
from shared.ids import did_you_mean
from shared.ledger import Transaction
from shared.money import Currency
from shared.periods import trailing
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Figure, PeriodName, Text, Wire
from shared.words import Id, Name

router = make_router("initiatives")
# By default a goal starts from a whole year, and is due a year after the last quarter.
_QUARTERS = 4


class StartingGoalShown(Wire):
    """A goal that a starting point drafts."""

    metric: str = Field(description="Id in the catalogue of metrics, which installs it")
    change_percent: Figure = Field(description="Change against the baseline to begin with")
    priority: str = Field(description="must, should, could or later")
    aim: str = Field(description="Which aim of introducing a system it serves")


class StartingPointShown(Wire):
    """A place to begin."""

    key: str = Field(description="Key")
    said: Text = Field(description="Where an organisation stands that begins here")
    system_kind: str = Field(description="Kind of system")
    aims: list[str] = Field(description="What the system is introduced for")
    areas: list[str] = Field(description="Areas to begin with")
    goals: list[StartingGoalShown] = Field(description="Goals from the catalogue")
    obstacles: list[str] = Field(description="Usual obstacles, drafted as factors to look at")
    sources: list[str] = Field(description="Kinds of sources whose data feed the goals")


class StartingPoints(Wire):
    """Places to begin."""

    items: list[StartingPointShown] = Field(description="All of them")


class Start(Wire):
    """A draft initiative to be filled from a starting point."""

    name: Name = Field(description="Name of the initiative", examples=["CRM, at last"])
    sponsor: Name | None = Field(None, description="Who pays and decides")
    business_owner: Name | None = Field(None, description="Whose figures are to change")
    project_owner: Name | None = Field(None, description="Who runs the project")
    currency: Currency = Field("EUR", description="Currency of its money")
    go_live: date | None = Field(None, description="First day of use")
    baseline_periods: list[PeriodName] | None = Field(
        None, min_length=1, max_length=60, description="Default: the last four whole quarters"
    )
    target_period: PeriodName | None = Field(
        None, description="Default: the quarter a year after the last whole one"
    )


class Started(Wire):
    """What was drafted."""

    initiative: Initiative = Field(description="The initiative")
    goals: list[Id] = Field(description="Drafts of its goals")
    factors: list[Id] = Field(description="Obstacles to look at")
    installed: list[str] = Field(description="Metrics that were installed from the catalogue")


def _shown(point: StartingPoint) -> StartingPointShown:
    return StartingPointShown(
        key=point.key, said=Text(**text(f"start_{point.key}")), system_kind=point.system_kind,
        aims=list(point.aims), areas=list(point.areas),
        goals=[StartingGoalShown.model_validate(vars(goal)) for goal in point.goals],
        obstacles=list(point.obstacles), sources=list(point.sources),
    )  # fmt: skip


@router.get("/starting-points")
def list_starting_points(
    reader: Annotated[Reader, Depends(reads("goals:read"))],
) -> StartingPoints:
    """List places to begin, each with the goals, areas and obstacles that it drafts."""
    return StartingPoints(items=[_shown(point) for point in STARTING_POINTS.values()])


@router.post("/starting-points/{key}/initiatives", status_code=201, response_model=Started)
def start_from(
    key: str, body: Start, caller: Annotated[Caller, Depends(writes("goals:write"))]
) -> Response:
    """Fill a draft initiative: aims, areas, goals on metrics of the catalogue, usual obstacles.

    Metrics that are not there yet are installed from the catalogue, for which the key needs
    `metrics:write`, too. Everything is a draft to be changed.
    """
    if (stored := caller.replayed()) is not None:
        return stored
    point = STARTING_POINTS.get(key)
    if point is None:
        raise NOT_FOUND.refusal(f"There is no {key!r}.{did_you_mean(key, STARTING_POINTS)}")
    asked = question(caller)
    periods, target = _periods(caller, body, asked)
    installed = [goal.metric for goal in point.goals if _install(asked, goal.metric)]
    bodies = [
        body_of(caller, _draft(goal, body, asked, periods, target), "", asked)
        for goal in point.goals
    ]

    def work(transaction: Transaction) -> Answer:
        state = commands.start_initiative(transaction, _initiative(point, body))
        own = {"initiative_id": state.initiative_id}
        goals = [commands.draft_goal(transaction, one.model_copy(update=own)) for one in bodies]
        factors = [
            statements.state(transaction, FACTOR, state.initiative_id, Factor(
                kind="obstacle", category=obstacle, text=sentence(f"premortem_{obstacle}", {}),
            ))
            for obstacle in point.obstacles
        ]  # fmt: skip
        started = Started(
            initiative=initiative_shown(state), goals=[goal.goal_id for goal in goals],
            factors=[one.record_id for one in factors], installed=installed,
        )  # fmt: skip
        return Answer(started, 201, 1, f"/v1/initiatives/{state.initiative_id}")

    return caller.command(work)


def _draft(
    goal: StartingGoal, body: Start, asked: Question, periods: list[str], target: str
) -> GoalDraft:
    return GoalDraft(
        kind="measured", title=asked.metric(goal.metric).name, metric=goal.metric,
        baseline=BaselineBody.model_validate({"periods": periods}),
        target=TargetBody.model_validate({"change_percent": goal.change_percent}),
        target_period=target, business_owner=body.business_owner, priority=goal.priority,
        aim=goal.aim,
    )  # fmt: skip


def _initiative(point: StartingPoint, body: Start) -> dict[str, Any]:
    stated = body.model_dump(exclude={"baseline_periods", "target_period"})
    return NewInitiative.model_validate({
        **stated, "description": sentence(f"start_{point.key}", {}), "aims": list(point.aims),
        "system_kind": point.system_kind, "areas": list(point.areas),
    }).model_dump()  # fmt: skip


def _periods(caller: Caller, body: Start, asked: Question) -> tuple[list[str], str]:
    days = asked.calendar()
    last = last_complete(today_of(caller, asked), "quarter", days)
    periods = body.baseline_periods or [p.name for p in trailing(last, _QUARTERS, days)]
    if body.target_period is not None:
        return periods, body.target_period
    year, _, quarter = last.name.partition("-")
    return periods, parse(f"{int(year) + 1}-{quarter}", days, "/target_period").name


def _install(asked: Question, key: str) -> bool:
    """Whether a metric had to be installed."""
    try:
        asked.metric(key)
    except Refusal as refusal:
        if refusal.problem.status not in (404, 422):
            raise
        asked.metrics.install(asked.credential, key)
        return True
    return False
