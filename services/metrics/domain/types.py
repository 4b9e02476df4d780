"""The canonical event types: which fields each has, of what kind, and which are personal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property, partial
from typing import Any

from babel.numbers import list_currencies

from shared.chain import canonical_number
from shared.errors import Fault

MAX_TEXT = 10_000
_DIGITS_BEFORE, _DIGITS_AFTER = 15, 6
_CURRENCIES = frozenset(list_currencies())
_SMALL = 10**15
Check = Callable[[Any], Any]
_SPEC = re.compile(r"(?P<name>\w+)(?P<marks>[!*]*)(?::(?P<kind>\S+))?")
# The service writes these itself; a sender that uses them is refused.
RESERVED_PREFIXES = (
    "ledger.",
    "backfill.",
    "baseline.",
    "source.",
    "calendar.",
    "basis.",
    "metric.",
)
_OPPORTUNITY = (
    "type:new|upsell|cross_sell|renewal owner account channel contacts:list rescued:boolean "
    "pipeline stage expected_close:date product region "
)
_ITEM = "item type:feature|defect|risk|debt state team "

# type -> fields; `!` required, `*` personal, `:kind` where it is not a text.
_CANONICAL = {
    "crm.lead.created": "channel campaign owner account",
    "crm.lead.qualified": "channel campaign owner account qualification",
    "crm.opportunity.opened": _OPPORTUNITY + "amount:number currency:currency",
    "crm.opportunity.changed": _OPPORTUNITY + "amount:number currency:currency",
    "crm.opportunity.stage_changed": _OPPORTUNITY + "from_stage amount:number currency:currency",
    "crm.opportunity.closed": _OPPORTUNITY
    + "outcome!:won|lost amount:number currency:currency reason",
    "crm.opportunity.reopened": _OPPORTUNITY,
    "crm.opportunity.deleted": _OPPORTUNITY,
    "crm.activity.logged": "kind:call|meeting|email|task owner account opportunity",
    "crm.customer.acquired": "customer channel account segment",
    "crm.customer.onboarded": "customer account",
    "crm.customer.churned": "customer account reason",
    "crm.record.profiled": "record completeness:number duplicates:integer",
    "commerce.order.placed": "site brand segment:b2b|b2c customer amount:number currency:currency "
    "lines:list channel",
    "commerce.order.refunded": "order customer amount:number currency:currency reason",
    "commerce.session.started": "site customer channel",
    "commerce.cart.abandoned": "site customer amount:number currency:currency",
    "commerce.subscription.changed": "customer plan amount:number currency:currency kind",
    "web.step.reached": "page step acted:boolean session",
    "marketing.spend.recorded": "channel campaign amount:number currency:currency "
    "impressions:number clicks:number leads:number orders:number revenue:number",
    "marketing.action.completed": "channel campaign action customer",
    "contact.call.completed": "queue direction:inbound|outbound topic customer wait:number "
    "talk:number hold:number after_call:number abandoned:boolean resolved:boolean agent",
    "contact.case.opened": "queue topic customer priority",
    "contact.case.changed": "queue topic customer priority status",
    "contact.case.closed": "queue topic customer resolution",
    "survey.response.received": "kind:csat|nps|ces score:number customer topic about comment*",
    "feedback.recorded": "audience group kind channel text!* themes:list sentiment judged_by "
    "question customer about stars:number",
    "work.item.started": _ITEM,
    "work.item.state_changed": _ITEM + "active:boolean",
    "work.item.completed": _ITEM,
    "user.active": "user unit",
    "licence.assigned": "user unit licence",
    "training.completed": "user unit course",
    "cost.booked": "initiative phase category item amount!:number currency!:currency reference",
    "metric.observed": "figure! value!:number",
    "fx.rate.observed": "base!:currency quote!:currency rate!:positive",
}


@dataclass(frozen=True, slots=True)
class FieldType:
    """One field of an event type."""

    name: str
    kind: str = "text"
    required: bool = False
    personal: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(self.kind.split("|")) if "|" in self.kind else ()

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "positive", "integer")


@dataclass(frozen=True)
class EventType:
    """A kind of fact that senders may push."""

    name: str
    fields: Mapping[str, FieldType]
    schema_number: int = 1
    required: tuple[str, ...] = field(default=())
    personal: tuple[str, ...] = field(default=())

    @cached_property
    def checks(self) -> Mapping[str, Check]:
        """How each declared field is checked."""
        return {name: _check_of(declared) for name, declared in self.fields.items()}


def event_type(name: str, spec: str, schema_number: int = 1) -> EventType:
    """An event type from its compact notation, such as `outcome!:won|lost amount:number`."""
    fields: dict[str, FieldType] = {}
    for word in spec.split():
        match = _SPEC.fullmatch(word)
        assert match is not None, f"{word!r} is no field of {name}"
        marks = match["marks"]
        fields[match["name"]] = FieldType(
            match["name"], match["kind"] or "text", "!" in marks, "*" in marks
        )
    return EventType(
        name,
        fields,
        schema_number,
        tuple(f.name for f in fields.values() if f.required),
        tuple(f.name for f in fields.values() if f.personal),
    )


CANONICAL: dict[str, EventType] = {n: event_type(n, spec) for n, spec in _CANONICAL.items()}


def is_reserved(name: str) -> bool:
    return name not in CANONICAL and name.startswith(RESERVED_PREFIXES)


def check_data(kind: EventType, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The data in canonical form, and what is wrong with it.

    Declared fields are checked and brought into form; null means absent; further fields are kept
    as dimensions of the sender's own.
    """
    faults: list[Fault] = []
    checked: dict[str, Any] = {}
    checks = kind.checks
    for name, value in data.items():
        if value is None:
            continue
        try:
            checked[name] = checks.get(name, _own)(value)
        except _Wrong as wrong:
            faults.append(Fault(f"/data/{name}", str(wrong), wrong.code))
    for name in kind.required:
        if name not in checked and data.get(name) is None:
            faults.append(
                Fault(f"/data/{name}", f"{kind.name} needs the field {name!r}.", "missing")
            )
    return checked, faults


