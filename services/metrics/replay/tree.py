"""Definitions made of others: ratios, cumulatives and expressions over exact figures."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Protocol

from services.metrics.domain.definition import (
    Conversion,
    Cumulative,
    Derived,
    Duration,
    InlineInput,
    Leaf,
    MetricRef,
    Node,
    Ratio,
    Simple,
    SinceWindow,
    State,
    TimeInState,
    ToDateWindow,
    TrailingWindow,
    walk,
)
from services.metrics.domain.filters import related_in
from services.metrics.domain.units import is_money
from services.metrics.domain.windows import parse_window, shifted
from services.metrics.replay.frame import DIGEST_MODULUS, Figure, Figures, Frame
from shared.expression import (
    FormulaError,
    Name,
    Number,
    Operation,
    Term,
    evaluate,
    names_in,
    parse,
)
from shared.periods import ONE_DAY, Calendar, Grain, Period, period_holding
from shared.zones import FIRST_YEAR

BEGINNING = date(FIRST_YEAR, 1, 1)
# An expression of expressions can grow beyond all that a figure is for.
MAX_BITS = 900
# Many inverse rates of exchange make long parts of a small figure; powers make longer ones.
MAX_PART_BITS = 100_000


@dataclass(frozen=True, slots=True)
class Named:
    """A metric as another one refers to it."""

    key: str
    version: int
    unit: str
    node: Node
    settles_after: int = 0


References = Mapping[str, Named]


class LeafFigures(Protocol):
    """The figures of a leaf over periods; `hull` holds all periods that are asked one by one."""

    def __call__(
        self, leaf: Leaf, unit: str, periods: Sequence[Period], hull: Period | None = None
    ) -> Figures: ...


# Whether nothing can be said of a node yet at the end of a period.
Unborn = Callable[[Node, Period], bool]


@dataclass(frozen=True)
class Tree:
    """Evaluates definitions by evaluating what they are made of."""

    references: References
    calendar: Calendar
    leaf_figures: LeafFigures
    unborn: Unborn
    running: Callable[[Period], bool]
    known: dict[tuple[str, tuple[Period, ...]], Figures] = field(default_factory=dict)

    def figures(self, node: Node, unit: str, periods: Sequence[Period]) -> Figures:
        """The figures of a node, one for each period and group; `unit` is its metric's."""
        match node:
            case Simple() | State() | Duration() | TimeInState() | Conversion():
                return self._leaf(node, unit, periods)
            case MetricRef():
                # A metric that several others are made of is evaluated once.
                place = (node.metric, tuple(periods))
                if place not in self.known:
                    named = self.references[node.metric]
                    self.known[place] = self.figures(named.node, named.unit, periods)
                return self.known[place]
            case Ratio():
                # Money over a number is money: then it is the numerator that holds it.
                above = unit if is_money(unit) else ""
                parts = [
                    self.figures(node.numerator, above, periods),
                    self.figures(node.denominator, "", periods),
                ]
                return joined(parts, lambda pair: _ratio(pair[0], pair[1]))
            case Cumulative():
                windows = [_window(node.window, period, self.calendar) for period in periods]
                if sums_up(node.of, self.references):
                    return self._summed(node.of, unit, windows)
                return self.figures(node.of, unit, windows)
            case Derived():
                return self._derived(node, periods)

    def _leaf(self, leaf: Leaf, unit: str, periods: Sequence[Period]) -> Figures:
        if Frame(periods, self.calendar).disjoint:
            return self.leaf_figures(leaf, unit, periods)
        hull = _hull(periods)
        return in_turn([self.leaf_figures(leaf, unit, [period], hull) for period in periods])

    def _summed(self, node: Node, unit: str, windows: Sequence[Period]) -> Figures:
        """Figures of windows that lie over one another, each from the pieces between all bounds."""
        bounds = sorted({day for window in windows for day in (window.start, window.end)})
        pieces = [Period(f"{a}..{b}", a, b) for a, b in itertools.pairwise(bounds)]
        found = self.figures(node, unit, pieces)
        spans = [(bounds.index(window.start), bounds.index(window.end)) for window in windows]
        return Figures(
            {group: _sums(figures, spans) for group, figures in found.groups.items()},
            _sums(found.empty, spans),
        )

    def _derived(self, node: Derived, periods: Sequence[Period]) -> Figures:
        term = parse(node.expression)
        names = sorted(names_in(term))
        parts = [self._input(node, name, periods) for name in names]

        def make(figures: Sequence[Figure]) -> Figure:
            found = _combined(figures)
            missing = [figure.reason or "no_events" for figure in figures if figure.value is None]
            if missing:
                found.reason = missing[0]
                return found
            known = {n: f.value or Fraction(0) for n, f in zip(names, figures, strict=True)}
            try:
                if isinstance(term, Operation) and term.operator == "/":
                    # Such a figure has parts, as a ratio has.
                    found.numerator = evaluate(term.left, known, Fraction)
                    found.denominator = evaluate(term.right, known, Fraction)
                found.value = evaluate(term, known, Fraction)
            except FormulaError:
                found.reason = "zero_denominator"
                return found
            above, below = found.value.numerator.bit_length(), found.value.denominator.bit_length()
            if above - below > MAX_BITS or max(above, below) > MAX_PART_BITS:
                found.value = found.numerator = found.denominator = None
                found.reason = "out_of_range"
            return found

        return joined(parts, make)

    def _input(self, node: Derived, name: str, periods: Sequence[Period]) -> Figures:
        given = node.inputs[name]
        running: list[int] = []
        if given.offset:
            periods = [shifted(period, given.offset, self.calendar) for period in periods]
            running = [n for n, period in enumerate(periods) if self.running(period)]
        if isinstance(given, InlineInput):
            child: Node = given.definition
        else:
            child = MetricRef(metric=given.metric)
        found = _copied(self.figures(child, "", periods))
        for figures in (*found.groups.values(), found.empty):
            for index in running:
                figures[index].pending = True
        if zero_when_empty(child, self.references):
            for index, period in enumerate(periods):
                nothing = not any(figures[index].n for figures in found.groups.values())
                if nothing and self.unborn(node, period):
                    for figures in (*found.groups.values(), found.empty):
                        figures[index].value = None
                        figures[index].reason = "before_first_event"
        return found


