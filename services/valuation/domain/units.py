"""Units of formulas: whether what comes out is money, checked when a formula is saved.

A unit is words joined by `*` and `/`, such as `EUR/h` or `h*fte/month`. Currencies, clock time
(seconds, minutes, hours) and calendar time (days to years) are dimensions; shares, counts and what
is counted (users, deals) have none. Numbers in a formula have none either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal

from babel.numbers import is_currency

from services.valuation.domain.templates import MONEY, UNKNOWN
from shared.expression import Application, Name, Number, Operation, Term

_CLOCK = {"s", "sec", "second", "seconds", "min", "minute", "minutes", "h", "hour", "hours"}
_CALENDAR = {
    "day", "days", "d", "week", "weeks", "month", "months", "mo", "quarter", "quarters",
    "year", "years", "yr", "y", "a",
}  # fmt: skip
# What metrics give as scales of their own; a factor per point takes the dimension away again.
_SCALES = {"score", "points", "stars"}
_WORD = re.compile(r"[^\W\d_][\w%-]*|%|\d+")

# What a minus sign in front of a term is read as: a difference from nothing.
_ZERO = Number(Decimal(0))
# Dimension -> exponent; a dimension with exponent 0 is left out.
Unit = Mapping[str, int]


class UnitError(ValueError):
    """A formula whose units do not fit; the text says what was found."""


def read(text: str | None) -> Unit | None:
    """The dimensions of a unit as people write it; None where it is not known."""
    if text is None or text.strip() in ("", UNKNOWN):
        return None
    found: Counter[str] = Counter()
    sign = 1
    for match in re.finditer(r"[*/·.]|[^*/·.]+", re.sub(r"\bper\b", "/", text)):
        part = match[0].strip()
        if part in ("*", "·", ".", "/"):
            sign = -1 if part == "/" else 1
            continue
        for word in _WORD.findall(part):
            dimension = _dimension(word)
            if dimension is not None:
                found[dimension] += sign
    return _trimmed(found)


def _dimension(word: str) -> str | None:
    if word == MONEY:
        return MONEY
    if len(word) == 3 and word.isupper() and is_currency(word):
        return MONEY
    lower = word.lower()
    if lower in _CLOCK:
        return "clock time"
    if lower in _CALENDAR:
        return "calendar time"
    return "points" if lower in _SCALES else None


def _trimmed(found: Mapping[str, int]) -> Unit:
    return {name: power for name, power in found.items() if power}


def unit_of(term: Term, units: Mapping[str, Unit | None]) -> Unit | None:
    """The unit of a formula; None where an input's is not known. Raises `UnitError`."""
    match term:
        case Number():
            return {}
        case Name(name=name):
            return units[name]
        case Application(arguments=arguments):
            return _alike([unit_of(argument, units) for argument in arguments])
        case Operation(operator=operator, left=left, right=right):
            a, b = unit_of(left, units), unit_of(right, units)
            if operator in "+-":
                return b if left == _ZERO else _alike([a, b])
            if a is None or b is None:
                return None
            sign = 1 if operator == "*" else -1
            return _trimmed({k: a.get(k, 0) + sign * b.get(k, 0) for k in {*a, *b}})


def _alike(found: list[Unit | None]) -> Unit | None:
    """The unit of what is added or compared, which must be one."""
    known = [unit for unit in found if unit is not None]
    for unit in known:
        if unit != known[0]:
            raise UnitError(f"{_shown(known[0])} and {_shown(unit)} are added or compared")
    return known[0] if len(known) == len(found) else None


def demand_money(term: Term, units: Mapping[str, Unit | None]) -> bool:
    """Whether it is sure that a formula gives money (per period); `UnitError` where it does not."""
    found = unit_of(term, units)
    if found is None:
        return False
    rest = {name: power for name, power in found.items() if name != "calendar time"}
    if rest != {MONEY: 1} or found.get("calendar time", 0) not in (0, -1):
        raise UnitError(f"the formula gives {_shown(found)}")
    return True


def _shown(unit: Unit) -> str:
    words = [name if power == 1 else f"{name}^{power}" for name, power in sorted(unit.items())]
    return " * ".join(words) or "a number without unit"
