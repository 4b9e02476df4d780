"""Figures from packed values: quantiles, extremes, distinct texts, and each subject's last word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np

from services.metrics.replay.cells.chunk import COLUMNS, SCALE, Stored, columns_of
from services.metrics.replay.cells.wanted import Wanted
from services.metrics.replay.frame import DIGEST_MODULUS, Figure, Figures, Group
from services.metrics.replay.lens import mean, whole
from shared.clock import to_micros

Columns = dict[str, np.ndarray]
_LIMB_BYTES = 4
# Mixes the lower half of a hash into the upper one.
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SAFE_SUM = 1 << 62


class Crowded(Exception):
    """Several events share the instant that decides; only the ledger tells their order."""


class PackedFold:
    """Figures of a series whose values are kept one by one."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._keys: dict[str, int] = {}
        self._form = wanted.series.form
        self._leaf = wanted.series.leaf

    def figures(self, chunks: Sequence[Stored]) -> Figures:
        """One figure for each group and period."""
        columns = self._gathered(chunks)
        owners = [(key, self._wanted.group(key)) for key in self._keys]
        groups = sorted({found[0] for _, found in owners if found is not None})
        number = {group: place for place, group in enumerate(groups)}
        group_of_key = np.array(
            [-1 if found is None else number[found[0]] for _, found in owners] or [-1]
        )
        currency_of_key = [None if found is None else found[1]["currency"] for _, found in owners]
        alone = len(groups) == 1 and bool((group_of_key == 0).all())
        size = len(self._wanted.frame.periods)
        made: dict[Group, list[Figure]] = {}
        for index in range(size):
            chosen = self._chosen(columns, index)
            grouped = group_of_key[chosen["key"]]
            places = [0] if alone else np.unique(grouped).tolist()
            for place in (place for place in places if place >= 0):
                mine = chosen if len(places) == 1 else _where(chosen, grouped == place)
                figure = self._figure(mine, currency_of_key)
                if figure.n:
                    made.setdefault(groups[place], [self._nothing() for _ in range(size)])
                    made[groups[place]][index] = figure
        return Figures(made, [self._nothing() for _ in range(size)])

    def _gathered(self, chunks: Sequence[Stored]) -> Columns:
        """All packed rows, with keys numbered alike."""
        types = COLUMNS[self._form]
        parts = []
        for chunk in chunks:
            if not chunk.packed:
                continue
            columns = columns_of(chunk, self._form)
            numbers = [self._keys.setdefault(key, len(self._keys)) for key in chunk.keys]
            columns["key"] = np.array(numbers, dtype="<u4")[columns["key"]]
            parts.append(columns)
        if not parts:
            return {name: np.empty(0, kind) for name, kind in types.items()}
        return {name: np.concatenate([part[name] for part in parts]) for name in types}

    def _chosen(self, columns: Columns, index: int) -> Columns:
        """The rows of one period that count: not taken out, not cut over, each subject's last."""
        period = self._wanted.frame.periods[index]
        days = columns["day"]
        inside = (days >= period.start.toordinal()) & (days < period.end.toordinal())
        if self._wanted.cuts:
            inside &= ~self._hidden(columns)
        rows = columns if inside.all() else _where(columns, inside)
        if (rows["sign"] < 0).any():
            rows = _without_removed(rows, self._form)
        if self._form != "events":
            return rows
        if self._leaf.per_subject == "last_in_period":
            last = _last_of_each(rows, self._midnights(rows))
            rows = {name: column[last] for name, column in rows.items()}
        return _where(rows, rows["passes"] == 1)

    def _midnights(self, rows: Columns) -> np.ndarray:
        """When the day of each row begins, in microseconds."""
        days, place = np.unique(rows["day"], return_inverse=True)
        calendar = self._wanted.frame.calendar
        begins = [to_micros(calendar.instant(date.fromordinal(day))) for day in days.tolist()]
        return np.array(begins, dtype=np.int64)[place]

    def _hidden(self, columns: Columns) -> np.ndarray:
        fields = [self._wanted.series.fields_of(key) for key in self._keys]
        pairs = np.unique(np.stack([columns["key"].astype(np.int64), columns["day"]]), axis=1)
        hidden = {
            (key, day)
            for key, day in pairs.T.tolist()
            if self._wanted.hides(fields[key], date.fromordinal(day))
        }
        return np.array(
            [pair in hidden for pair in zip(columns["key"].tolist(), columns["day"].tolist(),
                                            strict=True)], dtype=bool,
        )  # fmt: skip

    def _figure(self, rows: Columns, currency_of_key: Sequence[Any]) -> Figure:
        count = len(rows["day"])
        keys = np.flatnonzero(np.bincount(rows["key"])).tolist()
        currencies = frozenset(str(c) for k in keys if (c := currency_of_key[k]))
        figure = Figure(n=count, digest=_digest(rows), currencies=currencies)
        if not count:
            return self._nothing()
        kind = self._leaf.kind
        if kind == "distinct":
            return whole(figure, Fraction(_distinct(rows["high"], rows["low"])))
        values = rows["value"]
        match kind:
            case "count":
                return whole(figure, Fraction(count))
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
                _demand_alone(rows, np.zeros(count, dtype=np.int64), self._midnights(rows))
                place = np.lexsort((rows["position"], rows["at"]))[-1]
                figure.value = Fraction(int(values[place]), SCALE)
        return figure

    def _nothing(self) -> Figure:
        match self._leaf.kind:
            case "count" | "sum" | "distinct":
                return whole(Figure(), Fraction(0))
            case "average":
                return mean(Figure(), Fraction(0), Fraction(0))
            case _:
                return Figure(reason="no_events")


