"""Building cells: each whole segment is folded once, then merged with its neighbours upwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from services.metrics.domain.definition import summands
from services.metrics.domain.filters import compile_filter
from services.metrics.replay.cells.chunk import NO_TEXT, Chunk, decode, fits, hashed, scaled_sum
from services.metrics.replay.cells.delta import changed
from services.metrics.replay.cells.series import (
    FANOUT,
    MAX_LEVEL,
    SEGMENT,
    Series,
    node_of,
)
from services.metrics.replay.frame import Row, view_of
from services.metrics.replay.knowledge import Condition, Ground
from services.metrics.replay.lens import text_reader
from services.metrics.replay.rules import rules_of
from services.metrics.tables import cells, series
from shared.clock import to_micros
from shared.database import Database, insert_once
from shared.ledger.rebuild import head_of
from shared.ledger.tables import events
from shared.periods import Calendar

Chunks = dict[int, Chunk]
# So many segments are folded before what they gave is written in one short transaction.
SEGMENTS_PER_STEP = 8


def build_step(
    database: Database, tenant_id: UUID, wanted: Sequence[Series], segment_size: int = SEGMENT
) -> int:
    """Build the next segments of the series that are furthest behind; how many were built."""
    if not wanted:
        return 0
    with database.read(tenant_id) as connection:
        found = built_segments(connection, tenant_id)
        built = {one.id: found.get(one.id, 0) for one in wanted}
        whole = head_of(connection, tenant_id) // segment_size
        first = min(built.values())
        last = min(whole, first + SEGMENTS_PER_STEP)
        due = [one for one in wanted if built[one.id] == first]
        made = [
            (n, _fold_run(connection, tenant_id, n * segment_size, (n + 1) * segment_size, due))
            for n in range(first, last)
        ]
    for segment, by_series in made:
        _write(database, tenant_id, segment, by_series)
    return len(made)


def built_segments(connection: Connection, tenant_id: UUID) -> dict[bytes, int]:
    """How many segments of each series are built."""
    rows = connection.execute(
        select(series.c.series_id, series.c.segments).where(series.c.tenant_id == tenant_id)
    )
    return {bytes(series_id): segments for series_id, segments in rows}


def drop_cells(connection: Connection, tenant_id: UUID) -> None:
    """Forget all cells of a tenant; answers come from the ledger until they are built again."""
    for table in (cells, series):
        connection.execute(delete(table).where(table.c.tenant_id == tenant_id))


def _fold_run(
    connection: Connection, tenant_id: UUID, after: int, until: int, due: Sequence[Series]
) -> list[tuple[Series, Chunks]]:
    names = sorted({name for one in due for name in one.names})
    which: list[Condition] = [events.c.name.in_(names)]
    ground = Ground.of(rules_of(connection, tenant_id), tenant_id, until)
    calendar = due[0].calendar
    begun, ended = changed(connection, ground, calendar, after, until, which)
    signed = [(1, prepared(begun, calendar)), (-1, prepared(ended, calendar))]
    return [(one, fold_rows(one, signed)) for one in due]


@dataclass(slots=True)
class Told:
    """A row with what every series asks of it: worked out once for all of them."""

    row: Row
    fields: dict[str, Any]
    ordinal: int
    month: int
    leaf: int


def prepared(rows: Sequence[Row], calendar: Calendar) -> list[Told]:
    """Rows made ready for folding, by the days of a calendar."""
    found = []
    for row in rows:
        day = row.occurred_on or calendar.day_of(row.occurred_at)
        month, leaf = day.year * 12 + day.month - 1, int.from_bytes(row.leaf, "big")
        found.append(Told(row, view_of(row), day.toordinal(), month, leaf))
    return found


def fold_rows(one: Series, signed: Sequence[tuple[int, Sequence[Told]]]) -> Chunks:
    """The chunks of rows that begin (+1) or cease (-1) to count, by month."""
    fold = _Folding(one)
    for sign, rows in signed:
        for row in rows:
            if row.row.name in one.names:
                fold.add(row, sign)
    return fold.chunks


class _Folding:
    """Rows on their way into chunks."""

    def __init__(self, one: Series) -> None:
        leaf = one.leaf
        self.chunks: Chunks = {}
        self._series, self._form = one, one.form
        self._passes = compile_filter(leaf.where) if leaf.where is not None else None
        self._wanted = set(leaf.events)
        self._names = summands(leaf.field) if leaf.field and one.form != "texts" else None
        self._text = text_reader(leaf.field) if one.form == "texts" else None
        self._keys: dict[tuple[object, ...], str] = {}

    def add(self, item: Told, sign: int) -> None:
        row, form = item.row, self._form
        passes = row.name in self._wanted and (self._passes is None or self._passes(item.fields))
        if not passes and form != "events":
            return
        text = self._text(item.fields) if self._text else None
        number = 0 if self._names is None else scaled_sum(row.fields, self._names)
        if form != "events" and (number is None or (self._text and text is None)):
            return
        chunk = self.chunks.get(item.month)
        if chunk is None:
            chunk = self.chunks[item.month] = Chunk(form)
        owner = chunk.owner(self._key_of(row))
        place = (item.ordinal, owner, sign)
        if form == "events":
            subject = hashed(row.subject or f"#{row.position}")
            self._pack(chunk, number or 0, place, subject, row, passes and number is not None)
            return
        assert number is not None, "rows without a value were left out above"
        chunk.add_sum(item.ordinal, owner, sign, sign * number, sign * item.leaf)
        if form == "values":
            self._pack(chunk, number, place, NO_TEXT, row, passes)
        elif text is not None:
            chunk.rows.append((*place, *hashed(text)))

    def _key_of(self, row: Row) -> str:
        fields = row.fields
        said = (fields.get("currency"), *map(fields.get, self._series.dimensions))
        # 1, 1.0 and true are equal to Python, and different keys.
        values = (row.source, *said, *map(type, said))
        try:
            found = self._keys.get(values)
        except TypeError:  # A list or an object as a dimension.
            return self._series.key_of(row)
        if found is None:
            found = self._keys[values] = self._series.key_of(row)
        return found

    def _pack(
        self, chunk: Chunk, number: int, place: tuple[int, int, int], subject: tuple[int, int],
        row: Row, counted: bool,
    ) -> None:  # fmt: skip
        if not fits(number):
            chunk.wide, number = True, 0
        if self._form == "values":
            chunk.rows.append((*place, number))
            return
        at = to_micros(row.moment)
        chunk.rows.append((*place, number, *subject, at, row.position, counted, row.leaf))


def _write(
    database: Database, tenant_id: UUID, segment: int, by_series: Sequence[tuple[Series, Chunks]]
) -> None:
    """Write a segment's chunks and the runs that it completes, in one short transaction."""
    with database.write(tenant_id) as connection:
        for one, chunks in by_series:
            row = {"tenant_id": tenant_id, "series_id": one.id, "spec": one.spec, "segments": 0}
            insert_once(connection, series, row)
            moved = connection.execute(
                update(series)
                .where(
                    series.c.tenant_id == tenant_id,
                    series.c.series_id == one.id,
                    series.c.segments == segment,
                )
                .values(segments=segment + 1)
            )
            if moved.rowcount:
                _insert(connection, tenant_id, one, node_of(0, segment), chunks)
                _merge_upwards(connection, tenant_id, one, segment + 1)


def _merge_upwards(connection: Connection, tenant_id: UUID, one: Series, segments: int) -> None:
    for level in range(1, MAX_LEVEL + 1):
        if segments % FANOUT**level:
            return
        index = segments // FANOUT**level - 1
        children = [node_of(level - 1, index * FANOUT + n) for n in range(FANOUT)]
        rows = connection.execute(
            select(cells.c.month, cells.c.body)
            .where(
                cells.c.tenant_id == tenant_id,
                cells.c.series_id == one.id,
                cells.c.node.in_(children),
            )
            .order_by(cells.c.node, cells.c.month)
        )
        merged: Chunks = {}
        for month, body in rows:
            merged.setdefault(month, Chunk(one.form)).take_in(decode(body))
        _insert(connection, tenant_id, one, node_of(level, index), merged)


def _insert(
    connection: Connection, tenant_id: UUID, one: Series, node: int, chunks: Mapping[int, Chunk]
) -> None:
    rows = [
        {"tenant_id": tenant_id, "series_id": one.id, "node": node, "month": month, "body": body}
        for month, chunk in sorted(chunks.items())
        if (body := chunk.encode()) is not None
    ]
    if rows:
        connection.execute(insert(cells), rows)
