"""Getting what cells need from the database with few statements: chunks, and the ledger's tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, and_, bindparam, or_, select, type_coerce

from services.metrics.replay.cells.chunk import Chunk, decode
from services.metrics.replay.cells.delta import COLUMNS, changed
from services.metrics.replay.cells.series import Series, nodes_below
from services.metrics.replay.cells.sheet import Sheet, Told
from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import within
from services.metrics.replay.raw import Reading
from services.metrics.tables import cells, excluded, series
from shared.clock import midnight_utc, to_micros
from shared.database import binary_results
from shared.ledger.tables import events
from shared.periods import ONE_DAY

_BODIES = (
    select(series.c.series_id, series.c.segments, cells.c.body)
    .select_from(
        series.outerjoin(
            cells,
            and_(
                cells.c.tenant_id == series.c.tenant_id,
                cells.c.series_id == series.c.series_id,
                cells.c.node.in_(bindparam("nodes", expanding=True)),
                cells.c.month.between(bindparam("first"), bindparam("last")),
            ),
        )
    )
    .where(
        series.c.tenant_id == bindparam("tenant"),
        series.c.series_id.in_(bindparam("ids", expanding=True)),
    )
)
_RUN: tuple[BindParameter[int], BindParameter[int]] = (bindparam("after"), bindparam("until"))
# A run of positions is short and a period is not; so hidden, no planner goes by name and time.
_NAME, _MOMENT = events.c.name + "", type_coerce(events.c.occurred_at, BigInteger) + 0
_TAIL = (
    select(*COLUMNS, events.c.backfill)
    .where(
        events.c.tenant_id == bindparam("tenant"),
        events.c.position > _RUN[0],
        events.c.position <= _RUN[1],
        _NAME.in_(bindparam("names", expanding=True)),
        or_(
            and_(
                events.c.occurred_on.is_(None),
                bindparam("start") <= _MOMENT,
                bindparam("end") > _MOMENT,
            ),
            and_(
                events.c.occurred_on.is_not(None),
                bindparam("start_day") <= _MOMENT,
                bindparam("end_day") > _MOMENT,
            ),
        ),
    )
    .order_by(events.c.position)
)
_MOVED = select(excluded.c.position, excluded.c.from_position, excluded.c.to_position).where(
    excluded.c.tenant_id == bindparam("tenant"),
    or_(
        *(
            and_(column > _RUN[0], column <= _RUN[1])
            for column in (excluded.c.from_position, excluded.c.to_position)
        )
    ),
)
# How many segments of a series were built when it was last looked at; only a guess that spares
# asking before the chunks can be named.
_built: dict[tuple[UUID, bytes], int] = {}
MAX_GUESSES = 100_000


def chunks_of(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, segment: int
) -> tuple[int, list[Chunk]]:
    """How many whole segments are built, and the series' chunks of them that a frame touches.

    What the other leaves of a question need (`siblings`) is read with the same statement.
    """
    last = max(p.end for p in frame.periods) - ONE_DAY
    months = (_month(min(frame.start_days)), _month(last))
    place = (one.id, *months)
    if place not in reading.chunks:
        every = {s.id: s.form for s in (one, *siblings)}
        wanted = {id_: form for id_, form in every.items() if (id_, *months) not in reading.chunks}
        whole = reading.knowledge.late // segment
        tenant = reading.view.tenant_id
        guess = min((_built.get((tenant, id_), 0) for id_ in wanted), default=0)
        found = _read(reading, wanted, min(guess, whole), months)
        if any(min(segments, whole) != min(guess, whole) for segments, _ in found.values()):
            for id_ in wanted:
                built = min(found[id_][0], whole)
                found[id_] = _read(reading, {id_: wanted[id_]}, built, months)[id_]
        for id_, (segments, stored) in found.items():
            reading.chunks[(id_, *months)] = (min(segments, whole), stored)
    known: tuple[int, list[Chunk]] = reading.chunks[place]
    return known


def _read(
    reading: Reading, ids: Mapping[bytes, str], segments: int, months: tuple[int, int]
) -> dict[bytes, tuple[int, list[Chunk]]]:
    """For each series how much of it is built, and its chunks of the first so many segments."""
    tenant = reading.view.tenant_id
    asked = {
        "tenant": tenant, "ids": sorted(ids), "nodes": nodes_below(segments),
        "first": months[0], "last": months[1],
    }  # fmt: skip
    with binary_results(reading.view.connection):
        rows = reading.view.connection.execute(_BODIES, asked).all()
    found: dict[bytes, tuple[int, list[Chunk]]] = {id_: (0, []) for id_ in ids}
    for id_, built, body in rows:
        place = bytes(id_)
        found[place] = (built, found[place][1])
        if body is not None:
            found[place][1].append(decode(body, ids[place]))
    if len(_built) > MAX_GUESSES:
        _built.clear()
    _built.update({(tenant, id_): built for id_, (built, _) in found.items()})
    return found


def tail_of(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, after: int
) -> Sheet:
    """What began and ceased to count in a frame beyond the whole segments."""
    names = one.names.union(*(s.names for s in siblings))
    bounds = (min(frame.start_days), max(p.end for p in frame.periods))
    place = (after, names, *(day.toordinal() for day in bounds))
    if place not in reading.tails:
        found = _new_ones(reading, names, frame, after)
        if found is None:
            which = [events.c.name.in_(sorted(names)), *within(frame, from_start=True, to_end=True)]
            found = changed(
                reading.view.connection, reading.ground, reading.calendar, after,
                reading.knowledge.late, which,
            )  # fmt: skip
        reading.tails[place] = found
    known: Sheet = reading.tails[place]
    return known


def _new_ones(reading: Reading, names: frozenset[str], frame: Frame, after: int) -> Sheet | None:
    """The tail where it holds nothing but new events, as almost every one does; else None."""
    until, ground = reading.knowledge.late, reading.ground
    turned = any(after < turn.begins <= until for turn in ground.turns)
    if turned or any(after < row.from_position <= until for row in ground.ranges):
        return None
    run = {"tenant": reading.view.tenant_id, "after": after, "until": until}
    moved = reading.view.connection.execute(_MOVED, run).all()
    if any(row.position <= after for row in moved):
        return None
    out = {
        row.position
        for row in moved
        if row.from_position <= until and (row.to_position is None or row.to_position > until)
    }
    rows = reading.view.connection.execute(
        _TAIL,
        {
            **run, "names": sorted(names),
            "start": to_micros(min(frame.starts)), "end": to_micros(max(frame.ends)),
            "start_day": to_micros(midnight_utc(min(frame.start_days))),
            "end_day": to_micros(midnight_utc(max(p.end for p in frame.periods))),
        },
    ).all()  # fmt: skip
    # A backfill that takes part was closed in this run; without such its events do not count.
    new = [tuple(row)[:-1] for row in rows if row.backfill is None and row.position not in out]
    return Sheet(cast(list[Told], new), [], reading.calendar)


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1
