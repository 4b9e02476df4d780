"""Formulas: the usual rules, nothing but formulas, and clear refusals."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.expression import FormulaError, Name, evaluate, names_in, parse

D = Decimal


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a * b + 2", "8"),
        ("a * (b + 2)", "10"),
        ("-a - -b", "1"),
        ("a / b / 2", "0.3333"),
        ("1.5", "1.5"),
    ],
)
def test_formulas_follow_the_usual_rules(text: str, result: str) -> None:
    found = evaluate(parse(text), {"a": D(2), "b": D(3)}, D)
    assert found == pytest.approx(D(result), abs=D("0.001"))


@pytest.mark.parametrize(
    "text",
    ["", "a +", "a b", "__import__('os')", "a ** b", "(" * 60 + "a" + ")" * 60, "a;b", "f(a)", ")"],
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text)


def test_a_formula_that_divides_by_zero_says_so() -> None:
    with pytest.raises(FormulaError, match="zero"):
        evaluate(parse("1 / a"), {"a": D(0)}, D)
    assert names_in(parse("a + b * a")) == {"a", "b"}
    assert parse("x_1") == Name("x_1")
