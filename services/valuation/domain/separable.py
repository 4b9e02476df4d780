"""Formulas over many draws and periods: what is drawn and what runs over time kept apart.

A figure of a simulation is usually a column (one number per draw) times a row (one per period).
Kept as such, products cost a draw or a period each, and only sums of different rows have to be
spread out over draws times periods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.expression import Application, Name, Number, Term

Floats = npt.NDArray[np.float64]
ONE = np.ones((1, 1))


@dataclass(frozen=True)
class Spread:
    """A column of draws (n, 1) times a row of periods (1, p), plus `rest` over both (n, p)."""

    column: Floats
    row: Floats
    rest: Floats | None = None

    @property
    def whole(self) -> Floats:
        """Spread out over draws and periods, as far as it differs."""
        return self.column * self.row if self.rest is None else self.rest

    def times(self, other: Spread) -> Spread:
        """The product."""
        if self.rest is None and other.rest is None:
            return Spread(self.column * other.column, self.row * other.row)
        return Spread(ONE, ONE, self.whole * other.whole)


def evaluated(term: Term, inputs: Mapping[str, Spread]) -> Spread:
    """A formula over spreads; what is divided by zero counts as nothing."""
    match term:
        case Number(value=number):
            return Spread(np.full((1, 1), float(number)), ONE)
        case Name(name=name):
            return inputs[name]
        case Application(function=function, arguments=arguments):
            first, *others = [evaluated(argument, inputs).whole for argument in arguments]
            if function == "abs":
                return Spread(ONE, ONE, np.abs(first))
            for other in others:
                first = (np.minimum if function == "min" else np.maximum)(first, other)
            return Spread(ONE, ONE, first)
        case _:
            left, right = evaluated(term.left, inputs), evaluated(term.right, inputs)
            return _joined(term.operator, left, right)


def _joined(operator: str, left: Spread, right: Spread) -> Spread:
    if operator == "*":
        return left.times(right)
    if operator == "/":
        if right.rest is None:
            return left.times(Spread(_inverse(right.column), _inverse(right.row)))
        return left.times(Spread(ONE, ONE, _inverse(right.rest)))
    sign = 1.0 if operator == "+" else -1.0
    if left.rest is None and right.rest is None:
        if left.row.shape == right.row.shape == (1, 1):
            return Spread(left.column * left.row + sign * right.column * right.row, ONE)
        if left.column.shape == right.column.shape == (1, 1):
            return Spread(ONE, left.column * left.row + sign * right.column * right.row)
    return Spread(ONE, ONE, left.whole + sign * right.whole)


def _inverse(values: Floats) -> Floats:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)
