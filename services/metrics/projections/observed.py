"""Figures that are observed as such: each has a place, and two facts of a source share none."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from sqlalchemy import Row, insert, select

from services.metrics.domain.facts import Retracted
from services.metrics.domain.sequences import sequence_order
from services.metrics.projections.counting import taken_back
from services.metrics.replay.knowledge import Ground, Knowledge
from services.metrics.replay.rules import rules
from services.metrics.tables import figures
from shared.chain import canonical_json, parse_json
from shared.clock import to_micros
from shared.errors import Fault
from shared.events import Event, payload_of
from shared.ledger import Transaction, View
from shared.ledger.ready import Family
from shared.ledger.rows import LOOKUP_CHUNK, Identity
from shared.ledger.tables import events

OBSERVED, RETRACTED = "metric.observed", "ledger.retracted"

_TOLD = select(
    figures.c.place, events.c.position, events.c.source, events.c.event_id, events.c.sequence
).join(
    events,
    (events.c.tenant_id == figures.c.tenant_id) & (events.c.position == figures.c.position),
)  # fmt: skip


def place_of(figure: Event) -> bytes:
    """What tells a figure apart: source, moment, subject, and all that it says but its value."""
    fields = {name: value for name, value in parse_json(figure.data).items() if name != "value"}
    day = None if figure.occurred_on is None else figure.occurred_on.isoformat()
    told = [figure.source, to_micros(figure.occurred_at), day, figure.subject, fields]
    return hashlib.sha256(canonical_json(told).encode()).digest()


def note_places(transaction: Transaction, facts: Sequence[Event]) -> None:
    """Remember where the figures of a batch stand."""
    rows = [
        {"tenant_id": transaction.tenant_id, "place": place_of(fact), "position": fact.position}
        for fact in facts
        if fact.name == OBSERVED
    ]
    if rows:
        transaction.connection.execute(insert(figures), rows)


def overlapping(
    transaction: Transaction, fresh: Sequence[Event], versions: Mapping[Family, Collection[str]]
) -> dict[Identity, Fault]:
    """What is wrong with new figures at whose place another fact of their source counts.

    `versions` are the sequences under which facts are stored. A fact that is said again at its own
    place overlaps nothing, nor does a version that a higher one outranks, nor what takes the place
    of a fact that the same batch retracts.
    """
    by_backfill: dict[str | None, list[Event]] = defaultdict(list)
    for event in fresh:
        if event.name == OBSERVED:
            by_backfill[event.backfill].append(event)
    found: dict[Identity, Fault] = {}
    for backfill, own in by_backfill.items():
        standing = Standing(transaction, [place_of(event) for event in own], backfill, versions)
        for family in _retracted(fresh, backfill):
            standing.leave(family)
        for event, holder in standing.refused(own):
            detail = (
                f"The event {holder!r} of {event.source!r} gives this figure for the same "
                "moment; restate that one with a higher sequence, or retract it first."
            )
            found[event.identity] = Fault("/data/figure", detail, "overlap")
    return found


def _retracted(fresh: Sequence[Event], backfill: str | None) -> list[Family]:
    """The facts that a batch retracts."""
    told = [payload_of(e) for e in fresh if e.name == RETRACTED and e.backfill == backfill]
    return [
        (one.source, one.event_id) for one in told if isinstance(one, Retracted) and one.event_id
    ]


class Standing:
    """Whose figures stand at some places, as facts come to stand there and leave."""

    def __init__(
        self, view: View, places: Sequence[bytes], backfill: str | None,
        versions: Mapping[Family, Collection[str]],
    ) -> None:  # fmt: skip
        self._holders: dict[bytes, set[Family]] = defaultdict(set)
        self._places: dict[Family, bytes] = {}
        self._highest = {
            family: max(map(sequence_order, sequences)) for family, sequences in versions.items()
        }
        stored = _counting_at(view, sorted(set(places)), backfill)
        gone: dict[Family, int] = {}
        if backfill is not None:
            # There a fact may have a version beside the one that counts, and elsewhere.
            stored += _versions_in(view, backfill, {(row.source, row.event_id) for row in stored})
            gone = taken_back(view, {backfill})
        for row in sorted(stored, key=lambda row: sequence_order(row.sequence)):
            if row.position > gone.get((row.source, row.event_id), 0):
                self._put((row.source, row.event_id), bytes(row.place))

    def refused(self, new: Sequence[Event]) -> list[tuple[Event, str]]:
        """The figures that can't stand, each with the id of the fact that does.

        Facts that are said again leave their places first, since rows of a file may have changed
        places; if one of them finds its new place taken, they leave one after the other.
        """
        moving = {_family(event) for event in new if self._moves(event)}
        found = deepcopy(self)._taken(new, moving)
        if any(_family(event) in moving for event, _ in found):
            found = self._taken(new, ())
        return found

    def leave(self, family: Family) -> None:
        """Let a fact stand nowhere any more."""
        place = self._places.pop(family, None)
        if place is not None:
            self._holders[place].discard(family)

    def _moves(self, event: Event) -> bool:
        """Whether it is a version of a fact that stands elsewhere, and outranks it."""
        family = _family(event)
        return self._outranks(event) and self._places.get(family, place_of(event)) != place_of(
            event
        )

    def _outranks(self, event: Event) -> bool:
        order, family = sequence_order(event.sequence), _family(event)
        return family not in self._highest or order >= self._highest[family]

    def _taken(self, new: Sequence[Event], moving: Iterable[Family]) -> list[tuple[Event, str]]:
        """Let figures stand at their places, one after the other; those whose place is taken."""
        for family in moving:
            self.leave(family)
        found = []
        for event in new:
            family, place = _family(event), place_of(event)
            others = self._holders[place]
            if not self._outranks(event):
                continue
            if others and family not in others:
                found.append((event, min(others)[1]))
                continue
            self._highest[family] = sequence_order(event.sequence)
            self._put(family, place)
        return found

    def _put(self, family: Family, place: bytes) -> None:
        self.leave(family)
        self._places[family] = place
        self._holders[place].add(family)


def _family(event: Event) -> Family:
    return event.source, event.event_id


def _counting_at(view: View, places: Sequence[bytes], backfill: str | None) -> list[Row[Any]]:
    """The figures that count at some places, or would with a backfill."""
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    counting = ground.counting(Knowledge.at(view.position), backfill)
    found: list[Row[Any]] = []
    for start in range(0, len(places), LOOKUP_CHUNK):
        among = figures.c.place.in_(places[start : start + LOOKUP_CHUNK])
        found.extend(view.connection.execute(_TOLD.where(*counting, among)))
    return found


def _versions_in(view: View, backfill: str, families: Collection[Family]) -> list[Row[Any]]:
    """The figures that some facts give in a backfill."""
    ids: dict[str, list[str]] = defaultdict(list)
    for source, event_id in sorted(families):
        ids[source].append(event_id)
    mine = _TOLD.where(events.c.tenant_id == view.tenant_id, events.c.backfill == backfill)
    found: list[Row[Any]] = []
    for source, own in ids.items():
        for start in range(0, len(own), LOOKUP_CHUNK):
            named = events.c.event_id.in_(own[start : start + LOOKUP_CHUNK])
            found.extend(view.connection.execute(mine.where(events.c.source == source, named)))
    return found


def overlaps_of(view: View, backfill: str) -> list[tuple[Family, Family]]:
    """The facts that count at one place, where a figure of a backfill is one of them; in pairs."""
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    counting = ground.counting(Knowledge.at(view.position))
    its_own = _TOLD.where(events.c.tenant_id == view.tenant_id, events.c.backfill == backfill)
    touched = its_own.with_only_columns(figures.c.place)
    rows = view.connection.execute(
        _TOLD.where(*counting, figures.c.place.in_(touched)).order_by(events.c.position)
    )
    first: dict[bytes, Family] = {}
    found = []
    for row in rows:
        family = (row.source, row.event_id)
        holder = first.setdefault(bytes(row.place), family)
        if holder != family:
            found.append((holder, family))
    return found
