"""A plain fold of a history: what counts and what it gives, written once more and naively."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from services.metrics.domain.sequences import sequence_order
from shared.events import Event


@dataclass(frozen=True)
class Fact:
    """A fact of the world with its local day."""

    event: Event
    day: date
    data: dict[str, Any]


def facts_at(
    history: Sequence[Event], position: int, zone: str, together: Collection[str] = ()
) -> list[Fact]:
    """The facts that count at a position, in order of occurrence, then position.

    `together` are the types that one metric reads, if more than one.
    """
    known = [event for event in history if event.position <= position]
    backfills: dict[str, tuple[str, int]] = {}
    for event in known:
        if event.name.startswith("backfill."):
            identity = json.loads(event.data)["backfill_id"]
            backfills[identity] = (event.name.removeprefix("backfill."), event.position)
    counting = [event for event in known if _is_in(event, backfills) and not _own(event)]
    families: dict[tuple[str, str], list[Event]] = {}
    for event in counting:
        families.setdefault((event.source, event.event_id), []).append(event)
    highest = [max(f, key=lambda e: sequence_order(e.sequence)) for f in families.values()]
    retractions = [
        (e, json.loads(e.data))
        for e in known
        if e.name == "ledger.retracted" and _is_in(e, backfills)
    ]
    cuts = _cuts(known)
    facts = [
        _fact(e, zone) for e in highest if not any(_taken_back(e, r, d) for r, d in retractions)
    ]
    kept = [f for f in facts if not any(_hidden(f, cut) for cut in cuts)]
    return sorted(kept, key=lambda f: _place(f, kept, known, zone, together))


def _place(
    fact: Fact, facts: Sequence[Fact], known: Sequence[Event], zone: str,
    together: Collection[str],
) -> tuple[datetime, int]:  # fmt: skip
    """By moment, then by the first telling; a day without time is behind what was told before."""

    def rank(one: Fact) -> int:
        told = [
            e for e in known if (e.source, e.event_id) == (one.event.source, one.event.event_id)
        ]
        return min(e.position for e in told)

    mine, at = rank(fact), _begins(fact, zone)
    if fact.event.occurred_on is None or fact.event.subject is None:
        return at, mine
    before = [
        other.event.occurred_at
        for other in facts
        if other.event.occurred_on is None
        and other.day == fact.day
        and other.event.subject == fact.event.subject
        and (other.event.name == fact.event.name or other.event.name in together)
        and rank(other) < mine
    ]
    return max([at, *before]), mine


def _begins(fact: Fact, zone: str) -> datetime:
    day = fact.event.occurred_on
    if day is None:
        return fact.event.occurred_at
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


def _own(event: Event) -> bool:
    return event.name.startswith(
        ("ledger.", "backfill.", "baseline.", "source.", "calendar.", "basis.")
    ) or (event.name.startswith("metric.") and event.name != "metric.observed")


def _is_in(event: Event, backfills: dict[str, tuple[str, int]]) -> bool:
    if event.backfill is None:
        return True
    state, since = backfills.get(event.backfill, ("", 0))
    return state == "closed" and event.position < since


def _taken_back(event: Event, retraction: Event, data: dict[str, Any]) -> bool:
    if event.source != data["source"] or event.position > retraction.position:
        return False
    if data["event_id"] is not None:
        return bool(event.event_id == data["event_id"])
    starts, ends = (_moment(data[name]) for name in ("starts_at", "ends_at"))
    return (starts is None or event.occurred_at >= starts) and (
        ends is None or event.occurred_at < ends
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _cuts(known: Sequence[Event]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for event in known:
        if event.name in ("source.cut_over", "source.cut_over_lifted"):
            data = json.loads(event.data)
            found[data["old_source"], data["new_source"]] = data
    return [data for data in found.values() if "on" in data]


def _hidden(fact: Fact, cut: dict[str, Any]) -> bool:
    day = date.fromisoformat(cut["on"])
    if fact.event.source == cut["old_source"]:
        return fact.day >= day
    return bool(fact.event.source == cut["new_source"] and fact.day < day)


def _fact(event: Event, zone: str) -> Fact:
    local = event.occurred_at.astimezone(ZoneInfo(zone)).date()
    data = json.loads(event.data, parse_float=Decimal)
    return Fact(event, event.occurred_on or local, data)


def figure(kind: str, facts: Sequence[Fact], start: date, end: date) -> Fraction | None:
    """A statistic of the amounts of the deals won in a span (or of their accounts).

    Amounts of several currencies are converted into euros; None without a rate or an amount.
    """
    inside = [f for f in facts if start <= f.day < end]
    if kind == "last":
        inside = list({f.event.subject: f for f in inside}.values())
    won = [f for f in inside if f.event.name == "crm.opportunity.closed"
           and f.data["outcome"] == "won"]  # fmt: skip
    if kind in ("count", "last"):
        return Fraction(len(won))
    if kind == "distinct":
        return Fraction(len({f.data["account"] for f in won if "account" in f.data}))
    amounts = _amounts([f for f in won if "amount" in f.data], facts)
    if amounts is None or (not amounts and kind != "sum"):
        return None
    match kind:
        case "sum":
            return sum(amounts, Fraction(0))
        case "average":
            return sum(amounts, Fraction(0)) / len(amounts)
        case "min":
            return min(amounts)
        case "max":
            return max(amounts)
        case _:
            return statistics.median(amounts)


def _amounts(won: Sequence[Fact], facts: Sequence[Fact]) -> list[Fraction] | None:
    if len({f.data["currency"] for f in won}) < 2:
        return [Fraction(f.data["amount"]) for f in won]
    converted = []
    for fact in won:
        rates = [f for f in facts if f.event.name == "fx.rate.observed" and f.day <= fact.day]
        if fact.data["currency"] == "EUR":
            converted.append(Fraction(fact.data["amount"]))
        elif rates:
            last = max(rates, key=lambda f: (f.day, f.event.occurred_at, f.event.position))
            converted.append(Fraction(fact.data["amount"]) * Fraction(last.data["rate"]))
        else:
            return None
    return converted
