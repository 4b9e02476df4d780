"""Reading cells: whole segments from chunks, the rest from the ledger, and one figure of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from services.metrics.domain.definition import Leaf, Simple
from services.metrics.domain.filters import Filter, compile_filter, related_in
from services.metrics.replay.cells.chunk import Chunk
from services.metrics.replay.cells.fetch import chunks_of
from services.metrics.replay.cells.folding import fold
from services.metrics.replay.cells.packed import Crowded, PackedFold
from services.metrics.replay.cells.series import (
    SEGMENT,
    Series,
    answers,
    asked_fields,
    series_for,
)
from services.metrics.replay.cells.summed import SumFold
from services.metrics.replay.cells.tail import tail_behind
from services.metrics.replay.cells.wanted import Wanted
from services.metrics.replay.frame import Figures, Frame, Grouping
from services.metrics.replay.knowledge import CutOver
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
        if chunks is None:
            return None
        wanted = Wanted(one, frame, group_of, compile_filter(where), reading.cuts, exchange)
        if one.form == "sums":
            return SumFold(wanted, chunks).figures()
        try:
            packed = PackedFold(wanted, chunks).figures()
        except Crowded:
            return None
        if one.form == "events":
            return packed
        return _counted(packed, SumFold(wanted, chunks).figures())

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
        return SumFold(wanted, chunks).days()

    def _chunks(
        self, reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame
    ) -> list[Chunk] | None:
        """All chunks of a series that a frame touches; None where they can't tell."""
        segments, found = chunks_of(reading, one, siblings, frame, self.segment)
        if not segments:
            return None
        tail = tail_behind(reading, one, siblings, frame, segments * self.segment)
        rest = fold(one, tail.sheet())
        chunks = found if rest is None else [*found, rest]
        start = min(frame.start_days).toordinal()
        end = max(p.end for p in frame.periods).toordinal()
        return None if any(chunk.is_wide(start, end) for chunk in chunks) else chunks


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
