"""Figures from packed values: quantiles, extremes, distinct texts, and each subject's last word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction

import numpy as np

from services.metrics.replay.cells.chunk import LEAF, SCALE, Chunk
from services.metrics.replay.cells.columns import DIGEST_LIMBS, LIMB_BITS, Table, taken
from services.metrics.replay.cells.wanted import Gathered, Wanted
from services.metrics.replay.frame import DIGEST_MODULUS, Figure, Figures, Group
from services.metrics.replay.lens import mean, whole
from shared.clock import to_micros

_SAFE_SUM = 1 << 62


class Crowded(Exception):
    """Several events share the instant that decides; only the ledger tells their order."""


class PackedFold:
    """Figures of a series whose values are kept one by one."""

    def __init__(self, wanted: Wanted, chunks: Sequence[Chunk]) -> None:
        self._wanted = wanted
        self._form = wanted.series.form
        self._leaf = wanted.series.leaf
        self._gathered = Gathered(wanted, chunks, [chunk.rows for chunk in chunks])
        self._leaves = np.concatenate([chunk.leaves for chunk in chunks] or [np.empty(0, LEAF)])
        # Which of the leaves is a row's, if it passes.
        self._rows = self._gathered.table.beside(leaf=self._places_of_leaves)

    def _places_of_leaves(self) -> np.ndarray:
        return np.cumsum(self._gathered.table["passes"] == 1, dtype=np.int32) - 1

    def figures(self) -> Figures:
        """One figure for each group and period."""
        gathered, size = self._gathered, len(self._wanted.frame.periods)
        alone = len(gathered.groups) == 1 and bool((gathered.group == 0).all())
        made: dict[Group, list[Figure]] = {}
        hidden = gathered.hidden() if self._wanted.cuts and self._rows.size else None
        for index in range(size if self._rows.size else 0):
            chosen = self._chosen(index, hidden)
            for place, mine in [(0, chosen)] if alone else self._by_group(chosen):
                figure = self._figure(mine)
                if figure.n:
                    group = gathered.groups[place]
                    made.setdefault(group, [self._nothing() for _ in range(size)])
                    made[group][index] = figure
        return Figures(made, [self._nothing() for _ in range(size)])

    def _by_group(self, rows: Table) -> Iterator[tuple[int, Table]]:
        """The rows of each group that is asked for."""
        grouped = self._gathered.group[rows["key"]]
        for place in np.unique(grouped[grouped >= 0]).tolist():
            yield place, taken(rows, grouped == place)

    def _chosen(self, index: int, hidden: np.ndarray | None) -> Table:
        """The rows of one period that count: not taken out, not cut over, each subject's last."""
        period = self._wanted.frame.periods[index]
        days = self._rows["day"]
        inside = (days >= period.start.toordinal()) & (days < period.end.toordinal())
        if hidden is not None:
            inside &= ~hidden
        rows = self._rows if inside.all() else taken(self._rows, inside)
        if (rows["sign"] < 0).any():
            rows = _without_removed(rows, self._form)
        if self._form != "events":
            return rows
        passes = rows["passes"] == 1
        if self._leaf.per_subject == "last_in_period":
            last = self._last_of_each(rows)
            return taken(rows, last[passes[last]])
        return taken(rows, passes)

    def _figure(self, rows: Table) -> Figure:
        count = rows.size
        if not count:
            return self._nothing()
        told = self._gathered.currency
        keys = np.flatnonzero(np.bincount(rows["key"])).tolist() if len(told) > 1 else [0]
        spoken = frozenset(c for key in keys if (c := told[key]))
        # Elsewhere digests are summed by day, as numbers are.
        digest = _digest(self._leaves[rows["leaf"]]) if self._form == "events" else 0
        figure = Figure(n=count, digest=digest, currencies=spoken)
        kind = self._leaf.kind
        if kind == "distinct":
            return whole(figure, Fraction(int(_by_text(rows["high"], rows["low"])[1].sum())))
        if kind == "count":
            return whole(figure, Fraction(count))
        values = rows["value"]
        match kind:
            case "sum":
                return whole(figure, _exact_sum(values))
            case "average":
                return mean(figure, _exact_sum(values), Fraction(count))
            case "min":
                figure.value = Fraction(int(values.min()), SCALE)
            case "max":
                figure.value = Fraction(int(values.max()), SCALE)
            case "percentile":
                figure.value = _quantile(values, Fraction(str(self._leaf.q)))
            case "latest":
                one = np.zeros(count, dtype=np.int64)
                (place,) = self._last_of_some(rows, one, np.arange(count))
                figure.value = Fraction(int(values[place]), SCALE)
        return figure

    def _last_of_each(self, rows: Table) -> np.ndarray:
        """The places of each subject's last event, by moment."""
        order, begins = _by_text(rows["high"], rows["low"])
        alone = begins & np.append(begins[1:], True)
        some = np.flatnonzero(~alone)
        decided = self._last_of_some(rows, np.cumsum(begins[some]), order[some])
        return np.concatenate([order[alone], decided])

    def _last_of_some(self, rows: Table, subject: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The last event of each subject, of some places; raises `Crowded` where it is not told.

        That is so where a subject has two events at its last instant, or at midnight and later on
        its last day: a day without time begins there, and stands where the ledger says.
        """
        if not len(places):
            return places
        at, day = rows["at"][places], rows["day"][places]
        order = np.lexsort((rows["position"][places], at, subject))
        subject, at, day = subject[order], at[order], day[order]
        ends = np.flatnonzero(np.diff(subject, append=subject[-1] + 1))
        run = np.cumsum(np.diff(subject, prepend=subject[0]) != 0)
        latest, of_day = at == at[ends][run], day == day[ends][run]
        crowded = np.bincount(run[latest]) > 1
        dated = np.bincount(run[of_day & (at == self._midnights(day))], minlength=len(ends)) > 0
        crowded |= dated & (np.bincount(run[of_day]) > 1)
        if crowded.any():
            raise Crowded
        return places[order[ends]]

    def _midnights(self, days: np.ndarray) -> np.ndarray:
        """When each day begins, in microseconds."""
        found, place = np.unique(days, return_inverse=True)
        calendar = self._wanted.frame.calendar
        begins = [to_micros(calendar.instant(date.fromordinal(day))) for day in found.tolist()]
        return np.array(begins, dtype=np.int64)[place.reshape(-1)]

    def _nothing(self) -> Figure:
        match self._leaf.kind:
            case "count" | "sum" | "distinct":
                return whole(Figure(), Fraction(0))
            case "average":
                return mean(Figure(), Fraction(0), Fraction(0))
            case _:
                return Figure(reason="no_events")


def _without_removed(rows: Table, form: str) -> Table:
    """Each row that was taken out cancels one that was put in."""
    if form == "events":
        identity = rows["position"]
    else:
        names = ("day", "key", "value") if form == "values" else ("day", "key", "high", "low")
        stacked = np.stack([rows[name].astype(np.uint64) for name in names])
        _, identity = np.unique(stacked, axis=1, return_inverse=True)
        identity = identity.reshape(-1)
    order = np.lexsort((-rows["sign"].astype(np.int64), identity))
    numbers = identity[order]
    begins = np.concatenate([[True], numbers[1:] != numbers[:-1]])
    run = np.cumsum(begins) - 1
    net = np.bincount(run, weights=rows["sign"][order]).astype(np.int64)
    place = np.arange(len(order)) - np.flatnonzero(begins)[run]
    # Of each run the first rows are those put in; as many of them stay as the run has left.
    kept = order[place < net[run]]
    return taken(rows, kept)


def _digest(leaves: np.ndarray) -> int:
    """The sum of leaf hashes."""
    limbs = np.frombuffer(leaves.tobytes(), dtype=">u4").reshape(-1, DIGEST_LIMBS)
    sums = limbs.sum(axis=0, dtype=np.uint64).tolist()
    total = sum(int(limb) << (LIMB_BITS * place) for place, limb in enumerate(reversed(sums)))
    return total % DIGEST_MODULUS


def _by_text(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which equal hashes stand together, and where another one begins.

    The upper half tells nearly all texts apart, and each chunk stands in its order already.
    """
    order = np.argsort(high, kind="stable")
    upper = high[order]
    alike = np.flatnonzero(upper[1:] == upper[:-1])
    if (low[order[alike]] != low[order[alike + 1]]).any():
        order = np.lexsort((low, high))
        pairs = np.stack([high[order], low[order]])
        alike = np.flatnonzero((pairs[:, 1:] == pairs[:, :-1]).all(axis=0))
    begins = np.ones(len(order), dtype=bool)
    begins[alike + 1] = False
    return order, begins


def _exact_sum(values: np.ndarray) -> Fraction:
    largest = max(abs(int(values.min())), abs(int(values.max())))
    if largest * len(values) < _SAFE_SUM:
        return Fraction(int(values.sum()), SCALE)
    return Fraction(sum(values.tolist()), SCALE)


def _quantile(values: np.ndarray, q: Fraction) -> Fraction:
    """The quantile by linear interpolation between order statistics (Hyndman & Fan's type 7)."""
    place = (len(values) - 1) * q
    low = place.numerator // place.denominator
    high = min(low + 1, len(values) - 1)
    parted = np.partition(values, (low, high))
    below, above = Fraction(int(parted[low]), SCALE), Fraction(int(parted[high]), SCALE)
    return below + (above - below) * (place - low)
