"""Long work on a source: its kept history, what was lost on the way, its records anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from services.metrics.commands.history import change_backfill, demand_open, open_backfill
from services.metrics.commands.jobs import Job, Progress, Step, before, start
from services.metrics.commands.reading_back import ReadsBack
from services.metrics.commands.settling import append_translation, settle_again
from services.metrics.domain.facts import BackfillDropped, BackfillMeasured
from services.metrics.queries.backfill_effects import exact_from
from services.metrics.queries.definitions import source as find_source
from services.metrics.queries.definitions import source_list
from services.metrics.queries.seen import count_records, record_names
from services.metrics.sources.vendors import VENDORS
from shared.clock import format_instant
from shared.errors import CONFLICT, Refusal
from shared.ledger import Ledger, Transaction, View
from shared.ledger.tables import events

# Records that are settled in one transaction.
SETTLED_AT_ONCE = 200
# A vendor's list may lag behind its records, and clocks differ.
OVERLAP = timedelta(minutes=10)
MAX_SOURCES = 1_000
# Who reconciles by itself; only from where that one has come does it go on.
RECONCILER = "reconciler"


def load_history(transaction: Transaction, reads_back: ReadsBack, key: str, reason: str) -> Job:
    """Load what a source's system keeps of the past, into a backfill of its own."""
    _, connector = reads_back.demand_connector(transaction, key)
    if connector.history is None:
        raise CONFLICT.refusal(f"The system of {key!r} keeps no history that can be loaded.")
    made = open_backfill(transaction, f"History kept by {key}", reason)
    return start(transaction, "history", {"source": key, "backfill": made.id})


def settle_anew(transaction: Transaction, key: str, reason: str) -> Job:
    """Bring all records of a source up to its present mapping, in a backfill of restatements."""
    described, _ = find_source(transaction, key)
    if described.kind not in VENDORS or VENDORS[described.kind].settle is None:
        raise CONFLICT.refusal("Only the records of CRMs are settled; import a file again.")
    made = open_backfill(transaction, f"{key} by its present mapping", reason)
    return start(transaction, "settle", {"source": key, "backfill": made.id})


def reconcile(transaction: Transaction, reads_back: ReadsBack, key: str, since: datetime) -> Job:
    """Read back all that changed in a source's system since a moment; add what is missing."""
    reads_back.demand_connector(transaction, key)
    asked = {"source": key, "since": format_instant(since)}
    return start(transaction, "reconcile", asked)


def reconcile_due(ledger: Ledger, tenant_id: UUID, reads_back: ReadsBack, every: timedelta) -> None:
    """Reconcile the sources whose last time is so long ago; from where that time began."""
    with ledger.view(tenant_id) as view:
        due = list(_due(view, reads_back, every))
    for key, since in due:
        with (
            contextlib.suppress(Refusal),
            ledger.transaction(tenant_id, actor=RECONCILER) as transaction,
        ):
            reconcile(transaction, reads_back, key, since)


def _due(view: View, reads_back: ReadsBack, every: timedelta) -> Iterator[tuple[str, datetime]]:
    for described, _ in source_list(view, "", MAX_SOURCES):
        if described.state != "active" or not reads_back.has_access(view, described):
            continue
        key = described.key
        told = before(view.connection, view.tenant_id, "reconcile", key, RECONCILER)
        if told.under_way or (told.tried_at and view.known_at - told.tried_at < every):
            continue
        first = view.stream(f"source/{key}")[0].recorded_at
        yield key, told.done.made_at - OVERLAP if told.done else first


class Loading:
    """The steps of these jobs."""

    def __init__(self, ledger: Ledger, reads_back: ReadsBack) -> None:
        self._ledger, self._reads_back = ledger, reads_back

    def steps(self) -> dict[str, Step]:
        return {"history": self._history, "reconcile": self._reconcile, "settle": self._settle}

    def _history(self, job: Job) -> Progress:
        key, backfill_id = job.asked["source"], job.asked["backfill"]
        part = self._reads_back.history(job.tenant_id, key, dict(job.mark.get("at") or {}))
        begins = _latest(job.mark.get("begins"), part.begins)
        with self._ledger.transaction(job.tenant_id, actor=job.actor) as transaction:
            demand_open(transaction, backfill_id)
            described, _ = find_source(transaction, key)
            append_translation(transaction, described, part.said, backfill_id)
            done = job.done + part.records
            mark = {"at": part.mark, "begins": begins}
            if part.mark is not None:
                return Progress(mark, done)
            measured = BackfillMeasured(
                backfill_id=backfill_id, source=f"/sources/{key}",
                complete_from=None if begins is None else datetime.fromisoformat(begins),
            )  # fmt: skip
            stream = f"backfill/{backfill_id}"
            transaction.record(stream, len(transaction.stream(stream)), [measured])
            return Progress(mark, done, done, _loaded(transaction, backfill_id))

    def _reconcile(self, job: Job) -> Progress:
        key, since = job.asked["source"], datetime.fromisoformat(job.asked["since"])
        part = self._reads_back.changed(job.tenant_id, key, since, dict(job.mark.get("at") or {}))
        with self._ledger.transaction(job.tenant_id, actor=job.actor) as transaction:
            described, _ = find_source(transaction, key)
            added = append_translation(
                transaction, described, part.said, only_missing=part.standing
            )
        told = {"records": job.done + part.records, "added": job.mark.get("added", 0) + added}
        mark = {"at": part.mark, "added": told["added"]}
        ended = part.mark is None
        return Progress(mark, job.done + part.records, None, told if ended else None)

    def _settle(self, job: Job) -> Progress:
        key, backfill_id = job.asked["source"], job.asked["backfill"]
        after, changed = job.mark.get("after", ""), job.mark.get("changed", 0)
        with self._ledger.transaction(job.tenant_id, actor=job.actor) as transaction:
            demand_open(transaction, backfill_id)
            described, _ = find_source(transaction, key)
            names = record_names(transaction, key, after, SETTLED_AT_ONCE)
            changed += settle_again(transaction, described, names, backfill_id)
            done = job.done + len(names)
            total = job.total or count_records(transaction, key)
            if len(names) == SETTLED_AT_ONCE:
                return Progress({"after": names[-1], "changed": changed}, done, total)
            if not changed:
                nothing = "The present mapping changes nothing"
                change_backfill(
                    transaction, BackfillDropped(backfill_id=backfill_id, reason=nothing)
                )
        result = {"changed": changed, "backfill": backfill_id if changed else None}
        return Progress({"after": after, "changed": changed}, done, done, result)


def _latest(known: str | None, new: datetime | None) -> str | None:
    told = None if new is None else format_instant(new)
    return max(filter(None, (known, told)), default=None)


def _loaded(view: View, backfill_id: str) -> Mapping[str, Any]:
    """What a load of history has brought, and from when on it makes each metric exact."""
    own = (events.c.tenant_id == view.tenant_id, events.c.backfill == backfill_id)
    streams = select(func.count(events.c.stream.distinct())).where(*own)
    facts = select(func.count()).where(*own, events.c.name.startswith("crm."))
    return {
        "backfill": backfill_id,
        "records": view.connection.execute(streams).scalar_one(),
        "events": view.connection.execute(facts).scalar_one(),
        "metrics": exact_from(view, backfill_id),
    }
