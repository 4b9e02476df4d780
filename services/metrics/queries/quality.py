"""Whether what the guidelines promise really arrives: fresh, whole, in time, without gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from pydantic import Field
from sqlalchemy import func, select

from services.metrics.domain.definition import Simple, State, filters_of, own_events, summands
from services.metrics.domain.filters import fields_of, lookup
from services.metrics.queries.cut_overs import overlaps
from services.metrics.queries.definitions import metric, source_list
from services.metrics.queries.figures import question
from services.metrics.replay.answer import Coverage, Overlap
from services.metrics.replay.frame import Frame, Row
from services.metrics.replay.plan import Question, compute
from services.metrics.replay.raw import Reading
from services.metrics.replay.wording import CADENCES, word
from services.metrics.tables import intake
from shared.ledger import View
from shared.ledger.tables import events
from shared.money import figure
from shared.periods import Period, period_holding
from shared.web.wire import InstantField, Known, PeriodName, Wire

LATE_AFTER = timedelta(days=1)
MAX_SOURCES = 500


class SourceQuality(Wire):
    """What one source delivered for a metric in a period."""

    source: str = Field(description="The source")
    events: int = Field(ge=0, description="Events that count in the period")
    last_recorded_at: InstantField | None = Field(description="When it last sent such an event")
    silent: bool = Field(
        description="True when it sent nothing for longer than the cadence allows (a retired "
        "source is never silent)"
    )
    late_share: float | None = Field(
        ge=0, le=1, description="Share that was recorded more than a day after it occurred"
    )


class FieldQuality(Wire):
    """How often a field that the metric looks at is missing."""

    field: str = Field(description="Field of the events' data")
    missing: int = Field(ge=0, description="Events without it")
    share: float = Field(ge=0, le=1, description="missing / events")


class IntakeQuality(Wire):
    """What became of what was sent, since this service counts (these counters have no past)."""

    accepted: int = Field(ge=0, description="Stored")
    duplicates: int = Field(ge=0, description="Sent again, and stored before")
    conflicts: int = Field(ge=0, description="Known with other content; kept in quarantine")
    invalid: int = Field(ge=0, description="Rejected with a pointer to the fault")
    quarantined: int = Field(ge=0, description="Kept in quarantine")


class Quality(Known):
    """A metric's guidelines held against what arrived."""

    metric: str = Field(description="Key of the metric")
    period: PeriodName
    cadence: str | None = Field(description="How often data should arrive; null: no promise")
    responsible: str | None = Field(description="Who sees to it")
    fresh: bool | None = Field(
        description="Whether the newest event is no older than the cadence allows; null without one"
    )
    last_occurred_at: InstantField | None = Field(description="When the newest event occurred")
    age_seconds: int | None = Field(description="Its age at `known_at`")
    coverage: Coverage
    sources: list[SourceQuality] = Field(description="By name")
    missing_sources: list[str] = Field(
        description="Sources that the guidelines name and that never sent such an event"
    )
    fields: list[FieldQuality] = Field(description="Fields that some events lack")
    overlaps: list[Overlap] = Field(description="Sources that tell of the same time")
    intake: IntakeQuality = Field(description="All time, for the metric's event types")


def quality(reading: Reading, key: str, period: Period) -> Quality:
    """The guidelines of a metric, each checked against what arrived in a period."""
    view, found = reading.view, metric(reading.view, key)
    asked = question(view, found, [period])
    computed = compute(reading, asked)
    frame = Frame([period], reading.calendar)
    names = sorted(asked.own_names())
    rows = [
        row
        for row in reading.rows(names, frame, from_start=True, to_end=True)
        if frame.index_of(row) is not None
    ]
    last = _last_occurred(reading, names)
    guidelines = found.body.guidelines
    told = _recorded(reading, rows)
    cadence = guidelines.get("cadence")
    return Quality(
        known_at=view.known_at,
        basis=view.basis.token,
        open=view.open,
        metric=key,
        period=period.name,
        cadence=cadence,
        responsible=guidelines.get("responsible"),
        fresh=_fresh(last, cadence, reading),
        last_occurred_at=last,
        age_seconds=None if last is None else int((view.known_at - last).total_seconds()),
        coverage=word(computed)[0].coverage,
        sources=_sources(reading, rows, told, names, cadence),
        missing_sources=_missing_sources(reading, guidelines.get("sources", []), names),
        fields=_fields(asked, rows),
        overlaps=overlaps(reading, names),
        intake=_intake(view, names),
    )


