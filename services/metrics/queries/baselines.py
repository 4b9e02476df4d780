"""Baselines: a metric's figure over past periods, its spread, and why there is none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import select

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
    State,
    TimeInState,
)
from services.metrics.domain.facts import BaselineFrozen
from services.metrics.domain.filters import Filter
from services.metrics.domain.units import PLAIN, parse_unit
from services.metrics.queries.definitions import calendar, metric
from services.metrics.queries.figures import (
    Span,
    no_such_period,
    periods_of,
    question,
    reading,
)
from services.metrics.replay.answer import Value
from services.metrics.replay.cells import Cells
from services.metrics.replay.frame import Figure
from services.metrics.replay.lens import quantile
from services.metrics.replay.plan import Computed, Question, compute
from services.metrics.replay.raw import Reading
from services.metrics.replay.tree import References, adds_up, divides, resolved
from services.metrics.replay.wording import word
from services.metrics.tables import baselines
from shared.errors import NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known
from shared.money import exact, figure
from shared.periods import Period, PeriodError, parse_period, trailing
from shared.web.wire import Known, PeriodName, Wire

# 3 / d2 for moving ranges of two (d2 = 2 / sqrt(pi)), to 8 digits: the limits of an XmR chart.
LIMIT_FACTOR = Fraction(26586808, 10_000_000)
MIN_LIMIT_PERIODS = 4
Method = Literal["pooled", "mean_of_periods", "median_of_periods"]
BaselineState = Literal["established", "insufficient", "unmeasurable"]
Cause = Literal["not_thought_of", "no_instrument", "source_silent", "no_history"]
_MENDS = {
    "no_instrument": "No source has ever sent events of the metric's types. Connect one, or upload "
    "the history as a file.",
    "source_silent": "The sources exist, but sent nothing for these periods. Find out whether they "
    "were switched off, and upload what is missing.",
    "no_history": "The sources' data begin after these periods. Load older history, or take later "
    "periods as the baseline.",
    "not_thought_of": "Nobody recorded this at the time. Begin to measure now.",
}


class Limits(Wire):
    """Natural limits of an XmR chart over the baseline's periods."""

    center: float = Field(description="Mean of the periods")
    lower: float = Field(description="Lower natural limit")
    upper: float = Field(description="Upper natural limit")
    periods: int = Field(ge=MIN_LIMIT_PERIODS, description="Periods that the limits rest on")


class BaselineFigure(Known):
    """A metric's figure over past periods, frozen or for a look."""

    id: str | None = Field(description="Id of the frozen baseline; null for a look")
    metric: str = Field(description="Key of the metric")
    version: int = Field(ge=1, description="Version of its definition")
    unit: str = Field(description="Unit of the value")
    periods: list[PeriodName] = Field(description="The periods, oldest first", min_length=1)
    method: Method = Field(
        description="`pooled`: all events of the periods together; counts, sums and levels, which "
        "are figures of a period, take the mean of the periods. Or the mean or median of the "
        "periods' own values"
    )
    where: dict[str, Any] | None = Field(description="Filter, besides the metric's own")
    value: float | None = Field(description="15 significant digits; null with a cause")
    numerator: str | None = Field(description="Exact decimal above the line")
    denominator: str | None = Field(description="Exact decimal below the line")
    n: int = Field(ge=0, description="Events (of the denominator, for a ratio)")
    spread: float | None = Field(
        description="Mean moving range between periods that follow one another"
    )
    limits: Limits | None = Field(description="Natural limits; null below 4 periods with values")
    state: BaselineState = Field(description="Whether it can be built on")
    cause: Cause | None = Field(description="Why it can't be measured")
    mend: str | None = Field(description="What would make it measurable")
    values: list[Value] = Field(description="Each period's own value with its proof")
    reason: str = Field(description="Why it was frozen")


