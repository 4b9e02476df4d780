"""What the ledger moves: definitions, sources, what counts, and since when there are data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from services.metrics.domain.facts import (
    BaselineFrozen,
    CalendarSet,
    MetricDefined,
    MetricRetired,
    Retracted,
    SourceDescribed,
    TypeRegistered,
)
from services.metrics.domain.types import is_reserved
from services.metrics.tables import (
    baselines,
    calendars,
    event_types,
    excluded,
    metric_versions,
    retractions,
    sources,
    spans,
)
from shared.events import Event, Payload, payload_of
from shared.ledger import Transaction
from shared.ledger.projecting import supersede
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events

_OWN = (
    MetricDefined, MetricRetired, CalendarSet, SourceDescribed, TypeRegistered, Retracted,
    BaselineFrozen,
)  # fmt: skip


def project(transaction: Transaction, appended: Sequence[Event]) -> None:
    """Move every projection by one batch."""
    facts = [e for e in appended if not is_reserved(e.name)]
    if facts:
        _move_spans(transaction, facts)
        _supersede_versions(transaction, facts[0].position, facts[-1].position)
    for event in appended:
        if is_reserved(event.name) and event.name not in (
            "ledger.opened",
            "source.record_observed",
        ):
            _apply(transaction, event, payload_of(event))


def _apply(transaction: Transaction, event: Event, payload: Payload) -> None:
    match payload:
        case MetricDefined() | MetricRetired():
            _project_metric(transaction, event, payload)
        case CalendarSet():
            row = {"version": payload.version, "body": payload.model_dump_json()}
            _put(transaction, calendars, {}, event, row)
        case SourceDescribed():
            row = {"revision": event.revision, "body": payload.model_dump_json()}
            _put(transaction, sources, {"key": payload.key}, event, row)
        case TypeRegistered():
            row = {"schema_number": payload.schema_number, "spec": payload.spec}
            _put(transaction, event_types, {"name": payload.name}, event, row)
        case Retracted():
            _project_retraction(transaction, event, payload)
        case BaselineFrozen():
            row = {"metric": payload.metric, "body": payload.model_dump_json()}
            _put(transaction, baselines, {"baseline_id": payload.baseline_id}, event, row)
        case _:
            raise AssertionError(f"{event.name} moves no projection of this service")


def _put(
    transaction: Transaction, table: Any, keys: dict[str, Any], event: Event, row: dict[str, Any]
) -> None:
    owned = {"tenant_id": transaction.tenant_id, **keys}
    supersede(transaction.connection, table, owned, event.position, row)


def _project_metric(
    transaction: Transaction, event: Event, payload: MetricDefined | MetricRetired
) -> None:
    connection, keys = transaction.connection, {"key": payload.key}
    if isinstance(payload, MetricDefined):
        row = {"version": payload.version, "retired": False, "body": payload.model_dump_json()}
    else:
        last = connection.execute(
            select(metric_versions.c.version, metric_versions.c.body).where(
                metric_versions.c.tenant_id == transaction.tenant_id,
                metric_versions.c.key == payload.key,
                metric_versions.c.to_position.is_(None),
            )
        ).one()
        row = {"version": last.version, "retired": True, "body": last.body}
    _put(transaction, metric_versions, keys, event, row)


def _project_retraction(transaction: Transaction, event: Event, payload: Retracted) -> None:
    connection, tenant_id = transaction.connection, transaction.tenant_id
    connection.execute(
        insert(retractions).values(
            tenant_id=tenant_id,
            from_position=event.position,
            to_position=None,
            **payload.model_dump(),
        )
    )
    if payload.event_id is None:
        return
    versions = connection.execute(
        select(events.c.position).where(
            events.c.tenant_id == tenant_id,
            events.c.source == payload.source,
            events.c.event_id == payload.event_id,
            events.c.position < event.position,
        )
    ).scalars()
    for position in versions.all():
        _exclude(transaction, position, event.position, "retracted")


def _exclude(transaction: Transaction, position: int, from_position: int, cause: str) -> None:
    transaction.connection.execute(
        insert(excluded).values(
            tenant_id=transaction.tenant_id,
            position=position,
            from_position=from_position,
            to_position=None,
            cause=cause,
        )
    )


def sequence_order(sequence: str) -> tuple[int, int, str]:
    """How versions of a fact are ordered: none, then whole numbers, then texts."""
    if sequence == "":
        return (0, 0, "")
    if sequence.isdecimal() and len(sequence) <= 30:
        return (1, int(sequence), "")
    return (2, 0, sequence)


def _supersede_versions(transaction: Transaction, first: int, last: int) -> None:
    """Exclude all but the highest version of each fact that this batch says again."""
    families: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in _said_again(transaction, first, last):
        families[row.source, row.event_id].append(row)
    for versions in families.values():
        standing = None
        for version in sorted(versions, key=lambda v: v.position):
            if standing is None:
                standing = version
                continue
            wins = sequence_order(version.sequence) > sequence_order(standing.sequence)
            loser = standing if wins else version
            if version.position >= first:
                _exclude(transaction, loser.position, version.position, "restated")
            standing = version if wins else standing


def _said_again(transaction: Transaction, first: int, last: int) -> list[Any]:
    connection, tenant_id = transaction.connection, transaction.tenant_id
    sibling = events.alias("sibling")
    # Later siblings are left out below; a bound on their position would mislead SQLite's planner.
    repeated = connection.execute(
        select(events.c.source, events.c.event_id)
        .where(
            events.c.tenant_id == tenant_id,
            events.c.position.between(first, last),
            select(sibling.c.position)
            .where(
                sibling.c.tenant_id == events.c.tenant_id,
                sibling.c.source == events.c.source,
                sibling.c.event_id == events.c.event_id,
                sibling.c.sequence != events.c.sequence,
            )
            .exists(),
        )
        .distinct()
    ).all()
    if not repeated:
        return []
    by_source: dict[str, list[str]] = defaultdict(list)
    for source, event_id in repeated:
        by_source[source].append(event_id)
    rows: list[Any] = []
    for source, ids in by_source.items():
        for start in range(0, len(ids), LOOKUP_CHUNK):
            rows += connection.execute(
                select(
                    events.c.position, events.c.source, events.c.event_id, events.c.sequence
                ).where(
                    events.c.tenant_id == tenant_id,
                    events.c.source == source,
                    events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                    events.c.position <= last,
                )
            ).all()
    return rows


def _move_spans(transaction: Transaction, facts: Sequence[Event]) -> None:
    """Remember, per source and type, since when there are facts and from where they are known."""
    earliest: dict[tuple[str, str], tuple[datetime, int]] = {}
    for event in facts:
        key, found = (event.source, event.name), (event.occurred_at, event.position)
        if key not in earliest or found < earliest[key]:
            earliest[key] = found
    connection, tenant_id = transaction.connection, transaction.tenant_id
    standing = {
        (row.source, row.name): row.first_occurred_at
        for row in connection.execute(
            select(spans).where(
                spans.c.tenant_id == tenant_id,
                spans.c.to_position.is_(None),
                spans.c.source.in_({source for source, _ in earliest}),
            )
        )
    }
    for (source, name), (moment, position) in sorted(earliest.items(), key=lambda kv: kv[1][1]):
        if (source, name) not in standing or moment < standing[source, name]:
            keys = {"tenant_id": tenant_id, "source": source, "name": name}
            supersede(connection, spans, keys, position, {"first_occurred_at": moment})
