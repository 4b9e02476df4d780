"""Long work: kept with how far it has come, carried on after a crash, and told of on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select, update

from services.metrics.tables import jobs
from shared.chain import canonical_json, parse_json
from shared.errors import INTERNAL, NOT_FOUND, UNAVAILABLE, Refusal
from shared.ids import new_id
from shared.ledger import Ledger, Transaction
from shared.ledger.rebuild import tenant_ids
from shared.telemetry import log

# A step that fails by a mistake of ours is tried so often.
MAX_FAILURES = 5
RETRY_SECONDS = 60
# So many of the last jobs of a source are looked at.
LOOKED_BACK = 200


@dataclass(frozen=True, slots=True)
class Job:
    """Something that takes more than one request; `mark` is where it goes on.

    `asked` and `content` say what is to be done, `outcome` what came of it: a result, or a problem
    where it has failed.
    """

    tenant_id: UUID
    job_id: str
    kind: str
    state: str
    actor: str
    made_at: datetime
    changed_at: datetime
    asked: Mapping[str, Any]
    mark: Mapping[str, Any]
    done: int
    total: int | None
    outcome: Mapping[str, Any]
    content: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come after a step; with a result it is done."""

    mark: Mapping[str, Any]
    done: int
    total: int | None = None
    result: Mapping[str, Any] | None = None


# Does one bounded part of a job. A part that was done before a crash may be done once more: what it
# appends is known by then, and changes nothing.
Step = Callable[[Job], Progress]


def start(
    transaction: Transaction, kind: str, asked: Mapping[str, Any], content: bytes = b""
) -> Job:
    """Have something done; it begins after this transaction's commit."""
    now = transaction.known_at
    job_id = new_id()
    transaction.connection.execute(
        insert(jobs).values(
            tenant_id=transaction.tenant_id, job_id=job_id, kind=kind, state="queued",
            actor=transaction.actor, made_at=now, changed_at=now, asked=canonical_json(asked),
            mark="{}", done=0, total=None, outcome="{}", content=content,
        )
    )  # fmt: skip
    return job_of(transaction.connection, transaction.tenant_id, job_id)


def job_of(connection: Connection, tenant_id: UUID, job_id: str) -> Job:
    """A job; refuses with 404 where there is none."""
    row = connection.execute(
        select(jobs).where(jobs.c.tenant_id == tenant_id, jobs.c.job_id == job_id)
    ).one_or_none()
    if row is None:
        raise NOT_FOUND.refusal(f"There is no job {job_id!r}.")
    return _job(row)


