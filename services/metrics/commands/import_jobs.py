"""Files that take longer than a request: checked as a whole, then stored part by part."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from datetime import datetime

import msgspec

from services.metrics.commands.history import demand_open
from services.metrics.commands.imports import (
    Prepared,
    Report,
    append_part,
    keep_report,
    prepare,
)
from services.metrics.commands.jobs import Job, Progress, Step, note, start
from services.metrics.domain.mapping import Mapping
from services.metrics.sources.tables import File
from shared.clock import format_instant
from shared.ledger import Ledger, Transaction

# Facts that are stored in one transaction.
PART = 5_000


class _Packed(msgspec.Struct):
    """The uploaded tables as the job keeps them."""

    file: File
    lookups: dict[str, File]


def begin_import(
    transaction: Transaction, source_key: str, mapping: Mapping, file: File,
    lookups: Lookup[str, File], extra: Lookup[str, str], backfill: str | None,
) -> Job:  # fmt: skip
    """Have a file imported by the worker."""
    if backfill is not None:
        demand_open(transaction, backfill)
    asked = {
        "source": source_key, "mapping": mapping.model_dump(mode="json", by_alias=True),
        "extra": dict(extra), "backfill": backfill,
    }  # fmt: skip
    content = msgspec.msgpack.encode(_Packed(file, dict(lookups)))
    return start(transaction, "import", asked, content)


class Importing:
    """The steps of an import: the first checks every row, each further one stores a part."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._prepared: tuple[str, Prepared] | None = None

    def steps(self) -> dict[str, Step]:
        return {"import": self._import}

    def _import(self, job: Job) -> Progress:
        prepared = self._checked(job)
        total = len(prepared.events) + len(prepared.absent_ids)
        origin, exported_at = f"/sources/{job.asked['source']}", job.asked["extra"]["exported_at"]
        if not job.mark:
            report = Report(job.job_id, origin, prepared.rows, prepared.skipped)
            report.encoding = prepared.encoding
            return Progress({"report": vars(report)}, 0, total)
        report = Report(**job.mark["report"])
        with self._ledger.transaction(job.tenant_id, actor=job.actor) as transaction:
            if job.asked["backfill"] is not None:
                demand_open(transaction, job.asked["backfill"])
            part = prepared.part(job.done, PART)
            append_part(transaction, part, datetime.fromisoformat(exported_at), report)
            done = min(job.done + PART, total)
            if done == total:
                keep_report(transaction, report)
            told = {**vars(report), "id": job.job_id, "at": format_instant(transaction.known_at)}
            told.pop("import_id")
            progress = Progress(
                {"report": vars(report)}, done, total, told if done == total else None
            )
            # With the facts themselves, so that a part done twice is not counted twice.
            note(transaction, job, progress)
        return progress

    def _checked(self, job: Job) -> Prepared:
        """The file with every row checked; once per job, and anew after a crash."""
        if self._prepared is None or self._prepared[0] != job.job_id:
            packed = msgspec.msgpack.decode(job.content, type=_Packed)
            mapping = Mapping.model_validate(job.asked["mapping"])
            with self._ledger.view(job.tenant_id) as view:
                found = prepare(
                    view, f"/sources/{job.asked['source']}", mapping, packed.file, packed.lookups,
                    job.asked["extra"], job.made_at,
                )  # fmt: skip
            backfill = job.asked["backfill"]
            self._prepared = job.job_id, found if backfill is None else found.apart(backfill)
        return self._prepared[1]
