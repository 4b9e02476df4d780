"""Why a figure is another by now: its change between two bases by cause, and its whole timeline."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import ConfigDict, Field
from sqlalchemy import ColumnElement, Exists, exists, or_, select

from services.metrics.queries.bases import named_basis
from services.metrics.queries.definitions import calendar, metric
from services.metrics.queries.figures import Asked, Span, periods_of, question, reading
from services.metrics.replay.answer import Value
from services.metrics.replay.knowledge import CAUSES, Knowledge
from services.metrics.replay.plan import Question, compute
from services.metrics.replay.rates import RATE_EVENT
from services.metrics.replay.wording import word
from services.metrics.tables import (
    backfills,
    calendars,
    cut_overs,
    excluded,
    metric_versions,
    retractions,
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
        description="Exact decimal, after - before; null where one of them is"
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
    views = {first.position: first, last.position: last}
    knowledge = Knowledge.at(first.position)
    found = [_value(views, knowledge, key, period)]
    for cause in CAUSES:
        knowledge = knowledge.until(cause, last.position)
        found.append(_value(views, knowledge, key, period))
    parts = [
        Part(cause=cause, before=a.value, after=b.value, change=_change(a, b))
        for cause, a, b in zip(CAUSES, found, found[1:], strict=False)
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


def _change(before: Value, after: Value) -> str | None:
    if before.value is None or after.value is None:
        return None
    return plain(Decimal(str(after.value)) - Decimal(str(before.value)))


def _value(views: dict[int, View], knowledge: Knowledge, key: str, period: str) -> Value:
    days = calendar(views[knowledge.calendar])
    found = metric(views[knowledge.definition], key)
    asked = question(views[knowledge.definition], found, periods_of(Span([period]), days))
    known = reading(views[knowledge.late], knowledge=knowledge, days=days)
    return word(compute(known, asked))[0]


def timeline(
    view: View, key: str, asked: Asked, after: int, limit: int
) -> tuple[list[Change], int | None]:
    """How a figure changed after a position, and where to go on (None at the end)."""
    periods = periods_of(asked.span, calendar(view))
    full = question(view, metric(view, key, asked.version), periods, where=asked.where)
    standing = _figure_at(view, key, asked, after) if after else None
    changes: list[Change] = []
    for count, position in enumerate(_moments(view, full, after), 1):
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
    found, known = metric(past, key, asked.version), reading(past)
    periods = periods_of(asked.span, known.calendar)
    value = word(compute(known, question(past, found, periods, where=asked.where)))[0]
    return Change(
        known_at=past.known_at,
        basis=basis.token,
        value=value.value,
        reason=value.reason,
        numerator=value.numerator,
        denominator=value.denominator,
        n=value.n,
    )


def _moments(view: View, asked: Question, after: int) -> list[int]:
    """The last positions of the batches that may have changed the figure, in order."""

    def in_batch(column: ColumnElement[int], *which: ColumnElement[bool]) -> Exists:
        bounds = (batches.c.first_position, batches.c.last_position)
        tenant = column.table.c.tenant_id == batches.c.tenant_id
        return exists().where(tenant, column.between(*bounds), *which)

    told = events.c.name.in_(sorted({*asked.names(), RATE_EVENT}))
    moved = (backfills, calendars, cut_overs, excluded, metric_versions, retractions)
    rows = view.connection.execute(
        select(batches.c.last_position)
        .where(
            batches.c.tenant_id == view.tenant_id,
            batches.c.last_position <= view.position,
            batches.c.last_position > after,
            or_(
                in_batch(events.c.position, told),
                *(in_batch(table.c.from_position) for table in moved),
            ),
        )
        .order_by(batches.c.last_position)
        .limit(MAX_REPLAYS)
    )
    return list(rows.scalars())