def _copied(found: Figures) -> Figures:
    groups = {group: [replace(f) for f in figures] for group, figures in found.groups.items()}
    return Figures(groups, [replace(figure) for figure in found.empty])


def resolved(node: Node, references: References) -> Node:
    """What a reference stands for; other nodes stand for themselves."""
    while isinstance(node, MetricRef):
        node = references[node.metric].node
    return node


def leaves_of(node: Node, references: References) -> list[Leaf]:
    """All leaves that a node is made of in the end; those of each reference once."""
    found: list[Leaf] = []
    waiting, seen = [node], set[str]()
    while waiting:
        for _, part in walk(waiting.pop()):
            if not isinstance(part, MetricRef):
                found.append(part)
            elif part.metric not in seen:
                seen.add(part.metric)
                waiting.append(references[part.metric].node)
    return found


def zero_when_empty(node: Node, references: References) -> bool:
    """Whether nothing counts as 0 once the sources have begun to send."""
    match resolved(node, references):
        case Simple(kind=kind):
            return kind in ("count", "sum", "distinct")
        case State(statistic=statistic):
            return statistic != "average"
        case TimeInState(statistic=statistic):
            return statistic == "sum"
        case Conversion(as_=shape):
            return shape == "count"
        case Cumulative(of=part):
            return zero_when_empty(part, references)
        case _:
            return False


def adds_up(node: Node, references: References) -> bool:
    """Whether the figures of neighbouring periods add up to the figure of both."""
    match resolved(node, references):
        case Simple(kind=kind, per_subject=subjects, where=where):
            return kind in ("count", "sum") and subjects == "all" and not related_in(where)
        case TimeInState(statistic=statistic):
            return statistic == "sum"
        case _:
            return False


