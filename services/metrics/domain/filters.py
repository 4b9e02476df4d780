"""FILTER of the definition grammar: which events count, by their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

MAX_FILTER_DEPTH = 10
Predicate = Callable[[Mapping[str, Any]], bool]
Operator = Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists", "contains"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldFilter(_Closed):
    """Compares one field; `$type` is the event's type and `$subject` its subject."""

    field: str = Field(min_length=1, max_length=200, description="Field of the event's data")
    op: Operator = Field("eq", description="How to compare")
    value: Any = Field(None, description="What to compare with; a list for `in`; none for `exists`")

    @field_validator("value")
    @classmethod
    def _as_stored(cls, value: Any) -> Any:
        # A decimal would be stored as a text, and be compared as one ever after.
        if isinstance(value, list):
            return [float(v) if isinstance(v, Decimal) else v for v in value]
        return float(value) if isinstance(value, Decimal) else value

    @model_validator(mode="after")
    def _value_fits(self) -> FieldFilter:
        if self.op == "in" and not isinstance(self.value, list):
            raise ValueError("`in` compares with a list of values")
        if self.op in ("gt", "gte", "lt", "lte") and (
            isinstance(self.value, bool) or not isinstance(self.value, int | float | Decimal | str)
        ):
            raise ValueError(f"`{self.op}` compares with a number or a text")
        return self


class AllFilter(_Closed):
    """True when every part is."""

    all: list[Filter] = Field(min_length=1, max_length=50, description="Parts")


class AnyFilter(_Closed):
    """True when at least one part is."""

    any: list[Filter] = Field(min_length=1, max_length=50, description="Parts")


class NotFilter(_Closed):
    """True when the part is not."""

    not_: Filter = Field(alias="not", description="Part")
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True
    )


def _kind(value: Any) -> str:
    if isinstance(value, BaseModel):
        return {"AllFilter": "all", "AnyFilter": "any", "NotFilter": "not"}.get(
            type(value).__name__, "field"
        )
    if isinstance(value, dict):
        for name in ("all", "any", "not"):
            if name in value:
                return name
    return "field"


Filter = Annotated[
    Annotated[FieldFilter, Tag("field")]
    | Annotated[AllFilter, Tag("all")]
    | Annotated[AnyFilter, Tag("any")]
    | Annotated[NotFilter, Tag("not")],
    Discriminator(_kind),
]
for _model in (AllFilter, AnyFilter, NotFilter):
    _model.model_rebuild()


def fields_of(where: Filter | None) -> set[str]:
    """The fields that a filter looks at."""
    match where:
        case None:
            return set()
        case FieldFilter(field=name):
            return {name}
        case AllFilter(all=parts) | AnyFilter(any=parts):
            return set().union(*(fields_of(part) for part in parts))
        case NotFilter(not_=part):
            return fields_of(part)


def compile_filter(where: Filter | None) -> Predicate:
    """A function that says whether a row of fields passes."""
    match where:
        case None:
            return lambda row: True
        case FieldFilter():
            return _compare(where)
        case AllFilter(all=parts):
            inner = [compile_filter(part) for part in parts]
            return lambda row: all(p(row) for p in inner)
        case AnyFilter(any=parts):
            inner = [compile_filter(part) for part in parts]
            return lambda row: any(p(row) for p in inner)
        case NotFilter(not_=part):
            negated = compile_filter(part)
            return lambda row: not negated(row)


def lookup(row: Mapping[str, Any], name: str) -> Any:
    """A field by its name or, inside an object, by a dotted path."""
    if name in row or "." not in name:
        return row.get(name)
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _compare(where: FieldFilter) -> Predicate:
    name, expected = where.field, _comparable(where.value)
    match where.op:
        case "eq":
            return lambda row: _comparable(lookup(row, name)) == expected
        case "ne":
            return lambda row: _comparable(lookup(row, name)) != expected
        case "in":
            allowed = [_comparable(v) for v in where.value]
            return lambda row: _comparable(lookup(row, name)) in allowed
        case "exists":
            wanted = where.value is not False
            return lambda row: (lookup(row, name) not in (None, "")) == wanted
        case "contains":
            return lambda row: _contains(lookup(row, name), where.value)
        case "gt" | "gte" | "lt" | "lte":
            return _ordered(name, where.op, expected)


def _comparable(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return Decimal(str(value))
    return value


def _contains(value: Any, part: Any) -> bool:
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list) and part in value


def _ordered(name: str, op: str, expected: Any) -> Predicate:
    numeric = isinstance(expected, int | Decimal)

    def passes(row: Mapping[str, Any]) -> bool:
        value = _comparable(lookup(row, name))
        comparable = (
            isinstance(value, int | Decimal) and not isinstance(value, bool)
            if numeric
            else isinstance(value, str)
        )
        if not comparable:
            return False
        match op:
            case "gt":
                return bool(value > expected)
            case "gte":
                return bool(value >= expected)
            case "lt":
                return bool(value < expected)
            case _:
                return bool(value <= expected)

    return passes
