"""The events that the metrics service itself writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from shared.events import Payload, event


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
class CalendarSet(Payload):
    """How the organisation counts its days from now on."""

    version: int
    zone: str
    week_start: int
    fiscal_start_month: int
    fiscal_name: Literal["end", "start"]
    currency: str
    reason: str


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


@event("baseline.frozen")
class BaselineFrozen(Payload):
    """A metric's past figure with its proof, as it will be held against later ones."""

    baseline_id: str
    metric: str
    question: dict[str, Any]
    answer: dict[str, Any] = Field(description="The whole answer, as it was given")
    reason: str
