"""The events that the metrics service itself writes."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Literal

from pydantic import Field

from shared.events import Payload, event, upcast


@event("metric.defined")
class MetricDefined(Payload):
    """A metric, or a new version of it."""

    key: str
    version: int
    name: str
    description: str
    unit: str
    direction: Literal["up", "down", "band", "none"]
    indicator: Literal["leading", "lagging"]
    nature: Literal["value", "usage", "operational"]
    audience: Literal["customer", "prospect", "stakeholder", "business"]
    dimensions: list[str]
    settles_after: int
    guidelines: dict[str, Any]
    definition: dict[str, Any]
    reason: str


@event("metric.retired")
class MetricRetired(Payload):
    """A metric leaves the lists; its past stays."""

    key: str
    reason: str


@event("calendar.set")
class CalendarSetFirst(Payload):
    """How calendars were set before fiscal weeks, business hours and recorded offsets."""

    version: int
    zone: str
    week_start: int
    fiscal_start_month: int
    fiscal_name: Literal["end", "start"]
    currency: str
    reason: str


@event("calendar.set", schema=2)
class CalendarSet(CalendarSetFirst):
    """How the organisation counts its days from now on.

    `transitions` are the zone's offsets at that time as (UTC second, seconds east), so that a newer
    zone database changes no figure; None where the calendar was set before they were recorded.
    """

    fiscal_weeks: Literal["4-4-5", "4-5-4", "5-4-4"] | None
    fiscal_begins: Literal["nearest", "on_or_before"]
    business_days: list[int]
    business_opens: time
    business_closes: time
    holidays: list[date]
    transitions: list[tuple[int, int]] | None


@upcast("calendar.set", schema=1)
def _with_business_hours(data: dict[str, Any]) -> dict[str, Any]:
    return {
        **data,
        "fiscal_weeks": None,
        "fiscal_begins": "nearest",
        "business_days": [1, 2, 3, 4, 5],
        "business_opens": "09:00:00",
        "business_closes": "17:00:00",
        "holidays": [],
        "transitions": None,
    }


@event("source.described")
class SourceDescribed(Payload):
    """A source, or its new description (secrets are never part of it)."""

    key: str
    kind: str
    state: Literal["active", "retired"]
    mapping: dict[str, Any]
    public_url: str | None
    reason: str


@event("source.type_registered")
class TypeRegistered(Payload):
    """An event type of the tenant's own; `spec` is the compact notation of its fields."""

    name: str
    schema_number: int
    spec: str


@event("source.record_observed")
class RecordObserved(Payload):
    """What deliveries said of one record: the observations that its facts are settled from."""

    record: str
    observations: list[dict[str, Any]]


@event("ledger.retracted")
class Retracted(Payload):
    """A fact, or all facts of a source in a span, no longer counts from here on."""

    source: str
    event_id: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str


@event("backfill.opened")
class BackfillOpened(Payload):
    """History is about to be loaded; its events count once the backfill is closed."""

    backfill_id: str
    name: str
    reason: str


@event("backfill.measured")
class BackfillMeasured(Payload):
    """From when on a backfill holds all that its source told; None: from its beginning."""

    backfill_id: str
    source: str
    complete_from: datetime | None


@event("backfill.closed")
class BackfillClosed(Payload):
    """From here on the events of the backfill count."""

    backfill_id: str
    reason: str


@event("backfill.dropped")
class BackfillDropped(Payload):
    """The events of the backfill never count."""

    backfill_id: str
    reason: str


@event("backfill.reverted")
class BackfillReverted(Payload):
    """From here on the events of the backfill count no longer."""

    backfill_id: str
    reason: str


@event("source.cut_over")
class SourceCutOver(Payload):
    """From a day on, one source's facts count instead of another's; for some types, or all."""

    old_source: str
    new_source: str
    on: date
    events: list[str]
    reason: str


@event("source.cut_over_lifted")
class SourceCutOverLifted(Payload):
    """Both sources' facts count again."""

    old_source: str
    new_source: str
    reason: str


@event("basis.named")
class BasisNamed(Payload):
    """A state of the ledger is given a name; `closes` is the period that it closes."""

    name: str
    basis: str
    known_at: datetime
    closes: str | None
    reason: str


@event("metric.restated")
class MetricRestated(Payload):
    """A figure that someone holds (a closed period, a baseline) is another by now."""

    holder: str
    metric: str
    period: str
    held_basis: str
    held: float | None
    now_basis: str
    now: float | None
    reason: str | None


@event("baseline.frozen")
class BaselineFrozen(Payload):
    """A metric's past figure with its proof, as it will be held against later ones."""

    baseline_id: str
    metric: str
    question: dict[str, Any]
    answer: dict[str, Any] = Field(description="The whole answer, as it was given")
    reason: str
