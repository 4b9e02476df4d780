"""Formulas over named inputs: numbers, names, + - * / and parentheses, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MAX_LENGTH = 500
MAX_DEPTH = 50
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|([-+*/()]))")
TEMPLATES = {
    "rate-uplift": "change * volume * value * margin",
}


class FormulaError(ValueError):
    """A formula that can't be read or computed; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Number:
    """A constant in a formula."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Name:
    """An input."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Two terms and what joins them."""

    operator: str
    left: Term
    right: Term


Term = Number | Name | Operation


def parse(text: str) -> Term:
    """The tree of a formula; raises `FormulaError`."""
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"A formula has at most {MAX_LENGTH} characters.")
    reader = _Reader(_tokens(text))
    term = reader.sum(0)
    if reader.peek() is not None:
        raise FormulaError(f"{reader.peek()!r} does not belong here.")
    return term


def names_in(term: Term) -> set[str]:
    """The inputs that a formula uses."""
    match term:
        case Number():
            return set()
        case Name(name=name):
            return {name}
        case Operation(left=left, right=right):
            return names_in(left) | names_in(right)


def evaluate(term: Term, inputs: Mapping[str, Decimal]) -> Decimal:
    """The value of a formula; raises `FormulaError` on division by zero."""
    match term:
        case Number(value=value):
            return value
        case Name(name=name):
            return inputs[name]
        case Operation(operator=operator, left=left, right=right):
            a, b = evaluate(left, inputs), evaluate(right, inputs)
            match operator:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case _:
                    if b == 0:
                        raise FormulaError("The formula divides by zero.")
                    return a / b


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FormulaError(
                f"{text[place:].strip()[:20]!r} is neither number, name nor + - * / ( )."
            )
        tokens.append(match[0].strip())
        place = match.end()
    return tokens


class _Reader:
    """Recursive descent over tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0

    def peek(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self) -> str:
        token = self.peek()
        if token is None:
            raise FormulaError("The formula ends too early.")
        self._place += 1
        return token

    def sum(self, depth: int) -> Term:
        term = self._product(depth)
        while self.peek() in ("+", "-"):
            term = Operation(self._next(), term, self._product(depth))
        return term

    def _product(self, depth: int) -> Term:
        term = self._factor(depth)
        while self.peek() in ("*", "/"):
            term = Operation(self._next(), term, self._factor(depth))
        return term

    def _factor(self, depth: int) -> Term:
        if depth > MAX_DEPTH:
            raise FormulaError(f"The formula is nested more than {MAX_DEPTH} deep.")
        token = self._next()
        if token == "(":
            term = self.sum(depth + 1)
            if self._next() != ")":
                raise FormulaError("A closing parenthesis is missing.")
            return term
        if token == "-":
            return Operation("-", Number(Decimal(0)), self._factor(depth + 1))
        if token[0].isdigit():
            return Number(Decimal(token))
        if token[0].isalpha() or token[0] == "_":
            return Name(token)
        raise FormulaError(f"{token!r} does not belong here.")
