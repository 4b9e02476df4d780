"""What a backfill would do to every metric before it counts, and from when on it makes it exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from pydantic import Field
from sqlalchemy import func, select

from services.metrics.domain.definition import events_of
from services.metrics.domain.types import is_reserved
from services.metrics.projections.counting import taken_back
from services.metrics.queries.backfills import backfill
from services.metrics.queries.definitions import Metric, calendar, definitions, references
from services.metrics.queries.figures import Asked, Span, answer, reading
from services.metrics.replay.cells import Cells
from services.metrics.replay.tree import leaves_of
from shared.ledger import View
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events
from shared.periods import Calendar, Grain, Period, following, period_holding
from shared.web.wire import Known, PeriodName, Wire

# So many periods of each metric are looked at; beyond that quarters give way to years.
MAX_PERIODS = 60


class ChangedFigure(Wire):
    """A figure that a backfill would change."""

    metric: str = Field(description="Key of the metric")
    period: PeriodName
    before: float | None = Field(description="The figure as it stands")
    before_reason: str | None = Field(description="Why it has none")
    after: float | None = Field(description="The figure with the backfill")
    after_reason: str | None = Field(description="Why it would have none")


class BackfillEffect(Known):
    """What closing a backfill would change."""

    backfill: str = Field(description="Its id")
    metrics: int = Field(ge=0, description="Metrics looked at: those that its facts enter")
    figures: int = Field(ge=0, description="Figures looked at")
    changed: list[ChangedFigure] = Field(description="By metric, then period")


def effect(view: View, backfill_id: str) -> BackfillEffect:
    """The figures per quarter (per year where that is long) before and after a backfill."""
    backfill(view, backfill_id)
    touched = _touched(view, backfill_id)
    found = BackfillEffect(
        backfill=backfill_id, metrics=0, figures=0, changed=[], known_at=view.known_at,
        basis=view.basis.token, open=view.open,
    )  # fmt: skip
    if touched is None:
        return found
    names, first, last = touched
    periods = _periods(first, last, calendar(view))
    for metric in _fed(view, names):
        found.metrics += 1
        asked = Asked(Span([period.name for period in periods]))
        plain = answer(reading(view), metric, asked, Cells()).values
        shown = answer(reading(view, shown=backfill_id), metric, asked, None).values
        found.figures += len(plain)
        found.changed += [
            ChangedFigure(
                metric=metric.body.key, period=old.period, before=old.value,
                before_reason=old.reason, after=new.value, after_reason=new.reason,
            )
            for old, new in zip(plain, shown, strict=True)
            if (old.value, old.reason) != (new.value, new.reason)
        ]  # fmt: skip
    return found


def exact_from(view: View, backfill_id: str) -> list[dict[str, Any]]:
    """From which quarter on a backfill makes each metric exact that its facts enter."""
    touched = _touched(view, backfill_id)
    if touched is None:
        return []
    names, first, _ = touched
    days, begins = calendar(view), backfill(view, backfill_id).complete_from
    quarter = period_holding(first if begins is None else days.day_of(begins), "quarter", days)
    if begins is not None and quarter.start < days.day_of(begins):
        quarter = following(quarter, days)
    reason = "before_first_event" if begins is None else "before_source_history"
    return [
        {"metric": metric.body.key, "exact_from": quarter.name, "before_that": reason}
        for metric in _fed(view, names)
    ]


def _fed(view: View, names: set[str]) -> Iterator[Metric]:
    for _, metric in sorted(definitions(view).items()):
        leaves = leaves_of(metric.definition, references(view, metric.definition))
        read = {name for leaf in leaves for name in events_of(leaf)}
        if not metric.retired and not names.isdisjoint(read):
            yield metric


def _touched(view: View, backfill_id: str) -> tuple[set[str], date, date] | None:
    """The types of the facts that a backfill tells or takes back, and their first and last day."""
    own = (events.c.tenant_id == view.tenant_id, events.c.backfill == backfill_id)
    found = [row for row in _spans(view, own) if not is_reserved(row.name)]
    gone = taken_back(view, {backfill_id})
    ids = sorted({event_id for _, event_id in gone})
    for start in range(0, len(ids), LOOKUP_CHUNK):
        chosen = events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK])
        sources = events.c.source.in_(sorted({source for source, _ in gone}))
        found += _spans(view, (events.c.tenant_id == view.tenant_id, sources, chosen))
    if not found:
        return None
    days = calendar(view)
    first, last = min(row.first for row in found), max(row.last for row in found)
    names = {row.name for row in found}
    return names, days.day_of(first), days.day_of(last)


def _spans(view: View, which: Any) -> list[Any]:
    moment = events.c.occurred_at
    return list(
        view.connection.execute(
            select(events.c.name, func.min(moment).label("first"), func.max(moment).label("last"))
            .where(*which, events.c.position <= view.position)
            .group_by(events.c.name)
        )
    )


def _periods(first: date, last: date, days: Calendar) -> list[Period]:
    grain: Grain = "quarter"
    if (last - first).days > MAX_PERIODS * 91:
        grain = "year"
    found = [period_holding(first, grain, days)]
    while found[-1].end <= last and len(found) < MAX_PERIODS:
        found.append(following(found[-1], days))
    return found
