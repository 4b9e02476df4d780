"""The time axis of a case: index 0 is the start, 1 to n its periods; and what falls where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.valuation.domain.case import CaseBody, CostLine, Recurring
from shared.periods import Calendar, add_months, period_holding

MONTHS = {"month": 1, "quarter": 3, "year": 12}
_STEP_MONTHS = {"P1M": 1, "P3M": 3, "P1Y": 12}


@dataclass(frozen=True, slots=True)
class Slot:
    """A place on the axis; index 0 has no length and stands for what is paid at the start."""

    index: int
    name: str
    start: date
    end: date


def slots_of(body: CaseBody) -> list[Slot]:
    """The start and the periods of a case, in order."""
    months = MONTHS[body.grain]
    slots = [Slot(0, "initial", body.start, body.start)]
    for index in range(1, body.periods + 1):
        start = add_months(body.start, (index - 1) * months)
        end = add_months(body.start, index * months)
        slots.append(Slot(index, _name(start, end, body.grain), start, end))
    return slots


def _name(start: date, end: date, grain: str) -> str:
    """The calendar's own name where the period is one of its periods, else the span."""
    held = period_holding(start, grain, Calendar())  # type: ignore[arg-type]
    if (held.start, held.end) == (start, end):
        return held.name
    return f"{start}..{end}"


def planned_costs(line: CostLine, slots: list[Slot]) -> list[Decimal]:
    """A cost's planned amounts along the axis, with its risk added."""
    amounts = [Decimal(0)] * len(slots)
    if line.amounts is not None:
        for index, amount in enumerate(line.amounts[: len(slots)]):
            amounts[index] += amount
    if line.once is not None:
        place = slot_of(line.once.on, slots)
        if place is not None:
            amounts[place] += line.once.amount
    if line.recurring is not None:
        for on, amount in _occurrences(line.recurring, slots[-1].end):
            place = _period_of(on, slots)
            if place is not None:
                amounts[place] += amount
    return [amount * (1 + line.risk) for amount in amounts]


def _occurrences(plan: Recurring, end: date) -> list[tuple[date, Decimal]]:
    step, found, count = _STEP_MONTHS[plan.every], [], 0
    on = plan.from_
    while on < min(plan.to, end):
        years = count * step // 12
        found.append((on, plan.amount * (1 + plan.indexation) ** years))
        count += 1
        on = add_months(plan.from_, count * step)
    return found


def slot_of(on: date, slots: list[Slot]) -> int | None:
    """Where a single payment falls: up to the first day it is initial; None after the last."""
    if on <= slots[0].start:
        return 0
    return _period_of(on, slots)


def _period_of(on: date, slots: list[Slot]) -> int | None:
    if on < slots[0].start:
        return 0
    return next((s.index for s in slots[1:] if s.start <= on < s.end), None)


def booking_spans(slots: list[Slot]) -> list[tuple[int, str]]:
    """The spans whose booked costs belong to each place: up to the first day, then each period."""
    first = slots[0].start
    after = date.fromordinal(first.toordinal() + 1)
    spans = [(0, f"{date(first.year - 10, 1, 1)}..{after}")]
    for slot in slots[1:]:
        start = max(slot.start, after)
        spans.append((slot.index, f"{start}..{slot.end}"))
    return spans
