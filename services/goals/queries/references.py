"""What names other things must name such as there are: references without gaps and circles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, singledispatch
from typing import Any

from services.goals.domain.factor import FACTOR, PREMORTEM, Factor, Lesson, PremortemAnswer
from services.goals.domain.objective import OBJECTIVE, Objective
from services.goals.domain.plan import STAKEHOLDER, V2MOM, Communication, V2mom
from services.goals.domain.statement import Kind, StatementBody
from services.goals.queries import records
from services.goals.queries.states import goal
from shared.errors import CONFLICT, NOT_FOUND, Refusal, invalid
from shared.ledger import View


def demand_sound(view: View, initiative_id: str, body: StatementBody, own_id: str | None) -> None:
    """Refuse a body that names what is not there, leads back to itself, or stands twice."""
    _demand(body, view, initiative_id, own_id)


@singledispatch
def _demand(body: StatementBody, view: View, initiative_id: str, own_id: str | None) -> None:
    """A body that names nothing is sound."""


@_demand.register
def _(body: Factor, view: View, initiative_id: str, own_id: str | None) -> None:
    for index, identity in enumerate(body.goals):
        pointer = f"/goals/{index}"
        found = demand_there(partial(goal, view, identity), pointer)
        _demand_own(found.body.initiative_id, initiative_id, pointer)


@_demand.register
def _(body: V2mom, view: View, initiative_id: str, own_id: str | None) -> None:
    for other in records.statements(view, V2MOM, initiative_id):
        if other.record_id != own_id and other.body.period == body.period:
            raise CONFLICT.refusal(f"The V2MOM of {body.period} is {other.record_id} already.")
    _demand_all(view, FACTOR, initiative_id, body.obstacles, "/obstacles")
    if body.aligns_to is not None:
        demand_no_circle(
            body.aligns_to, own_id, "/aligns_to",
            lambda identity: records.statement(view, V2MOM, identity).body.aligns_to,
        )  # fmt: skip


@_demand.register
def _(body: Communication, view: View, initiative_id: str, own_id: str | None) -> None:
    _demand_all(view, STAKEHOLDER, initiative_id, body.to, "/to")


@_demand.register
def _(body: Objective, view: View, initiative_id: str, own_id: str | None) -> None:
    if body.parent is not None:
        demand_no_circle(
            body.parent, own_id, "/parent",
            lambda identity: records.statement(view, OBJECTIVE, identity).body.parent,
        )  # fmt: skip


@_demand.register
def _(body: Lesson, view: View, initiative_id: str, own_id: str | None) -> None:
    if body.factor is not None:
        _demand_all(view, FACTOR, initiative_id, [body.factor], "/factor")
    if body.review is not None:
        found = demand_there(lambda: records.review(view, body.review or ""), "/review")
        _demand_own(found.initiative_id, initiative_id, "/review")


@_demand.register
def _(body: PremortemAnswer, view: View, initiative_id: str, own_id: str | None) -> None:
    for other in records.statements(view, PREMORTEM, initiative_id):
        if other.record_id != own_id and other.body.prompt == body.prompt:
            raise CONFLICT.refusal(f"The prompt {body.prompt!r} is answered already.")
    if body.factor is not None:
        _demand_all(view, FACTOR, initiative_id, [body.factor], "/factor")
        category = records.statement(view, FACTOR, body.factor).body.category
        if category != body.prompt:
            detail = f"The factor is one of {category!r}, the prompt asks about {body.prompt!r}."
            raise invalid("/factor", detail, "other_category")


def _demand_all(
    view: View, made: Kind[Any], initiative_id: str, identities: Iterable[str], pointer: str
) -> None:
    for index, identity in enumerate(identities):
        place = f"{pointer}/{index}"
        found = demand_there(partial(records.statement, view, made, identity), place)
        _demand_own(found.initiative_id, initiative_id, place)


def _demand_own(found: str, own: str, pointer: str) -> None:
    if found != own:
        raise invalid(pointer, "It belongs to another initiative.", "other_initiative")


def demand_there(look_up: Callable[[], Any], pointer: str) -> Any:
    """What a reference names; refuses one that names nothing, with its pointer."""
    try:
        return look_up()
    except Refusal as error:
        if error.problem is not NOT_FOUND:
            raise
        raise invalid(pointer, error.detail, "unknown") from error


def demand_no_circle(
    first: str, own_id: str | None, pointer: str, above: Callable[[str], str | None]
) -> None:
    """Refuse a reference upwards that names nothing, or that leads back to where it comes from."""
    place: str | None = first
    passed = set[str]()
    while place is not None and place not in passed:
        if place == own_id:
            raise invalid(pointer, "It would serve itself; there must be no circle.", "circle")
        passed.add(place)
        place = demand_there(partial(above, place), pointer)
