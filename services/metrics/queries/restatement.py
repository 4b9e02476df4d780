"""Why a figure is another by now: its change between two bases by cause, and its whole timeline."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field
from sqlalchemy import ColumnElement, Select, and_, exists, select

from services.metrics.queries.bases import named_basis
from services.metrics.queries.definitions import calendar, metric, versions
from services.metrics.queries.figures import Asked, Span, periods_of, question, reading, replay
from services.metrics.replay.answer import Value
from services.metrics.replay.cells import Cells
from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import CAUSES, Knowledge, within
from services.metrics.replay.plan import compute
from services.metrics.replay.rates import RATE_EVENT
from services.metrics.replay.reach import looks_ahead, looks_back
from services.metrics.replay.wording import word
from services.metrics.tables import (
    backfills,
    calendars,
    cut_overs,
    excluded,
    metric_versions,
    retractions,
    spans,
)
from shared.errors import invalid
from shared.ledger import View
from shared.ledger.basis import basis_at_position, find_basis
from shared.ledger.tables import batches, events
from shared.money import plain
from shared.web.wire import BasisToken, InstantField, PeriodName, Wire

Cause = Literal[
    "late", "backfills", "retractions", "restatements", "cut_over", "exchange_rates", "calendar",
    "definition",
]  # fmt: skip
# Each page of a timeline replays the figure at most this often.
MAX_REPLAYS = 300


class Standing(Wire):
    """A figure as known at a basis."""

    basis: BasisToken
    value: float | None = Field(description="15 significant digits; null with a reason")
    reason: str | None = Field(description="Why there is none")


class Part(Wire):
    """What one cause did to a figure."""

    cause: Cause = Field(description="Why it changed; causes are taken in in this fixed order")
    before: float | None = Field(description="The figure before this cause is taken in")
    after: float | None = Field(description="... and after")
    change: str | None = Field(
        description="Exact decimal, from the last figure before to the one after; null without "
        "one after"
    )


class Restatement(Wire):
    """The difference of a figure between two bases, split by cause; the parts add up exactly."""

    metric: str = Field(description="Key of the metric")
    period: PeriodName
    unit: str = Field(description="Unit of the figures")
    from_: Standing = Field(alias="from", description="As known at the first basis")
    to: Standing = Field(description="As known at the second basis")
    change: str | None = Field(description="Exact decimal, to - from; null where one of them is")
    parts: list[Part] = Field(description="One part per cause, in the order in which they act")
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Change(Wire):
    """One change of a figure as knowledge came in."""

    known_at: InstantField = Field(description="From when on it was known so")
    basis: BasisToken
    value: float | None = Field(description="The figure from here on")
    reason: str | None = Field(description="Why there is none")
    numerator: str | None = Field(description="Exact decimal above the line")
    denominator: str | None = Field(description="Exact decimal below the line")
    n: int = Field(ge=0, description="Number of events")


def view_at(view: View, name: str, pointer: str) -> View:
    """The view at a basis token or at a named basis."""
    named = named_basis(view, name)
    token = named.basis if named else name
    found = find_basis(view.connection, view.tenant_id, token)
    if found.position > view.position:
        raise invalid(pointer, f"{name!r} lies after what this answer knows.", "later")
    moment = named.known_at if named else found.recorded_at or view.known_at
    return View(view.connection, view.tenant_id, found, moment, False)


def restatement(view: View, key: str, period: str, first: View, last: View) -> Restatement:
    """Split a figure's change between two bases by cause."""
    steps = [Knowledge.at(first.position)]
    for cause in CAUSES:
        steps.append(steps[-1].until(cause, last.position))
    views = {first.position: first, last.position: last}
    found = [_value(views, step, key, period) for step in steps]
    if len({value.currency for value in found} - {None}) > 1:
        reporting = calendar(last).currency
        found = [_value(views, step, key, period, reporting) for step in steps]
    parts = [
        Part(cause=cause, before=a.value, after=b.value, change=_change(_last_told(found, n), b))
        for n, (cause, a, b) in enumerate(zip(CAUSES, found, found[1:], strict=False))
    ]
    return Restatement(
        metric=key,
        period=period,
        unit=metric(last, key).body.unit,
        from_=_standing(first, found[0]),
        to=_standing(last, found[-1]),
        change=_change(found[0], found[-1]),
        parts=parts,
    )


def _standing(view: View, value: Value) -> Standing:
    return Standing(basis=view.basis.token, value=value.value, reason=value.reason)