def baseline_periods(
    view: View, names: Sequence[str], count: int | None, last: str | None
) -> list[Period]:
    """The periods named, or `count` periods of which `last` is the last."""
    days = calendar(view)
    if names:
        return periods_of(Span(list(names)), days)
    assert count is not None, "the API demands one of the two forms"
    assert last is not None, "the API demands one of the two forms"
    try:
        return trailing(parse_period(last, days), count, days)
    except PeriodError as error:
        raise no_such_period("/trailing/last", error) from error


def baseline(
    view: View,
    key: str,
    periods: Sequence[Period],
    method: Method,
    *,
    where: Filter | None = None,
    where_json: dict[str, Any] | None = None,
    version: int | None = None,
) -> BaselineFigure:
    """A metric's figure over periods as known at the view."""
    found, known_now = metric(view, key, version), reading(view)
    asked = question(view, found, list(periods), where=where)
    computed = _in_one_currency(known_now, asked)
    figures = computed.groups[()]
    values = word(computed)
    # What the answer itself calls null enters nothing.
    told = [n for n, value in enumerate(values) if value.value is not None]
    whole = _whole(computed, [figures[n] for n in told], [periods[n] for n in told], method)
    present = [figure_ for n in told if (figure_ := figures[n].value) is not None]
    ranges = _ranges(values, figures)
    cause = _cause(computed, values) if whole.value is None or not present else None
    known_value = None if cause else whole.value
    return BaselineFigure(
        known_at=view.known_at,
        basis=view.basis.token,
        open=view.open,
        id=None,
        metric=key,
        version=found.body.version,
        unit=found.body.unit,
        periods=[p.name for p in periods],
        method=method,
        where=where_json,
        value=None if known_value is None else figure(known_value),
        numerator=None if whole.numerator is None else exact(whole.numerator),
        denominator=None if whole.denominator is None else exact(whole.denominator),
        n=whole.n,
        spread=figure(_mean(ranges)) if ranges else None,
        limits=_limits(present, ranges),
        state="unmeasurable"
        if cause
        else "established"
        if len(present) == len(values) and _over(known_now, periods)
        else "insufficient",
        cause=cause,
        mend=_MENDS[cause] if cause else None,
        values=values,
        reason="",
    )


def _over(known_now: Reading, periods: Sequence[Period]) -> bool:
    last = max(period.end for period in periods)
    return known_now.calendar.instant(last) <= known_now.view.known_at


def _in_one_currency(known_now: Reading, asked: Question) -> Computed:
    """The periods' figures; money of different currencies in the reporting currency."""
    computed = compute(known_now, asked, Cells())
    currencies = {c for figure in computed.groups[()] for c in figure.currencies}
    if len(currencies) > 1 and asked.unit == "money":
        return compute(known_now, replace(asked, unit=known_now.calendar.currency), Cells())
    return computed


def _whole(
    computed: Computed, figures: Sequence[Figure], periods: Sequence[Period], method: Method
) -> Figure:
    """The figure of all periods that have one together."""
    present = [f.value for f in figures if f.value is not None]
    total = Figure(n=sum(f.n for f in figures))
    question = computed.question
    node = resolved(question.definition, question.references)
    if method == "pooled" and periods and _is_one_sample(node, question):
        together = replace(question, merged=True, periods=periods)
        merged = compute(computed.reading, together).groups[()][0]
        total.value, total.numerator, total.denominator = (
            merged.value, merged.numerator, merged.denominator,
        )  # fmt: skip
    elif method == "pooled" and _is_quotient(node):
        total.numerator = sum((f.numerator or Fraction(0) for f in figures), Fraction(0))
        total.denominator = sum((f.denominator or Fraction(0) for f in figures), Fraction(0))
        if total.denominator:
            total.value = total.numerator / total.denominator
    elif present:
        total.value = (
            quantile(present, Fraction(1, 2)) if method == "median_of_periods" else _mean(present)
        )
    return total


def _is_quotient(node: Node) -> bool:
    """Whether the parts of the periods add up to the parts of all of them together."""
    match node:
        case Ratio() | Simple(kind="average") | State(statistic="average"):
            return True
        case TimeInState(statistic=statistic):
            return statistic == "share_of_total"
        case Conversion(as_=shape):
            return shape == "rate"
        case _:
            return divides(node)


