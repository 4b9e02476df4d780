"""The mapping grammar: from rows of a file (or a webhook's JSON) to CloudEvents."""

from __future__ import annotations

import re
from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from services.metrics.domain.filters import Filter, compile_filter, lookup, related_in
from shared.clock import EPOCH, format_instant
from shared.errors import Fault
from shared.zones import known_zone

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
Template = Annotated[str, Field(min_length=1, max_length=500)]
Row = Lookup[str, Any]
Tables = Lookup[str, Lookup[str, str]]


class _Closed(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True
    )


class TimeFrom(_Closed):
    """When a row's event occurred."""

    column: str = Field(description="Column that holds the time or date")
    format: str | None = Field(
        None, description="strptime format, `epoch_ms` or `epoch_s`; default ISO 8601"
    )
    zone: str | None = Field(None, description="Time zone of times that carry none")

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        if zone is not None and not known_zone(zone):
            raise ValueError(f"{zone!r} is no time zone such as Europe/Berlin")
        return zone


class ValueFrom(_Closed):
    """Where a field's value comes from, and what becomes of it on the way."""

    column: str | None = Field(None, description="Column to take")
    value: Any = Field(None, description="Constant to take instead")
    map: dict[str, Any] | None = Field(None, description="Replace values; others are faulty")
    lookup: str | None = Field(None, description="Look the value up in a table of `lookups`")
    as_: Literal["text", "decimal", "integer", "boolean"] | None = Field(None, alias="as")
    case: Literal["lower", "upper"] | None = Field(
        None, description="Change the case, before `map` is looked at"
    )
    point: Literal[".", ","] | None = Field(
        None,
        description="What parts a number's decimals; the other one and spaces group its thousands",
    )


def _of_one_row(where: Filter) -> Filter:
    if related_in(where):
        raise ValueError("a row is looked at alone; `had` and `then` belong to metrics")
    return where


RowFilter = Annotated[Filter, AfterValidator(_of_one_row)]


class EventFrom(_Closed):
    """One event that a row may give."""

    type: str = Field(description="Event type to make", max_length=200)
    when: RowFilter | None = Field(None, description="Which rows give it; default: all")
    id: Template = Field(description="Identity of the fact, such as `{opportunity_id}/closed`")
    subject: Template | None = Field(None, description="What it is about")
    sequence: Template | None = Field(None, description="Version of the fact")
    time: TimeFrom = Field(description="When it occurred")
    data: dict[str, str | ValueFrom] = Field(
        default_factory=dict, description="Field -> column name or rule"
    )


class LookupFrom(_Closed):
    """A table beside the main file."""

    file: str = Field(description="Name of the uploaded file")
    key: str = Field(description="Column that is looked up")
    value: str = Field(description="Column that is found")
    optional: bool = Field(False, description="Do without when the file was not sent")


class Rows(_Closed):
    """Which rows are read at all."""

    skip_when: RowFilter | None = Field(None, description="Rows to leave out")


class Mapping(_Closed):
    """How a source's rows become events."""

    rows: Rows = Field(default_factory=Rows)
    lookups: dict[str, LookupFrom] = Field(default_factory=dict, max_length=20)
    events: list[EventFrom] = Field(default_factory=list, max_length=50)


@dataclass(frozen=True, slots=True)
class Made:
    """What a row gave: events in CloudEvents form, ids it could have given, and its faults."""

    items: list[dict[str, Any]]
    possible_ids: list[str]
    faults: list[Fault]
    skipped: bool = False


class _Faulty(Exception):
    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column = column


class Translator:
    """A mapping made ready for many rows."""

    def __init__(self, mapping: Mapping, source: str, tables: Tables, extra: Row) -> None:
        self._mapping = mapping
        self._source = source
        self._tables = tables
        self._extra = extra
        self._skip = (
            compile_filter(mapping.rows.skip_when) if mapping.rows.skip_when else lambda row: False
        )
        self._when = [compile_filter(e.when) for e in mapping.events]

    def translate(self, row: Row, where: str) -> Made:
        """The events of one row; `where` prefixes the pointers of its faults."""
        values = {**self._extra, **row}
        if self._skip(values):
            return Made([], [], [], skipped=True)
        made = Made([], [], [])
        for rule, passes in zip(self._mapping.events, self._when, strict=True):
            takes = passes(values)
            try:
                identity = _fill(rule.id, values)
                made.possible_ids.append(identity)
                if takes:
                    made.items.append(self._event(rule, identity, values))
            except _Faulty as faulty:
                # A row of another kind need not have what this rule's identity is made of.
                if takes:
                    made.faults.append(Fault(f"{where}/{faulty.column}", str(faulty), "row"))
        return made

    def _event(self, rule: EventFrom, identity: str, row: Row) -> dict[str, Any]:
        item: dict[str, Any] = {
            "specversion": "1.0",
            "type": rule.type,
            "source": self._source,
            "id": identity,
            **_occurrence(rule.time, row),
        }
        if rule.subject:
            item["subject"] = _fill(rule.subject, row)
        if rule.sequence:
            item["sequence"] = _fill(rule.sequence, row)
        data = {name: self._value(name, source, row) for name, source in rule.data.items()}
        item["data"] = {name: value for name, value in data.items() if value is not None}
        return item

    def _value(self, name: str, source: str | ValueFrom, row: Row) -> Any:
        if isinstance(source, str):
            return _present(_column(row, source))
        if source.column is None:
            value = source.value
            return _fill(value, row) if isinstance(value, str) and "{" in value else value
        value = _present(_column(row, source.column))
        if value is None:
            return source.value
        if source.lookup is not None:
            return self._tables.get(source.lookup, {}).get(str(value))
        if source.case is not None:
            value = str(value).lower() if source.case == "lower" else str(value).upper()
        if source.map is not None:
            if str(value) not in source.map:
                known = ", ".join(sorted(source.map))
                raise _Faulty(source.column, f"{value!r} has no place in the map ({known}).")
            value = source.map[str(value)]
            if not isinstance(value, str):
                return value
        return _typed(value, source)