def _last_told(found: Sequence[Value], step: int) -> Value:
    """The last figure up to a step; what passes through nothing is booked where it comes back."""
    return next((v for v in reversed(found[: step + 1]) if v.value is not None), found[step])


def _change(before: Value, after: Value) -> str | None:
    if before.value is None or after.value is None:
        return None
    return plain(Decimal(str(after.value)) - Decimal(str(before.value)))


def _value(
    views: dict[int, View], knowledge: Knowledge, key: str, period: str,
    currency: str | None = None,
) -> Value:  # fmt: skip
    days, defined = views[knowledge.calendar], views[knowledge.definition]
    known = reading(views[knowledge.late], knowledge=knowledge, days=days)
    periods = periods_of(Span([period]), known.calendar)
    asked = question(defined, metric(defined, key), periods)
    if currency is not None:
        asked = replace(asked, unit=currency)
    return word(compute(known, asked))[0]


def timeline(
    view: View, key: str, asked: Asked, after: int, limit: int
) -> tuple[list[Change], int | None]:
    """How a figure changed after a position, and where to go on (None at the end)."""
    standing = _figure_at(view, key, asked, after) if after else None
    changes: list[Change] = []
    for count, position in enumerate(_moments(view, key, asked, after), 1):
        now = _figure_at(view, key, asked, position)
        if standing is None or _told(now) != _told(standing):
            changes.append(now)
            standing = now
        if len(changes) == limit or count == MAX_REPLAYS:
            return changes, position
    return changes, None


def _told(change: Change) -> tuple[object, ...]:
    return (change.value, change.reason, change.numerator, change.denominator, change.n)


def _figure_at(view: View, key: str, asked: Asked, position: int) -> Change:
    basis = basis_at_position(view.connection, view.tenant_id, position)
    past = View(view.connection, view.tenant_id, basis, basis.recorded_at or view.known_at, False)
    value = replay(reading(past), key, asked, Cells()).values[0]
    return Change(
        known_at=past.known_at,
        basis=basis.token,
        value=value.value,
        reason=value.reason,
        numerator=value.numerator,
        denominator=value.denominator,
        n=value.n,
    )


def _moments(view: View, key: str, asked: Asked, after: int) -> Iterator[int]:
    """The last positions of the batches that may have changed the figure, in order."""
    positions = _touching(view, key, asked, after)
    place = 0
    while place < len(positions):
        last: int = view.connection.execute(
            select(batches.c.last_position)
            .where(
                batches.c.tenant_id == view.tenant_id,
                batches.c.last_position >= positions[place],
            )
            .order_by(batches.c.last_position)
            .limit(1)
        ).scalar_one()
        yield last
        place = bisect_right(positions, last)


def _touching(view: View, key: str, asked: Asked, after: int) -> list[int]:
    """The positions after one at which something entered that the figure may rest on.

    Any version of the definition may be in force somewhere on the way.
    """
    periods = periods_of(asked.span, calendar(view))
    defined = [metric(view, key, asked.version), *versions(view, key)]
    every = [question(view, found, periods, where=asked.where) for found in defined]
    names = sorted({name for one in every for name in one.names()})
    frame = Frame(periods, calendar(view))
    span = within(
        frame,
        from_start=not any(looks_back(one.definition, one.references) for one in every),
        to_end=not any(looks_ahead(one.definition, one.references) for one in every),
    )
    told = and_(events.c.name.in_(names), *span)
    queries = [_positions(view, events.c.position, after, told)]
    if any(one.adds_money() for one in every):
        queries.append(_positions(view, events.c.position, after, events.c.name == RATE_EVENT))
    for table in (backfills, calendars, cut_overs, metric_versions, retractions):
        queries.append(_positions(view, table.c.from_position, after))
    fed = spans.c.name.in_(names)
    queries.append(_positions(view, spans.c.from_position, after, fed))
    moved = exists().where(
        events.c.tenant_id == view.tenant_id, events.c.position == excluded.c.position, told
    )
    for column in (excluded.c.from_position, excluded.c.to_position):
        queries.append(_positions(view, column, after, moved))
    found: set[int] = set()
    for query in queries:
        found.update(view.connection.execute(query).scalars())
    return sorted(found)


def _positions(
    view: View, column: ColumnElement[int], after: int, *which: ColumnElement[bool]
) -> Select[Any]:
    return select(column).where(
        column.table.c.tenant_id == view.tenant_id, column > after, column <= view.position, *which
    )