class _Wrong(Exception):
    def __init__(self, detail: str, code: str) -> None:
        super().__init__(detail)
        self.code = code


def _check_of(declared: FieldType) -> Check:
    """The function that brings a value of a field into canonical form, or raises."""
    if declared.choices:
        return partial(_choice, declared.choices)
    return _CHECKS.get(declared.kind, _text)


def _integer(value: Any) -> int:
    number = _number(value)
    if not isinstance(number, int):
        raise _Wrong(f"{value} is not a whole number.", "integer")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{value!r} must be true or false.", "boolean")
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or value not in _CURRENCIES:
        raise _Wrong(f"{value!r} is no ISO 4217 currency code such as EUR.", "currency")
    return value


def _list(value: Any) -> Any:
    if not isinstance(value, list):
        raise _Wrong("This must be a list.", "list")
    return _own(value)


def _text(value: Any) -> str:
    if value.__class__ is str and len(value) <= MAX_TEXT and "\x00" not in value:
        return str(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = bounded_number(Decimal(value))
        return format(number, "f") if isinstance(number, Decimal) else str(number)
    if not isinstance(value, str):
        raise _Wrong("This must be a text.", "text")
    if "\x00" in value:
        raise _Wrong("A text holds no NUL character.", "nul")
    if len(value) > MAX_TEXT:
        raise _Wrong(
            f"A text has at most {MAX_TEXT} characters; this one has {len(value)}.", "long"
        )
    return str(value)


def _choice(choices: tuple[str, ...], value: Any) -> str:
    if value not in choices:
        raise _Wrong(f"{str(value)[:80]!r} must be one of: {', '.join(choices)}.", "choice")
    return str(value)


def _date(value: Any) -> str:
    try:
        if isinstance(value, str):
            return date.fromisoformat(value[:10]).isoformat() if len(value) >= 10 else _bad(value)
    except ValueError:
        pass
    return _bad(value)


def _bad(value: Any) -> str:
    raise _Wrong(f"{str(value)[:40]!r} must be a date such as 2025-01-31.", "date")


def _number(value: Any) -> int | Decimal:
    if type(value) is int and -_SMALL < value < _SMALL:
        return value
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation as error:
            raise _Wrong(f"{value[:40]!r} must be a number.", "number") from error
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Wrong("This must be a number.", "number")
    return bounded_number(Decimal(value))


def bounded_number(value: Decimal) -> int | Decimal:
    """A number within what can be counted exactly, in canonical form."""
    if not value.is_finite():
        raise _Wrong("Numbers are finite.", "finite")
    digits, exponent = value.as_tuple().digits, int(value.as_tuple().exponent)
    if len(digits) + exponent > _DIGITS_BEFORE and value != 0:
        raise _Wrong(f"At most {_DIGITS_BEFORE} digits before the point.", "too_large")
    if exponent < -_DIGITS_AFTER and value != round(value, _DIGITS_AFTER):
        raise _Wrong(f"At most {_DIGITS_AFTER} digits after the point.", "too_precise")
    return canonical_number(value)


def _own(value: Any) -> Any:
    """A value of a field that the type does not declare: any JSON, its numbers bounded."""
    match value:
        case str():
            return _text(value)
        case bool() | None:
            return value
        case int() | Decimal():
            return bounded_number(Decimal(value))
        case list():
            return [_own(inner) for inner in value]
        case dict():
            return {str(key): _own(inner) for key, inner in value.items()}
        case date() | datetime():
            return value.isoformat()
        case _:
            raise _Wrong("This is no JSON value.", "json")


def _positive(value: Any) -> int | Decimal:
    number = _number(value)
    if number <= 0:
        raise _Wrong("This must be more than 0.", "positive")
    return number


_CHECKS: dict[str, Check] = {
    "number": _number, "positive": _positive, "integer": _integer, "boolean": _boolean,
    "currency": _currency, "date": _date, "list": _list,
}  # fmt: skip


def json_schema(kind: EventType) -> dict[str, Any]:
    """The JSON Schema of an event type's data."""
    simple = {"number": "number", "integer": "integer", "boolean": "boolean", "list": "array"}
    properties: dict[str, Any] = {}
    for declared in kind.fields.values():
        shape: dict[str, Any] = {"type": simple.get(declared.kind, "string")}
        if declared.kind == "positive":
            shape = {"type": "number", "exclusiveMinimum": 0}
        if declared.choices:
            shape["enum"] = list(declared.choices)
        if declared.kind == "currency":
            shape["pattern"] = "^[A-Z]{3}$"
        if declared.kind == "date":
            shape["format"] = "date"
        if declared.personal:
            shape["x-personal"] = True
        properties[declared.name] = shape
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:worthwhile:event:{kind.name}:{kind.schema_number}",
        "title": kind.name,
        "type": "object",
        "properties": properties,
        "required": list(kind.required),
        "additionalProperties": True,
    }
