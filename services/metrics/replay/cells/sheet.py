"""A sheet: events laid out in columns, so that every series folds them without looking at each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Context, Decimal
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from services.metrics.domain.filters import (
    AllFilter,
    AnyFilter,
    FieldFilter,
    Filter,
    NotFilter,
    compile_filter,
    lookup,
)
from services.metrics.replay.cells.chunk import LEAF, SCALE
from services.metrics.replay.cells.columns import limbs_of, split
from services.metrics.replay.lens import text_field, text_of
from shared.chain import canonical_json, parse_json
from shared.clock import to_micros
from shared.periods import Calendar

# The door takes no more than 6 digits after the point, so that nothing is cut off.
_WIDE = Context(prec=60)
_SECOND, _DAY = 1_000_000, 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_MANY = 1 << 62
# Values of these types are equal just where they are the same.
_TOLD_APART = {str, type(None)}
# An event as it comes from the ledger: position, name, subject, source, microseconds and day of
# occurrence, leaf, data.
Told = tuple[int, str, str | None, str, int, str | None, bytes, str]
_WIDTH = 8


class Sheet:
    """Events that begin (`sign` 1) or cease (-1) to count, in the days of a calendar."""

    def __init__(self, begun: Sequence[Told], ended: Sequence[Told], calendar: Calendar) -> None:
        self.size = len(begun) + len(ended)
        # One list and its slices: an iterator for each row would take three times as long.
        told: list[Any] = [*chain.from_iterable(begun), *chain.from_iterable(ended)]
        positions, names, subjects, sources, moments, days, leaves, data = (
            told[place::_WIDTH] for place in range(_WIDTH)
        )
        self.names: list[str] = names
        self._subjects: list[str | None] = subjects
        self._sources: list[str] = sources
        self.sign = np.ones(self.size, dtype=np.int64)
        self.sign[len(begun) :] = -1
        self.position = np.array(positions, dtype=np.int64)
        self.at = np.array(moments, dtype=np.int64)
        self.day = _local_days(self.at, calendar)
        if any(days):
            for place, text in enumerate(days):
                if text is not None:
                    day = date.fromisoformat(text)
                    self.day[place] = day.toordinal()
                    self.at[place] = to_micros(calendar.instant(day))
        self._leaves, self._data = b"".join(leaves), data
        self._codes: dict[str, tuple[np.ndarray, list[Any]]] = {}
        self._combined: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}
        # Many series share a filter over one field, such as the deals that were won.
        self._passing: dict[str, np.ndarray] = {}
        self._numbers: dict[tuple[str, ...], Numbers] = {}
        self._hashes: dict[str, Texts] = {}

    @cached_property
    def fields(self) -> list[Mapping[str, Any]]:
        # As one text, since each call costs as much as what it reads.
        found: list[Mapping[str, Any]] = parse_json(f"[{','.join(self._data)}]")
        return found

    @cached_property
    def leaves(self) -> np.ndarray:
        return np.frombuffer(self._leaves, LEAF)

    @cached_property
    def limbs(self) -> np.ndarray:
        """The leaves as signed limbs: what each adds to a digest."""
        signed: np.ndarray = limbs_of(self._leaves) * self.sign[:, None]
        return signed

    def named(self, names: frozenset[str]) -> np.ndarray:
        """Which events are of some types."""
        codes, types = self._coded("$type")
        return _told([name in names for name in types], codes)

    def passing(self, where: Filter | None) -> np.ndarray:
        """Which events a filter over their own fields lets pass."""
        match where:
            case AllFilter(all=parts):
                every: np.ndarray = np.logical_and.reduce([self.passing(p) for p in parts])
                return every
            case AnyFilter(any=parts):
                some: np.ndarray = np.logical_or.reduce([self.passing(p) for p in parts])
                return some
            case NotFilter(not_=part):
                return ~self.passing(part)
            case FieldFilter(field=name):
                place = where.model_dump_json()
                if place not in self._passing:
                    passes = compile_filter(where)
                    codes, values = self._coded(name)
                    self._passing[place] = _told([passes({name: v}) for v in values], codes)
                return self._passing[place]
            case _:
                assert where is None, "no series has a filter that looks at other events"
                return np.ones(self.size, dtype=bool)

    def combined(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """A number for each event that says which values some fields have, from 0 on.

        And for each number the place of the first event that has it.
        """
        if names not in self._combined:
            code, size = np.zeros(self.size, dtype=np.int64), 1
            for name in names:
                own, values = self._coded(name)
                if size * len(values) >= _MANY:
                    code = np.unique(code, return_inverse=True)[1].reshape(-1)
                    size = self.size
                code, size = code * len(values) + own, size * len(values)
            _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
            self._combined[names] = (inverse.reshape(-1), first)
        return self._combined[names]

    def _coded(self, name: str) -> tuple[np.ndarray, list[Any]]:
        """A number for each event that says which value a field has, and the values so numbered."""
        if name not in self._codes:
            told = self._values(name)
            values = _distinct(told)
            marks = told if values is not None else [_mark(value) for value in told]
            by_mark = dict(zip(marks, told, strict=True)) if values is None else values
            numbers = {mark: number for number, mark in enumerate(by_mark)}
            codes = np.zeros(len(told), np.int64)
            if len(numbers) > 1:
                codes[:] = np.fromiter(map(numbers.__getitem__, marks), np.int64, len(told))
            self._codes[name] = (codes, list(by_mark.values()))
        return self._codes[name]

    def _values(self, name: str) -> Sequence[Any]:
        match name:
            case "$type":
                return self.names
            case "$subject":
                return self._subjects
            case "$source":
                return self._sources
            case _ if "." in name:
                return [lookup(fields, name) for fields in self.fields]
            case _:
                return [fields.get(name) for fields in self.fields]

    def numbers(self, names: tuple[str, ...]) -> Numbers:
        """The sum of the fields that are numbers, as whole millionths."""
        if names not in self._numbers:
            self._numbers[names] = Numbers([_scaled_sum(f, names) for f in self.fields])
        return self._numbers[names]

    def texts(self, field: str | None) -> Texts:
        """What is counted distinct: a field, or the subject."""
        name = text_field(field)
        if name not in self._hashes:
            self._hashes[name] = Texts([text_of(value) for value in self._values(name)])
        return self._hashes[name]

    @cached_property
    def subjects(self) -> Texts:
        """The subjects; an event without one has its position for it."""
        pairs = zip(self._subjects, self.position.tolist(), strict=True)
        return Texts([subject or f"#{position}" for subject, position in pairs])

    def keys(self, dimensions: Sequence[str], make: Callable[[str, Mapping[str, Any]], str]
             ) -> tuple[np.ndarray, list[str]]:  # fmt: skip
        """A number for each event that says by what it is told apart, and the keys so numbered."""
        codes, places = self.combined(("$source", "currency", *dimensions))
        return codes, [make(self._sources[place], self.fields[place]) for place in places]


class Numbers:
    """A number for each event, or none: in two parts, and whole where it fits 64 bits."""

    def __init__(self, values: Sequence[int | None]) -> None:
        self.there = np.array([value is not None for value in values], dtype=bool)
        self.high, self.low = split([value or 0 for value in values])
        self.fits = (self.high >= -(1 << 31)) & (self.high < 1 << 31)
        self.value = np.where(self.fits, (self.high << 32) + self.low, 0)


class Texts:
    """A text for each event, or none, as 128 bits in two halves that stand for it.

    Two texts that share their bits are not to be expected.
    """

    def __init__(self, texts: Sequence[str | None]) -> None:
        digests = [hashlib.blake2b((t or "").encode(), digest_size=16).digest() for t in texts]
        halves = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, 2).astype(np.uint64)
        self.high, self.low = halves[:, 0], halves[:, 1]
        self.there = np.array([text is not None for text in texts], dtype=bool)


def _distinct(told: Sequence[Any]) -> dict[Any, Any] | None:
    """Each value once, where equality tells them all apart."""
    try:
        values = dict(zip(told, told, strict=True))
    except TypeError:  # Lists and objects.
        return None
    return values if {*map(type, values)} <= _TOLD_APART else None


def _mark(value: Any) -> Any:
    """What tells a value from others: 1, 1.0 and true are equal to Python, and not the same."""
    if type(value) in _TOLD_APART:
        return value
    plain = isinstance(value, bool | int)
    return (type(value), value if plain else canonical_json(value))


def _scaled_sum(fields: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The sum of the fields that are numbers, as whole millionths; None where none of them is."""
    total, found = 0, False
    for name in names:
        value = fields.get(name) if name in fields else lookup(fields, name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            total, found = total + value * SCALE, True
        elif isinstance(value, Decimal):
            total, found = total + int(value.scaleb(6, _WIDE)), True
    return total if found else None


def _told(by_code: list[bool], codes: np.ndarray) -> np.ndarray:
    """What holds of each event, from what holds of its number."""
    told: np.ndarray = np.array(by_code, dtype=bool)[codes]
    return told


def _local_days(moments: np.ndarray, calendar: Calendar) -> np.ndarray:
    """The local day of each moment, as an ordinal."""
    changes = np.array([second for second, _ in calendar.offsets], dtype=np.int64)
    offsets = np.array([offset for _, offset in calendar.offsets], dtype=np.int64)
    seconds = moments // _SECOND
    places = np.maximum(np.searchsorted(changes, seconds, side="right") - 1, 0)
    days: np.ndarray = (seconds + offsets[places]) // _DAY + _EPOCH
    for begin, end, day in calendar.clock.begun:
        days[(begin <= seconds) & (seconds < end)] = day
    return days
