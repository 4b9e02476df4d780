"""What the ledger moves: definitions, sources, what counts, and since when there are data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import select

from services.metrics.domain.facts import (
    BackfillClosed,
    BackfillDropped,
    BackfillMeasured,
    BackfillOpened,
    BackfillReverted,
    BaselineFrozen,
    BasisNamed,
    CalendarSet,
    MetricDefined,
    MetricRestated,
    MetricRetired,
    Retracted,
    SourceCutOver,
    SourceCutOverLifted,
    SourceDescribed,
    TypeRegistered,
)
from services.metrics.domain.types import is_reserved
from services.metrics.projections.counting import (
    change_backfill,
    exclude_retracted,
    supersede_versions,
)
from services.metrics.projections.first_data import move_spans
from services.metrics.projections.observed import note_places
from services.metrics.tables import (
    backfills,
    baselines,
    bases,
    calendars,
    cut_overs,
    event_types,
    metric_versions,
    restated,
    sources,
)
from shared.events import Event, Payload, payload_of
from shared.ledger import Transaction
from shared.ledger.projecting import supersede

_MOVES_NOTHING = ("ledger.opened", "source.record_observed")


def project(transaction: Transaction, appended: Sequence[Event]) -> None:
    """Move every projection by one batch."""
    own = {name for name in {e.name for e in appended} if is_reserved(name)}
    facts = [e for e in appended if e.name not in own]
    if facts:
        move_spans(transaction, facts)
        supersede_versions(transaction, facts)
        note_places(transaction, facts)
    for event in appended if own else ():
        if event.name in own and event.name not in _MOVES_NOTHING:
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
            exclude_retracted(transaction, event, payload)
        case BaselineFrozen():
            row = {"metric": payload.metric, "body": payload.model_dump_json()}
            _put(transaction, baselines, {"baseline_id": payload.baseline_id}, event, row)
        case (
            BackfillOpened() | BackfillMeasured() | BackfillClosed() | BackfillDropped()
            | BackfillReverted()
        ):  # fmt: skip
            _project_backfill(transaction, event, payload)
        case SourceCutOver() | SourceCutOverLifted():
            _project_cut_over(transaction, event, payload)
        case BasisNamed() | MetricRestated():
            _project_basis(transaction, event, payload)
        case _:
            raise AssertionError(f"{event.name} moves no projection of this service")


def _put(
    transaction: Transaction, table: Any, keys: dict[str, Any], event: Event, row: dict[str, Any]
) -> None:
    owned = {"tenant_id": transaction.tenant_id, **keys}
    supersede(transaction.connection, table, owned, event.position, row)


def _project_backfill(
    transaction: Transaction,
    event: Event,
    payload: BackfillOpened | BackfillMeasured | BackfillClosed | BackfillDropped
    | BackfillReverted,
) -> None:  # fmt: skip
    keys = {"tenant_id": transaction.tenant_id, "backfill_id": payload.backfill_id}
    told = payload.model_dump(mode="json", exclude={"backfill_id"})
    if isinstance(payload, BackfillOpened):
        body = {"id": payload.backfill_id, "events": 0, "state": "open", **told}
    else:
        before = transaction.connection.execute(
            select(backfills.c.body).where(
                *(backfills.c[name] == value for name, value in keys.items()),
                backfills.c.to_position.is_(None),
            )
        ).scalar_one()
        state = event.name.rpartition(".")[2]
        changed = {} if isinstance(payload, BackfillMeasured) else {"state": state}
        body = {**json.loads(before), **told, **changed}
    row = {"state": body["state"], "body": json.dumps(body, sort_keys=True)}
    supersede(transaction.connection, backfills, keys, event.position, row)
    if isinstance(payload, BackfillClosed | BackfillReverted):
        change_backfill(transaction, payload.backfill_id, event.position)


def _project_cut_over(
    transaction: Transaction, event: Event, payload: SourceCutOver | SourceCutOverLifted
) -> None:
    keys = {"old_source": payload.old_source, "new_source": payload.new_source}
    lifted = isinstance(payload, SourceCutOverLifted)
    row = {
        "on_day": date(1970, 1, 1) if isinstance(payload, SourceCutOverLifted) else payload.on,
        "event_names": "" if isinstance(payload, SourceCutOverLifted) else " ".join(payload.events),
        "lifted": lifted,
        "body": payload.model_dump_json(),
    }
    _put(transaction, cut_overs, keys, event, row)


def _project_basis(
    transaction: Transaction, event: Event, payload: BasisNamed | MetricRestated
) -> None:
    body = payload.model_dump_json()
    if isinstance(payload, BasisNamed):
        row = {"basis": payload.basis, "closes": payload.closes, "body": body}
        _put(transaction, bases, {"name": payload.name}, event, row)
        return
    keys = {"holder": payload.holder, "metric": payload.metric, "period": payload.period}
    _put(transaction, restated, keys, event, {"body": body})


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
