"""FILTER of the definition grammar: which events count, by their fields and by other events."""

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

from services.metrics.domain.windows import WindowText
from shared.closed import Closed

MAX_NUMBER = 10**15
Predicate = Callable[[Mapping[str, Any]], bool]
Operator = Literal["eq", "ne", "in", "gt", "gte", "lt", "lte", "exists", "contains"]


class _Closed(Closed):
    model_config = ConfigDict(frozen=True)


EventNames = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    Field(min_length=1, max_length=20, description="Types of the events that count"),
]
FieldName = Annotated[str, Field(max_length=200, pattern=r"^[$A-Za-z_][\w.]*$")]


def _plain_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float):
        return value
    if abs(Decimal(value)) >= MAX_NUMBER:
        raise ValueError("numbers have at most 15 digits before the point")
    return float(value) if isinstance(value, Decimal) else value


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
            return [_plain_number(v) for v in value]
        return _plain_number(value)

    @model_validator(mode="after")
    def _value_fits(self) -> FieldFilter:
        if self.op == "in" and not (isinstance(self.value, list) and self.value):
            raise ValueError("`in` compares with a list of one value or more")
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


class Step(_Closed):
    """Events that begin, end or accompany something."""

    events: EventNames
    where: Filter | None = Field(None, description="Which of the events count")


class JoinFields(_Closed):
    """Join two events by a field of each, instead of by subject."""

    from_: FieldName = Field(alias="from", description="Field of the first event")
    to: FieldName = Field(description="Field of the second event")
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True
    )


By = Annotated[
    FieldName | JoinFields,
    Field(description="`subject`, a field that both events have, or a field of each"),
]


class HadFilter(_Closed):
    """True when another event came before: of the same subject, or with the same field."""

    had: Step = Field(description="The other event")
    by: By = Field("subject")
    before: Literal["event", "period"] = Field(
        "event", description="Before the event itself, or before its period begins"
    )
    within: WindowText | None = Field(None, description="At most this long before")
    which: Literal["any", "last"] = Field(
        "any",
        description="Whether any of the other events before will do, or only the last of them, "
        "which then has to pass `where`; `last` looks from the beginning of the period",
    )

    @model_validator(mode="after")
    def _last_before_a_period(self) -> HadFilter:
        if self.which == "last" and self.before != "period":
            raise ValueError('`"which": "last"` goes with `"before": "period"`')
        return self


class ThenFilter(_Closed):
    """True when another event comes after; provisional while its window is open."""

    then: Step = Field(description="The other event")
    by: By = Field("subject")
    within: WindowText | None = Field(None, description="At most this long after")


RelatedFilter = HadFilter | ThenFilter
_KINDS = {
    "AllFilter": "all", "AnyFilter": "any", "NotFilter": "not", "HadFilter": "had",
    "ThenFilter": "then",
}  # fmt: skip


def _kind(value: Any) -> str:
    if isinstance(value, BaseModel):
        return _KINDS.get(type(value).__name__, "field")
    if isinstance(value, dict):
        for name in _KINDS.values():
            if name in value:
                return name
    return "field"


Filter = Annotated[
    Annotated[FieldFilter, Tag("field")]
    | Annotated[AllFilter, Tag("all")]
    | Annotated[AnyFilter, Tag("any")]
    | Annotated[NotFilter, Tag("not")]
    | Annotated[HadFilter, Tag("had")]
    | Annotated[ThenFilter, Tag("then")],
    Discriminator(_kind),
]
for _model in (AllFilter, AnyFilter, NotFilter, Step, HadFilter, ThenFilter):
    _model.model_rebuild()


def join_fields(by: str | JoinFields) -> tuple[str, str]:
    """The fields of the first and of the second event that must be equal."""
    if isinstance(by, JoinFields):
        return by.from_, by.to
    return ("$subject", "$subject") if by == "subject" else (by, by)


def fields_of(where: Filter | None) -> set[str]:
    """The fields of the event itself that a filter looks at."""
    match where:
        case None:
            return set()
        case FieldFilter(field=name):
            return {name}
        case AllFilter(all=parts) | AnyFilter(any=parts):
            return set().union(*(fields_of(part) for part in parts))
        case NotFilter(not_=part):
            return fields_of(part)
        case HadFilter(by=by) | ThenFilter(by=by):
            return {join_fields(by)[0]}


def comparisons_in(where: Filter | None) -> list[FieldFilter]:
    """The comparisons of the event's own fields in a filter."""
    match where:
        case FieldFilter():
            return [where]
        case AllFilter(all=parts) | AnyFilter(any=parts):
            return [found for part in parts for found in comparisons_in(part)]
        case NotFilter(not_=part):
            return comparisons_in(part)
        case _:
            return []


def related_in(where: Filter | None) -> list[RelatedFilter]:
    """The parts of a filter that look at other events."""
    match where:
        case None | FieldFilter():
            return []
        case AllFilter(all=parts) | AnyFilter(any=parts):
            return [found for part in parts for found in related_in(part)]
        case NotFilter(not_=part):
            return related_in(part)
        case HadFilter(had=step) | ThenFilter(then=step):
            return [where, *related_in(step.where)]


def step_of(related: RelatedFilter) -> Step:
    return related.had if isinstance(related, HadFilter) else related.then


def compile_filter(
    where: Filter | None, related: Callable[[RelatedFilter], Predicate] | None = None
) -> Predicate:
    """A function that says whether a row of fields passes.

    `related` compiles the parts that look at other events; without it a filter has none.
    """
    match where:
        case None:
            return lambda row: True
        case FieldFilter():
            return _compare(where)
        case AllFilter(all=parts):
            inner = [compile_filter(part, related) for part in parts]
            return lambda row: all(p(row) for p in inner)
        case AnyFilter(any=parts):
            inner = [compile_filter(part, related) for part in parts]
            return lambda row: any(p(row) for p in inner)
        case NotFilter(not_=part):
            negated = compile_filter(part, related)
            return lambda row: not negated(row)
        case HadFilter() | ThenFilter():
            assert related is not None, "filters without a ledger are refused `had` and `then`"
            return related(where)


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
