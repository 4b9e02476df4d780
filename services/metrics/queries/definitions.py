"""What is defined, as known at a view: metrics, event types, the calendar, sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import select

from services.metrics.domain.definition import Definition, Leaf, MetricRef, Ratio, parts_of
from services.metrics.domain.facts import CalendarSet, MetricDefined, SourceDescribed
from services.metrics.domain.types import CANONICAL, EventType, event_type
from services.metrics.tables import calendars, event_types, metric_versions, sources
from shared.errors import NOT_FOUND, problem
from shared.ids import did_you_mean
from shared.ledger import View
from shared.ledger.projecting import known
from shared.periods import Calendar

UNKNOWN_METRIC = problem(
    "unknown-metric", 404, "No such metric",
    "No metric with this key was defined for your organisation.",
    "Use a key that GET /v1/metrics lists; the detail names the nearest ones.",
)  # fmt: skip
DEFINITION: TypeAdapter[Definition] = TypeAdapter(Definition)


@dataclass(frozen=True, slots=True)
class Metric:
    """A version of a metric, and how it was found."""

    body: MetricDefined
    definition: Definition
    retired: bool = False
    defined_later: bool = False


def _metric(row: object, *, defined_later: bool = False) -> Metric:
    body = MetricDefined.model_validate_json(row.body)  # type: ignore[attr-defined]
    definition = DEFINITION.validate_python(body.definition)
    return Metric(body, definition, bool(row.retired), defined_later)  # type: ignore[attr-defined]


def metric(view: View, key: str, version: int | None = None) -> Metric:
    """The version in force at the view, else the first ever (`defined_later`), or one by number."""
    mine = (metric_versions.c.tenant_id == view.tenant_id, metric_versions.c.key == key)
    query = select(metric_versions).where(*mine)
    if version is not None:
        row = view.connection.execute(
            query.where(metric_versions.c.version == version, ~metric_versions.c.retired).limit(1)
        ).one_or_none()
        if row is None:
            raise NOT_FOUND.refusal(f"The metric {key!r} has no version {version}.")
        return _metric(row, defined_later=row.from_position > view.position)
    row = view.connection.execute(query.where(known(metric_versions, view.position))).one_or_none()
    if row is not None:
        return _metric(row)
    row = view.connection.execute(
        query.order_by(metric_versions.c.from_position).limit(1)
    ).one_or_none()
    if row is None:
        raise UNKNOWN_METRIC.refusal(
            f"There is no metric {key!r}.{did_you_mean(key, metric_keys(view))}"
        )
    return _metric(row, defined_later=True)


def versions(view: View, key: str) -> list[Metric]:
    """All versions of a metric as known at the view, oldest first."""
    rows = view.connection.execute(
        select(metric_versions)
        .where(
            metric_versions.c.tenant_id == view.tenant_id,
            metric_versions.c.key == key,
            metric_versions.c.from_position <= view.position,
            ~metric_versions.c.retired,
        )
        .order_by(metric_versions.c.version)
    )
    return [_metric(row) for row in rows]


def metrics(view: View, after: str, limit: int) -> list[Metric]:
    """The metrics in use at the view, by key."""
    rows = view.connection.execute(
        select(metric_versions)
        .where(
            metric_versions.c.tenant_id == view.tenant_id,
            metric_versions.c.key > after,
            ~metric_versions.c.retired,
            known(metric_versions, view.position),
        )
        .order_by(metric_versions.c.key)
        .limit(limit)
    )
    return [_metric(row) for row in rows]


def metric_keys(view: View) -> list[str]:
    rows = view.connection.execute(
        select(metric_versions.c.key)
        .where(
            metric_versions.c.tenant_id == view.tenant_id, metric_versions.c.to_position.is_(None)
        )
        .order_by(metric_versions.c.key)
    )
    return list(rows.scalars())


def references(view: View, definition: Definition) -> dict[str, Leaf]:
    """The definitions of the metrics that a definition names as parts."""
    found: dict[str, Leaf] = {}
    for _, part in parts_of(definition):
        if isinstance(part, MetricRef):
            named = metric(view, part.metric).definition
            assert not isinstance(named, Ratio), "a ratio is refused as a part when it is saved"
            found[part.metric] = named
    return found


def definitions(view: View) -> Mapping[str, Definition]:
    """Every metric's definition as known at the view."""
    rows = view.connection.execute(
        select(metric_versions).where(
            metric_versions.c.tenant_id == view.tenant_id, known(metric_versions, view.position)
        )
    )
    return {row.key: _metric(row).definition for row in rows}


def types(view: View) -> dict[str, EventType]:
    """The event types that senders may use: canonical ones and the tenant's own."""
    rows = view.connection.execute(
        select(event_types).where(
            event_types.c.tenant_id == view.tenant_id, known(event_types, view.position)
        )
    )
    own = {row.name: event_type(row.name, row.spec, row.schema_number) for row in rows}
    return {**CANONICAL, **own}


def calendar_set(view: View) -> CalendarSet | None:
    """The calendar as last set, or None while nobody has."""
    body = view.connection.execute(
        select(calendars.c.body).where(
            calendars.c.tenant_id == view.tenant_id, known(calendars, view.position)
        )
    ).scalar()
    return None if body is None else CalendarSet.model_validate_json(body)


def calendar(view: View) -> Calendar:
    """How the organisation counts its days; UTC, Mondays and January until it says otherwise."""
    found = calendar_set(view)
    if found is None:
        return Calendar()
    return Calendar(
        found.zone, found.week_start, found.fiscal_start_month, found.fiscal_name, found.currency
    )


def source(view: View, key: str) -> tuple[SourceDescribed, int]:
    """A source and its revision; refuses with 404 where there is none."""
    row = view.connection.execute(
        select(sources).where(
            sources.c.tenant_id == view.tenant_id,
            sources.c.key == key,
            known(sources, view.position),
        )
    ).one_or_none()
    if row is None:
        raise NOT_FOUND.refusal(f"There is no source {key!r}.")
    return SourceDescribed.model_validate_json(row.body), row.revision


def source_list(view: View, after: str, limit: int) -> list[tuple[SourceDescribed, int]]:
    rows = view.connection.execute(
        select(sources)
        .where(
            sources.c.tenant_id == view.tenant_id,
            sources.c.key > after,
            known(sources, view.position),
        )
        .order_by(sources.c.key)
        .limit(limit)
    )
    return [(SourceDescribed.model_validate_json(row.body), row.revision) for row in rows]
