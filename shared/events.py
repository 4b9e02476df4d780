"""Events as values: new and recorded ones, and the register of payload shapes by stored name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ConfigDict

from shared.clock import EPOCH

Json = dict[str, Any]


class Payload(BaseModel):
    """The data of one of our own events; immutable, and closed against unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A fact about to be appended.

    `source`, `event_id` and `sequence` identify it for ever within its tenant. `data` is canonical
    JSON text without personal fields, which stand in `personal` and are stored beside the row.
    `occurred_on` is set where only a date is known; `occurred_at` is then that day's midnight, UTC.
    """

    source: str
    event_id: str
    name: str
    occurred_at: datetime
    data: str
    sequence: str = ""
    stream: str | None = None
    revision: int | None = None
    schema_number: int = 1
    subject: str | None = None
    occurred_on: date | None = None
    backfill: str | None = None
    actor: str = ""
    correlation_id: str = ""
    personal: Mapping[str, str] = {}

    @property
    def identity(self) -> tuple[str, str, str]:
        return (self.source, self.event_id, self.sequence)

    @property
    def content(self) -> tuple[object, ...]:
        """What must be equal for a second event of the same identity to be a duplicate."""
        return (self.name, self.subject, self.occurred_at, self.occurred_on, self.data)


class Event(NewEvent, frozen=True, kw_only=True, gc=False):
    """A fact of the ledger: a new event with its place in the order and its recording time.

    `leaf` is the hash of all else that it says, in which `salts` hide what is personal. One that
    was not stored yet has no place.
    """

    leaf: bytes
    position: int = 0
    recorded_at: datetime = EPOCH
    salts: Mapping[str, bytes] = {}


_PayloadT = TypeVar("_PayloadT", bound=type[Payload])
_SHAPES: dict[tuple[str, int], type[Payload]] = {}
_NAMES: dict[type[Payload], tuple[str, int]] = {}
_UPCASTERS: dict[tuple[str, int], Callable[[Json], Json]] = {}


def event(name: str, *, schema: int = 1) -> Callable[[_PayloadT], _PayloadT]:
    """Register a payload class under the name and schema number that are stored."""

    def register(shape: _PayloadT) -> _PayloadT:
        assert (name, schema) not in _SHAPES, f"{name} schema {schema} is registered twice"
        _SHAPES[name, schema] = shape
        _NAMES[shape] = (name, schema)
        return shape

    return register


def upcast(name: str, *, schema: int) -> Callable[[Callable[[Json], Json]], Callable[[Json], Json]]:
    """Register how data of `schema` is read as data of the next schema number."""

    def register(step: Callable[[Json], Json]) -> Callable[[Json], Json]:
        assert (name, schema) not in _UPCASTERS, f"{name} has two upcasters from {schema}"
        _UPCASTERS[name, schema] = step
        return step

    return register


def name_of(payload: Payload) -> tuple[str, int]:
    """The stored name and schema number of a payload."""
    return _NAMES[type(payload)]


def decode(name: str, schema_number: int, data: Json) -> Payload:
    """Read stored data as the newest shape of its name, through the upcasters in between."""
    while (name, schema_number) in _UPCASTERS:
        data = _UPCASTERS[name, schema_number](data)
        schema_number += 1
    return _SHAPES[name, schema_number].model_validate(data)


def payload_of(event: Event) -> Payload:
    """The payload of one of our own events.

    Its exact decimals are texts already; what is a number stays one, also where any JSON may stand.
    """
    key = event.name, event.schema_number
    if key in _UPCASTERS:
        return decode(*key, json.loads(event.data))
    return _SHAPES[key].model_validate_json(event.data)


def registered(prefix: str = "") -> dict[tuple[str, int], type[Payload]]:
    """All registered shapes whose name starts so, by (name, schema number)."""
    return {key: shape for key, shape in sorted(_SHAPES.items()) if key[0].startswith(prefix)}