def _last_occurred(reading: Reading, names: Sequence[str]) -> datetime | None:
    return reading.view.connection.execute(
        select(events.c.occurred_at)
        .where(*reading.counting, events.c.name.in_(names))
        .order_by(events.c.occurred_at.desc())
        .limit(1)
    ).scalar()


def _allowed(cadence: str | None, reading: Reading) -> datetime | None:
    """Since when at the latest something should have come: the slot before the running one."""
    grain = CADENCES.get(cadence or "")
    if grain is None:
        return None
    today = reading.calendar.day_of(reading.view.known_at)
    running = period_holding(today, grain, reading.calendar)
    before = period_holding(running.start - timedelta(days=1), grain, reading.calendar)
    return reading.calendar.instant(before.start)


def _fresh(last: datetime | None, cadence: str | None, reading: Reading) -> bool | None:
    since = _allowed(cadence, reading)
    return None if since is None else last is not None and last >= since


def _recorded(reading: Reading, rows: Sequence[Row]) -> dict[int, datetime]:
    """When each event was recorded, by position."""
    if not rows:
        return {}
    positions = [row.position for row in rows]
    found = reading.view.connection.execute(
        select(events.c.position, events.c.recorded_at).where(
            events.c.tenant_id == reading.view.tenant_id,
            events.c.position.between(min(positions), max(positions)),
        )
    )
    wanted = set(positions)
    return {row.position: row.recorded_at for row in found if row.position in wanted}


def _sources(
    reading: Reading, rows: Sequence[Row], told: dict[int, datetime], names: Sequence[str],
    cadence: str | None,
) -> list[SourceQuality]:  # fmt: skip
    since = _allowed(cadence, reading)
    retired = {
        f"/sources/{body.key}"
        for body, _ in source_list(reading.view, "", MAX_SOURCES)
        if body.state == "retired"
    }
    last: dict[str, datetime] = dict(
        reading.view.connection.execute(
            select(events.c.source, func.max(events.c.recorded_at))
            .where(*reading.counting, events.c.name.in_(names))
            .group_by(events.c.source)
        ).all()
    )
    counted = Counter(row.source for row in rows)
    late = Counter(row.source for row in rows if told[row.position] - row.occurred_at > LATE_AFTER)
    return [
        SourceQuality(
            source=source,
            events=counted[source],
            last_recorded_at=moment,
            silent=since is not None and source not in retired and moment < since,
            late_share=figure(Fraction(late[source], counted[source])) if counted[source] else None,
        )
        for source, moment in sorted(last.items())
    ]


def _missing_sources(reading: Reading, promised: Sequence[str], names: Sequence[str]) -> list[str]:
    """Sources of the guidelines that are sources here and have sent nothing of the metric."""
    known = {body.key for body, _ in source_list(reading.view, "", MAX_SOURCES)}
    told = reading.view.connection.execute(
        select(events.c.source).where(*reading.counting, events.c.name.in_(names)).distinct()
    ).scalars()
    spoken = {source.removeprefix("/sources/") for source in told}
    return sorted(name for name in promised if name in known and name not in spoken)


def _fields(asked: Question, rows: Sequence[Row]) -> list[FieldQuality]:
    """Fields of what is summed, filtered and grouped by that some of the events lack."""
    missing: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for leaf in asked.leaves():
        named = {field for _, where in filters_of(leaf) for field in fields_of(where)}
        named |= set(asked.dimensions)
        if isinstance(leaf, Simple | State) and leaf.field:
            named |= set(summands(leaf.field))
        wanted = set(own_events(leaf))
        for row in rows:
            if row.name in wanted:
                for field in named:
                    if not field.startswith("$"):
                        counted[field] += 1
                        missing[field] += lookup(row.fields, field) in (None, "")
    return [
        FieldQuality(field=field, missing=n, share=figure(Fraction(n, counted[field])))
        for field, n in sorted(missing.items())
        if n
    ]


def _intake(view: View, names: Sequence[str]) -> IntakeQuality:
    rows = view.connection.execute(
        select(intake.c.status, func.sum(intake.c.count))
        .where(intake.c.tenant_id == view.tenant_id, intake.c.name.in_(names))
        .group_by(intake.c.status)
    )
    told = {status: int(count) for status, count in rows}
    return IntakeQuality(
        accepted=told.get("accepted", 0),
        duplicates=told.get("duplicate", 0),
        conflicts=told.get("conflict", 0),
        invalid=told.get("invalid", 0),
        quarantined=told.get("quarantined", 0),
    )
