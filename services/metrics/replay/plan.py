"""From a question about a metric to its exact figures: which rows, folds, groups and rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from services.metrics.domain.definition import (
    Conversion,
    Duration,
    Leaf,
    Node,
    Simple,
    State,
    TimeInState,
    events_of,
    own_events,
    summands,
)
from services.metrics.domain.filters import Filter
from services.metrics.domain.units import MONEY_FIELDS, is_currency_unit, is_money, seconds_in
from services.metrics.replay.cells import Cells
from services.metrics.replay.fold import Folded, fold
from services.metrics.replay.frame import Figure, Figures, Frame, Group, Grouping, Row, grouping
from services.metrics.replay.lens import Lens
from services.metrics.replay.rates import Exchange
from services.metrics.replay.raw import Reading
from services.metrics.replay.reach import folds_the_past
from services.metrics.replay.related import Related
from services.metrics.replay.since import Since, data_since, history_since
from services.metrics.replay.standing import runs_along, state_figures
from services.metrics.replay.tree import References, Tree, leaves_of
from shared.errors import invalid
from shared.periods import Period, PeriodError

MAX_GROUPS = 1_000
# Under this name the groups beyond the limit are added up; no text that is sent is like it.
REST = "\x00other"


@dataclass(frozen=True)
class Question:
    """A metric's definition with the periods and groups asked for."""

    metric: str
    version: int
    unit: str
    definition: Node
    references: References
    periods: Sequence[Period]
    settles_after: int = 0
    cadence: str | None = None
    dimensions: Sequence[str] = ()
    group_by: Sequence[str] = ()
    where: Filter | None = None
    max_groups: int = MAX_GROUPS
    merged: bool = False

    def leaves(self) -> list[Leaf]:
        return leaves_of(self.definition, self.references)

    def names(self) -> set[str]:
        """The types of all events that it reads."""
        return {name for leaf in self.leaves() for name in events_of(leaf)}

    def adds_money(self) -> bool:
        """Whether exchange rates can change its figures."""
        return is_money(self.unit) or any(
            not MONEY_FIELDS.isdisjoint(summands(leaf.field))
            for leaf in self.leaves()
            if isinstance(leaf, Simple | State) and leaf.field
        )

    def own_names(self) -> set[str]:
        """The types of the events that its figures are made of."""
        return {name for leaf in self.leaves() for name in own_events(leaf)}


@dataclass
class Computed:
    """Exact figures of a question, and what is needed to word them."""

    question: Question
    reading: Reading
    frame: Frame
    groups: dict[Group, list[Figure]]
    cells: Cells | None

    @property
    def since(self) -> Since:
        """Since when there are data of the metric's types; read once."""
        return data_since(self.reading, self.question.names())

    @cached_property
    def history(self) -> date | None:
        """The day before which a source of the metric's types has no complete history."""
        return history_since(self.reading, self.question.names())

    def days(self) -> list[set[date]]:
        """The days of each period on which events of the metric's types occurred."""
        if self.frame.disjoint:
            return self._days_in(self.frame)
        every = [self._days_in(Frame([p], self.frame.calendar)) for p in self.frame.periods]
        return [days for (days,) in every]

    def _days_in(self, frame: Frame) -> list[set[date]]:
        names = self.question.own_names()
        found = self.cells.days(self.reading, names, frame) if self.cells else None
        if found is not None:
            return found
        found = [set() for _ in frame.periods]
        for row in self.reading.rows(names, frame, from_start=True, to_end=True):
            index = frame.index_of(row)
            if index is not None:
                found[index].add(frame.day_of(row))
        return found


def compute(reading: Reading, question: Question, cells: Cells | None = None) -> Computed:
    """The question's exact figures as known at the reading."""
    frame = Frame(list(question.periods), reading.calendar)
    evaluation = _Evaluation(reading, question, grouping(question.group_by), cells)
    try:
        found = evaluation.run()
    except PeriodError as error:
        raise invalid("query:period", str(error), "period") from error
    if question.group_by and len(found.groups) > question.max_groups:
        evaluation.group_of = _limited(found, evaluation.group_of, question)
        found = evaluation.run()
    if not question.group_by and () not in found.groups:
        found.groups[()] = found.empty
    return Computed(question, reading, frame, found.groups, cells)