def job_list(connection: Connection, tenant_id: UUID, before: str, limit: int) -> list[Job]:
    """The jobs, newest first."""
    older = [jobs.c.job_id < before] if before else []
    rows = connection.execute(
        select(jobs)
        .where(jobs.c.tenant_id == tenant_id, *older)
        .order_by(jobs.c.job_id.desc())
        .limit(limit)
    )
    return [_job(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Before:
    """What became of a kind of job for a source until now."""

    done: Job | None
    tried_at: datetime | None
    under_way: bool


def before(connection: Connection, tenant_id: UUID, kind: str, source: str, actor: str) -> Before:
    """The last job of a kind that an actor had done for a source, and when one was last tried."""
    rows = connection.execute(
        select(jobs)
        .where(
            jobs.c.tenant_id == tenant_id,
            jobs.c.kind == kind,
            jobs.c.asked.contains(f'"source":{canonical_json(source)}', autoescape=True),
        )
        .order_by(jobs.c.job_id.desc())
        .limit(LOOKED_BACK)
    )
    found = [_job(row) for row in rows]
    return Before(
        next((job for job in found if job.state == "done" and job.actor == actor), None),
        found[0].changed_at if found else None,
        any(job.state in ("queued", "running") for job in found),
    )


def _job(row: Any) -> Job:
    told = dict(row._mapping)
    for name in ("asked", "mark", "outcome"):
        told[name] = parse_json(told[name])
    return Job(**told)


def note(transaction: Transaction, job: Job, progress: Progress) -> None:
    """Say how far a job has come together with what the step appends, or not at all."""
    if not _update(transaction.connection, job, transaction.known_at, _told(progress)):
        raise UNAVAILABLE.refusal("Another process has come further with this job.")


def _told(progress: Progress) -> dict[str, Any]:
    return {
        "state": "running" if progress.result is None else "done",
        "mark": canonical_json(progress.mark),
        "done": progress.done,
        "total": progress.total,
        "outcome": canonical_json(progress.result or {}),
    }


def _update(connection: Connection, job: Job, now: datetime, values: Mapping[str, Any]) -> bool:
    """Move a job on; False where it is no longer where this step began."""
    ended = {"content": b""} if values["state"] != "running" else {}
    moved = connection.execute(
        update(jobs)
        .where(
            jobs.c.tenant_id == job.tenant_id,
            jobs.c.job_id == job.job_id,
            jobs.c.state.in_(("queued", "running")),
            jobs.c.mark == canonical_json(job.mark),
            jobs.c.done == job.done,
        )
        .values(changed_at=now, **values, **ended)
    )
    return moved.rowcount > 0


class Jobs:
    """Carries on what is under way, a step of each organisation's oldest job at a time."""

    def __init__(self, ledger: Ledger, steps: Mapping[str, Step]) -> None:
        self._ledger, self._steps = ledger, steps
        self._waiting: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def step(self) -> bool:
        """Do a step for every organisation; True where there is more to do at once."""
        with self._ledger.database.read(None) as connection:
            tenants = tenant_ids(connection)
        return sum(self._carry_on(tenant_id) for tenant_id in tenants) > 0

    def _carry_on(self, tenant_id: UUID) -> bool:
        job = self._next(tenant_id)
        if job is None:
            return False
        try:
            progress = self._steps[job.kind](job)
        except Refusal as refusal:
            return self._refused(job, refusal)
        except Exception as error:
            return self._failed(job, error)
        self._failures.pop(job.job_id, None)
        self._save(job, **_told(progress))
        return True

    def _next(self, tenant_id: UUID) -> Job | None:
        with self._ledger.database.read(tenant_id) as connection:
            rows = connection.execute(
                select(jobs.c.job_id)
                .where(jobs.c.tenant_id == tenant_id, jobs.c.state.in_(("queued", "running")))
                .order_by(jobs.c.job_id)
            ).scalars()
            now = time.monotonic()
            due = (job_id for job_id in rows if self._waiting.get(job_id, 0.0) <= now)
            job_id = next(due, None)
            return None if job_id is None else job_of(connection, tenant_id, job_id)

    def _refused(self, job: Job, refusal: Refusal) -> bool:
        if refusal.problem is UNAVAILABLE:
            seconds = int(refusal.headers.get("Retry-After", RETRY_SECONDS))
            self._waiting[job.job_id] = time.monotonic() + seconds
            return False
        self._end(job, refusal)
        return True

    def _failed(self, job: Job, error: Exception) -> bool:
        failures = self._failures[job.job_id] = self._failures.get(job.job_id, 0) + 1
        log("jobs").error("step-failed", job=job.job_id, kind=job.kind, exc_info=error)
        if failures < MAX_FAILURES:
            self._waiting[job.job_id] = time.monotonic() + failures
            return False
        self._end(job, INTERNAL.refusal("A step of this failed again and again; see the log."))
        return True

    def _end(self, job: Job, refusal: Refusal) -> None:
        problem = refusal.document(f"/v1/jobs/{job.job_id}")
        self._save(job, state="failed", outcome=canonical_json(problem))

    def _save(self, job: Job, **values: Any) -> None:
        self._waiting.pop(job.job_id, None)
        with self._ledger.database.write(job.tenant_id) as connection:
            _update(connection, job, self._ledger.clock.now(), values)