def divides(node: Node) -> bool:
    """Whether a derived figure is one sum of inputs over another: such parts add up."""
    if not isinstance(node, Derived):
        return False
    term = parse(node.expression)
    if not isinstance(term, Operation) or term.operator != "/":
        return False
    return _is_sum(term.left) and _is_sum(term.right)


def _is_sum(term: Term) -> bool:
    match term:
        case Name():
            return True
        case Operation(operator="+" | "-", left=left, right=right):
            return _is_sum(left) and _is_sum(right)
        case Operation(operator="*", left=left, right=right):
            one, other = isinstance(left, Number), isinstance(right, Number)
            return (one and _is_sum(right)) or (other and _is_sum(left))
        case _:
            return False


def sums_up(node: Node, references: References) -> bool:
    """Whether a figure is nothing but the sum of those of its pieces."""
    found = resolved(node, references)
    return isinstance(found, Simple) and adds_up(found, references)


def joined(parts: Sequence[Figures], make: Callable[[Sequence[Figure]], Figure]) -> Figures:
    """Figures made of several others, period by period and group by group."""

    def made(rows: Sequence[Sequence[Figure]]) -> list[Figure]:
        return [make(figures) for figures in zip(*rows, strict=True)]

    groups = {group: None for part in parts for group in part.groups}
    return Figures(
        {group: made([part.of(group) for part in parts]) for group in groups},
        made([part.empty for part in parts]),
    )


def in_turn(parts: Sequence[Figures]) -> Figures:
    """Figures of single periods, one after the other."""
    groups = {group: None for part in parts for group in part.groups}
    return Figures(
        {group: [part.of(group)[0] for part in parts] for group in groups},
        [part.empty[0] for part in parts],
    )


def _hull(periods: Sequence[Period]) -> Period:
    start, end = min(p.start for p in periods), max(p.end for p in periods)
    return Period(f"{start}..{end}", start, end)


def _sums(pieces: Sequence[Figure], spans: Sequence[tuple[int, int]]) -> list[Figure]:
    """Sums of runs of pieces, from running totals."""
    values = [Fraction(0), *itertools.accumulate(p.value or Fraction(0) for p in pieces)]
    counts = [0, *itertools.accumulate(p.n for p in pieces)]
    digests = [0, *itertools.accumulate(p.digest for p in pieces)]
    found = []
    for first, last in spans:
        run = pieces[first:last]
        missing = next((p.reason for p in run if p.value is None), None)
        total = None if missing else values[last] - values[first]
        found.append(
            Figure(
                value=total, numerator=total, reason=missing, n=counts[last] - counts[first],
                digest=(digests[last] - digests[first]) % DIGEST_MODULUS,
                currencies=frozenset[str]().union(*(p.currencies for p in run)),
                pending=any(p.pending for p in run),
            )
        )  # fmt: skip
    return found


def _combined(figures: Sequence[Figure]) -> Figure:
    """A figure without value that rests on others."""
    hashed = hashlib.sha256()
    for figure in figures:
        hashed.update(figure.digest.to_bytes(32, "big"))
    return Figure(
        n=sum(figure.n for figure in figures),
        digest=int.from_bytes(hashed.digest(), "big"),
        currencies=frozenset[str]().union(*(figure.currencies for figure in figures)),
        pending=any(figure.pending for figure in figures),
    )


def _ratio(above: Figure, below: Figure) -> Figure:
    ratio = _combined([above, below])
    ratio.numerator, ratio.denominator, ratio.n = above.value, below.value, below.n
    if above.value is None or below.value is None:
        ratio.reason = below.reason or above.reason
    elif below.value == 0:
        ratio.reason = "zero_denominator"
    else:
        ratio.value = above.value / below.value
    return ratio


def _window(
    window: TrailingWindow | ToDateWindow | SinceWindow, period: Period, calendar: Calendar
) -> Period:
    match window:
        case TrailingWindow(trailing=text):
            start = parse_window(text).day_before(period.end)
        case ToDateWindow(to_date=grain):
            begun: Grain = grain
            start = period_holding(period.end - ONE_DAY, begun, calendar).start
        case SinceWindow():
            start = BEGINNING
    return Period(period.name, min(start, period.end - ONE_DAY), period.end)
