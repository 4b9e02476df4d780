"""What is defined, as known at a view: metrics, event types, the calendar, sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import TypeAdapter
from sqlalchemy import select

from services.metrics.domain.business import BusinessHours
from services.metrics.domain.checks import Known
from services.metrics.domain.definition import Definition, MetricRef, Node, walk
from services.metrics.domain.facts import CalendarSet, MetricDefined, SourceDescribed
from services.metrics.domain.filters import Filter
from services.metrics.domain.types import CANONICAL, EventType, event_type
from services.metrics.replay.rules import in_force, rules
from services.metrics.replay.tree import Named
from services.metrics.tables import event_types, sources
from shared.chain import parse_json
from shared.errors import NOT_FOUND, problem
from shared.ids import did_you_mean
from shared.ledger import View
from shared.ledger.projecting import known
from shared.ledger.tables import events
from shared.periods import Calendar

UNKNOWN_METRIC = problem(
    "unknown-metric", 404, "No such metric",
    "No metric with this key was defined for your organisation.",
    "Use a key that GET /v1/metrics lists; the detail names the nearest ones.",
)  # fmt: skip
# A field that none of so many events carries is taken for a slip of the pen.
SAMPLED_EVENTS = 500
DEFINITION: TypeAdapter[Definition] = TypeAdapter(Definition)
FILTER: TypeAdapter[Filter] = TypeAdapter(Filter)


@dataclass(frozen=True, slots=True)
class Metric:
    """A version of a metric, and how it was found."""

    body: MetricDefined
    definition: Definition
    retired: bool = False
    defined_later: bool = False


def _metric(row: object, *, defined_later: bool = False) -> Metric:
    body, definition = _definition(row.body)  # type: ignore[attr-defined]
    return Metric(body, definition, bool(row.retired), defined_later)  # type: ignore[attr-defined]


@lru_cache(maxsize=1_000)
def _definition(body: str) -> tuple[MetricDefined, Definition]:
    """A stored definition; bodies never change, so that each is read once."""
    payload = MetricDefined.model_validate_json(body)
    return payload, DEFINITION.validate_python(payload.definition)


def metric(view: View, key: str, version: int | None = None) -> Metric:
    """The version in force at the view, else the first ever (`defined_later`), or one by number."""
    rows = rules(view).metrics.get(key, ())
    if not rows:
        raise UNKNOWN_METRIC.refusal(
            f"There is no metric {key!r}.{did_you_mean(key, metric_keys(view))}"
        )
    if version is not None:
        found = next((row for row in rows if row.version == version and not row.retired), None)
        if found is None:
            raise NOT_FOUND.refusal(f"The metric {key!r} has no version {version}.")
        return _metric(found, defined_later=found.from_position > view.position)
    row = in_force(rows, view.position)
    return _metric(rows[0], defined_later=True) if row is None else _metric(row)


def versions(view: View, key: str) -> list[Metric]:
    """All versions of a metric as known at the view, oldest first."""
    return [
        _metric(row)
        for row in rules(view).metrics.get(key, ())
        if row.from_position <= view.position and not row.retired
    ]


def metrics(view: View, after: str, limit: int) -> list[Metric]:
    """The metrics in use at the view, by key."""
    found = definitions(view)
    kept = [found[key] for key in sorted(found) if key > after and not found[key].retired]
    return kept[:limit]


def metric_keys(view: View) -> list[str]:
    return sorted(rules(view).metrics)


def sent_fields(view: View, names: frozenset[str]) -> frozenset[str]:
    """The fields that the last events of some types carried, whether declared or not."""
    rows = view.connection.execute(
        select(events.c.data)
        .where(
            events.c.tenant_id == view.tenant_id,
            events.c.name.in_(sorted(names)),
            events.c.position <= view.position,
        )
        .order_by(events.c.position.desc())
        .limit(SAMPLED_EVENTS)
    ).scalars()
    return frozenset(field for data in rows for field in parse_json(data))


def ever_sent(view: View, names: frozenset[str], field: str) -> bool:
    """Whether any event of some types carried a field; looks through all of them where none did."""
    found = view.connection.execute(
        select(events.c.position)
        .where(
            events.c.tenant_id == view.tenant_id,
            events.c.name.in_(sorted(names)),
            events.c.position <= view.position,
            events.c.data.contains(f'"{field}":', autoescape=True),
        )
        .limit(1)
    ).scalar()
    return found is not None


def known_to(view: View, others: Mapping[str, Metric]) -> Known:
    """What definitions and questions may refer to, as known at a view."""
    return Known(
        types(view),
        {key: (found.definition, found.body.unit) for key, found in others.items()},
        lambda names: sent_fields(view, names),
        lambda names, field: ever_sent(view, names, field),
    )


def references(view: View, definition: Node) -> dict[str, Named]:
    """The metrics that a definition is made of in the end, by key."""
    found: dict[str, Named] = {}
    waiting = [definition]
    while waiting:
        for _, part in walk(waiting.pop()):
            if isinstance(part, MetricRef) and part.metric not in found:
                named = metric(view, part.metric)
                body = named.body
                found[part.metric] = Named(
                    body.key, body.version, body.unit, named.definition, body.settles_after
                )
                waiting.append(named.definition)
    return found


def definitions(view: View) -> Mapping[str, Metric]:
    """Every metric as known at the view, by key."""
    standing = {key: in_force(rows, view.position) for key, rows in rules(view).metrics.items()}
    return {key: _metric(row) for key, row in standing.items() if row is not None}


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
    row = in_force(rules(view).calendars, view.position)
    return None if row is None else _calendar(row.body)


@lru_cache(maxsize=256)
def _calendar(body: str) -> CalendarSet:
    return CalendarSet.model_validate_json(body)


def calendar(view: View) -> Calendar:
    """How the organisation counts its days; UTC, Mondays and January until it says otherwise."""
    return calendar_from(calendar_set(view))


def calendar_from(found: CalendarSet | None) -> Calendar:
    """The calendar that an event sets, or the one that holds before any does."""
    if found is None:
        return Calendar()
    transitions = tuple(found.transitions) if found.transitions else None
    return Calendar(
        found.zone, found.week_start, found.fiscal_start_month, found.fiscal_name, found.currency,
        found.fiscal_weeks, found.fiscal_begins, transitions,
    )  # fmt: skip


def business_hours(found: CalendarSet | None) -> BusinessHours:
    """The organisation's working hours; Monday to Friday, 9 to 17, until it says otherwise."""
    if found is None:
        return BusinessHours()
    return BusinessHours(
        tuple(found.business_days), found.business_opens, found.business_closes,
        frozenset(found.holidays),
    )  # fmt: skip


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


def sources_of(view: View, kinds: Collection[str]) -> set[str]:
    """The keys of the sources of some kinds."""
    rows = view.connection.execute(
        select(sources.c.body).where(
            sources.c.tenant_id == view.tenant_id, known(sources, view.position)
        )
    ).scalars()
    described = (SourceDescribed.model_validate_json(body) for body in rows)
    return {one.key for one in described if one.kind in kinds}


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
