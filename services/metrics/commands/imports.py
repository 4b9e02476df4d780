"""Importing a file: every row checked first, then only the differences appended, as one batch."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from msgspec.structs import replace as replace_fields
from sqlalchemy import insert, select

from services.metrics.commands.history import demand_open
from services.metrics.domain.cloudevents import Rejected, read_cloudevent
from services.metrics.domain.facts import Retracted
from services.metrics.domain.mapping import Mapping, Translator
from services.metrics.domain.sequences import sequence_order
from services.metrics.domain.types import EventType
from services.metrics.queries.definitions import types
from services.metrics.sources.tables import File, read_table
from services.metrics.tables import excluded, imports
from shared.chain import canonical_json
from shared.clock import format_instant
from shared.errors import CONFLICT, INVALID, Fault, invalid
from shared.events import Event, NewEvent
from shared.ids import new_id
from shared.ledger import Transaction, View, new_event, read_event
from shared.ledger.projecting import known
from shared.ledger.rows import LOOKUP_CHUNK, personal_values
from shared.ledger.tables import events

MAX_ROWS = 200_000
MAX_FAULTS = 100
_DELIMITERS = ",;\t|"


@dataclass
class Prepared:
    """A file whose every row has been checked."""

    rows: int = 0
    skipped: int = 0
    encoding: str = ""
    events: list[NewEvent] = field(default_factory=list)
    absent_ids: list[str] = field(default_factory=list)
    # The row that first gives each fact.
    numbers: dict[str, int] = field(default_factory=dict)

    def apart(self, backfill: str) -> Prepared:
        """The same for a backfill: history that is loaded apart takes nothing back."""
        events = [replace_fields(event, backfill=backfill) for event in self.events]
        return replace(self, events=events, absent_ids=[])

    def part(self, start: int, size: int) -> Prepared:
        """A part of it, counted over its facts, then those that it no longer gives."""
        beyond = max(start - len(self.events), 0)
        rest = max(start + size - len(self.events), 0)
        return replace(
            self, events=self.events[start : start + size], absent_ids=self.absent_ids[beyond:rest]
        )


@dataclass
class Report:
    """What an import changed."""

    import_id: str
    source: str
    rows: int
    skipped: int
    accepted: int = 0
    unchanged: int = 0
    restated: int = 0
    retracted: int = 0
    position: int = 0
    encoding: str = ""


def lookup_tables(mapping: Mapping, files: Lookup[str, File]) -> dict[str, dict[str, str]]:
    """The tables that a mapping looks values up in."""
    tables: dict[str, dict[str, str]] = {}
    for name, rule in mapping.lookups.items():
        if rule.file not in files:
            if rule.optional:
                continue
            raise invalid("/lookups", f"The mapping needs the file {rule.file!r}.", "missing_file")
        found = read_table(files[rule.file])
        header, rows = found.header, found.rows
        for column in (rule.key, rule.value):
            if column not in header:
                raise invalid(
                    "/lookups", f"{rule.file} has no column {column!r}.", "missing_column"
                )
        key, value = header.index(rule.key), header.index(rule.value)
        tables[name] = {r[key].strip(): r[value].strip() for r in rows if len(r) == len(header)}
    return tables


def prepare(
    view: View,
    source: str,
    mapping: Mapping,
    file: File,
    lookups: Lookup[str, File],
    extra: Lookup[str, str],
    now: datetime,
) -> Prepared:
    """Check every row; refuses the whole file with each faulty row and column."""
    table = read_table(file)
    header = table.header
    _demand_columns(mapping, header, extra)
    translator = Translator(mapping, source, lookup_tables(mapping, lookups), extra)
    check = _Check(translator, types(view), extra["exported_at"], now)
    for number, cells in enumerate(table.rows, start=2):
        if any(cell.strip() for cell in cells):
            check.row(number, header, cells)
    if check.faults:
        raise INVALID.refusal(
            f"{file.name} has faults ({len(check.faults)}); nothing was stored. "
            f"{check.faults[0].detail}",
            check.faults[:MAX_FAULTS],
        )
    return Prepared(
        rows=check.rows,
        skipped=check.skipped,
        encoding=table.encoding,
        events=[event for _, event in check.said.values()],
        absent_ids=[identity for identity in check.possible if identity not in check.said],
        numbers={identity: number for identity, (number, _) in check.said.items()},
    )


class _Check:
    """Goes through a file row by row, and gathers its facts and faults."""

    def __init__(
        self, translator: Translator, kinds: Lookup[str, EventType], exported_at: str, now: datetime
    ) -> None:
        self._translator, self._kinds = translator, kinds
        self._exported_at, self._now = exported_at, now
        self.rows = self.skipped = 0
        self.faults: list[Fault] = []
        self.said: dict[str, tuple[int, NewEvent]] = {}
        self.possible: dict[str, None] = {}

    def row(self, number: int, header: Sequence[str], cells: Sequence[str]) -> None:
        self.rows += 1
        if len(cells) != len(header):
            detail = f"Row {number} has {len(cells)} columns, the header {len(header)}."
            self.faults.append(Fault(f"/rows/{number}", detail, "columns"))
            return
        row = dict(zip(header, cells, strict=True))
        made = self._translator.translate(row, f"/rows/{number}")
        self.faults += [_worded(f, number) for f in made.faults]
        self.skipped += not made.items and not made.faults
        self.possible.update(dict.fromkeys(made.possible_ids))
        for item in made.items:
            event = read_cloudevent(item, self._kinds, self._now)
            if isinstance(event, Rejected):
                pointed = (replace(f, pointer=f"/rows/{number}{f.pointer}") for f in event.faults)
                self.faults += [_worded(f, number) for f in pointed]
            else:
                self._fact(number, event)

    def _fact(self, number: int, event: NewEvent) -> None:
        # Where a row has no version of its own, the export's moment is its version.
        event = replace_fields(event, sequence=event.sequence or self._exported_at)
        first, before = self.said.setdefault(event.event_id, (number, event))
        if before.content != event.content or before.personal != event.personal:
            detail = f"Row {number} says {event.event_id!r} otherwise than row {first}."
            self.faults.append(Fault(f"/rows/{number}", detail, "contradiction"))


def _of_row(number: int, fault: Fault) -> Fault:
    return Fault(f"/rows/{number}", f"Row {number}: {fault.detail}", fault.code)


def _worded(fault: Fault, number: int) -> Fault:
    column = fault.pointer.rpartition("/")[2]
    return Fault(fault.pointer, f"Row {number}, column {column}: {fault.detail}", fault.code)


def _demand_columns(mapping: Mapping, header: Sequence[str], extra: Lookup[str, str]) -> None:
    needed: set[str] = set()
    for rule in mapping.events:
        needed.add(rule.time.column)
        for value in rule.data.values():
            column = value if isinstance(value, str) else value.column
            if column is not None:
                needed.add(column)
    missing = sorted(c for c in needed if c not in header and c not in extra and "." not in c)
    if missing:
        raise INVALID.refusal(
            f"The file lacks the columns {', '.join(missing)}.",
            [Fault("/rows/1", f"Row 1 has no column {c!r}.", "missing_column") for c in missing],
        )


def import_file(
    transaction: Transaction, source: str, prepared: Prepared, exported_at: datetime,
    backfill: str | None = None,
) -> Report:  # fmt: skip
    """Append what the file says that is not known yet, into an open backfill where one is named.

    A fact that stands with the same content is left alone, one that changed is restated, and one
    that the same record no longer gives is retracted, if the export is newer than what stands.
    """
    if backfill is not None:
        demand_open(transaction, backfill)
        prepared = prepared.apart(backfill)
    report = Report(new_id(), source, prepared.rows, prepared.skipped, encoding=prepared.encoding)
    append_part(transaction, prepared, exported_at, report)
    keep_report(transaction, report)
    return report


def append_part(
    transaction: Transaction, prepared: Prepared, exported_at: datetime, report: Report
) -> None:
    """Append what a file, or a part of it, says that is not known yet; counted in the report."""
    source = report.source
    standing = _standing(
        transaction, source, [e.event_id for e in prepared.events] + prepared.absent_ids
    )
    new: list[tuple[str, NewEvent]] = []
    for event in prepared.events:
        before = standing.get(event.event_id)
        if before is not None and _says_the_same(before, event):
            report.unchanged += 1
        else:
            new.append(("accepted" if before is None else "restated", event))
    order = sequence_order(format_instant(exported_at))
    for identity in prepared.absent_ids:
        before = standing.get(identity)
        if before is not None and sequence_order(before.sequence) < order:
            gone = Retracted(source=source, event_id=identity, reason="not in a later export")
            new.append(("retracted", _retraction(transaction, gone)))
    _append(transaction, new, prepared.numbers, report)
    report.position = transaction.position


def keep_report(transaction: Transaction, report: Report) -> None:
    """Keep what an import has changed."""
    transaction.connection.execute(
        insert(imports).values(
            tenant_id=transaction.tenant_id,
            import_id=report.import_id,
            source=report.source,
            at=transaction.known_at,
            body=canonical_json(vars(report)),
        )
    )


def _append(
    transaction: Transaction, new: Sequence[tuple[str, NewEvent]], numbers: Lookup[str, int],
    report: Report,
) -> None:  # fmt: skip
    outcomes = transaction.append([event for _, event in new])
    overlaps = [
        _of_row(numbers[event.event_id], outcome.fault)
        for (_, event), outcome in zip(new, outcomes, strict=True)
        if outcome.fault is not None
    ]
    if overlaps:
        before = report.accepted + report.restated + report.retracted
        stored = f"{before} changes before them were stored" if before else "nothing was stored"
        raise CONFLICT.refusal(
            f"Figures of the file are given by other facts ({len(overlaps)}); {stored}. "
            f"{overlaps[0].detail}",
            overlaps[:MAX_FAULTS],
        )
    if any(outcome.status == "conflict" for outcome in outcomes):
        raise CONFLICT.refusal(
            "An export of the same moment was imported with other content; say when this one was "
            "made with `exported_at`."
        )
    for (effect, _), outcome in zip(new, outcomes, strict=True):
        shown = effect if outcome.status == "accepted" else "unchanged"
        setattr(report, shown, getattr(report, shown) + 1)


def _says_the_same(before: Event, event: NewEvent) -> bool:
    """Equal content, personal values included; an erased one can't contradict."""
    erased_or_equal = all(
        value is None or value == event.personal.get(name)
        for name, value in before.personal.items()
    )
    known = before.personal.keys() == event.personal.keys()
    return before.content == event.content and known and erased_or_equal


def _retraction(transaction: Transaction, payload: Retracted) -> NewEvent:
    return new_event(
        payload, source="/metrics", occurred_at=transaction.known_at, subject=payload.source
    )


def _standing(transaction: Transaction, source: str, ids: Sequence[str]) -> dict[str, Event]:
    """The version of each fact that counts now."""
    found: dict[str, Event] = {}
    gone = (
        select(excluded.c.position)
        .where(
            excluded.c.tenant_id == transaction.tenant_id,
            excluded.c.position == events.c.position,
            known(excluded, transaction.position),
        )
        .exists()
    )
    for start in range(0, len(ids), LOOKUP_CHUNK):
        rows = transaction.connection.execute(
            select(events).where(
                events.c.tenant_id == transaction.tenant_id,
                events.c.source == source,
                events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                ~gone,
            )
        )
        standing = [read_event(row._mapping) for row in rows]
        beside = personal_values(
            transaction.connection, transaction.tenant_id, [e.position for e in standing]
        )
        for event in standing:
            values: dict[str, Any] = dict(beside.get(event.position, {}))
            found[event.event_id] = replace_fields(event, personal=values)
    return found
