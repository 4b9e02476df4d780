"""What is stated around goals: of each kind a body that is stated, changed and retired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, create_model

from shared.events import Payload, event


class StatementBody(Payload):
    """All that is stated of one thing.

    It is both what a client sends and what is stored; so its bounds may be loosened later, and are
    never tightened without a new schema number.
    """


class Stated(Payload):
    """Something was stated for the first time."""

    record_id: str
    initiative_id: str
    body: StatementBody


class Changed(Payload):
    """It was stated anew."""

    body: StatementBody
    reason: str


class Retired(Payload):
    """It is no longer so; its past stays readable."""

    reason: str


StatementEvent = Stated | Changed | Retired
BodyT = TypeVar("BodyT", bound=StatementBody)


class Statement(BaseModel, Generic[BodyT]):
    """A thing as its events have left it."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    initiative_id: str
    revision: int
    body: BodyT


@dataclass(frozen=True)
class Kind(Generic[BodyT]):
    """A kind of thing: its name, which its streams and events carry, and its shapes."""

    name: str
    body: type[BodyT]
    state: type[Statement[BodyT]]
    stated: type[Stated]
    changed: type[Changed]
    retired: type[Retired]


KINDS: dict[str, Kind[Any]] = {}


def kind(name: str, body: type[BodyT]) -> Kind[BodyT]:
    """Make a kind known, with events of its own: `<name>.stated`, `.changed` and `.retired`."""
    made = Kind(
        name,
        body,
        Statement[body],  # type: ignore[valid-type]
        _event(name, "stated", Stated, body),
        _event(name, "changed", Changed, body),
        _event(name, "retired", Retired, None),
    )
    KINDS[name] = made
    return made


_EventT = TypeVar("_EventT", bound=Payload)


def _event(
    name: str, verb: str, base: type[_EventT], body: type[StatementBody] | None
) -> type[_EventT]:
    fields: dict[str, Any] = {} if body is None else {"body": (body, ...)}
    title = "".join(word.capitalize() for word in name.split("_")) + verb.capitalize()
    made = create_model(title, __base__=base, __doc__=base.__doc__, **fields)
    return event(f"{name}.{verb}")(made)


def evolve(
    made: Kind[BodyT], state: Statement[BodyT] | None, fact: StatementEvent
) -> Statement[BodyT] | None:
    """The thing after one more event; None once it is retired."""
    if isinstance(fact, Stated):
        return made.state(
            record_id=fact.record_id, initiative_id=fact.initiative_id, revision=1, body=fact.body
        )
    assert state is not None, "a thing is stated first"
    if isinstance(fact, Retired):
        return None
    return state.model_copy(update={"revision": state.revision + 1, "body": fact.body})
