"""`POST /v1/imports`: CSV files, checked row by row, then only the differences stored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, File, Form, Header, Request, Response, UploadFile
from pydantic import Field, ValidationError
from sqlalchemy import select

from services.metrics.api import jobs
from services.metrics.commands.import_jobs import begin_import
from services.metrics.commands.imports import Prepared, import_file, prepare
from services.metrics.domain.mapping import Mapping
from services.metrics.domain.presets import PRESET_COLUMNS, PRESETS
from services.metrics.queries.definitions import calendar, source
from services.metrics.sources.tables import File as Table
from services.metrics.sources.tables import read_table, shape_of
from services.metrics.tables import imports
from shared.chain import parse_json
from shared.clock import format_instant
from shared.closed import faults_of
from shared.errors import CONFLICT, INVALID, NOT_FOUND, Refusal, invalid
from shared.ids import KEY_PATTERN, did_you_mean
from shared.ledger import View
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Wire

router = make_router("imports")


class Import(Wire):
    """What an import changed."""

    id: str = Field(description="Id of the import")
    source: str = Field(description="Source of its facts")
    at: InstantField = Field(description="When it was stored")
    rows: int = Field(ge=0, description="Rows read")
    skipped: int = Field(ge=0, description="Rows that give no event (not a fault)")
    accepted: int = Field(ge=0, description="New facts")
    restated: int = Field(ge=0, description="Facts that changed since the last export")
    retracted: int = Field(ge=0, description="Facts that a later export no longer gives")
    unchanged: int = Field(ge=0, description="Facts known already")
    position: int = Field(ge=0, description="Position from which it is readable")
    encoding: str = Field(description="Encoding that the file was read in")


class Column(Wire):
    """A column of a table, and what its cells look like."""

    name: str = Field(description="Name in the header")
    shape: str = Field(description="What all its cells have in common: date, decimal comma, text")
    samples: list[str] = Field(description="Some of its values")


class TablePreview(Wire):
    """How a table is written."""

    rows: int = Field(ge=0, description="Rows below the header")
    encoding: str = Field(description="Encoding that it was read in; `xlsx` for a workbook")
    delimiter: str | None = Field(description="What parts its cells; null for a workbook")
    columns: list[Column] = Field(description="In the order of the header")
    presets: list[str] = Field(description="Built-in mappings whose columns are all there")


SAMPLES = 5
_FIELDS = {
    "file", "source", "preset", "mapping", "exported_at", "currency", "encoding", "dry_run",
    "lookups", "sheet", "backfill",
}  # fmt: skip


async def only_known_fields(request: Request) -> None:
    """Refuse form fields that nobody reads, as unknown fields of JSON are refused."""
    for name in (await request.form()).keys() - _FIELDS:
        detail = f"There is no field {name!r}.{did_you_mean(name, _FIELDS)}"
        raise invalid(f"/{name}", detail, "unknown_field")


@router.post("/imports", status_code=201, response_model=Import)
def import_csv(
    caller: Annotated[Caller, Depends(writes("events:write"))],
    fields: Annotated[None, Depends(only_known_fields)],
    file: Annotated[UploadFile, File(description="The table: CSV in any dialect, or XLSX")],
    source_key: Annotated[
        str,
        Form(alias="source", pattern=KEY_PATTERN, description="Key of the source, or a new name"),
    ] = "files",
    preset: Annotated[
        str | None,
        Form(max_length=64, description=f"A built-in mapping: {', '.join(PRESETS)}"),
    ] = None,
    mapping: Annotated[
        str | None,
        Form(max_length=100_000, description="Or a mapping as JSON; default: the source's"),
    ] = None,
    exported_at: Annotated[
        InstantField | None, Form(description="When the file was exported; default: now")
    ] = None,
    currency: Annotated[
        str | None, Form(pattern=r"^[A-Z]{3}$", description="Currency of amounts without one")
    ] = None,
    encoding: Annotated[
        str | None,
        Form(max_length=40, description="Encoding; default: UTF-8, or else Windows-1252"),
    ] = None,
    sheet: Annotated[
        str | None, Form(max_length=100, description="Sheet of a workbook; default: the first")
    ] = None,
    backfill: Annotated[
        str | None, Form(max_length=36, description="Load into this open backfill")
    ] = None,
    dry_run: Annotated[bool, Form(description="Only check, and say what would change")] = False,
    lookups: Annotated[
        list[UploadFile] | None, File(description="Tables that the mapping looks values up in")
    ] = None,
    prefer: Annotated[
        str | None,
        Header(
            max_length=200, description="`respond-async`: 202 and a job that shows its progress"
        ),
    ] = None,
) -> Response:
    """Import a table: CSV or XLSX.

    Every row is checked first: a faulty one refuses the file, naming row and column, and nothing
    is stored. The same file again changes nothing; a later export of the same system adds what is
    new, restates what changed and retracts what a record no longer gives.

    With `Prefer: respond-async` the answer is 202 with a job: every row is checked first there,
    too, then the file is stored part by part, after a crash as well. Its result is the import.
    """
    table = Table(file.filename or "file.csv", file.file.read(), encoding, sheet)
    beside = {
        u.filename or "": Table(u.filename or "", u.file.read(), encoding) for u in lookups or []
    }
    now = caller.runtime.clock.now()
    exported = exported_at or now
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        rules = _mapping(view, source_key, preset, mapping)
        extra = {
            "exported_at": format_instant(exported),
            "currency": currency or calendar(view).currency,
        }
    if "respond-async" in (prefer or "") and not dry_run:
        return caller.command(
            lambda transaction: jobs.accepted(
                begin_import(transaction, source_key, rules, table, beside, extra, backfill)
            )
        )
    with caller.runtime.ledger.view(caller.tenant_id) as view:
        prepared = prepare(view, f"/sources/{source_key}", rules, table, beside, extra, now)

    return _import_now(caller, source_key, prepared, exported, backfill, dry_run=dry_run)


def _import_now(
    caller: Caller, source_key: str, prepared: Prepared, exported: datetime, backfill: str | None,
    *, dry_run: bool,
) -> Response:  # fmt: skip
    def work(transaction: Any) -> Answer:
        origin = f"/sources/{source_key}"
        report = import_file(transaction, origin, prepared, exported, backfill)
        body = {**vars(report), "id": report.import_id, "at": transaction.known_at}
        body.pop("import_id")
        shown = Import.model_validate(body)
        if dry_run:
            raise _DryRun(shown)
        return Answer(shown, 201, None, f"/v1/imports/{shown.id}")

    try:
        return caller.command(work)
    except _DryRun as dry:
        return Answer(dry.report, 200).response()


@router.post("/imports/preview")
def preview_table(
    caller: Annotated[Caller, Depends(writes("events:write"))],
    fields: Annotated[None, Depends(only_known_fields)],
    file: Annotated[UploadFile, File(description="The table: CSV in any dialect, or XLSX")],
    encoding: Annotated[str | None, Form(max_length=40, description="Encoding")] = None,
    sheet: Annotated[str | None, Form(max_length=100, description="Sheet of a workbook")] = None,
) -> TablePreview:
    """Look at a table before it is mapped: how it is written, and what its columns hold."""
    found = read_table(Table(file.filename or "file", file.file.read(), encoding, sheet))
    columns = [
        Column(
            name=name,
            shape=shape_of([row[place] for row in found.rows if place < len(row)]),
            samples=_samples(found.rows, place),
        )
        for place, name in enumerate(found.header)
    ]
    fitting = [name for name, told in PRESET_COLUMNS.items() if set(told) <= set(found.header)]
    return TablePreview(
        rows=len(found.rows), encoding=found.encoding, delimiter=found.delimiter,
        columns=columns, presets=fitting,
    )  # fmt: skip


def _samples(rows: list[list[str]], place: int) -> list[str]:
    told = dict.fromkeys(row[place][:200] for row in rows if place < len(row) and row[place])
    return list(told)[:SAMPLES]


class _DryRun(Exception):
    """Ends a transaction without a trace, with what it would have changed."""

    def __init__(self, report: Import) -> None:
        super().__init__("dry run")
        self.report = report


def _mapping(view: View, key: str, preset: str | None, mapping: str | None) -> Mapping:
    if preset is not None:
        if preset not in PRESETS:
            detail = f"There is no preset {preset!r}.{did_you_mean(preset, PRESETS)}"
            raise invalid("/preset", f"{detail} Presets: {', '.join(PRESETS)}.", "unknown_preset")
        return PRESETS[preset]
    if mapping is not None:
        return _parsed(mapping)
    try:
        described, _ = source(view, key)
    except Refusal as error:
        detail = "Say `preset` or `mapping`, or name a source that has a mapping."
        raise invalid("/mapping", detail, "missing") from error
    if described.kind != "files" or not described.mapping:
        raise CONFLICT.refusal(f"The source {key!r} has no mapping for files.")
    return Mapping.model_validate(described.mapping)


def _parsed(text: str) -> Mapping:
    try:
        value = parse_json(text)
        return Mapping.model_validate(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid("/mapping", f"This is no JSON: {error}", "json") from error
    except ValidationError as error:
        faults = faults_of(error, value, "/mapping")
        raise INVALID.refusal(f"The mapping: {faults[0].detail}", faults) from error


@router.get("/imports/{import_id}")
def get_import(import_id: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]) -> Import:
    """Show what an import changed."""
    with reader.view() as view:
        row = view.connection.execute(
            select(imports).where(
                imports.c.tenant_id == view.tenant_id, imports.c.import_id == import_id
            )
        ).one_or_none()
    if row is None:
        raise NOT_FOUND.refusal(f"There is no import {import_id!r}.")
    body = parse_json(row.body)
    body.pop("import_id")
    at: datetime = row.at
    return Import.model_validate({**body, "id": row.import_id, "at": at})
