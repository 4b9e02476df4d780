"""Getting what cells need from the database at one go: chunks, and the ledger's tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import and_, bindparam, exists, or_, select

from services.metrics.replay.cells.chunk import EVERY_MONTH, Chunk, decode, month_of, months_of
from services.metrics.replay.cells.delta import MOVES
from services.metrics.replay.cells.series import Series, node_of, nodes_below
from services.metrics.replay.cells.tail import Tail, tail_behind
from services.metrics.replay.frame import Frame
from services.metrics.replay.raw import Reading
from services.metrics.tables import cells, series
from shared.asking import Rows, ask_together
from shared.periods import ONE_DAY

_BODIES = (
    # With whether anything moves in a run behind, so that this is seldom asked alone.
    select(
        series.c.series_id,
        series.c.segments,
        exists().where(*MOVES),
        cells.c.node,
        cells.c.month,
        cells.c.body,
    )
    .select_from(
        series.outerjoin(
            cells,
            and_(
                cells.c.tenant_id == series.c.tenant_id,
                cells.c.series_id == series.c.series_id,
                cells.c.node.in_(bindparam("nodes", expanding=True)),
                or_(
                    cells.c.month == EVERY_MONTH,
                    cells.c.month.between(bindparam("first"), bindparam("last")),
                ),
            ),
        )
    )
    .where(
        series.c.tenant_id == bindparam("tenant"),
        series.c.series_id.in_(bindparam("ids", expanding=True)),
    )
)
# How many segments of a series were built when it was last looked at; only a guess that spares
# asking before the chunks can be named.
_built: dict[tuple[UUID, bytes], int] = {}
MAX_GUESSES = 100_000
# Behind what is built, so many segments at most are asked for with it: an old guess is far behind.
NEARLY = 4
NODES_AT_ONCE = 16


@dataclass
class _Found:
    """What was read of a series: how much of it is built, its chunks, and of a node beyond them
    whether it has anything of the months."""

    built: int = 0
    chunks: list[Chunk] = field(default_factory=list)
    beyond: bool = False


def chunks_of(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, segment: int
) -> tuple[int, list[Chunk]]:
    """How many whole segments are built, and the series' chunks of them that a frame touches.

    What the other leaves of a question need (`siblings`) and the tail behind are asked for with it.
    """
    last = max(p.end for p in frame.periods) - ONE_DAY
    months = (month_of(min(frame.start_days).toordinal()), month_of(last.toordinal()))
    place = (one.id, *months)
    if place not in reading.chunks:
        every = {s.id: s.form for s in (one, *siblings)}
        wanted = {id_: form for id_, form in every.items() if (id_, *months) not in reading.chunks}
        whole = reading.knowledge.late // segment
        tenant = reading.view.tenant_id
        # One that is not built at all says nothing of how far the others are.
        known_built = [built for id_ in wanted if (built := _built.get((tenant, id_), 0))]
        reach = min(known_built, default=0)
        guess = min(reach, whole)
        tail = tail_behind(reading, one, siblings, frame, guess * segment)
        if reach > whole and len(wanted) == len(every):
            found = _read_within(reading, wanted, whole, months, tail, segment)
        else:
            near = guess > 0 and whole - guess <= NEARLY
            found = _read(reading, wanted, guess, months, tail if near else None)
        for id_, form in wanted.items():
            built = min(found[id_].built, whole)
            if built and built != guess:
                found[id_] = _read(reading, {id_: form}, built, months)[id_]
            reading.chunks[(id_, *months)] = (built, found[id_].chunks if built else [])
    known: tuple[int, list[Chunk]] = reading.chunks[place]
    return known


def _read(
    reading: Reading, ids: Mapping[bytes, str], segments: int, months: tuple[int, int],
    tail: Tail | None = None,
) -> dict[bytes, _Found]:  # fmt: skip
    """What is there of each series of the first so many segments, with the tail if it is plain."""
    run = tail.run() if tail else {"after": 0, "until": 0}
    wanted = _wanted(reading, ids, nodes_below(segments), months) | run
    beside = [tail.asked()] if tail and tail.is_plain() else []
    rows, *answers = ask_together(reading.view.connection, [(_BODIES, wanted), *beside])
    if tail and answers:
        tail.told(answers[0], moves=not rows or any(row[2] for row in rows))
    return _sorted_out(reading, ids, rows, months)


def _read_within(
    reading: Reading, ids: Mapping[bytes, str], segments: int, months: tuple[int, int],
    tail: Tail, size: int,
) -> dict[bytes, _Found]:  # fmt: skip
    """The same where the tail is a part of a segment that is built as well.

    That segment has no chunk of a month in which nothing began to count in it: then, if nothing
    ceased to either, nothing did in its first part, and the ledger is not asked.
    """
    own, end = node_of(0, segments), (segments + 1) * size
    wanted = _wanted(reading, ids, [*nodes_below(segments), own], months) | tail.run(end)
    (rows,) = ask_together(reading.view.connection, [(_BODIES, wanted)])
    found = _sorted_out(reading, ids, rows, months, own)
    untouched = all(one.built > segments and not one.beyond for one in found.values())
    if untouched and tail.is_plain(end) and not any(row[2] for row in rows):
        tail.holds_nothing()
    return found


def _wanted(
    reading: Reading, ids: Mapping[bytes, str], nodes: list[int], months: tuple[int, int]
) -> dict[str, object]:
    # The last one is repeated up to a round number, so that few statements are prepared.
    filled = nodes + nodes[-1:] * (-len(nodes) % NODES_AT_ONCE)
    return {
        "tenant": reading.view.tenant_id, "ids": sorted(ids), "nodes": filled,
        "first": months[0], "last": months[1],
    }  # fmt: skip


def _sorted_out(
    reading: Reading, ids: Mapping[bytes, str], rows: Rows, months: tuple[int, int],
    beyond: int | None = None,
) -> dict[bytes, _Found]:  # fmt: skip
    """The rows by series; of a node `beyond` only that there is something of the months is told."""
    found = {id_: _Found() for id_ in ids}
    for id_, built, _, node, month, body in rows:
        one = found[bytes(id_)]
        one.built = built
        if body is None:
            continue
        if node != beyond:
            one.chunks.append(decode(body, ids[bytes(id_)]))
        elif month != EVERY_MONTH or _touches(decode(body, ids[bytes(id_)]), months):
            one.beyond = True
    if len(_built) > MAX_GUESSES:
        _built.clear()
    tenant = reading.view.tenant_id
    _built.update({(tenant, id_): one.built for id_, one in found.items()})
    return found


def _touches(chunk: Chunk, months: tuple[int, int]) -> bool:
    found = months_of(chunk.days())
    return bool(((months[0] <= found) & (found <= months[1])).any())
