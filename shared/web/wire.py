"""Wire shapes and field types that every service's API uses."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from shared.clock import format_instant
from shared.closed import Closed
from shared.ids import KEY_PATTERN
from shared.money import bounded


class Wire(Closed):
    """A shape of the API; what a client sends beyond it is refused, never ignored."""

    model_config = ConfigDict(allow_inf_nan=False)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, for example 2025-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside what a calendar can hold") from error


def _not_a_number_of_seconds(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        raise ValueError("must be an RFC 3339 text, for example 2025-01-31T12:00:00Z")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


def _shown_number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


InstantField = Annotated[
    datetime,
    BeforeValidator(_not_a_number_of_seconds),
    AfterValidator(_aware),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Number = Annotated[
    Decimal,
    BeforeValidator(_number),
    AfterValidator(bounded),
    PlainSerializer(_shown_number, return_type=float),
    WithJsonSchema({"type": "number"}),
]
# A figure in an answer: it was bounded when it came in, or computed to 15 digits.
Figure = Annotated[
    Decimal,
    PlainSerializer(_shown_number, return_type=float),
    WithJsonSchema({"type": "number"}),
]
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
PeriodName = Annotated[
    str,
    Field(
        description="A period by name: 2025-Q3, 2025-07, 2025-W31, 2025, FY2026-Q1 or "
        "2025-01-01..2025-04-01 (end exclusive)",
        examples=["2025-Q3"],
        max_length=40,
    ),
]
BasisToken = Annotated[
    str,
    Field(
        description="A state of the ledger: position and the first 8 bytes of the chain's root",
        examples=["1042-9f86d081884c7d65"],
        max_length=64,
    ),
]


def _storable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _storable(inner) for key, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list) else value


# A filter that is passed on to metrics as it is; its numbers stay numbers when it is stored.
FilterBody = Annotated[dict[str, Any], AfterValidator(_storable)]


class Change(Wire):
    """A change of some fields; what is left out stays, and null is no value."""

    @model_validator(mode="before")
    @classmethod
    def _something_and_no_null(cls, body: Any) -> Any:
        if isinstance(body, dict):
            for name, value in body.items():
                if value is None:
                    raise ValueError(f"{name!r} is null; leave out what should stay")
            if not body.keys() - {"reason"}:
                raise ValueError("the change changes nothing")
        return body


class Text(Wire):
    """Words for people: a stable code, its parameters, and the text in the language asked for."""

    code: str = Field(description="Stable name of what is said")
    params: dict[str, Any] = Field(default_factory=dict, description="Figures in the text")
    text: str = Field(description="The sentence")


class Known(Wire):
    """What every answer about state carries."""

    known_at: InstantField = Field(description="The moment of knowledge that the answer is for")
    basis: BasisToken
    open: bool = Field(
        description="True while more could still be recorded at or before `known_at`"
    )


class ProblemError(Wire):
    """One thing that is wrong in a request."""

    pointer: str = Field(description="JSON pointer (or parameter name) of the value")
    detail: str = Field(description="What is so, and what would be right")
    code: str = Field(description="Stable code of the fault")


class Problem(Wire):
    """RFC 9457 problem details."""

    type: str = Field(
        description="Stable address of the kind of problem", examples=["/problems/invalid"]
    )
    title: str = Field(description="The kind of problem in words")
    status: int = Field(description="HTTP status", ge=400, le=599)
    detail: str = Field(description="What is wrong in this request")
    instance: str = Field(description="Path of the request")
    errors: list[ProblemError] = Field(default_factory=list, description="Each wrong value")
    trace_id: str | None = Field(None, description="Trace of the request, for support")
