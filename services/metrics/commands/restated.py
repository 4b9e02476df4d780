"""Telling who holds a figure that it is another by now: closed periods and frozen baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from services.metrics.domain.facts import MetricRestated
from services.metrics.queries.baselines import BaselineFigure, baseline, frozen_list
from services.metrics.queries.bases import named_bases
from services.metrics.queries.definitions import FILTER, calendar, definitions, references
from services.metrics.queries.figures import Asked, Span, periods_of, reading, replay
from services.metrics.replay.cells import Cells
from services.metrics.replay.cells.delta import changed
from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import Ground, within
from services.metrics.replay.reach import looks_ahead
from services.metrics.replay.rules import rules
from services.metrics.tables import bases, calendars, metric_versions, restated
from shared.errors import Refusal
from shared.ledger import Ledger, View
from shared.ledger.projecting import known
from shared.periods import Period

# Holders are looked through in pages of so many.
PAGE = 500
_Holder = TypeVar("_Holder")


@dataclass(frozen=True)
class Held:
    """A figure that someone holds, and what it is by now."""

    holder: str
    metric: str
    period: str
    basis: str
    value: float | None
    now: float | None
    reason: str | None


def tell_holders(ledger: Ledger, tenant_id: UUID, since: int) -> int:
    """Record each held figure that differs from what was told last; the position examined.

    `since` is the position examined before; what did not change after it is not replayed.
    """
    with ledger.view(tenant_id) as view:
        examined = view.position
        if examined == since:
            return examined
        changes = [held for held in _holdings(ledger, view, since) if _is_news(view, held)]
    for held in changes:
        with ledger.transaction(tenant_id, actor="worthwhile") as transaction:
            if not _is_news(transaction, held):
                continue  # Another process told it meanwhile.
            stream = f"restated/{held.holder}/{held.metric}/{held.period}"
            payload = MetricRestated(
                holder=held.holder,
                metric=held.metric,
                period=held.period,
                held_basis=held.basis,
                held=held.value,
                now_basis=view.basis.token,
                now=held.now,
                reason=held.reason,
            )
            transaction.record(stream, len(transaction.stream(stream)), [payload])
    return examined


def _holdings(ledger: Ledger, view: View, since: int) -> Iterator[Held]:
    moved = _rules_moved(view, since)
    for named in _all(lambda after: named_bases(view, after, PAGE), lambda found: found.name):
        if named.closes is None:
            continue
        past = ledger.view_in(view.connection, view.tenant_id, basis=named.basis)
        periods = periods_of(Span([named.closes]), calendar(past))
        if moved or _facts_moved(view, periods, since):
            yield from _closed(view, past, named.name, named.closes)
    for held in _all(
        lambda after: frozen_list(view, None, after, PAGE), lambda found: str(found.id)
    ):
        # What can't be asked any more is no figure that changed.
        with suppress(Refusal):
            periods = periods_of(Span(held.periods), calendar(view))
            if moved or _facts_moved(view, periods, since):
                yield _frozen(view, held, periods)


def _all(page: Callable[[str], list[_Holder]], key: Callable[[_Holder], str]) -> Iterator[_Holder]:
    """All of a list, page by page."""
    found = page("")
    while found:
        yield from found
        found = page(key(found[-1]))


def _frozen(view: View, held: BaselineFigure, periods: list[Period]) -> Held:
    """A frozen baseline, then and now."""
    where = None if held.where is None else FILTER.validate_python(held.where)
    now = baseline(
        view, held.metric, periods, held.method,
        where=where, where_json=held.where, version=held.version,
    )  # fmt: skip
    first, last = held.periods[0], held.periods[-1]
    span = first if first == last else f"{first}..{last}"[:40]
    return Held(
        f"baseline/{held.id}", held.metric, span, held.basis, held.value, now.value, now.cause
    )


def _closed(view: View, past: View, name: str, period: str) -> Iterator[Held]:
    """Every metric that was in use when a period was closed, then and now."""
    asked, cells = Asked(Span([period])), Cells()
    then, now = reading(past), reading(view)
    for key, metric in definitions(past).items():
        if metric.retired:
            continue
        with suppress(Refusal):
            before = replay(then, key, asked, cells).values[0]
            after = replay(now, key, asked, cells).values[0]
            token = past.basis.token
            yield Held(f"basis/{name}", key, period, token, before.value, after.value, after.reason)


def _rules_moved(view: View, since: int) -> bool:
    """Whether a definition, the calendar, or a newly named basis came after a position."""
    return any(
        view.connection.execute(
            select(table.c.from_position)
            .where(table.c.tenant_id == view.tenant_id, table.c.from_position > since)
            .limit(1)
        ).all()
        for table in (metric_versions, calendars, bases)
    )


def _facts_moved(view: View, periods: list[Period], since: int) -> bool:
    """Whether anything that occurred before the end of these periods began or ceased to count."""
    frame = Frame(periods, calendar(view))
    ground = Ground.of(rules(view), view.tenant_id, view.position)
    if any(cut.from_position > since for cut in ground.cut_overs):
        return True
    # What looks ahead changes by events after its period.
    ahead = any(
        looks_ahead(metric.definition, references(view, metric.definition))
        for metric in definitions(view).values()
    )
    which = [] if ahead else within(frame, from_start=False, to_end=True)
    moved = changed(view.connection, ground, calendar(view), since, view.position, which)
    return any(not name.startswith(_OWN) for name in moved.names)


# Our own events stand in the ledger, too; none of them is a fact of the world.
_OWN = ("metric.restated", "basis.", "baseline.", "ledger.", "source.")


def _is_news(view: View, held: Held) -> bool:
    """Whether a figure is another than was told last (than is held, if nothing was told)."""
    body = view.connection.execute(
        select(restated.c.body).where(
            restated.c.tenant_id == view.tenant_id,
            restated.c.holder == held.holder,
            restated.c.metric == held.metric,
            restated.c.period == held.period,
            known(restated, view.position),
        )
    ).scalar()
    last = held.value if body is None else MetricRestated.model_validate_json(body).now
    return last != held.now
