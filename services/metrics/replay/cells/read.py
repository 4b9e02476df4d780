"""Reading cells: whole segments from chunks, the rest from the ledger, and one figure of both."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from services.metrics.domain.definition import Leaf, Simple
from services.metrics.domain.filters import Filter, compile_filter, related_in
from services.metrics.replay.cells.build import fold_rows, prepared
from services.metrics.replay.cells.chunk import SCALE, Chunk, Stored, decode
from services.metrics.replay.cells.fetch import chunks_of, tail_of
from services.metrics.replay.cells.packed import Crowded, PackedFold
from services.metrics.replay.cells.series import (
    SEGMENT,
    Series,
    answers,
    asked_fields,
    series_for,
)
from services.metrics.replay.cells.wanted import Wanted
from services.metrics.replay.frame import (
    DIGEST_MODULUS,
    Figure,
    Figures,
    Frame,
    Group,
    Grouping,
)
from services.metrics.replay.knowledge import CutOver
from services.metrics.replay.lens import mean, whole
from services.metrics.replay.rates import Exchange
from services.metrics.replay.raw import Reading
from shared.periods import Period


@dataclass(frozen=True, slots=True)
class Cells:
    """Answers from cells what they can answer; `segment` is how many positions each has."""

    segment: int = SEGMENT

    def figures(
        self, reading: Reading, leaf: Leaf, dimensions: Sequence[str], periods: Sequence[Period],
        group_by: Sequence[str], group_of: Grouping, where: Filter | None,
        exchange: Exchange | None, leaves: Sequence[Leaf] = (),
    ) -> Figures | None:  # fmt: skip
        """The figures of a leaf, or None where they have to come from its events.

        `leaves` are all those of the question; what they need is read together.
        """
        one = series_for(leaf, dimensions, reading.calendar)
        if one is None or not _uniform(reading) or related_in(where):
            return None
        if not answers(one, asked_fields(where, group_by)) or _mixed(reading.cuts, one):
            return None
        if exchange is not None and one.form != "sums":
            return None
        frame = Frame(list(periods), reading.calendar)
        others = [series_for(leaf, dimensions, reading.calendar) for leaf in leaves]
        siblings = [found for found in others if found is not None and found != one]
        chunks = self._chunks(reading, one, siblings, frame)
        if chunks is None or any(chunk.wide for chunk in chunks):
            return None
        wanted = Wanted(one, frame, group_of, compile_filter(where), reading.cuts, exchange)
        if one.form == "sums":
            return _SumFold(wanted).figures(chunks)
        try:
            packed = PackedFold(wanted).figures(chunks)
        except Crowded:
            return None
        if one.form == "events":
            return packed
        return _counted(packed, _SumFold(wanted).figures(chunks))

    def days(self, reading: Reading, names: Iterable[str], frame: Frame) -> list[set[date]] | None:
        """The days of each period on which events of some types occurred."""
        one = series_for(presence(names), (), reading.calendar)
        if one is None or not _uniform(reading) or _mixed(reading.cuts, one):
            return None
        chunks = self._chunks(reading, one, (), frame)
        if chunks is None:
            return None
        everything = compile_filter(None)
        wanted = Wanted(one, frame, lambda fields: (), everything, reading.cuts, None)
        counts: list[Counter[date]] = [Counter() for _ in frame.periods]
        for index, day, _, _, count, *_ in _SumFold(wanted).entries(chunks):
            counts[index][day] += count
        return [{day for day, count in told.items() if count} for told in counts]

    def _chunks(
        self, reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame
    ) -> list[Stored] | None:
        """All chunks of a series that a frame touches; None where none is built yet."""
        segments, found = chunks_of(reading, one, siblings, frame, self.segment)
        if not segments:
            return None
        begun, ended = tail_of(reading, one, siblings, frame, segments * self.segment)
        signed = [(1, prepared(begun, one.calendar)), (-1, prepared(ended, one.calendar))]
        rest = fold_rows(one, signed)
        return [*found, *(_stored(chunk) for chunk in rest.values())]


def _stored(chunk: Chunk) -> Stored:
    body = chunk.encode()
    return decode(body) if body is not None else Stored([], [], [], [], [], b"", {}, False)


def _counted(packed: Figures, sums: Figures) -> Figures:
    """Packed values with the number, digest and currencies that are summed beside them."""
    for group, figures in packed.groups.items():
        for figure, told in zip(figures, sums.of(group), strict=True):
            figure.n, figure.digest, figure.currencies = told.n, told.digest, told.currencies
    return packed


def presence(names: Iterable[str]) -> Simple:
    """The leaf that counts all events of some types: which days have any."""
    # Not validated: a metric may read more types than one leaf may name.
    return Simple.model_construct(
        kind="count", events=sorted(names), field=None, q=None, where=None, per_subject="all",
        undone_by=[], carry_forward=False,
    )  # fmt: skip


def _uniform(reading: Reading) -> bool:
    return reading.knowledge.uniform and reading.shown is None


def _mixed(cuts: Sequence[CutOver], one: Series) -> bool:
    """Whether a cut-over is about some types of the series and not about others."""
    return any(cut.events and 0 < len(one.names & set(cut.events)) < len(one.names) for cut in cuts)


class _SumFold:
    """Figures of numbers and sums."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def entries(
        self, chunks: Sequence[Stored]
    ) -> Iterable[tuple[int, date, Group, Mapping[str, Any], int, int, int]]:
        """(period, day, group, fields, count, sum, digest) of every day and key that is asked."""
        starts, ends = _bounds(self._wanted.frame)
        known: dict[str, tuple[Group, dict[str, object]] | None] = {}
        for chunk in chunks:
            owners = [_remembered(known, key, self._wanted.group) for key in chunk.keys]
            digests = chunk.digests
            columns = zip(chunk.days, chunk.owners, chunk.counts, chunk.sums, strict=True)
            for place, (ordinal, owner, count, total) in enumerate(columns):
                index = bisect_right(starts, ordinal) - 1
                found = owners[owner]
                if found is None or index < 0 or ordinal >= ends[index]:
                    continue
                day = date.fromordinal(ordinal)
                if self._wanted.cuts and self._wanted.hides(found[1], day):
                    continue
                digest = int.from_bytes(digests[place * 32 : place * 32 + 32], "big")
                yield index, day, *found, count, int(total), digest

    def figures(self, chunks: Sequence[Stored]) -> Figures:
        size, exchange = len(self._wanted.frame.periods), self._wanted.exchange
        groups: dict[Group, list[_Total]] = {}
        for index, day, group, fields, count, total, digest in self.entries(chunks):
            if group not in groups:
                groups[group] = [_Total() for _ in range(size)]
            found = groups[group][index]
            found.count += count
            found.digest += digest
            currency = str(fields["currency"]) if fields["currency"] else None
            if currency:
                found.currencies[currency] = found.currencies.get(currency, 0) + count
            if exchange is None:
                found.whole += total
                continue
            factor = exchange.factor(currency, day)
            if factor is not None:
                found.converted += total * factor
            elif count:
                found.missing += count
        leaf = self._wanted.series.leaf
        made = {
            group: [total.figure(leaf) for total in totals]
            for group, totals in groups.items()
            if any(total.count for total in totals)
        }
        return Figures(made, [_Total().figure(leaf) for _ in range(size)])


