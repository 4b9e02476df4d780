"""The time axis of a case: index 0 is the start, 1 to n its periods; and what falls where."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from functools import lru_cache

from services.valuation.domain.case import CaseBody
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.lines import CostLine, Recurring, currencies
from shared.expression import FormulaError, evaluate, parse
from shared.periods import Calendar, add_months, period_holding

MONTHS = {"month": 1, "quarter": 3, "year": 12}
# More than any organisation moves in a period; beyond it a formula or an index has run away.
MOST = Decimal(10) ** 24
# Of a Gregorian year.
_DAYS_PER_MONTH = Decimal("365.2425") / 12
_STEP_MONTHS = {"P1M": 1, "P3M": 3, "P1Y": 12}


@dataclass(frozen=True, slots=True)
class Slot:
    """A place on the axis; index 0 has no length and stands for what is paid at the start."""

    index: int
    name: str
    start: date
    end: date


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount in a place of the axis, on the day on which it is due."""

    slot: int
    on: date
    amount: Decimal


def slots_of(body: CaseBody) -> tuple[Slot, ...]:
    """The start and the periods of a case, in order."""
    return _axis(body.start, body.grain, body.periods)


@lru_cache(maxsize=500)
def _axis(first: date, grain: str, periods: int) -> tuple[Slot, ...]:
    months = MONTHS[grain]
    slots = [Slot(0, "initial", first, first)]
    for index in range(1, periods + 1):
        start = add_months(first, (index - 1) * months)
        end = add_months(first, index * months)
        slots.append(Slot(index, period_name(start, end, grain), start, end))
    return tuple(slots)


def period_name(start: date, end: date, grain: str) -> str:
    """The calendar's own name where the period is one of its periods, else the span."""
    held = period_holding(start, grain, Calendar())  # type: ignore[arg-type]
    if (held.start, held.end) == (start, end):
        return held.name
    return f"{start}..{end}"


def planned_flows(
    line: CostLine,
    slots: Sequence[Slot],
    rates: Sequence[Decimal | None] | None = None,
    others: Mapping[str, Sequence[Decimal | None]] | None = None,
    on_days: Mapping[date, Decimal | None] | None = None,
) -> list[Flow] | None:
    """A cost as planned, with its risk added and in the case's currency.

    `rates` hold what one unit of the line's currency is worth per place of the axis, `others` the
    same of other currencies that its inputs may be stated in; `on_days` the rates of the days on
    which something is paid. None where a rate that is needed is not known, or a formula can't be
    computed.
    """
    flows = _stated(line, slots, others or {})
    if flows is None or any(abs(flow.amount) > MOST for flow in flows):
        return None
    raised = (1 + line.risk) * line.factor
    if rates is None:
        return [Flow(f.slot, f.on, f.amount * raised) for f in flows]
    found = []
    dated = on_days if on_days and (line.once or line.recurring) else {}
    for flow in flows:
        known = dated.get(flow.on)
        rate = rates[flow.slot] if known is None else known
        if rate is None and flow.amount:
            return None
        found.append(Flow(flow.slot, flow.on, flow.amount * (rate or 0) * raised))
    return found


def reaches_beyond(line: CostLine, slots: Sequence[Slot]) -> bool:
    """Whether amounts were stated for days or periods after the last one: a shortened horizon."""
    amounts = (line.amounts or [])[len(slots) :]
    return any(amounts) or (line.once is not None and line.once.on >= slots[-1].end)


def paying_days(line: CostLine, slots: Sequence[Slot]) -> list[date]:
    """The days on which a cost with dates falls due."""
    if line.once is None and line.recurring is None:
        return []
    return sorted({flow.on for flow in _stated(line, slots, {}) or []})


def _stated(
    line: CostLine, slots: Sequence[Slot], rates: Mapping[str, Sequence[Decimal | None]]
) -> list[Flow] | None:
    if line.amounts is not None:
        return [Flow(s.index, s.end, a) for s, a in zip(slots, line.amounts, strict=False)]
    if line.formula is not None:
        return _computed(line, line.formula, slots, rates)
    flows = []
    if line.once is not None:
        place = slot_of(line.once.on, slots)
        if place is not None:
            flows.append(Flow(place, line.once.on, line.once.amount))
    if line.recurring is not None:
        for on, amount in _occurrences(line.recurring, slots[-1].end):
            place = slot_of(on, slots) if on < slots[0].start else _period_of(on, slots)
            if place is not None:
                flows.append(Flow(place, on, amount))
    return flows


def _computed(
    line: CostLine,
    formula: str,
    slots: Sequence[Slot],
    rates: Mapping[str, Sequence[Decimal | None]],
) -> list[Flow] | None:
    """A formula over inputs, of which each curve's first figure is that of the start."""
    term, flows = parse(formula), []
    for slot in slots:
        stated = {}
        for name, source in line.inputs.items():
            figure = source.stated(slot.index) or Decimal(0)
            # What is stated in the line's own currency is converted with its result.
            foreign = (currencies(source.unit) & rates.keys()) - {line.currency}
            rate = rates[foreign.pop()][slot.index] if foreign else Decimal(1)
            if rate is None:
                return None
            stated[name] = figure * rate
        try:
            flows.append(Flow(slot.index, slot.end, evaluate(term, stated, Decimal)))
        except FormulaError:
            return None
    return flows


def _occurrences(plan: Recurring, end: date) -> list[tuple[date, Decimal]]:
    step, found, count = _STEP_MONTHS[plan.every], [], 0
    on = plan.from_
    while on < min(plan.to, end):
        years = count * step // 12
        found.append((on, plan.amount * (1 + plan.indexation) ** years))
        count += 1
        on = add_months(plan.from_, count * step)
    return found


def slot_of(on: date, slots: Sequence[Slot]) -> int | None:
    """Where a single payment falls: up to the first day it is initial; None after the last."""
    if on <= slots[0].start:
        return 0
    return _period_of(on, slots)


def _period_of(on: date, slots: Sequence[Slot]) -> int | None:
    if on >= slots[-1].end:
        return None
    return bisect_right(slots, on, lo=1, key=lambda slot: slot.start) - 1


def share_of_periods(months: int, periods: Sequence[tuple[date, date]]) -> Decimal:
    """How much of the mean period of some a period of so many months is: by months, or by days."""
    whole = [_whole_months(*period) for period in periods]
    with localcontext(PRECISION):
        if None not in whole:
            return Decimal(months * len(whole)) / sum(n for n in whole if n is not None)
        days = sum((end - start).days for start, end in periods)
        return Decimal(months) * _DAYS_PER_MONTH * len(periods) / days


def _whole_months(start: date, end: date) -> int | None:
    """The number of months between two days, where it is a whole one."""
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if months > 0 and add_months(start, months) == end else None


def bookable(body: CaseBody) -> tuple[date, date]:
    """The first day whose bookings a case counts, and the one before which they end."""
    slots = slots_of(body)
    return date(slots[0].start.year - 10, 1, 1), slots[-1].end


def until(day: date) -> str:
    """The span from ten years before a day to its end."""
    after = date.fromordinal(day.toordinal() + 1)
    return f"{date(day.year - 10, 1, 1)}..{after}"


def booking_spans(slots: Sequence[Slot]) -> list[tuple[int, str]]:
    """The spans whose booked costs belong to each place: up to the first day, then each period."""
    first = slots[0].start
    after = date.fromordinal(first.toordinal() + 1)
    spans = [(0, f"{date(first.year - 10, 1, 1)}..{after}")]
    for slot in slots[1:]:
        start = max(slot.start, after)
        spans.append((slot.index, f"{start}..{slot.end}"))
    return spans
