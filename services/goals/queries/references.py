"""What names other things must name such as there are: references without gaps and circles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class _Asked:
    """In which ledger a body is looked at, whose it is, and what it was before (None: new)."""

    view: View
    initiative_id: str
    own_id: str | None
    before: StatementBody | None

    def added(self, body: StatementBody, name: str) -> list[tuple[str, str]]:
        """The references of a field that were not there before, with their pointers.

        What was named before may have been retired since; that is no reason to refuse a change.
        """
        found, kept = getattr(body, name), getattr(self.before, name, None)
        if isinstance(found, list):
            was = kept or []
            return [(f"/{name}/{n}", one) for n, one in enumerate(found) if one not in was]
        return [] if found is None or found == kept else [(f"/{name}", found)]


def demand_sound(
    view: View, initiative_id: str, body: StatementBody, own_id: str | None = None,
    before: StatementBody | None = None,
) -> None:  # fmt: skip
    """Refuse a body that names what is not there, leads back to itself, or stands twice."""
    _demand(body, _Asked(view, initiative_id, own_id, before))


@singledispatch
def _demand(body: StatementBody, asked: _Asked) -> None:
    """A body that names nothing is sound."""


@_demand.register
def _(body: Factor, asked: _Asked) -> None:
    for pointer, identity in asked.added(body, "goals"):
        found = demand_there(partial(goal, asked.view, identity), pointer)
        _demand_own(found.body.initiative_id, asked.initiative_id, pointer)


@_demand.register
def _(body: V2mom, asked: _Asked) -> None:
    for other in records.statements(asked.view, V2MOM, asked.initiative_id):
        if other.record_id != asked.own_id and other.body.period == body.period:
            raise CONFLICT.refusal(f"The V2MOM of {body.period} is {other.record_id} already.")
    _demand_all(asked, FACTOR, body, "obstacles")
    for pointer, identity in asked.added(body, "aligns_to"):
        demand_no_circle(
            identity, asked.own_id, pointer,
            lambda one: records.statement(asked.view, V2MOM, one).body.aligns_to,
        )  # fmt: skip


@_demand.register
def _(body: Communication, asked: _Asked) -> None:
    _demand_all(asked, STAKEHOLDER, body, "to")


@_demand.register
def _(body: Objective, asked: _Asked) -> None:
    if isinstance(asked.before, Objective) and asked.before.closing == body.closing is not None:
        raise CONFLICT.refusal("The objective is closed; it stays as it was.")
    for pointer, identity in asked.added(body, "parent"):
        demand_no_circle(
            identity, asked.own_id, pointer,
            lambda one: records.statement(asked.view, OBJECTIVE, one).body.parent,
        )  # fmt: skip


@_demand.register
def _(body: Lesson, asked: _Asked) -> None:
    _demand_all(asked, FACTOR, body, "factor")
    for pointer, identity in asked.added(body, "review"):
        found = demand_there(partial(records.review, asked.view, identity), pointer)
        _demand_own(found.initiative_id, asked.initiative_id, pointer)


@_demand.register
def _(body: PremortemAnswer, asked: _Asked) -> None:
    for other in records.statements(asked.view, PREMORTEM, asked.initiative_id):
        if other.record_id != asked.own_id and other.body.prompt == body.prompt:
            raise CONFLICT.refusal(f"The prompt {body.prompt!r} is answered already.")
    _demand_all(asked, FACTOR, body, "factor")
    turned = body.prompt != getattr(asked.before, "prompt", None)
    named = [("/factor", body.factor)] if turned and body.factor else asked.added(body, "factor")
    for pointer, identity in named:
        category = records.statement(asked.view, FACTOR, identity).body.category
        if category != body.prompt:
            detail = f"The factor is one of {category!r}, the prompt asks about {body.prompt!r}."
            raise invalid(pointer, detail, "other_category")


def _demand_all(asked: _Asked, made: Kind[Any], body: StatementBody, name: str) -> None:
    for pointer, identity in asked.added(body, name):
        found = demand_there(partial(records.statement, asked.view, made, identity), pointer)
        _demand_own(found.initiative_id, asked.initiative_id, pointer)


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
    """Refuse a reference upwards that names nothing, or that leads back to where it comes from.

    Further up the way may end at what was retired.
    """
    passed = set[str]()
    place = first
    over = demand_there(partial(above, first), pointer)
    while place not in passed:
        if place == own_id:
            raise invalid(pointer, "It would serve itself; there must be no circle.", "circle")
        passed.add(place)
        if over is None:
            return
        place = over
        try:
            over = above(place)
        except Refusal as error:
            if error.problem is not NOT_FOUND:
                raise
            return
