"""Internal rates of return: every real root of a series of flows, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyxirr

DAYS_PER_YEAR = 365
# Rates between which roots are looked for, as log(1 + rate): losing all but a millionth, to a
# millionfold a year. Beyond that a rate says nothing about an investment.
_LOWEST, _HIGHEST, _STEPS = -13.8, 13.8, 6_000
_MERGE = 1e-9
# A touch is a root when the value there is this small a part of what was added up.
_TOUCH = 1e-12

Status = Literal["one", "multiple", "no_root", "no_sign_change", "out_of_range", "no_time_passes"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """An internal rate of return, or why there is none."""

    value: float | None
    status: Status
    roots: tuple[float, ...] = ()


def irr(flows: Sequence[Decimal], months: int) -> Rate:
    """The yearly internal rate of return of flows at equal distances of so many months."""
    amounts = [float(f) for f in flows]
    times = np.arange(len(amounts), dtype=np.float64)

    def library(guess: float) -> float | None:
        return pyxirr.irr(amounts, guess=guess)

    found = _rate(np.array(amounts), times, library)
    far = [math.log1p(root) * 12 / months > _HIGHEST for root in found.roots]
    if far and all(far):
        return Rate(None, "out_of_range")
    yearly = tuple((1 + root) ** (12 / months) - 1 for root in found.roots)
    return Rate(yearly[0] if found.value is not None else None, found.status, yearly)


def xirr(flows: Sequence[tuple[date, Decimal]]) -> Rate:
    """The yearly internal rate of return of dated flows (days / 365); their order is irrelevant.

    Flows of the same day are one flow.
    """
    merged: dict[date, Decimal] = {}
    for on, amount in flows:
        merged[on] = merged.get(on, Decimal(0)) + amount
    dated = sorted((on, float(amount)) for on, amount in merged.items())
    if not dated:
        return Rate(None, "no_sign_change")
    if len(dated) == 1 < len(flows):
        return Rate(None, "no_time_passes")
    days, amounts = [on for on, _ in dated], [amount for _, amount in dated]
    years = np.array([(on - days[0]).days / DAYS_PER_YEAR for on in days])

    def library(guess: float) -> float | None:
        return pyxirr.xirr(days, amounts, guess=guess)

    return _rate(np.array(amounts), years, library)


def rate_where_zero(amounts: Sequence[float], years: Sequence[float]) -> Rate:
    """The rate at which flows at any distances in years are worth nothing."""
    return _rate(np.array(amounts), np.array(years), lambda guess: None)


def _rate(amounts: Floats, times: Floats, library: Callable[[float], float | None]) -> Rate:
    """One root is pyxirr's, checked against our own; of several none is the rate."""
    present = amounts[amounts != 0]
    changes = int(np.count_nonzero(np.diff(np.sign(present)) != 0)) if present.size else 0
    if changes == 0:
        return Rate(None, "no_sign_change")
    # By Descartes' rule one change of sign has one root, and scanning for others is idle.
    if changes == 1 and (near := library(0.1)) is not None and _is_root(amounts, times, near):
        return Rate(near, "one", (near,))
    roots = _only(amounts, times) if changes == 1 else _scanned(amounts, times)
    if not roots:
        return Rate(None, "out_of_range" if changes % 2 else "no_root")
    if len(roots) > 1 or _hides_one(amounts, times, changes):
        return Rate(None, "multiple", tuple(roots))
    known = library(roots[0])
    if known is not None and abs(known - roots[0]) <= 1e-6 * max(1.0, abs(known)):
        roots = [known]
    return Rate(roots[0], "one", tuple(roots))


def _hides_one(amounts: Floats, times: Floats, changes: int) -> bool:
    """Whether a further root lies beyond the rates that are looked at.

    By Descartes' rule there are as many roots as changes of sign, or fewer by an even number.
    """
    low, high = _value(amounts, times, _LOWEST), _value(amounts, times, _HIGHEST)
    return ((low < 0) != (high < 0)) == (changes % 2 == 0)


def _is_root(amounts: Floats, times: Floats, rate: float) -> bool:
    if not -1 < rate < math.exp(_HIGHEST):
        return False
    at = math.log1p(rate)
    return abs(_value(amounts, times, at)) <= 1e-10 * _value(np.abs(amounts), times, at)


def _value(amounts: Floats, times: Floats, log_rate: float) -> float:
    """The present value at a rate, scaled so that nothing overflows; its sign is what counts."""
    last = times[-1] if log_rate < 0 else 0.0
    return float(np.dot(amounts, np.exp(-(times - last) * log_rate)))


def _only(amounts: Floats, times: Floats) -> list[float]:
    low, high = _value(amounts, times, _LOWEST), _value(amounts, times, _HIGHEST)
    if (low < 0) == (high < 0):
        return []
    return [math.expm1(_bisect(lambda u: _value(amounts, times, u), _LOWEST, _HIGHEST))]


def _scanned(amounts: Floats, times: Floats) -> list[float]:
    grid = np.linspace(_LOWEST, _HIGHEST, _STEPS)
    last = np.where(grid < 0, times[-1], 0.0)
    values = np.zeros(_STEPS)
    for amount, time in zip(amounts, times, strict=True):
        values += amount * np.exp(-(time - last) * grid)
    found: list[float] = []
    crossing = np.nonzero((values[:-1] < 0) != (values[1:] < 0))[0]
    for place in crossing:
        root = _bisect(lambda u: _value(amounts, times, u), grid[place], grid[place + 1])
        found.append(root)
    size = np.abs(values)
    dips = np.nonzero((size[1:-1] <= size[:-2]) & (size[1:-1] <= size[2:]))[0] + 1
    for place in dips:
        for touch in _touches(amounts, times, float(grid[place - 1]), float(grid[place + 1])):
            if all(abs(touch - known) > _MERGE for known in found):
                found.append(touch)
    rates = sorted(math.expm1(root) for root in found)
    return [r for n, r in enumerate(rates) if n == 0 or r - rates[n - 1] > _MERGE]


def _touches(amounts: Floats, times: Floats, low: float, high: float) -> list[float]:
    """Where the value touches zero between two rates, or crosses it twice."""
    # The derivative by log(1 + rate) is the value of other flows, which cross where ours turn.
    slopes = -amounts * times

    def slope(at: float) -> float:
        return _value(slopes, times, at)

    def value(at: float) -> float:
        return _value(amounts, times, at)

    if (slope(low) < 0) == (slope(high) < 0):
        return []
    turn = _bisect(slope, low, high)
    if abs(value(turn)) <= _TOUCH * _value(np.abs(amounts), times, turn):
        return [turn]
    if (value(low) < 0) == (value(high) < 0) != (value(turn) < 0):
        return [_bisect(value, low, turn), _bisect(value, turn, high)]
    return []


def _bisect(value: Callable[[float], float], low: float, high: float) -> float:
    low_is_negative = value(low) < 0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if (value(middle) < 0) == low_is_negative:
            low = middle
        else:
            high = middle