@dataclass
class _Evaluation:
    """One evaluation of a question, with or without conversion into one currency."""

    reading: Reading
    question: Question
    group_of: Grouping
    cells: Cells | None
    exchange: Exchange | None = None

    def run(self) -> Figures:
        """The figures, those in other currencies converted by recorded rates."""
        plain = self._figures(None)
        target, reporting = self._target(), self.reading.calendar.currency
        held = {c for figures in plain.groups.values() for f in figures for c in f.currencies}
        alike = self.question.unit == "money" and "currency" not in self.question.group_by
        if alike and len(held) > 1:
            # Sums that stand side by side are of one currency, or nobody could compare them.
            target = reporting
        every = [*plain.groups.values(), plain.empty]
        if not any(_foreign(f, target) for figures in every for f in figures):
            return plain
        changed = self._figures(Exchange(self.reading.rates, target or reporting, reporting))
        for group, figures in plain.groups.items():
            for index, figure in enumerate(figures):
                if _foreign(figure, target):
                    figures[index] = _in_one_currency(
                        figure, changed.of(group)[index], target or reporting, self._target()
                    )
        return plain

    def _target(self) -> str | None:
        unit = self.question.unit
        return unit if is_currency_unit(unit) else None

    def _figures(self, exchange: Exchange | None) -> Figures:
        self.exchange = exchange
        question = self.question
        tree = Tree(
            question.references, self.reading.calendar, self.leaf_figures, self._unborn,
            self._running,
        )  # fmt: skip
        return tree.figures(question.definition, question.unit, question.periods)

    def _unborn(self, node: Node, period: Period) -> bool:
        names = {
            name for leaf in leaves_of(node, self.question.references) for name in events_of(leaf)
        }
        first = data_since(self.reading, names).first_day
        return first is None or period.end <= first

    def _running(self, period: Period) -> bool:
        return self.reading.view.known_at < self.reading.calendar.instant(period.end)

    def leaf_figures(
        self, leaf: Leaf, unit: str, periods: Sequence[Period], hull: Period | None = None
    ) -> Figures:
        """The figures of a leaf, from cells where there are such, else from the ledger.

        `hull` holds the periods of all questions that follow; its rows are read once for all.
        """
        if self.cells is not None and not self.question.merged:
            found = self.cells.figures(
                self.reading, leaf, self.question.dimensions, periods, self.question.group_by,
                self.group_of, self.question.where,
                self.exchange if self._adds_money(leaf, unit) else None,
                self.question.leaves(),
            )  # fmt: skip
            if found is not None:
                return self._without_money(found, leaf, unit)
        if hull is not None:
            self._rows(leaf, unit, [hull])
        rows, lens = self._rows(leaf, unit, periods)
        if isinstance(leaf, State) and runs_along(leaf, lens):
            return self._without_money(state_figures(leaf, rows, lens), leaf, unit)
        folded = fold(leaf, rows, lens)
        return self._without_money(folded.buckets.figures(folded.make), leaf, unit)

    def folded(self, leaf: Leaf, unit: str, periods: Sequence[Period]) -> Folded:
        """A leaf folded from the ledger."""
        return fold(leaf, *self._rows(leaf, unit, periods))

    def _rows(self, leaf: Leaf, unit: str, periods: Sequence[Period]) -> tuple[Sequence[Row], Lens]:
        reading = self.reading
        frame = Frame(list(periods), reading.calendar, self.question.merged)
        rows = reading.rows(
            own_events(leaf), frame, from_start=not folds_the_past(leaf),
            to_end=not isinstance(leaf, Conversion),
        )  # fmt: skip
        known_at = reading.view.known_at
        lens = Lens(
            frame, self.group_of, self.question.where,
            Related(
                reading.history, frame, known_at, sorted(own_events(leaf)), reading.first_versions,
            ), known_at,
            reading.business,
            self.exchange if self._adds_money(leaf, unit) else None,
            _unit_seconds(leaf, unit, reading),
        )  # fmt: skip
        return rows, lens

    def _adds_money(self, leaf: Leaf, unit: str) -> bool:
        if not isinstance(leaf, Simple | State) or leaf.field is None:
            return False
        if isinstance(leaf, Simple) and leaf.kind == "distinct":
            return False
        return is_money(unit) or not MONEY_FIELDS.isdisjoint(summands(leaf.field))

    def _without_money(self, found: Figures, leaf: Leaf, unit: str) -> Figures:
        """Currencies matter only where amounts are looked at."""
        if not self._adds_money(leaf, unit):
            for figures in (*found.groups.values(), found.empty):
                for figure in figures:
                    figure.currencies = frozenset()
        return found


def rows_behind(reading: Reading, question: Question) -> list[Any]:
    """The very events that a question's figures are made of, in order of occurrence."""
    evaluation = _Evaluation(reading, question, grouping(()), None)
    found: dict[int, Any] = {}

    def collect(
        leaf: Leaf, unit: str, periods: Sequence[Period], hull: Period | None = None
    ) -> Figures:
        folded = evaluation.folded(leaf, unit, periods)
        found.update({row.position: row for row in folded.buckets.rows()})
        return folded.buckets.figures(folded.make)

    def never(*_: object) -> bool:
        return False

    tree = Tree(question.references, reading.calendar, collect, never, never)
    tree.figures(question.definition, question.unit, question.periods)
    return sorted(found.values(), key=lambda row: (row.occurred_at, row.position))


def _unit_seconds(leaf: Leaf, unit: str, reading: Reading) -> int:
    """How many seconds one unit of a time has: the metric's, else days for counted days."""
    if not isinstance(leaf, Duration | TimeInState):
        return 1
    clock = leaf.clock if isinstance(leaf, Duration) else "elapsed"
    if clock == "business" and unit in ("d", "day", "days"):
        return reading.business.day_seconds
    return seconds_in(unit) or (86_400 if clock == "calendar_days" else 1)


def _foreign(figure: Figure, target: str | None) -> bool:
    """Whether a figure is not in the one currency that it should be in."""
    if target is None:
        return len(figure.currencies) > 1
    return bool(figure.currencies - {target})


def _in_one_currency(plain: Figure, changed: Figure, target: str, stated: str | None) -> Figure:
    if changed.reason == "missing_rate":
        if stated is None and len(plain.currencies) == 1:
            return plain  # It says its currency, and nobody asked for another one.
        plain.value = plain.numerator = plain.denominator = None
        plain.reason = "mixed_currencies" if len(plain.currencies) > 1 else "missing_rate"
        return plain
    changed.currencies = frozenset({target})
    return changed


def _limited(found: Figures, group_of: Grouping, question: Question) -> Grouping:
    """The groups with most events keep their names; the rest become one."""
    sizes = {group: sum(f.n for f in figures) for group, figures in found.groups.items()}
    ranked = sorted(sizes, key=lambda g: (-sizes[g], g))
    kept = set(ranked[: question.max_groups])
    rest = tuple(REST for _ in question.group_by)

    def limited(fields: Mapping[str, Any]) -> Group:
        group = group_of(fields)
        return group if group in kept else rest

    return limited
