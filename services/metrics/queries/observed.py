"""Figures that are observed as such: a source has one for a moment, and a second contradicts it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select

from services.metrics.replay.knowledge import Ground, Knowledge
from services.metrics.replay.rules import rules
from shared.chain import canonical_json, parse_json
from shared.errors import Fault
from shared.events import NewEvent
from shared.ledger import View, read_event
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events

OBSERVED = "metric.observed"
# Source, moment, day, subject, and all fields but the value.
_Place = tuple[str, datetime, date | None, str | None, str]


def has_observed(new: Sequence[object]) -> bool:
    """Whether there is a figure among what came in."""
    return any(isinstance(e, NewEvent) and e.name == OBSERVED for e in new)


def overlapping(view: View, new: Sequence[NewEvent], backfill: str | None) -> dict[int, Fault]:
    """What is wrong with figures that another fact of their source stands for, by their place.

    A figure is told apart by its moment, its subject and its fields but the value. One that is said
    again under its own id is a restatement, and overlaps nothing.
    """
    asked = {n: event for n, event in enumerate(new) if event.name == OBSERVED}
    if not asked:
        return {}
    places = {n: _place(event) for n, event in asked.items()}
    own = {(event.source, event.event_id) for event in asked.values()}
    standing = _standing(view, set(places.values()), own, backfill)
    found: dict[int, Fault] = {}
    for n, event in asked.items():
        identity = standing.setdefault(places[n], event.event_id)
        if identity != event.event_id:
            detail = (
                f"The event {identity!r} of this source gives this figure for the same moment; "
                "restate that with a higher sequence, or retract it."
            )
            found[n] = Fault("/data/figure", detail, "overlap")
    return found


def _standing(
    view: View, places: set[_Place], own: set[tuple[str, str]], backfill: str | None
) -> dict[_Place, str]:
    """Whose fact gives the figure of each place by now, but for those that are said again."""
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    counting = ground.counting(Knowledge.at(view.position), backfill)
    sources = sorted({place[0] for place in places})
    moments = sorted({place[1] for place in places})
    found: dict[_Place, str] = {}
    for start in range(0, len(moments), LOOKUP_CHUNK):
        rows = view.connection.execute(
            select(events).where(
                *counting,
                events.c.name == OBSERVED,
                events.c.occurred_at.in_(moments[start : start + LOOKUP_CHUNK]),
                events.c.source.in_(sources),
            )
        )
        for event in map(read_event, rows.mappings()):
            if (event.source, event.event_id) not in own:
                found[_place(event)] = event.event_id
    return found


def _place(event: NewEvent) -> _Place:
    fields = {name: value for name, value in parse_json(event.data).items() if name != "value"}
    told = canonical_json(fields)
    return event.source, event.occurred_at, event.occurred_on, event.subject, told
