"""Defining things: metrics, the calendar, sources, event types; and taking facts back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from services.metrics.domain.checks import Known, composition_faults, faults_in
from services.metrics.domain.definition import Definition, MetricRef, walk
from services.metrics.domain.facts import (
    CalendarSet,
    MetricDefined,
    MetricRetired,
    SourceDescribed,
    TypeRegistered,
)
from services.metrics.domain.types import CANONICAL, event_type, is_reserved
from services.metrics.queries.definitions import (
    DEFINITION,
    UNKNOWN_METRIC,
    Metric,
    calendar_set,
    definitions,
    known_to,
    metric,
    types,
    versions,
)
from shared.errors import CONFLICT, INVALID, Fault, invalid
from shared.ledger import Transaction, View
from shared.zones import transitions_of


def check_definition(
    view: View, key: str, definition: Definition, unit: str, dimensions: list[str]
) -> None:
    """Refuse a definition that can't work, with a pointer and the mend for each fault."""
    others = {k: m for k, m in definitions(view).items() if k != key}
    faults = list(faults_in(key, definition, unit, dimensions, known_to(view, others)))
    faults.extend(_breaks(view, key, definition, unit, others, known_to(view, others)))
    if faults:
        raise INVALID.refusal(faults[0].detail, faults)


def _breaks(
    view: View,
    key: str,
    definition: Definition,
    unit: str,
    others: Mapping[str, Metric],
    known: Known,
) -> Iterator[Fault]:
    """The metrics made of this one that would no longer work."""
    changed = replace(known, metrics={**known.metrics, key: (definition, unit)})
    present = definitions(view).get(key)
    if present is None:
        return
    so_far = replace(known, metrics={**known.metrics, key: (present.definition, present.body.unit)})
    for name, other in others.items():
        if not any(part == MetricRef(metric=key) for _, part in walk(other.definition)):
            continue
        before = set(composition_faults(other.definition, other.body.unit, so_far))
        for fault in composition_faults(other.definition, other.body.unit, changed):
            if fault in before:
                continue
            detail = f"{name!r} is made of this metric and would no longer work: {fault.detail}"
            yield Fault("/definition", detail, "breaks_others")


def define_metric(
    transaction: Transaction, metric_body: dict[str, Any], expected: int | None
) -> MetricDefined:
    """Save a metric, or a new version of it; the same definition again changes nothing.

    `expected` is the version that the change is based on, where the sender names one.
    """
    key = metric_body["key"]
    definition = DEFINITION.validate_python(metric_body["definition"])
    unit, dimensions = metric_body["unit"], metric_body["dimensions"]
    check_definition(transaction, key, definition, unit, dimensions)
    past = versions(transaction, key)
    present = past[-1].body if past else None
    if expected is not None and expected != (present.version if present else 0):
        raise CONFLICT.refusal(f"The metric {key!r} is at another version than {expected}.")
    payload = MetricDefined.model_validate({**metric_body, "version": len(past) + 1})
    if present is not None:
        same = payload.model_copy(update={"version": present.version, "reason": present.reason})
        if same == present and not metric(transaction, key).retired:
            return present
    revision = len(transaction.stream(f"metric/{key}"))
    transaction.record(f"metric/{key}", revision, [payload])
    return payload


def retire_metric(transaction: Transaction, key: str, reason: str) -> MetricRetired:
    """Take a metric out of the lists; its past stays readable."""
    found = metric(transaction, key)
    if found.retired:
        raise CONFLICT.refusal(f"The metric {key!r} is retired already.")
    if found.defined_later:
        raise UNKNOWN_METRIC.refusal(f"There is no metric {key!r}.")
    payload = MetricRetired(key=key, reason=reason)
    transaction.record(f"metric/{key}", len(transaction.stream(f"metric/{key}")), [payload])
    return payload


def set_calendar(transaction: Transaction, body: dict[str, Any]) -> CalendarSet:
    """Count days in another way from here on; past answers keep the calendar of their time."""
    present = calendar_set(transaction)
    version = present.version if present else 0
    transitions = [list(pair) for pair in transitions_of(body["zone"])]
    payload = CalendarSet.model_validate(
        {**body, "version": version + 1, "transitions": transitions}
    )
    transaction.record("calendar", version, [payload])
    return payload


def describe_source(
    transaction: Transaction, payload: SourceDescribed, revision: int
) -> tuple[SourceDescribed, int]:
    """Record a source's description as the next revision of its stream."""
    stream = f"source/{payload.key}"
    return payload, transaction.record(stream, revision, [payload])


def register_type(transaction: Transaction, name: str, spec: str) -> TypeRegistered:
    """Let senders use a type of the tenant's own; a changed one is a new schema number."""
    if name in CANONICAL or is_reserved(name):
        raise invalid("/name", f"{name!r} is a name of the service's own.", "reserved_type")
    try:
        event_type(name, spec)
    except AssertionError as error:
        raise invalid("/fields", str(error), "field") from error
    stream = f"type/{name}"
    revision = len(transaction.stream(stream))
    payload = TypeRegistered(name=name, schema_number=revision + 1, spec=spec)
    known = types(transaction).get(name)
    if known is not None and dict(known.fields) == dict(event_type(name, spec).fields):
        return payload.model_copy(update={"schema_number": known.schema_number})
    transaction.record(stream, revision, [payload])
    return payload