def _is_one_sample(node: Node, question: Question) -> bool:
    """Whether a figure of all periods is one of all their events: order statistics, mean times."""
    match node:
        case Duration() | Simple(kind="percentile" | "min" | "max"):
            return True
        case TimeInState(statistic=statistic):
            return statistic in ("average", "median")
        case Derived():
            elsewhere = _looks_elsewhere(node, question.references)
            if elsewhere or not all(_is_sample(leaf) for leaf in question.leaves()):
                return False
            whole = all(adds_up(leaf, question.references) for leaf in question.leaves())
            pure = parse_unit(question.unit) == PLAIN and question.unit != "count"
            return pure and not (whole and divides(node))
        case _:
            return False


def _is_sample(leaf: Leaf) -> bool:
    """Whether a leaf looks at the events of the periods only, and not at what stands at an end."""
    return not isinstance(leaf, State) and not (isinstance(leaf, Simple) and leaf.kind == "latest")


def _looks_elsewhere(node: Node, references: References) -> bool:
    """Whether a figure rests on another period or a longer window than is asked for."""
    match resolved(node, references):
        case Cumulative():
            return True
        case Ratio(numerator=above, denominator=below):
            return any(_looks_elsewhere(part, references) for part in (above, below))
        case Derived(inputs=inputs):
            return any(
                bool(given.offset)
                or _looks_elsewhere(
                    given.definition
                    if isinstance(given, InlineInput)
                    else MetricRef(metric=given.metric),
                    references,
                )
                for given in inputs.values()
            )
        case _:
            return False


def _cause(computed: Computed, values: Sequence[Value]) -> Cause:
    since = computed.since
    if since.first_day is None:
        return "no_instrument"
    told = {value.reason for value in values}
    if values[-1].end <= since.first_day or "before_source_history" in told:
        return "no_history"
    return "source_silent"


def _ranges(values: Sequence[Value], figures: Sequence[Figure]) -> list[Fraction]:
    """The moving ranges: from each period to the one that follows at once, where both have one."""
    known = [None if v.value is None else f.value for v, f in zip(values, figures, strict=True)]
    pairs = zip(itertools.pairwise(values), itertools.pairwise(known), strict=True)
    return [
        abs(after - before)
        for (first, second), (before, after) in pairs
        if first.end == second.start and before is not None and after is not None
    ]


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _limits(values: Sequence[Fraction], ranges: Sequence[Fraction]) -> Limits | None:
    if len(values) < MIN_LIMIT_PERIODS or not ranges:
        return None
    center = _mean(values)
    reach = LIMIT_FACTOR * _mean(ranges)
    return Limits(
        center=figure(center),
        lower=figure(center - reach),
        upper=figure(center + reach),
        periods=len(values),
    )


def frozen(view: View, baseline_id: str) -> tuple[BaselineFrozen, BaselineFigure]:
    """A frozen baseline: the event and the answer that it holds."""
    body = view.connection.execute(
        select(baselines.c.body).where(
            baselines.c.tenant_id == view.tenant_id,
            baselines.c.baseline_id == baseline_id,
            known(baselines, view.position),
        )
    ).scalar()
    if body is None:
        raise NOT_FOUND.refusal(f"There is no baseline {baseline_id!r}.")
    event = BaselineFrozen.model_validate_json(body)
    return event, BaselineFigure.model_validate(event.answer)


def frozen_list(view: View, metric_key: str | None, after: str, limit: int) -> list[BaselineFigure]:
    query = select(baselines.c.body).where(
        baselines.c.tenant_id == view.tenant_id,
        baselines.c.baseline_id > after,
        known(baselines, view.position),
    )
    if metric_key is not None:
        query = query.where(baselines.c.metric == metric_key)
    rows = view.connection.execute(query.order_by(baselines.c.baseline_id).limit(limit))
    return [
        BaselineFigure.model_validate(BaselineFrozen.model_validate_json(body).answer)
        for body in rows.scalars()
    ]
