"""Long work and how far it has come."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import Field

from services.metrics.commands import jobs
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Reader, reads
from shared.web.wire import InstantField, Wire

router = make_router("jobs")
JobKind = Literal["history", "reconcile", "settle", "import"]


class Job(Wire):
    """Something that takes more than one request."""

    id: str = Field(description="Id of the job")
    kind: JobKind = Field(description="What is done")
    state: Literal["queued", "running", "done", "failed"] = Field(
        description="`queued` and `running` jobs are carried on, after a crash too"
    )
    source: str | None = Field(description="Key of the source that it is about")
    done: int = Field(ge=0, description="Records or rows that are done")
    total: int | None = Field(ge=0, description="... of so many; null while nobody knows")
    eta_seconds: float | None = Field(
        ge=0, description="Seconds that the rest will take at the pace so far; null if unknown"
    )
    made_at: InstantField = Field(description="When it was asked for")
    changed_at: InstantField = Field(description="When it last came on")
    result: dict[str, Any] | None = Field(description="What it has brought; null before its end")
    problem: dict[str, Any] | None = Field(description="Why it failed; null where it has not")


def shown(job: jobs.Job) -> Job:
    """A job as the wire shows it."""
    running = job.state == "running" and job.total is not None and job.done > 0
    rest = (job.total or 0) - job.done
    spent = (job.changed_at - job.made_at).total_seconds()
    return Job.model_validate(
        {
            "id": job.job_id, "kind": job.kind, "state": job.state,
            "source": job.asked.get("source"), "done": job.done, "total": job.total,
            "eta_seconds": round(max(spent * rest / job.done, 0), 1) if running else None,
            "made_at": job.made_at, "changed_at": job.changed_at,
            "result": dict(job.outcome) if job.state == "done" else None,
            "problem": dict(job.outcome) if job.state == "failed" else None,
        }
    )  # fmt: skip


def accepted(job: jobs.Job) -> Answer:
    """The answer of a command that has begun a job."""
    return Answer(shown(job), 202, None, f"/v1/jobs/{job.job_id}")


@router.get("/jobs")
def list_jobs(reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages) -> Page[Job]:
    """List jobs, the newest first."""
    with reader.view() as view:
        rows = jobs.job_list(view.connection, view.tenant_id, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda job: job.job_id, shown)


@router.get("/jobs/{job_id}")
def get_job(job_id: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]) -> Job:
    """Show how far a job has come, and what came of it."""
    with reader.view() as view:
        return shown(jobs.job_of(view.connection, view.tenant_id, job_id))