def _column(row: Row, name: str) -> Any:
    if name not in row and "." not in name:
        return None
    return lookup(row, name)


def _present(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, PlainNumber):
        value = value.strip()
    return None if value == "" else value


def _fill(template: str, row: Row) -> str:
    def replaced(match: re.Match[str]) -> str:
        value = _present(_column(row, match[1]))
        if value is None:
            raise _Faulty(match[1], f"{match[1]!r} is empty, but {template!r} needs it.")
        return str(value)

    return _PLACEHOLDER.sub(replaced, template)


def _typed(value: Any, source: ValueFrom) -> Any:
    column = source.column or ""
    match source.as_:
        case None:
            return str(value) if isinstance(value, PlainNumber) else value
        case "text":
            return str(value)
        case "boolean":
            lowered = str(value).strip().lower()
            if lowered in ("true", "1", "yes", "y"):
                return True
            if lowered in ("false", "0", "no", "n"):
                return False
            raise _Faulty(column, f"{value!r} is neither true nor false.")
        case "decimal" | "integer":
            try:
                point = None if isinstance(value, PlainNumber) else source.point
                number = Decimal(_plain_number(str(value), point))
            except InvalidOperation as error:
                raise _Faulty(column, f"{value!r} is no number.") from error
            if not number.is_finite():
                raise _Faulty(column, f"{value!r} is no finite number.")
            if source.as_ == "integer" and number != number.to_integral_value():
                raise _Faulty(column, f"{value!r} is no whole number.")
            return number


class PlainNumber(str):
    """A cell that holds a number as such, whatever point the texts of its file are written with."""


_WRITTEN = {
    point: re.compile(
        r"[+-]?(\d+|"
        rf"\d{{1,3}}(?:{re.escape(grouping)}\d{{3}})+|\d{{1,3}}(?:[ \u00a0\u202f']\d{{3}})+)?"
        rf"(?:{re.escape(point)}\d*)?(?:[eE][+-]?\d+)?"
    )
    for point, grouping in ((".", ","), (",", "."))
}


def _plain_number(text: str, point: str | None) -> str:
    """A number as Python reads it; one that is grouped otherwise than in threes is none."""
    text = text.strip()
    if point is None:
        return text
    if not _WRITTEN[point].fullmatch(text):
        return ""
    for mark in (",", ".", " ", "\u00a0", "\u202f", "'"):
        text = text if mark == point else text.replace(mark, "")
    return text.replace(point, ".")


def _occurrence(rule: TimeFrom, row: Row) -> dict[str, str]:
    value = _present(_column(row, rule.column))
    if value is None:
        raise _Faulty(rule.column, f"{rule.column!r} is empty, but the event needs its time.")
    found = read_time(value, rule.format, rule.zone)
    if found is None:
        form = rule.format or "ISO 8601, such as 2025-01-31 or 2025-01-31T12:00:00Z"
        raise _Faulty(rule.column, f"{value!r} is no time of the form {form}.")
    if isinstance(found, datetime):
        return {"time": format_instant(found)}
    return {"occurredon": found.isoformat()}


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only whether it does
    except ValueError:
        return False
    return True


_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?")


def read_time(value: Any, form: str | None, zone: str | None) -> datetime | date | None:
    """A moment or a date from a cell; None where it is neither."""
    try:
        if form in ("epoch_ms", "epoch_s"):
            seconds = Decimal(str(value)) / (1000 if form == "epoch_ms" else 1)
            return EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
        text = str(value)
        if form is not None and _ISO.fullmatch(text) and not _fits(text, form):
            form = None  # A spreadsheet's own dates are told so.
        if form is not None:
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes from the mapping
            if not re.search(r"%[HIcX]", form):
                return moment.date()
        elif len(text) == 10:
            return date.fromisoformat(text)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, ArithmeticError):
        return None
    if moment.tzinfo is None:
        if zone is None:
            return None
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(UTC)
