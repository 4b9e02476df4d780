"""Units: which can be added, what products of them are, and how long units of time last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from babel.numbers import is_currency

from shared.expression import Application, Name, Number, Operation, Term

_TIMES = {
    1: ("s", "sec", "secs", "second", "seconds"),
    60: ("min", "mins", "minute", "minutes"),
    3_600: ("h", "hr", "hrs", "hour", "hours"),
    86_400: ("d", "day", "days"),
    604_800: ("w", "week", "weeks"),
}
_SECONDS = {name: seconds for seconds, names in _TIMES.items() for name in names}
TIME_NAMES = tuple(_SECONDS)
LONG_TIMES = {"month": "months", "months": "months", "year": "years", "years": "years"}


# Fields that canonical types give a currency to.
MONEY_FIELDS = frozenset({"amount", "revenue"})


def is_currency_unit(unit: str) -> bool:
    return len(unit) == 3 and unit.isupper() and is_currency(unit)


def is_money(unit: str) -> bool:
    return unit == "money" or is_currency_unit(unit)


def seconds_in(unit: str) -> int | None:
    """How many seconds a unit of time has; None for any other unit."""
    return _SECONDS.get(unit)


class UnitError(ValueError):
    """Figures that can't be added up, or that are not what their unit says."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Powers of money and of units of time; anything else (ratios, counts, scores) is a number.

    `currency` is set where the money is of one currency.
    """

    powers: tuple[tuple[str, int], ...] = ()
    currency: str | None = None

    def times(self, other: Unit, sign: int = 1) -> Unit:
        powers = dict(self.powers)
        for name, power in other.powers:
            powers[name] = powers.get(name, 0) + sign * power
        kept = tuple(sorted((name, power) for name, power in powers.items() if power))
        found = Unit(kept, self.currency or other.currency)
        return found if found.has_money else Unit(kept)

    @property
    def has_money(self) -> bool:
        return any(name == "money" for name, _ in self.powers)

    def fits(self, other: Unit) -> bool:
        """Whether the two can be added or compared."""
        same_money = None in (self.currency, other.currency) or self.currency == other.currency
        return self.powers == other.powers and same_money

    def __str__(self) -> str:
        names = [
            (self.currency or "money" if name == "money" else name) + (f"^{p}" if p != 1 else "")
            for name, p in self.powers
        ]
        return " ".join(names) or "a number"


PLAIN = Unit()


def parse_unit(text: str) -> Unit:
    """The unit that a text such as `money/day`, `EUR`, `days` or `ratio` stands for."""
    unit = PLAIN
    for sign, word in re.findall(r"([*/]?)\s*([^*/]+)", text):
        unit = unit.times(_atom(word.strip()), -1 if sign == "/" else 1)
    return unit


def _atom(word: str) -> Unit:
    if word == "money":
        return Unit((("money", 1),))
    if is_currency_unit(word):
        return Unit((("money", 1),), word)
    if word in _SECONDS:
        return Unit(((_TIMES[_SECONDS[word]][-1], 1),))
    return Unit(((LONG_TIMES[word], 1),)) if word in LONG_TIMES else PLAIN


def unit_of(term: Term, inputs: Mapping[str, Unit | None]) -> Unit | None:
    """The unit of an expression; None where it can't be told. Raises `UnitError`.

    A number takes the unit of what it is added to or compared with.
    """
    match term:
        case Number():
            return None
        case Name(name=name):
            return inputs[name]
        case Application(arguments=arguments):
            return _same([unit_of(a, inputs) for a in arguments])
        case Operation(operator=operator, left=left, right=right):
            a, b = unit_of(left, inputs), unit_of(right, inputs)
            if operator in "+-":
                return _same([a, b])
            if isinstance(left, Number) and operator == "*":
                return b
            if isinstance(right, Number):
                return a
            if isinstance(left, Number):
                a = PLAIN
            return None if a is None or b is None else a.times(b, 1 if operator == "*" else -1)


def _same(units: list[Unit | None]) -> Unit | None:
    known = [unit for unit in units if unit is not None]
    for unit in known[1:]:
        if not unit.fits(known[0]):
            raise UnitError(f"{known[0]} and {unit} can't be added or compared.")
    return next((u for u in known if u.currency), known[0] if known else None)
