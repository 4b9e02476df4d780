"""Getting what cells need from the database at one go: chunks, and the ledger's tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, Select, and_, bindparam, or_, select, type_coerce

from services.metrics.replay.cells.chunk import Chunk, decode
from services.metrics.replay.cells.delta import COLUMNS, changed
from services.metrics.replay.cells.series import Series, nodes_below
from services.metrics.replay.cells.sheet import Sheet, Told
from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import within
from services.metrics.replay.raw import Reading
from services.metrics.tables import cells, excluded, series
from shared.clock import midnight_utc, to_micros
from shared.database import ask_together
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
# Behind what is built, so many segments at most are asked for with it: an old guess is far behind.
NEARLY = 4
NODES_AT_ONCE = 16


@dataclass(frozen=True)
class _Tail:
    """The events of some types in a frame that were recorded after a position."""

    reading: Reading
    names: frozenset[str]
    frame: Frame
    after: int

    @property
    def place(self) -> tuple[Any, ...]:
        """Under which the reading remembers it."""
        bounds = (min(self.frame.start_days), max(p.end for p in self.frame.periods))
        return (self.after, self.names, *(day.toordinal() for day in bounds))

    def asked(self) -> list[tuple[Select[Any], dict[str, Any]]]:
        """What to ask for it where it holds nothing but new events, as almost every one does."""
        until, ground = self.reading.knowledge.late, self.reading.ground
        turned = any(self.after < turn.begins <= until for turn in ground.turns)
        if turned or any(self.after < row.from_position <= until for row in ground.ranges):
            return []
        run = {"tenant": self.reading.view.tenant_id, "after": self.after, "until": until}
        frame = self.frame
        return [
            (_MOVED, run),
            (
                _TAIL,
                {
                    **run, "names": sorted(self.names),
                    "start": to_micros(min(frame.starts)), "end": to_micros(max(frame.ends)),
                    "start_day": to_micros(midnight_utc(min(frame.start_days))),
                    "end_day": to_micros(midnight_utc(max(p.end for p in frame.periods))),
                },
            ),
        ]  # fmt: skip

    def told(self, answers: Sequence[Sequence[Sequence[Any]]]) -> Sheet | None:
        """It from the answers; None where more than new events is in it."""
        if not answers:
            return None
        moved, rows = answers
        until = self.reading.knowledge.late
        if any(position <= self.after for position, _, _ in moved):
            return None
        out = {
            position
            for position, begins, ends in moved
            if begins <= until and (ends is None or ends > until)
        }
        # A backfill that takes part was closed in this run; without such its events do not count.
        new = [tuple(row)[:-1] for row in rows if row[-1] is None and row[0] not in out]
        return Sheet(cast(list[Told], new), [], self.reading.calendar)

    def changed(self) -> Sheet:
        """It with all that began and ceased to count."""
        view, frame = self.reading.view, self.frame
        which = [
            events.c.name.in_(sorted(self.names)), *within(frame, from_start=True, to_end=True),
        ]  # fmt: skip
        return changed(
            view.connection, self.reading.ground, self.reading.calendar, self.after,
            self.reading.knowledge.late, which,
        )  # fmt: skip


def chunks_of(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, segment: int
) -> tuple[int, list[Chunk]]:
    """How many whole segments are built, and the series' chunks of them that a frame touches.

    What the other leaves of a question need (`siblings`) and the tail behind are asked for with it.
    """
    last = max(p.end for p in frame.periods) - ONE_DAY
    months = (_month(min(frame.start_days)), _month(last))
    place = (one.id, *months)
    if place not in reading.chunks:
        every = {s.id: s.form for s in (one, *siblings)}
        wanted = {id_: form for id_, form in every.items() if (id_, *months) not in reading.chunks}
        whole = reading.knowledge.late // segment
        tenant = reading.view.tenant_id
        # One that is not built at all says nothing of how far the others are.
        known_built = [built for id_ in wanted if (built := _built.get((tenant, id_), 0))]
        guess = min([*known_built, whole]) if known_built else 0
        tail = None
        if guess and whole - guess <= NEARLY:
            tail = _Tail(reading, _names(one, siblings), frame, guess * segment)
        found = _read(reading, wanted, guess, months, tail)
        for id_, form in wanted.items():
            built = min(found[id_][0], whole)
            if not built:
                found[id_] = (0, [])
            elif built != guess:
                found[id_] = _read(reading, {id_: form}, built, months)[id_]
            reading.chunks[(id_, *months)] = (built, found[id_][1])
    known: tuple[int, list[Chunk]] = reading.chunks[place]
    return known


def _read(
    reading: Reading, ids: Mapping[bytes, str], segments: int, months: tuple[int, int],
    tail: _Tail | None = None,
) -> dict[bytes, tuple[int, list[Chunk]]]:  # fmt: skip
    """For each series how much of it is built, and its chunks of the first so many segments.

    A tail that is asked for with them is remembered by the reading.
    """
    tenant = reading.view.tenant_id
    wanted = {
        "tenant": tenant, "ids": sorted(ids), "nodes": _as_many(nodes_below(segments)),
        "first": months[0], "last": months[1],
    }  # fmt: skip
    beside = tail.asked() if tail else []
    rows, *answers = ask_together(reading.view.connection, [(_BODIES, wanted), *beside])
    sheet = tail.told(answers) if tail else None
    if tail and sheet is not None:
        reading.tails[tail.place] = sheet
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


def _as_many(nodes: list[int]) -> list[int]:
    """Nodes to a round number, the last one repeated, so that few statements are prepared."""
    missing = -len(nodes) % NODES_AT_ONCE
    return nodes + nodes[-1:] * missing


def tail_of(
    reading: Reading, one: Series, siblings: Sequence[Series], frame: Frame, after: int
) -> Sheet:
    """What began and ceased to count in a frame beyond the whole segments."""
    tail = _Tail(reading, _names(one, siblings), frame, after)
    if tail.place not in reading.tails:
        answers = ask_together(reading.view.connection, tail.asked())
        reading.tails[tail.place] = tail.told(answers) or tail.changed()
    known: Sheet = reading.tails[tail.place]
    return known


def _names(one: Series, siblings: Sequence[Series]) -> frozenset[str]:
    return one.names.union(*(s.names for s in siblings))


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1
