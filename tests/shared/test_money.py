"""Exact figures: one rounding, at the edge, half to even."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.chain import canonical_json, canonical_number, merkle_root, parse_json
from shared.money import Currency, DecimalString, exact, figure, round_money


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**9))
def test_a_figure_is_the_rational_to_fifteen_digits(above: int, below: int) -> None:
    value = Fraction(above, below)
    assert abs(Fraction(figure(value)) - value) <= abs(value) * Fraction(1, 10**14)


def test_exact_strings_carry_no_exponent_and_no_rounding() -> None:
    assert exact(Fraction(1, 8)) == "0.125"
    assert exact(10**14) == "100000000000000"
    assert exact(Fraction(1, 3)).startswith("0.333333333333333333")


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("2.345", "EUR", "2.34"),
        ("2.355", "EUR", "2.36"),
        ("2.5", "JPY", "2"),
        ("-2.345", "USD", "-2.34"),
    ],
)
def test_money_is_rounded_half_to_even_in_its_minor_unit(
    amount: str, currency: str, rounded: str
) -> None:
    assert round_money(Decimal(amount), currency) == Decimal(rounded)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1.1234567", "1" * 16, "abc", ""])
def test_amounts_out_of_bounds_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(DecimalString).validate_python(text)


def test_a_currency_must_exist() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Currency).validate_python("EUX")


@given(st.decimals(-(10**9), 10**9, places=6))
def test_a_number_has_one_canonical_form(number: Decimal) -> None:
    canonical = canonical_number(number)
    assert canonical == number
    text = canonical_json({"b": canonical, "a": 1})
    assert "E" not in text.upper()
    assert parse_json(text)["b"] == number


def test_the_merkle_root_is_that_of_rfc_6962() -> None:
    leaves = [bytes([n]) * 32 for n in range(5)]
    four, last = merkle_root(leaves[:4]), leaves[4]
    assert merkle_root(leaves) == merkle_root([four, last])
    assert merkle_root(leaves[:1]) == leaves[0]
