"""Replaced systems: cut-over dates, and where two sources tell of the same time."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta

from pydantic import Field
from sqlalchemy import func, select

from services.metrics.domain.facts import SourceCutOver
from services.metrics.replay.answer import Overlap
from services.metrics.replay.raw import Reading
from services.metrics.tables import cut_overs
from shared.clock import from_micros
from shared.errors import NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known
from shared.ledger.tables import events
from shared.web.wire import Wire


class CutOverShown(Wire):
    """From a day on, one source's facts count instead of another's."""

    old_source: str = Field(description="Counts before the day")
    new_source: str = Field(description="Counts from the day on")
    on: date = Field(description="First day of the new source")
    events: list[str] = Field(description="Types that it is about; empty: all")
    reason: str = Field(description="Why this day")


def cut_over(view: View, old: str, new: str) -> CutOverShown:
    """The cut-over between two sources; refuses with 404 where there is none."""
    for found in cut_over_list(view):
        if (found.old_source, found.new_source) == (old, new):
            return found
    raise NOT_FOUND.refusal(f"There is no cut-over from {old!r} to {new!r}.")


def cut_over_list(view: View) -> list[CutOverShown]:
    """All cut-overs in force."""
    rows = view.connection.execute(
        select(cut_overs.c.body)
        .where(
            cut_overs.c.tenant_id == view.tenant_id,
            known(cut_overs, view.position),
            ~cut_overs.c.lifted,
        )
        .order_by(cut_overs.c.old_source, cut_overs.c.new_source)
    )
    return [
        CutOverShown(**SourceCutOver.model_validate_json(body).model_dump())
        for body in rows.scalars()
    ]


def overlaps(reading: Reading, names: list[str]) -> list[Overlap]:
    """Where several sources tell the same types of fact over the same days, after cut-overs."""
    rows = reading.view.connection.execute(
        select(
            events.c.name,
            events.c.source,
            func.min(events.c.occurred_at).label("first"),
            func.max(events.c.occurred_at).label("last"),
        )
        .where(*reading.counting, events.c.name.in_(sorted(names)))
        .group_by(events.c.name, events.c.source)
    )
    spans: dict[str, list[tuple[date, date, str]]] = defaultdict(list)
    for row in rows:
        first, last = (reading.calendar.day_of(_moment(m)) for m in (row.first, row.last))
        spans[row.name].append((first, last, row.source))
    found = []
    for name, told in sorted(spans.items()):
        told.sort()
        for index, (_, last, source) in enumerate(told):
            for later_first, later_last, later_source in told[index + 1 :]:
                if later_first <= last:
                    end = min(last, later_last) + timedelta(days=1)
                    found.append(_overlap(name, source, later_source, later_first, end))
    return found


def _overlap(name: str, old: str, new: str, start: date, end: date) -> Overlap:
    mend = (
        f"If {new} replaced {old}, say from which day: POST /v1/cut-overs. If both are right "
        "(different regions, say), there is nothing to do."
    )
    return Overlap(event=name, sources=[old, new], start=start, end=end, mend=mend)


def _moment(value: datetime | int) -> datetime:
    return from_micros(value) if isinstance(value, int) else value
