"""What history counts: backfills, cut-overs between sources, and states that are given a name."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from services.metrics.commands.settling import bring_up
from services.metrics.domain.facts import (
    BackfillClosed,
    BackfillDropped,
    BackfillOpened,
    BackfillReverted,
    BasisNamed,
    Retracted,
    SourceCutOver,
    SourceCutOverLifted,
)
from services.metrics.projections.observed import overlaps_of
from services.metrics.queries.backfills import Backfill, backfill
from services.metrics.queries.bases import NamedBasis, named_basis
from services.metrics.queries.cut_overs import (
    CutOverShown,
    cut_over,
    cut_over_list,
)
from services.metrics.queries.definitions import types
from shared.errors import CONFLICT, NOT_FOUND, Fault, Refusal, invalid
from shared.ids import did_you_mean, new_id
from shared.ledger import Transaction, View, new_event
from shared.ledger.tables import events

Change = BackfillClosed | BackfillDropped | BackfillReverted
MAX_FAULTS = 100
# From which state each change leads on.
_FROM = {BackfillClosed: "open", BackfillDropped: "open", BackfillReverted: "closed"}


def open_backfill(transaction: Transaction, name: str, reason: str) -> Backfill:
    """Open a backfill that events can be sent into."""
    opened = BackfillOpened(backfill_id=new_id(), name=name, reason=reason)
    transaction.record(f"backfill/{opened.backfill_id}", 0, [opened])
    return backfill(transaction, opened.backfill_id)


def change_backfill(transaction: Transaction, change: Change) -> Backfill:
    """Close, drop or revert a backfill; refuses where its state does not allow it."""
    present = backfill(transaction, change.backfill_id)
    needed = _FROM[type(change)]
    if present.state != needed:
        raise CONFLICT.refusal(
            f"The backfill {present.name!r} is {present.state}; only an {needed} one can be "
            "changed so."
            if needed == "open"
            else f"The backfill {present.name!r} is {present.state}; only a closed one is reverted."
        )
    stream, before = f"backfill/{change.backfill_id}", transaction.position
    transaction.record(stream, len(transaction.stream(stream)), [change])
    bring_up(transaction, change.backfill_id, counts=isinstance(change, BackfillClosed))
    if isinstance(change, BackfillClosed):
        _demand_no_overlap(transaction, present, before)
    return backfill(transaction, change.backfill_id)


def _demand_no_overlap(transaction: Transaction, closed: Backfill, before: int) -> None:
    """Refuse to let figures of a backfill count beside other facts that give them."""
    found = overlaps_of(transaction, closed.id, before)
    if found:
        faults = [
            Fault(
                "/", f"{one[1]!r} and {other[1]!r} of {one[0]!r} give the same figure.", "overlap"
            )
            for one, other in found
        ]
        raise CONFLICT.refusal(
            f"Figures of the backfill {closed.name!r} are given by other facts, too "
            f"({len(found)}); retract one of each, within the backfill or not, and close it then.",
            faults[:MAX_FAULTS],
        )


def demand_open(view: View, backfill_id: str) -> None:
    """Refuse events for a backfill that takes none."""
    present = backfill(view, backfill_id)
    if present.state != "open":
        raise _not_open(present)


def _not_open(present: Backfill) -> Refusal:
    return CONFLICT.refusal(
        f"The backfill {present.name!r} is {present.state} and takes no more events; open another."
    )


def name_basis(
    transaction: Transaction, name: str, view: View, closes: str | None, reason: str
) -> NamedBasis:
    """Give the state of a view a name that is used once; `closes` is the period it closes."""
    if named_basis(transaction, name) is not None:
        raise CONFLICT.refusal(f"A basis is named {name!r} already; names are used once.")
    payload = BasisNamed(
        name=name, basis=view.basis.token, known_at=view.known_at, closes=closes, reason=reason
    )
    transaction.record(f"basis/{name}", 0, [payload])
    found = named_basis(transaction, name)
    assert found is not None, "what was just named has its name"
    return found


def set_cut_over(
    transaction: Transaction, old: str, new: str, on: date, events: list[str], reason: str
) -> CutOverShown:
    """From a day on, let the new source's facts count instead of the old one's."""
    known = types(transaction)
    for index, name in enumerate(events):
        if name not in known:
            detail = f"{name!r} is no known event type.{did_you_mean(name, known)}"
            raise invalid(f"/events/{index}", detail, "unknown_event_type")
    _demand_no_circle(transaction, old, new)
    payload = SourceCutOver(
        old_source=old, new_source=new, on=on, events=sorted(set(events)), reason=reason
    )
    stream = f"cut-over/{old} {new}"
    transaction.record(stream, len(transaction.stream(stream)), [payload])
    return cut_over(transaction, old, new)


def _demand_no_circle(view: View, old: str, new: str) -> None:
    """Refuse a cut-over back to where another one leads from: nothing would count any more."""
    following = {(one.old_source, one.new_source) for one in cut_over_list(view)}
    reached, waiting = set[str](), [new]
    while waiting:
        source = waiting.pop()
        reached.add(source)
        waiting += [b for a, b in following if a == source and b not in reached]
    if old in reached:
        raise CONFLICT.refusal(
            f"A cut-over leads from {new!r} to {old!r} already; lift it first (DELETE "
            "/v1/cut-overs)."
        )


def lift_cut_over(transaction: Transaction, old: str, new: str, reason: str) -> None:
    """Let both sources' facts count again."""
    cut_over(transaction, old, new)
    payload = SourceCutOverLifted(old_source=old, new_source=new, reason=reason)
    stream = f"cut-over/{old} {new}"
    transaction.record(stream, len(transaction.stream(stream)), [payload])


def retract(transaction: Transaction, payload: Retracted, backfill: str | None = None) -> int:
    """Let a fact, or a source's facts in a span, no longer count; the position of saying so.

    With an open backfill it acts when that is closed.
    """
    if payload.event_id is not None:
        _demand_fact(transaction, payload)
    if backfill is not None:
        demand_open(transaction, backfill)
        if payload.event_id is None:
            raise invalid("query:backfill", "A backfill retracts facts by `event_id`.", "range")
    stream = f"retractions/{payload.source}"
    event = new_event(
        payload, source="/metrics", stream=stream, revision=len(transaction.stream(stream)) + 1,
        subject=payload.source, occurred_at=transaction.known_at, backfill=backfill,
    )  # fmt: skip
    transaction.append([event])
    return transaction.position


def _demand_fact(transaction: Transaction, payload: Retracted) -> None:
    mine = (events.c.tenant_id == transaction.tenant_id, events.c.source == payload.source)
    found = transaction.connection.execute(
        select(events.c.position).where(*mine, events.c.event_id == payload.event_id).limit(1)
    ).scalar()
    if found is None:
        raise _no_fact(transaction, payload)


def _no_fact(transaction: Transaction, payload: Retracted) -> Refusal:
    known = transaction.connection.execute(
        select(events.c.source)
        .where(events.c.tenant_id == transaction.tenant_id)
        .distinct()
        .limit(1_000)
    ).scalars()
    near = did_you_mean(payload.source, known.all())
    return NOT_FOUND.refusal(
        f"The source {payload.source!r} has no event {payload.event_id!r}.{near}"
    )
