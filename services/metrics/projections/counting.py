"""Which facts no longer count from where on: retracted, restated, or out with a backfill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

from sqlalchemy import insert, select, update

from services.metrics.domain.facts import Retracted
from services.metrics.domain.sequences import sequence_order
from services.metrics.replay.knowledge import BACKFILLED, RESTATED, RETRACTED
from services.metrics.tables import backfills, excluded, retractions
from shared.events import Event
from shared.ledger import Transaction, View
from shared.ledger.projecting import known
from shared.ledger.ready import Family
from shared.ledger.rows import LOOKUP_CHUNK
from shared.ledger.tables import events


def exclude_retracted(transaction: Transaction, event: Event, payload: Retracted) -> None:
    """Remember a retraction; one fact's versions are excluded at once, a range when it is read.

    One that stands in a backfill acts when that is closed.
    """
    connection, tenant_id = transaction.connection, transaction.tenant_id
    connection.execute(
        insert(retractions).values(
            tenant_id=tenant_id,
            from_position=event.position,
            to_position=None,
            **payload.model_dump(),
        )
    )
    if payload.event_id is None or event.backfill is not None:
        return
    versions = connection.execute(
        select(events.c.position).where(
            events.c.tenant_id == tenant_id,
            events.c.source == payload.source,
            events.c.event_id == payload.event_id,
            events.c.position < event.position,
        )
    ).scalars()
    _exclude(transaction, [(position, event.position) for position in versions], RETRACTED)


def _exclude(transaction: Transaction, which: Sequence[tuple[int, int]], cause: str) -> None:
    """Exclude versions, each from a position on."""
    rows = [
        {
            "tenant_id": transaction.tenant_id,
            "position": position,
            "from_position": from_position,
            "to_position": None,
            "cause": cause,
        }
        for position, from_position in which
    ]
    if rows:
        transaction.connection.execute(insert(excluded), rows)


def supersede_versions(transaction: Transaction, facts: Sequence[Event]) -> None:
    """Exclude all but the highest version of each fact that this batch says again."""
    if not transaction.said_again:
        return
    said = {(fact.source, fact.event_id) for fact in facts if fact.backfill is None}
    families = sorted(said.intersection(transaction.said_again))
    first = facts[0].position
    versions = _versions(transaction, families, facts[-1].position)
    closed = closed_backfills(transaction)
    out = _excluded(transaction, [v.position for family in families for v in versions[family]])
    superseded: list[tuple[int, int]] = []
    for family in families:
        standing, losers = None, list[int]()
        for version in versions[family]:
            if version.backfill is not None and version.backfill not in closed:
                continue
            wins = standing is None or (
                sequence_order(version.sequence) > sequence_order(standing.sequence)
            )
            if standing is not None:
                losers.append(standing.position if wins else version.position)
            standing = version if wins else standing
            for loser in losers if version.position >= first else ():
                if loser not in out:
                    out.add(loser)
                    superseded.append((loser, version.position))
            if version.position >= first:
                losers.clear()
    _exclude(transaction, superseded, RESTATED)


def _excluded(transaction: Transaction, positions: Sequence[int]) -> set[int]:
    """Which of some versions count no longer because of another one."""
    found: set[int] = set()
    for start in range(0, len(positions), LOOKUP_CHUNK):
        told = select(excluded.c.position).where(
            *_standing(transaction, positions[start : start + LOOKUP_CHUNK])
        )
        found.update(transaction.connection.execute(told).scalars())
    return found


def _standing(transaction: Transaction, positions: Sequence[int]) -> tuple[Any, ...]:
    """That which stands of some versions is excluded by another one."""
    return (
        excluded.c.tenant_id == transaction.tenant_id,
        excluded.c.position.in_(positions),
        excluded.c.to_position.is_(None),
        excluded.c.cause != RETRACTED,
    )


def change_backfill(transaction: Transaction, backfill_id: str, position: int) -> None:
    """Let a backfill's restatements and retractions count, or no longer, from a position on."""
    connection, tenant_id = transaction.connection, transaction.tenant_id
    told = connection.execute(
        select(events.c.source, events.c.event_id)
        .where(events.c.tenant_id == tenant_id, events.c.backfill == backfill_id)
        .distinct()
    )
    families = {(row.source, row.event_id) for row in told}
    families.update(taken_back(transaction, {backfill_id}))
    closed = closed_backfills(transaction)
    until = taken_back(transaction, closed)
    every, out = list[int](), set[int]()
    for family, found in _versions(transaction, families, position).items():
        counting = [v for v in found if v.backfill is None or v.backfill in closed]
        highest = max(counting, key=lambda v: sequence_order(v.sequence), default=None)
        gone = until.get(family, 0)
        out.update(v.position for v in counting if v.position < gone or v is not highest)
        every += [v.position for v in found]
    _settle(transaction, every, out, position)


def taken_back(view: View, backfill_ids: Collection[str]) -> dict[Family, int]:
    """The facts that some backfills retract, and the position before which they do."""
    rows = view.connection.execute(
        select(retractions.c.source, retractions.c.event_id, retractions.c.from_position)
        .join(
            events,
            (events.c.tenant_id == retractions.c.tenant_id)
            & (events.c.position == retractions.c.from_position),
        )
        .where(
            events.c.tenant_id == view.tenant_id,
            events.c.backfill.in_(sorted(backfill_ids)),
            retractions.c.from_position <= view.position,
        )
        .order_by(retractions.c.from_position)
    )
    return {(row.source, row.event_id): row.from_position for row in rows}


def _settle(
    transaction: Transaction, versions: Sequence[int], out: Set[int], position: int
) -> None:
    """Exclude just these of some versions from a position on; retractions stand beside."""
    standing = _excluded(transaction, versions)
    back = sorted(standing - out)
    for start in range(0, len(back), LOOKUP_CHUNK):
        among = _standing(transaction, back[start : start + LOOKUP_CHUNK])
        transaction.connection.execute(update(excluded).where(*among).values(to_position=position))
    gone = [(version, position) for version in sorted(out - standing)]
    _exclude(transaction, gone, BACKFILLED)


def closed_backfills(view: View) -> set[str]:
    """The backfills that count as known at a view."""
    return set(
        view.connection.execute(
            select(backfills.c.backfill_id).where(
                backfills.c.tenant_id == view.tenant_id,
                backfills.c.state == "closed",
                known(backfills, view.position),
            )
        ).scalars()
    )


def _versions(
    transaction: Transaction, families: Iterable[Family], last: int
) -> dict[Family, list[Any]]:
    """All versions of facts up to a position, in order of arrival."""
    by_source: dict[str, list[str]] = defaultdict(list)
    for source, event_id in families:
        by_source[source].append(event_id)
    found: dict[Family, list[Any]] = defaultdict(list)
    for source, ids in by_source.items():
        for start in range(0, len(ids), LOOKUP_CHUNK):
            rows = transaction.connection.execute(
                select(
                    events.c.position, events.c.source, events.c.event_id, events.c.sequence,
                    events.c.backfill,
                )
                .where(
                    events.c.tenant_id == transaction.tenant_id,
                    events.c.source == source,
                    events.c.event_id.in_(ids[start : start + LOOKUP_CHUNK]),
                    events.c.position <= last,
                )
                .order_by(events.c.position)
            )  # fmt: skip
            for row in rows:
                found[row.source, row.event_id].append(row)
    return found
