"""Formulas over named inputs: numbers, names, + - * /, parentheses and abs, min, max."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from operator import add, mul, sub
from typing import TypeVar

MAX_LENGTH = 500
MAX_DEPTH = 50
MAX_ARGUMENTS = 10
MAX_DIGITS = 22
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|([-+*/(),]))")
# Functions and how many arguments each takes at least and at most.
FUNCTIONS = {"abs": (1, 1), "min": (2, MAX_ARGUMENTS), "max": (2, MAX_ARGUMENTS)}
Exact = TypeVar("Exact", Decimal, Fraction)


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


@dataclass(frozen=True, slots=True)
class Application:
    """A function of some terms."""

    function: str
    arguments: tuple[Term, ...]


Term = Number | Name | Operation | Application


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
        case Application(arguments=arguments):
            return set().union(*(names_in(argument) for argument in arguments))


def never_works(term: Term) -> bool:
    """Whether a formula divides by a constant of 0, so that no input makes it work."""
    match term:
        case Number() | Name():
            return False
        case Application(arguments=arguments):
            return any(map(never_works, arguments))
        case Operation(operator=operator, left=left, right=right):
            if never_works(left) or never_works(right):
                return True
            return operator == "/" and not names_in(right) and evaluate(right, {}, Fraction) == 0


def evaluate(term: Term, inputs: Mapping[str, Exact], number: Callable[[Decimal], Exact]) -> Exact:
    """The value of a formula over decimals or rationals; `FormulaError` on division by zero.

    `number` makes a constant of the formula into what the inputs are.
    """
    match term:
        case Number(value=value):
            return number(value)
        case Name(name=name):
            return inputs[name]
        case Operation(operator=operator, left=left, right=right):
            a, b = evaluate(left, inputs, number), evaluate(right, inputs, number)
            return _joined(operator, a, b)
        case Application(function=function, arguments=arguments):
            values = [evaluate(argument, inputs, number) for argument in arguments]
            if function == "abs":
                return abs(values[0])
            return min(values) if function == "min" else max(values)


def columns(
    term: Term, inputs: Mapping[str, Decimal | list[Decimal]], length: int
) -> list[Decimal]:
    """The values of a formula for many rows at once; an input is a figure per row, or one for all.

    Raises `FormulaError` where any row divides by zero.
    """
    found = _column(term, inputs)
    return found if isinstance(found, list) else [found] * length


def _column(term: Term, inputs: Mapping[str, Decimal | list[Decimal]]) -> Decimal | list[Decimal]:
    match term:
        case Number(value=value):
            return value
        case Name(name=name):
            return inputs[name]
        case Operation(operator=operator, left=left, right=right):
            return _each(_JOINING[operator], _column(left, inputs), _column(right, inputs))
        case Application(function=function, arguments=arguments):
            first, *others = [_column(argument, inputs) for argument in arguments]
            if function == "abs":
                return [abs(x) for x in first] if isinstance(first, list) else abs(first)
            for other in others:
                first = _each(min if function == "min" else max, first, other)
            return first


def _each(
    join: Callable[[Decimal, Decimal], Decimal],
    a: Decimal | list[Decimal], b: Decimal | list[Decimal],
) -> Decimal | list[Decimal]:  # fmt: skip
    if isinstance(a, list):
        if isinstance(b, list):
            return list(map(join, a, b))
        return [join(x, b) for x in a]
    return [join(a, y) for y in b] if isinstance(b, list) else join(a, b)


def _quotient(a: Decimal, b: Decimal) -> Decimal:
    return _joined("/", a, b)


_JOINING: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": add, "-": sub, "*": mul, "/": _quotient,
}  # fmt: skip


def _joined(operator: str, a: Exact, b: Exact) -> Exact:
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
                f"{text[place:].strip()[:20]!r} is neither number, name nor + - * / ( ) ,."
            )
        if match[1] and len(match[1]) > MAX_DIGITS:
            raise FormulaError(f"A number has at most {MAX_DIGITS} digits.")
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
        word = self._next()
        if word == "(":
            term = self.sum(depth + 1)
            if self._next() != ")":
                raise FormulaError("A closing parenthesis is missing.")
            return term
        if word == "-":
            return Operation("-", Number(Decimal(0)), self._factor(depth + 1))
        if word[0].isdigit():
            return Number(Decimal(word))
        if word[0].isalpha() or word[0] == "_":
            return self._application(word, depth) if self.peek() == "(" else Name(word)
        raise FormulaError(f"{word!r} does not belong here.")

    def _application(self, function: str, depth: int) -> Term:
        if function not in FUNCTIONS:
            raise FormulaError(f"{function!r} is no function; there are {', '.join(FUNCTIONS)}.")
        self._next()
        arguments = [self.sum(depth + 1)]
        while self.peek() == ",":
            self._next()
            arguments.append(self.sum(depth + 1))
        if self._next() != ")":
            raise FormulaError("A closing parenthesis is missing.")
        least, most = FUNCTIONS[function]
        if not least <= len(arguments) <= most:
            raise FormulaError(f"{function} takes {least} to {most} arguments.")
        return Application(function, tuple(arguments))
