"""Batches of CloudEvents that are beyond doubt, read at once; anything else is read one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from services.metrics.domain.cloudevents import MAX_FUTURE, MAX_PLAIN, parse_moment
from services.metrics.domain.types import EventType, check_data
from shared.chain import canonical_json
from shared.clock import midnight_utc
from shared.errors import Fault
from shared.events import NewEvent

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PLAIN)]


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The attributes that almost every event has, and no other."""

    specversion: Literal["1.0"]
    type: _Text
    source: _Text
    id: _Text
    time: _Text
    data: dict[str, Any]
    subject: _Text | None = None
    sequence: Annotated[str, msgspec.Meta(max_length=MAX_PLAIN)] = ""


_NESTED = {dict, list}
_DECODER = msgspec.json.Decoder(list[_Plain], float_hook=Decimal)


def read_plain_batch(
    body: bytes, types: Mapping[str, EventType], now: datetime, *, actor: str, backfill: str | None
) -> list[NewEvent] | None:
    """All events of a JSON batch, or None where any of them wants a closer look.

    What is read here is read to the very same events by `read_cloudevent`.
    """
    # Control characters and NULs can only come from an escape, but for the last of ASCII.
    if b"\\" in body or b"\x7f" in body:
        return None
    try:
        items = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    latest, found = now + MAX_FUTURE, []
    for item in items:
        kind = types.get(item.type)
        event = None if kind is None else _event(item, kind, latest, actor, backfill)
        if event is None:
            return None
        found.append(event)
    return found


def _event(
    item: _Plain, kind: EventType, latest: datetime, actor: str, backfill: str | None
) -> NewEvent | None:
    moment: datetime | date | Fault = parse_moment(item.time)
    day = None
    if moment.__class__ is date:
        day = moment
        moment = midnight_utc(day)
    if moment.__class__ is not datetime or moment > latest:
        return None
    data = item.data
    if not _NESTED.isdisjoint(map(type, data.values())):
        return None
    checked, wrong = check_data(kind, data)
    if wrong or item.source.isspace() or item.id.isspace():
        return None
    personal: Mapping[str, str] = {}
    if kind.personal:
        personal = {name: str(checked.pop(name)) for name in kind.personal if name in checked}
    return NewEvent(
        source=item.source, event_id=item.id, sequence=item.sequence, name=kind.name,
        schema_number=kind.schema_number, subject=item.subject, occurred_at=moment,
        occurred_on=day, data=canonical_json(checked), personal=personal, actor=actor,
        backfill=backfill,
    )  # fmt: skip
