"""Figures that are observed as such: each has a place, and two facts of a source share none."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, exists, insert, select

from services.metrics.domain.facts import Retracted
from services.metrics.domain.sequences import sequence_order
from services.metrics.projections.counting import taken_back
from services.metrics.replay.knowledge import Condition, Ground, Knowledge
from services.metrics.replay.rules import rules
from services.metrics.tables import excluded, figures
from shared.chain import canonical_json, parse_json
from shared.clock import to_micros
from shared.errors import Fault
from shared.events import Event, payload_of
from shared.ledger import Transaction, View
from shared.ledger.projecting import known
from shared.ledger.ready import Family
from shared.ledger.rows import LOOKUP_CHUNK, Identity
from shared.ledger.tables import events

OBSERVED, RETRACTED = "metric.observed", "ledger.retracted"
# So often the next version of a fact is tried whose highest one of a batch gets no place.
TURNS = 5


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

    `versions` tells which facts are stored in some version. A fact that is said again at its own
    place overlaps nothing, nor does a version that another one outranks, nor what takes the place
    of a fact that the same batch retracts or moves elsewhere.
    """
    by_backfill: dict[str | None, list[Event]] = defaultdict(list)
    for event in fresh:
        if event.name == OBSERVED:
            by_backfill[event.backfill].append(event)
    found: dict[Identity, Fault] = {}
    for backfill, events_of_it in by_backfill.items():
        own = [(event, place_of(event)) for event in events_of_it]
        again = {_family(event) for event in events_of_it} & versions.keys()
        standing = _standing(transaction, [place for _, place in own], again, backfill)
        _leave(standing, [event for event in fresh if event.backfill == backfill])
        found |= _contested(own, standing)
    return found


def _leave(standing: Mapping[Family, Stand], fresh: Sequence[Event]) -> None:
    """Let those leave whom a batch retracts, or makes a fact of another kind."""
    for event in fresh:
        if event.name == RETRACTED:
            told = payload_of(event)
            if isinstance(told, Retracted) and (told.source, told.event_id) in standing:
                standing[told.source, told.event_id or ""].place = None
        elif event.name != OBSERVED and _family(event) in standing:
            stand, order = standing[_family(event)], sequence_order(event.sequence)
            if order > stand.order:
                stand.order, stand.place = order, None


def _contested(
    own: Sequence[tuple[Event, bytes]], standing: Mapping[Family, Stand]
) -> dict[Identity, Fault]:
    """The figures that get no place.

    Where the highest version of a fact gets none, the next one of the batch would count, and claims
    its own.
    """
    found: dict[Identity, Fault] = {}
    for turn in range(TURNS):
        refused = list(Contest(_claims(own, standing), standing).refused())
        more = (
            [(claim, fault) for claim, fault in refused if claim.lower] if turn < TURNS - 1 else []
        )
        for claim, fault in more or refused:
            out = claim.highest if more else [*claim.highest, *claim.lower]
            found.update((event.identity, fault) for event in out)
        if not more:
            break
        own = [(event, place) for event, place in own if event.identity not in found]
    return found


@dataclass(slots=True)
class Stand:
    """How high the highest version of a fact is, and its place where it counts."""

    order: tuple[Any, ...]
    place: bytes | None


@dataclass(slots=True)
class Claim:
    """Where a fact would stand by its highest version of a batch, that outranks what is stored."""

    family: Family
    order: tuple[Any, ...]
    place: bytes
    highest: list[Event]
    lower: list[Event] = field(default_factory=list)


class Contest:
    """Who gets the places that facts claim: whoever stays there, else the first who claims it."""

    def __init__(self, claims: Mapping[Family, Claim], standing: Mapping[Family, Stand]) -> None:
        self._standing = standing
        self._stays = {
            stand.place: family
            for family, stand in standing.items()
            if stand.place is not None and family not in claims
        }
        self._claims: dict[bytes, list[Claim]] = defaultdict(list)
        for claim in claims.values():
            self._claims[claim.place].append(claim)
        self._refused: dict[Family, tuple[Claim, Fault]] = {}
        # Those who can't leave, since the place that they want is another one's.
        self._stuck: deque[tuple[bytes, Family, Family]] = deque()

    def refused(self) -> Iterator[tuple[Claim, Fault]]:
        """The claims that fail, those on the places of facts that can't leave among them."""
        for place, claims in self._claims.items():
            stays = self._stays.get(place)
            for claim in claims if stays else claims[1:]:
                holder = stays or claims[0].family
                self._refuse(claim, holder, _taken(holder))
        while self._stuck:
            place, stuck, holder = self._stuck.popleft()
            for claim in self._claims[place]:
                if claim.family not in self._refused:
                    self._refuse(claim, holder, _not_freed(stuck, holder))
        return iter(self._refused.values())

    def _refuse(self, claim: Claim, holder: Family, because: str) -> None:
        self._refused[claim.family] = claim, Fault("/data/figure", because, "overlap")
        stands = self._standing.get(claim.family)
        if stands is not None and stands.place is not None:
            self._stuck.append((stands.place, claim.family, holder))


def _claims(
    own: Sequence[tuple[Event, bytes]], standing: Mapping[Family, Stand]
) -> dict[Family, Claim]:
    """Where facts want to stand that come, or that a higher version lets move."""
    claims: dict[Family, Claim] = {}
    for event, place in own:
        family, order = _family(event), sequence_order(event.sequence)
        before, claim = standing.get(family), claims.get(family)
        if before is not None and order <= before.order:
            continue
        if claim is None:
            claims[family] = Claim(family, order, place, [event])
        elif order > claim.order:
            claim.lower += claim.highest
            claim.order, claim.place, claim.highest = order, place, [event]
        else:
            claim.lower.append(event)
    return {
        family: claim
        for family, claim in claims.items()
        if family not in standing or standing[family].place != claim.place
    }


