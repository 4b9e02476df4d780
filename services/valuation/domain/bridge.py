"""What moved a net present value between two valuations, by cause, adding up to the cent.

Causes are applied in a fixed order: assumptions, what goals say (shares and obstacles), time,
exchange rates, each metric by its key, booked costs. Each part is the difference of the two rounded
values around its step, so that the parts add up exactly.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from services.valuation.domain.case import Case
from services.valuation.domain.measured import Measured
from services.valuation.domain.valuation import value
from shared.money import round_money

Of = Literal["plan", "realised", "outlook"]
ORDER = ("assumptions", "goals", "time", "exchange_rates", "metric", "cost_actuals")


@dataclass(frozen=True)
class Step:
    """One cause, what it is about, and what it changed."""

    cause: str
    about: str | None
    change: Decimal
    npv: Decimal


@dataclass(frozen=True)
class Known:
    """A case and the world as they were known once."""

    case: Case
    measured: Measured
    included: Collection[str] = ()


def bridge(first: Known, last: Known, of: Of) -> tuple[Decimal, list[Step], Decimal]:
    """The value before, the steps, and the value after."""
    currency = last.case.body.currency

    def worth(case: Case, measured: Measured, included: Collection[str]) -> Decimal:
        valued = value(case, measured, included)
        return round_money(getattr(valued, of).npv, currency)

    case, seen = first.case, first.measured
    start = now = worth(case, seen, first.included)
    steps: list[Step] = []
    for cause, about, case_, seen_ in _path(first, last):
        then = worth(case_, seen_, last.included)
        if then != now or about is None:
            steps.append(Step(cause, about or None, then - now, then))
        now = then
    return start, steps, now


def _path(first: Known, last: Known) -> list[tuple[str, str | None, Case, Measured]]:
    seen, found = first.measured, []

    def step(cause: str, about: str | None, **changed: Any) -> None:
        nonlocal seen
        seen = seen.model_copy(update=changed)
        found.append((cause, about, last.case, seen))

    new = last.measured
    step("assumptions", None)
    step("goals", None, shares=new.shares, obstacles=new.obstacles, related=new.related,
         go_live=new.go_live, phases=new.phases)  # fmt: skip
    step("time", None, elapsed=new.elapsed)
    step("exchange_rates", None, rates=new.rates, day_rates=new.day_rates)
    for key in _keys(last.case):
        step("metric", key, inputs=_with_metric(last.case, seen, new, key))
    step("cost_actuals", None, actuals=new.actuals)
    step("metric", "", inputs=new.inputs)
    return found


def _keys(case: Case) -> list[str]:
    return sorted({i.key for line in case.benefits for i in line.inputs.values() if i.key})


def _with_metric(
    case: Case, seen: Measured, new: Measured, key: str
) -> dict[str, dict[str, list[Decimal | None]]]:
    """The inputs with one metric's figures as they are known last."""
    moved = {line: dict(inputs) for line, inputs in seen.inputs.items()}
    for line in case.benefits:
        for name, source in line.inputs.items():
            if source.key == key:
                figures = new.inputs.get(line.benefit_id, {})
                if name in figures:
                    moved.setdefault(line.benefit_id, {})[name] = figures[name]
    return moved
