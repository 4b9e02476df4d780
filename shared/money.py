"""Money and exact figures: decimals in and out, one rounding, at the edge, by a named rule."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Annotated

from babel.numbers import get_currency_precision, is_currency
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

SIGNIFICANT_DIGITS = 15
_FIGURE = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_EVEN)
# An amount that was computed may be absurd, and is rounded all the same.
_VAST = Context(prec=400, rounding=ROUND_HALF_EVEN)
_DECIMAL_PATTERN = r"^-?\d{1,15}(\.\d{1,6})?$"


def bounded(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("must be a finite decimal number")
    _sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "finite decimals have a whole exponent"
    if len(digits) + exponent > 15:
        raise ValueError("has more than 15 digits before the point")
    if -exponent > 6 and value != value.quantize(Decimal("0.000001")):
        raise ValueError("has more than 6 digits after the point")
    return value


def plain(value: Decimal) -> str:
    """A decimal as people write it: no exponent."""
    return format(value, "f")


DecimalString = Annotated[
    Decimal,
    AfterValidator(bounded),
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({"type": "string", "format": "decimal", "pattern": _DECIMAL_PATTERN}),
]


def _known_currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError(f"{code!r} is not an ISO 4217 currency code")
    return code


Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 currency code", examples=["EUR"]),
    AfterValidator(_known_currency),
]


# An amount in an answer: it was bounded when it came in, or computed from such.
Amount = Annotated[
    Decimal,
    PlainSerializer(plain, return_type=str),
    WithJsonSchema({"type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$"}),
]


class Money(BaseModel):
    """An amount in one currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Annotated[Amount, Field(description="Decimal string", examples=["1234.50"])]
    currency: Currency


def figure(value: Fraction) -> float:
    """The JSON number of an exact rational: 15 significant digits, half-even, rounded once."""
    return float(_FIGURE.divide(Decimal(value.numerator), Decimal(value.denominator)))


def exact(value: Fraction | int) -> str:
    """An exact decimal string; for a rational that has none, 30 decimals (half-even)."""
    rational = Fraction(value)
    wide = Context(prec=max(60, rational.numerator.bit_length() // 3 + 35))
    denominator = rational.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if denominator == 1:
        scaled = Decimal(rational.numerator) / Decimal(1)
        quotient = wide.divide(scaled, Decimal(rational.denominator))
        return plain(_trimmed(quotient, wide))
    return plain(
        wide.quantize(
            wide.divide(Decimal(rational.numerator), Decimal(rational.denominator)),
            Decimal(1).scaleb(-30),
        )
    )


def _trimmed(value: Decimal, wide: Context) -> Decimal:
    if value == value.to_integral_value():
        return value.to_integral_value()
    return value.normalize(wide)


def round_money(value: Decimal, currency: str) -> Decimal:
    """An amount in the currency's minor unit, half-even."""
    rounded = value.quantize(_minor_unit(currency), ROUND_HALF_EVEN, _VAST)
    return rounded if rounded else abs(rounded)  # Nothing has no sign.


@cache
def _minor_unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-get_currency_precision(currency))


def money(value: Decimal, currency: str) -> Money:
    return Money(amount=round_money(value, currency), currency=currency)