def _taken(holder: Family) -> str:
    return (
        f"The event {holder[1]!r} of {holder[0]!r} gives this figure for the same moment; restate "
        "that one with a higher sequence, or retract it first."
    )


def _not_freed(stayed: Family, holder: Family) -> str:
    return (
        f"The event {stayed[1]!r} of {stayed[0]!r}, whose place this one takes, can't leave it, "
        f"since in the end the event {holder[1]!r} stays where it is."
    )


def _standing(
    view: View, places: Sequence[bytes], again: Iterable[Family], backfill: str | None
) -> dict[Family, Stand]:
    """How those facts stand that hold some places, or are said `again`; with a backfill, as if it
    counted.

    What was retracted stands nowhere, and still outranks what is lower.
    """
    now = Knowledge.at(view.position)
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    counting = ground.counting(now, backfill)
    at_places = [
        position for position, _ in _figures(view, figures.c.place, places, _not_excluded(view))
    ]
    holders = {(row.source, row.event_id) for row in _events_at(view, at_places, counting)}
    highest: dict[Family, tuple[tuple[Any, ...], int]] = {}
    for row in _versions_of(view, holders.union(again), ground.recorded(now, backfill)):
        family, order = (row.source, row.event_id), sequence_order(row.sequence)
        if family not in highest or order > highest[family][0]:
            highest[family] = order, row.position
    gone = taken_back(view, {backfill}) if backfill else {}
    found = {family: Stand(order, None) for family, (order, _) in highest.items()}
    positions = {position for _, position in highest.values()}
    placed = dict(_figures(view, figures.c.position, positions))
    for row in _events_at(view, sorted(placed), counting):
        family = (row.source, row.event_id)
        if row.position > gone.get(family, 0):
            found[family].place = placed[row.position]
    return found


def _not_excluded(view: View) -> list[Condition]:
    stands = excluded.c.position == figures.c.position, excluded.c.tenant_id == view.tenant_id
    return [~exists().where(*stands, known(excluded, view.position))]


def overlaps_of(view: View, backfill: str, before: int) -> list[tuple[Family, Family]]:
    """Pairs of facts that count at one place and did not before a position.

    One of each is where it is by a figure of the backfill, which was closed since.
    """
    its_own = view.connection.execute(
        select(events.c.position).where(
            events.c.tenant_id == view.tenant_id,
            events.c.backfill == backfill,
            events.c.name == OBSERVED,
        )
    )
    mine = set(its_own.scalars())
    touched = [place for _, place in _figures(view, figures.c.position, mine)]
    place_of_position = dict(_figures(view, figures.c.place, touched))
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    then = _families_at(view, place_of_position, ground.counting(Knowledge.at(before)))
    now = _families_at(view, place_of_position, ground.counting(Knowledge.at(view.position)))
    found = []
    for place, families in now.items():
        came = {
            family for family, position in families.items()
            if position in mine and family not in then.get(place, {})
        }  # fmt: skip
        for family in sorted(came):
            others = sorted(families.keys() - {family})
            found += [(family, other) for other in others if other not in came or family < other]
    return found


def _families_at(
    view: View, place_of_position: Mapping[int, bytes], counting: Sequence[Condition]
) -> dict[bytes, dict[Family, int]]:
    """Which facts stand at each place, and by which position."""
    found: dict[bytes, dict[Family, int]] = defaultdict(dict)
    for row in _events_at(view, sorted(place_of_position), counting):
        found[place_of_position[row.position]][row.source, row.event_id] = row.position
    return found


# Asked one after the other and not joined: a planner that knows nothing of these places would look
# for them behind each event of the ledger.
def _figures(
    view: View, among: Column[Any], values: Iterable[Any], which: Sequence[Condition] = ()
) -> Iterator[tuple[int, bytes]]:
    """The positions and places of the figures that have some values of one of these columns."""
    asked = select(figures.c.position, figures.c.place).where(
        figures.c.tenant_id == view.tenant_id, *which
    )
    for some in _chunks(sorted(set(values))):
        for position, place in view.connection.execute(asked.where(among.in_(some))):
            yield position, bytes(place)


def _events_at(
    view: View, positions: Sequence[int], counting: Sequence[Condition]
) -> Iterator[Any]:
    asked = select(events.c.position, events.c.source, events.c.event_id).where(*counting)
    for some in _chunks(positions):
        yield from view.connection.execute(asked.where(events.c.position.in_(some)))


def _versions_of(
    view: View, families: Collection[Family], counting: Sequence[Condition]
) -> Iterator[Any]:
    """The versions of some facts that count, oldest first within each."""
    ids: dict[str, list[str]] = defaultdict(list)
    for source, event_id in sorted(families):
        ids[source].append(event_id)
    asked = select(
        events.c.position, events.c.source, events.c.event_id, events.c.sequence
    ).where(*counting)  # fmt: skip
    for source, own in ids.items():
        for some in _chunks(own):
            named = asked.where(events.c.source == source, events.c.event_id.in_(some))
            yield from view.connection.execute(named.order_by(events.c.position))


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), LOOKUP_CHUNK):
        yield values[start : start + LOOKUP_CHUNK]


def _family(event: Event) -> Family:
    return event.source, event.event_id