def _where(rows: Columns, chosen: np.ndarray) -> Columns:
    return {name: column[chosen] for name, column in rows.items()}


def _without_removed(rows: Columns, form: str) -> Columns:
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
    return {name: column[kept] for name, column in rows.items()}


def _digest(rows: Columns) -> int:
    """The sum of leaf hashes; zero where they are not kept one by one."""
    if "leaf" not in rows or not len(rows["leaf"]):
        return 0
    limbs = np.frombuffer(rows["leaf"].tobytes(), dtype=">u4").reshape(-1, 32 // _LIMB_BYTES)
    sums = limbs.sum(axis=0, dtype=np.uint64).tolist()
    total = sum(int(limb) << (32 * place) for place, limb in enumerate(reversed(sums)))
    return total % DIGEST_MODULUS


def _sorted_by_text(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order in which equal hashes stand together, and where another one begins.

    The upper half tells nearly all texts apart, so that sorting by it alone is enough.
    """
    order = np.argsort(high)
    upper, lower = high[order], low[order]
    differs = upper[1:] != upper[:-1]
    if (~differs & (lower[1:] != lower[:-1])).any():
        order = np.lexsort((low, high))
        upper, lower = high[order], low[order]
        differs = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
    begins = np.concatenate([[True], differs]) if len(order) else np.empty(0, dtype=bool)
    return order, begins


def _last_of_each(rows: Columns, midnights: np.ndarray) -> np.ndarray:
    """The places of each subject's last event, by moment; raises `Crowded` where some has two."""
    if not len(rows["at"]):
        return np.empty(0, dtype=np.int64)
    in_time = np.lexsort((rows["position"], rows["at"]))
    rank = np.empty(len(in_time), dtype=np.int64)
    rank[in_time] = np.arange(len(in_time))
    order, begins = _sorted_by_text(rows["high"], rows["low"])
    subject = np.empty(len(order), dtype=np.int64)
    subject[order] = np.cumsum(begins) - 1
    _demand_alone(rows, subject, midnights)
    return in_time[np.maximum.reduceat(rank[order], np.flatnonzero(begins))]


def _demand_alone(rows: Columns, subject: np.ndarray, midnights: np.ndarray) -> None:
    """Raise where a subject's last instant, or its day of which some event knows no time, has more.

    An event at its midnight may be one that knows only its day.
    """
    last = np.full(int(subject.max()) + 1, np.iinfo(np.int64).min)
    np.maximum.at(last, subject, rows["at"])
    latest = rows["at"] == last[subject]
    day = np.full(len(last), -1, dtype=np.int64)
    np.maximum.at(day, subject[latest], rows["day"][latest].astype(np.int64))
    of_day = rows["day"] == day[subject]
    dated = np.zeros(len(last), dtype=bool)
    dated[subject[of_day & (rows["at"] == midnights)]] = True
    many = np.bincount(subject[latest], minlength=len(last)) > 1
    mixed = dated & (np.bincount(subject[of_day], minlength=len(last)) > 1)
    if (many | mixed).any():
        raise Crowded


def _distinct(high: np.ndarray, low: np.ndarray) -> int:
    """How many different hashes there are; by two halves of them where both tell the same."""
    counts = [_steps(np.sort(part)) for part in (high, high ^ (low * _ODD))]
    if counts[0] == counts[1]:
        return counts[0]
    return int(_sorted_by_text(high, low)[1].sum())


def _steps(ordered: np.ndarray) -> int:
    return int(len(ordered) > 0) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


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
