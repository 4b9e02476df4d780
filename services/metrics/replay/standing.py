"""Things as they stand at the end of each period, folded from all their events until then."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from services.metrics.domain.definition import State
from services.metrics.domain.filters import related_in
from services.metrics.replay.frame import (
    DIGEST_MODULUS,
    ROW,
    UNTIL,
    Figure,
    Figures,
    Group,
    Row,
)
from services.metrics.replay.lens import (
    Buckets,
    Lens,
    Values,
    converted,
    counted,
    mean,
    number_reader,
    whole,
)
from shared.periods import ONE_DAY


@dataclass(slots=True)
class _Thing:
    """A subject as its events have left it."""

    fields: dict[str, Any] = field(default_factory=dict)
    last: Row | None = None
    digest: int = 0


def fold_state(leaf: State, rows: Sequence[Row], lens: Lens) -> Buckets:
    """Which things stand at the end of each period, with their values."""
    own, asked, frame = lens.passes(leaf.where), lens.asked, lens.frame
    number = number_reader(leaf.field) if leaf.field else None
    things: dict[str, _Thing] = defaultdict(_Thing)
    buckets = Buckets(lens)
    for index, entering in _by_end(rows, lens):
        for row in entering:
            _evolve(things, row)
        last_day = frame.periods[index].end - ONE_DAY
        for thing in things.values():
            fields = _seen(thing, frame.ends[index])
            if not (own(fields) and asked(fields)):
                continue
            value: Any = number(fields) if number else 1
            if value is not None:
                if number:
                    value = converted(lens, value, fields, last_day)
                buckets.add(lens.group_of(fields), index, _standing(thing), value)
    return buckets


def state_figure(leaf: State, bucket: Values) -> Figure:
    """The figure of the things that stand."""
    total = sum((Fraction(value) for _, value in bucket), Fraction(0))
    return _stated(leaf, counted([row for row, _ in bucket]), total)


def runs_along(leaf: State, lens: Lens) -> bool:
    """Whether a thing counts the same from one of its events to the next, whatever the period."""
    return lens.exchange is None and not related_in(leaf.where) and not related_in(lens.where)


def state_figures(leaf: State, rows: Sequence[Row], lens: Lens) -> Figures:
    """The same figures from running totals: each event is looked at once, however many periods."""
    own, asked, frame = lens.passes(leaf.where), lens.asked, lens.frame
    number = number_reader(leaf.field) if leaf.field else None
    things: dict[str, _Thing] = defaultdict(_Thing)
    counting: dict[str, _Entry] = {}
    totals: dict[Group, _Total] = defaultdict(_Total)
    figures: list[dict[Group, Figure]] = []
    for index, entering in _by_end(rows, lens):
        for subject in {_evolve(things, row): None for row in entering}:
            if subject in counting:
                entry = counting.pop(subject)
                totals[entry.group].add(-1, entry)
            thing = things[subject]
            fields = _seen(thing, frame.ends[index])
            value = (number(fields) if number else Fraction(1)) if own(fields) else None
            if value is not None and asked(fields):
                currency = str(c) if (c := fields.get("currency")) else None
                entry = _Entry(lens.group_of(fields), thing.digest, value, currency)
                counting[subject] = entry
                totals[entry.group].add(1, entry)
        figures.append({group: _stated(leaf, *total.figure()) for group, total in totals.items()})
    nothing = [_stated(leaf, Figure(), Fraction(0)) for _ in frame.periods]
    every = {group for told in figures for group, figure in told.items() if figure.n}
    return Figures(
        {
            group: [told.get(group) or _stated(leaf, Figure(), Fraction(0)) for told in figures]
            for group in totals
            if group in every
        },
        nothing,
    )


@dataclass(slots=True, frozen=True)
class _Entry:
    """What a thing adds to its group."""

    group: Group
    digest: int
    value: Fraction
    currency: str | None


@dataclass(slots=True)
class _Total:
    """What stands in a group, as a running sum."""

    count: int = 0
    digest: int = 0
    total: Fraction = Fraction(0)
    currencies: Counter[str] = field(default_factory=Counter)

    def add(self, sign: int, entry: _Entry) -> None:
        self.count += sign
        self.digest = (self.digest + sign * entry.digest) % DIGEST_MODULUS
        self.total += sign * entry.value
        if entry.currency is not None:
            self.currencies[entry.currency] += sign

    def figure(self) -> tuple[Figure, Fraction]:
        held = frozenset(name for name, count in self.currencies.items() if count)
        return Figure(n=self.count, digest=self.digest, currencies=held), self.total


def _stated(leaf: State, figure: Figure, total: Fraction) -> Figure:
    if leaf.statistic == "average":
        return mean(figure, total, Fraction(figure.n))
    return whole(figure, total)


def _by_end(rows: Sequence[Row], lens: Lens) -> Iterator[tuple[int, Sequence[Row]]]:
    """For each period the events that happened by its end, and not by that of one before."""
    entering: list[list[Row]] = [[] for _ in [*lens.frame.periods, None]]
    for row in rows:
        entering[lens.frame.first_ending_after(row)].append(row)
    yield from enumerate(entering[:-1])


def _evolve(things: dict[str, _Thing], row: Row) -> str:
    subject = row.subject or f"#{row.position}"
    thing = things[subject]
    thing.fields.update(row.fields)
    thing.fields.update({"$type": row.name, "$subject": row.subject, "$source": row.source})
    thing.last = row
    thing.digest = (thing.digest + int.from_bytes(row.leaf, "big")) % DIGEST_MODULUS
    return subject


def _seen(thing: _Thing, until: Any) -> Mapping[str, Any]:
    assert thing.last is not None, "a thing has an event"
    return {**thing.fields, ROW: thing.last, UNTIL: until}


def _standing(thing: _Thing) -> Row:
    """The thing as one row, whose leaf stands for all the events that it was folded from."""
    last = thing.last
    assert last is not None, "a thing has an event"
    return Row(
        last.position, last.name, last.subject, last.source, last.occurred_at, last.occurred_on,
        thing.digest.to_bytes(32, "big"), dict(thing.fields), last.moment,
    )  # fmt: skip
