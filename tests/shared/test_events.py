"""Stored events are read as the newest shape of their name."""

from __future__ import annotations

import pytest

from shared.events import Json, Payload, decode, event, name_of, upcast


@event("test.thing_moved", schema=1)
class MovedOnce(Payload):
    place: str


@event("test.thing_moved", schema=2)
class Moved(Payload):
    place: str
    metres: int


@upcast("test.thing_moved", schema=1)
def _with_metres(data: Json) -> Json:
    return {**data, "metres": 0}


def test_an_old_shape_is_read_through_its_upcaster() -> None:
    assert decode("test.thing_moved", 1, {"place": "here"}) == Moved(place="here", metres=0)
    assert decode("test.thing_moved", 2, {"place": "here", "metres": 3}).model_dump() == {
        "place": "here",
        "metres": 3,
    }


def test_a_name_and_schema_number_have_one_shape() -> None:
    assert name_of(Moved(place="here", metres=1)) == ("test.thing_moved", 2)
    with pytest.raises(AssertionError, match="twice"):
        event("test.thing_moved", schema=2)(MovedOnce)
