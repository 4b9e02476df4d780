"""Building cells: each whole segment is folded once, then merged with its neighbours upwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from services.metrics.replay.cells.chunk import (
    EVERY_MONTH,
    Chunk,
    apart,
    as_kept,
    decode,
    merged,
)
from services.metrics.replay.cells.delta import folded_run
from services.metrics.replay.cells.folding import fold
from services.metrics.replay.cells.series import (
    FANOUT,
    MAX_LEVEL,
    Series,
    node_of,
)
from services.metrics.replay.cells.sheet import Sheet
from services.metrics.replay.knowledge import Ground
from services.metrics.replay.rules import rules
from services.metrics.tables import cells, series
from shared.database import Database, insert_once
from shared.ledger import View

# So many segments are folded before their chunks are written in one short transaction.
SEGMENTS_PER_STEP = 8
# So many segments are the largest run: what it holds of one series is as much as fits into memory.
_LARGEST = FANOUT**MAX_LEVEL
_Row = dict[str, Any]


@dataclass(frozen=True)
class Folded:
    """The next segments of some series, folded and not yet written; `left` where there are more."""

    tenant_id: UUID
    due: Sequence[Series]
    first: int
    last: int
    rows: Sequence[_Row]
    left: bool

    @property
    def segments(self) -> int:
        return max(self.last - self.first, 0)


def fold_next(view: View, wanted: Sequence[Series], segment_size: int) -> Folded:
    """Fold the next segments of the series that are furthest behind, at the ledger's head."""
    connection, tenant_id = view.connection, view.tenant_id
    found = built_segments(connection, tenant_id)
    built = {one.id: found.get(one.id, 0) for one in wanted}
    whole = view.position // segment_size
    first = min(built.values(), default=whole)
    last = min(whole, first + SEGMENTS_PER_STEP)
    due = [one for one in wanted if built[one.id] == first]
    largest = (first // _LARGEST + 1) * _LARGEST
    if last >= largest:
        # Up to the segment that completes the largest run, and then that for one series alone.
        last, due = (largest - 1, due) if first < largest - 1 else (largest, due[:1])
    rows: list[_Row] = []
    for number in range(first, last):
        sheet = _sheet(view, number * segment_size, (number + 1) * segment_size, due)
        for one in due:
            chunk = fold(one, sheet)
            if chunk is not None:
                rows += _rows(tenant_id, one, node_of(0, number), as_kept(chunk))
            # Here and not when they are written, which keeps other writers of SQLite waiting.
            rows += _runs_above(connection, tenant_id, one, number + 1, rows)
    left = last < whole or len(due) < len(wanted)
    return Folded(tenant_id, due, first, last, rows, left)


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


def _sheet(view: View, after: int, until: int, due: Sequence[Series]) -> Sheet:
    """What a run of the ledger changed for some series."""
    names = sorted({name for one in due for name in one.names})
    ground = Ground.of(rules(view), view.tenant_id, until)
    return folded_run(view.connection, ground, due[0].calendar, after, until, names)


def _rows(tenant_id: UUID, one: Series, node: int, chunks: Mapping[int, Chunk]) -> list[_Row]:
    """The rows of a node's chunks, but for those of which nothing is left."""
    return [
        {"tenant_id": tenant_id, "series_id": one.id, "node": node, "month": month, "body": body}
        for month, chunk in sorted(chunks.items())
        if (body := chunk.encode()) is not None
    ]


def write(database: Database, folded: Folded) -> None:
    """Write chunks of some segments and the runs that these complete; for who still lacks them."""
    if folded.segments == 0:
        return
    tenant_id, due, first = folded.tenant_id, folded.due, folded.first
    # What is lost with the database's machine is built again.
    with database.write(tenant_id, durable=False) as connection:
        if first == 0:
            for one in due:
                row = {"tenant_id": tenant_id, "series_id": one.id, "spec": one.spec, "segments": 0}
                insert_once(connection, series, row)
        moved = connection.execute(
            update(series)
            .where(
                series.c.tenant_id == tenant_id,
                series.c.series_id.in_([one.id for one in due]),
                series.c.segments == first,
            )
            .values(segments=folded.last)
            .returning(series.c.series_id)
        )
        mine = {bytes(series_id) for (series_id,) in moved}
        own = [row for row in folded.rows if row["series_id"] in mine]
        if own:
            connection.execute(insert(cells), own)


def _runs_above(
    connection: Connection, tenant_id: UUID, one: Series, segments: int, fresh: Sequence[_Row]
) -> list[_Row]:
    """The rows of the runs that so many segments complete, from those stored and those `fresh`."""
    made: list[_Row] = []
    for level in range(1, MAX_LEVEL + 1):
        if segments % FANOUT**level:
            break
        index = segments // FANOUT**level - 1
        children = [node_of(level - 1, index * FANOUT + n) for n in range(FANOUT)]
        stored = connection.execute(
            select(cells.c.node, cells.c.month, cells.c.body).where(
                cells.c.tenant_id == tenant_id,
                cells.c.series_id == one.id,
                cells.c.node.in_(children),
            )
        )
        below = [(node, month, body) for node, month, body in stored]
        below += [
            (row["node"], row["month"], row["body"])
            for row in (*fresh, *made)
            if row["series_id"] == one.id and row["node"] in children
        ]
        made += _rows(tenant_id, one, node_of(level, index), _merged(one, level, sorted(below)))
    return made


def _merged(
    one: Series, level: int, below: Sequence[tuple[int, int, bytes]]
) -> Mapping[int, Chunk]:
    """The chunks of a run from those of its parts, in the parts' order."""
    parts: dict[int, list[Chunk]] = {}
    for _, month, body in below:
        # Segments may be kept in one chunk each; the runs above them are kept by month.
        place = EVERY_MONTH if level == 1 else month
        parts.setdefault(place, []).append(decode(body, one.form))
    whole = {month: merged(one.form, found) for month, found in parts.items()}
    return apart(whole[EVERY_MONTH]) if EVERY_MONTH in whole else whole
