"""Backfills: history that is loaded apart, and what it would do before it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field
from sqlalchemy import func, select

from services.metrics.domain.sequences import sequence_order
from services.metrics.projections.counting import taken_back
from services.metrics.replay.knowledge import Ground, Knowledge
from services.metrics.replay.rules import rules
from services.metrics.tables import backfills
from shared.errors import CONFLICT, NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events
from shared.web.wire import InstantField, Known, Wire

State = Literal["open", "closed", "dropped", "reverted"]


class Backfill(Wire):
    """A load of history that counts as a whole, or not at all."""

    id: str = Field(description="Its id; send events with `?backfill=<id>`")
    name: str = Field(description="What is loaded")
    state: State = Field(
        description="`open`: takes events; `closed`: they count; `dropped`: they never will; "
        "`reverted`: they counted for a time"
    )
    events: int = Field(ge=0, description="Events sent into it so far")
    reason: str = Field(description="Why it was opened, or brought into this state")
    source: str | None = Field(None, description="Source whose kept history it holds")
    complete_from: InstantField | None = Field(
        None,
        description="Moment from which on it holds all that its source told; null: from the first",
    )


class BackfillAnswer(Backfill, Known):
    """A backfill as known at a basis."""


def backfill(view: View, backfill_id: str) -> Backfill:
    """A backfill as known at the view; refuses with 404 where there is none."""
    row = view.connection.execute(
        select(backfills).where(
            backfills.c.tenant_id == view.tenant_id,
            backfills.c.backfill_id == backfill_id,
            known(backfills, view.position),
        )
    ).one_or_none()
    if row is None:
        raise NOT_FOUND.refusal(f"There is no backfill {backfill_id!r}.")
    return _backfill(view, row)


def revision(view: View, backfill_id: str) -> int:
    """How often a backfill's state was changed, its opening included."""
    return view.connection.execute(
        select(func.count()).where(
            backfills.c.tenant_id == view.tenant_id,
            backfills.c.backfill_id == backfill_id,
            backfills.c.from_position <= view.position,
        )
    ).scalar_one()


def backfill_list(view: View, after: str, limit: int) -> list[Backfill]:
    """The backfills, oldest first."""
    rows = view.connection.execute(
        select(backfills)
        .where(
            backfills.c.tenant_id == view.tenant_id,
            backfills.c.backfill_id > after,
            known(backfills, view.position),
        )
        .order_by(backfills.c.backfill_id)
        .limit(limit)
    ).all()
    return [_backfill(view, row) for row in rows]


def _backfill(view: View, row: object) -> Backfill:
    body = Backfill.model_validate_json(row.body)  # type: ignore[attr-defined]
    count = view.connection.execute(
        select(func.count()).where(
            events.c.tenant_id == view.tenant_id,
            events.c.backfill == body.id,
            events.c.position <= view.position,
        )
    ).scalar_one()
    return body.model_copy(update={"events": count})


def without_effect(view: View, positions: Sequence[int]) -> dict[int, str]:
    """Which of some events stand in a backfill that was dropped or reverted: position -> its id."""
    ended = view.connection.execute(
        select(backfills.c.backfill_id).where(
            backfills.c.tenant_id == view.tenant_id,
            backfills.c.state.in_(("dropped", "reverted")),
            known(backfills, view.position),
        )
    ).scalars()
    ids, found = set(ended), dict[int, str]()
    for start in range(0, len(positions) if ids else 0, LOOKUP_CHUNK):
        rows = view.connection.execute(
            select(events.c.position, events.c.backfill).where(
                events.c.tenant_id == view.tenant_id,
                events.c.position.in_(positions[start : start + LOOKUP_CHUNK]),
            )
        )
        found.update({position: key for position, key in rows if key in ids})
    return found


def superseded_by(view: View, backfill_id: str) -> frozenset[int]:
    """The positions that would count no longer if an open backfill were closed now."""
    present = backfill(view, backfill_id)
    if present.state in ("dropped", "reverted"):
        raise CONFLICT.refusal(
            f"The backfill {present.name!r} is {present.state}: it has no effect."
        )
    own = (events.c.tenant_id == view.tenant_id, events.c.backfill == backfill_id)
    told = view.connection.execute(
        select(events.c.source, events.c.event_id).where(*own, events.c.position <= view.position)
    )
    by_source: dict[str, list[str]] = defaultdict(list)
    for source, event_id in told:
        by_source[source].append(event_id)
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    conditions = ground.counting(Knowledge.at(view.position), backfill_id)
    hidden: set[int] = set()
    for source, ids in by_source.items():
        for start in range(0, len(ids), LOOKUP_CHUNK):
            versions: dict[str, list[tuple[tuple[int, Fraction, str], int]]] = defaultdict(list)
            rows = view.connection.execute(
                select(events.c.event_id, events.c.sequence, events.c.position).where(
                    *conditions,
                    events.c.source == source,
                    events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                )
            )
            for event_id, sequence, position in rows:
                versions[event_id].append((sequence_order(sequence), position))
            for family in versions.values():
                # Of equal sequences the one that came first stands, as when the backfill closes.
                _, stands = max(family, key=lambda version: (version[0], -version[1]))
                hidden.update(position for _, position in family if position != stands)
    hidden.update(_taken_back(view, backfill_id))
    return frozenset(hidden)


def _taken_back(view: View, backfill_id: str) -> Iterator[int]:
    """The positions of all versions of facts that a backfill retracts."""
    gone: dict[str, dict[str, int]] = defaultdict(dict)
    for (source, event_id), before in taken_back(view, {backfill_id}).items():
        gone[source][event_id] = before
    for source, ids in gone.items():
        wanted = sorted(ids)
        for start in range(0, len(wanted), LOOKUP_CHUNK):
            rows = view.connection.execute(
                select(events.c.event_id, events.c.position).where(
                    events.c.tenant_id == view.tenant_id,
                    events.c.source == source,
                    events.c.event_id.in_(wanted[start : start + LOOKUP_CHUNK]),
                )
            )
            yield from (position for event_id, position in rows if position < ids[event_id])