class _Total:
    """What one group adds up to in one period."""

    __slots__ = ("converted", "count", "currencies", "digest", "missing", "whole")

    def __init__(self) -> None:
        self.count = self.whole = self.digest = self.missing = 0
        self.converted = Fraction(0)
        self.currencies: dict[Any, int] = {}

    def figure(self, leaf: Simple) -> Figure:
        currencies = frozenset(str(c) for c, count in self.currencies.items() if count)
        figure = Figure(n=self.count, digest=self.digest % DIGEST_MODULUS, currencies=currencies)
        if self.missing:
            figure.reason = "missing_rate"
            return figure
        if leaf.kind == "count":
            return whole(figure, Fraction(self.count))
        total = (self.whole + self.converted) / SCALE
        return (
            whole(figure, total)
            if leaf.kind == "sum"
            else mean(figure, total, Fraction(self.count))
        )


def _remembered(
    known: dict[str, tuple[Group, dict[str, object]] | None], key: str,
    group: Callable[[str], tuple[Group, dict[str, object]] | None],
) -> tuple[Group, dict[str, object]] | None:  # fmt: skip
    if key not in known:
        known[key] = group(key)
    return known[key]


def _bounds(frame: Frame) -> tuple[list[int], list[int]]:
    return [p.start.toordinal() for p in frame.periods], [p.end.toordinal() for p in frame.periods]
