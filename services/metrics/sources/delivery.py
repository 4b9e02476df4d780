"""What every vendor's file works with: a raw delivery, observations, facts, and refusals."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from services.metrics.domain.cloudevents import parse_moment
from services.metrics.domain.mapping import Mapping as Rules
from services.metrics.domain.mapping import Translator
from services.metrics.domain.types import EventType
from shared.chain import parse_json
from shared.clock import EPOCH
from shared.errors import Fault

Secrets = list[str]
# Of a field's words the last ones that plainly tell of a person.
_OF_PERSONS = re.compile(
    r"(^|_)(e_?mail|phone|mobile|fax|street|iban|ssn|birth_?(day|date)|date_of_birth|ip_address"
    r"|(first|last|middle|full|given|family|user|customer|contact|display)_?name"
    r"|((shipping|billing|home|postal|street|e_?mail)_)?address|(phone|mobile|passport)_number"
    r"|(zip|postal)_?code)$|^(name|ip|zip)$"
)
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# More pairs than any vendor sends; the rest of a form is not looked at.
MAX_PAIRS = 20_000
# The name of a record stands in the key of its stream and in the ids of its facts.
MAX_RECORD = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request as it came; header names in lower case."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that a vendor said of one record at one moment."""

    record: str
    property: str
    value: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that follows from what is known of a record."""

    event_id: str
    name: str
    subject: str
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(slots=True)
class Translation:
    """What a delivery says: of records, as finished events, and what is not understood."""

    observations: list[Observation] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[Any, Fault]] = field(default_factory=list)
    ignored: int = 0
    known: int = 0

    def observe(self, record: str, at: datetime, said: Mapping[str, Any]) -> None:
        """Add what was said of a record at one moment; what is None was not said."""
        if len(record) > MAX_RECORD or not record.isprintable():
            detail = f"An id has at most {MAX_RECORD} characters, all of them printable."
            self.faults.append(({"id": record[:MAX_RECORD]}, Fault("/id", detail, "id")))
            return
        self.observations += [
            Observation(record, name, text_of(value), at)
            for name, value in said.items()
            if value is not None
        ]

    def take(self, rules: Rules, source: str, row: Mapping[str, Any], item: Any) -> bool:
        """Take what a source's rules make of a row; False where none of them knows it.

        Faults are told of `item`, which is what the vendor sent; what is to be skipped is ignored.
        """
        made = Translator(rules, source, {}, {}).translate(row, "")
        self.items += made.items
        self.faults += [(item, fault) for fault in made.faults]
        self.ignored += made.skipped
        return bool(made.items or made.faults or made.skipped)


class NotAuthentic(Exception):
    """The delivery does not prove that it comes from the vendor; the text says what is wrong."""


class NotReadable(Exception):
    """The delivery is authentic, but its body is not what this vendor sends."""


# What goes wrong with an item whose parts are missing or of another kind than the vendor's.
GARBLED = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)


def garbled(item: Any, error: Exception) -> tuple[Any, Fault]:
    return item, Fault("/", f"An item lacks or garbles {error}.", "item")


def equal(expected: str | bytes, given: str | bytes) -> bool:
    """Whether two secrets are the same, in a time that does not depend on where they differ."""
    one = expected.encode() if isinstance(expected, str) else expected
    other = given.encode("utf-8", "replace") if isinstance(given, str) else given
    return hmac.compare_digest(one, other)


def demand_key(delivery: Delivery, secrets: Secrets) -> None:
    """Check a key that the hop before us adds, where the source has one; raises `NotAuthentic`.

    It may stand in `X-Ingest-Key`, as a bearer token, as the password or the whole of Basic
    authentication, or as `code` or `access_token` in the address.
    """
    if not secrets:
        return
    headers = delivery.headers
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    query = dict(parse_qsl(urlsplit(delivery.url).query))
    given = [
        headers.get("x-ingest-key", ""), query.get("code", ""), query.get("access_token", ""),
        credential if scheme.lower() == "bearer" else "",
        *(_basic(credential) if scheme.lower() == "basic" else ()),
    ]  # fmt: skip
    if not any(equal(secret, one) for secret in secrets for one in given if one):
        raise NotAuthentic("No valid key came with the delivery (X-Ingest-Key, bearer or ?code=).")


def _basic(credential: str) -> tuple[str, ...]:
    try:
        text = base64.b64decode(credential, validate=True).decode()
    except ValueError:
        return ()
    return text, text.partition(":")[2]


def json_of(delivery: Delivery) -> Any:
    """The body as JSON with exact numbers; raises `NotReadable`."""
    try:
        return parse_json(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        mended = _with_broken_texts(delivery.body)
        if mended is None:
            raise NotReadable(f"The body is no JSON: {error}") from error
        return mended


def _with_broken_texts(body: bytes) -> Any:
    """JSON of which a text was cut within a letter: that letter as U+FFFD; None where it is none.

    One cut text of one item must not cost all items of a batch.
    """
    try:
        return _whole(json.loads(body.decode("utf-8", "replace"), parse_float=Decimal))
    except (ValueError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case dict():
            return {_whole(name): _whole(inner) for name, inner in value.items()}
        case list():
            return [_whole(inner) for inner in value]
        case float():
            raise ValueError("JSON knows neither NaN nor Infinity")
        case _:
            return value


def object_of(delivery: Delivery) -> dict[str, Any]:
    """The body as a JSON object; raises `NotReadable`."""
    body = json_of(delivery)
    if not isinstance(body, dict):
        raise NotReadable("The body is no JSON object.")
    return body


def pairs_of(body: bytes) -> list[tuple[str, str]]:
    """The pairs of a form, decoded; raises `NotReadable`."""
    try:
        text = body.decode()
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS)
    except ValueError as error:
        raise NotReadable(f"The body is no form: {error}") from error


def text_of(value: Any) -> str:
    """A value as observations keep it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def moment_of(value: Any, *, zone_is_utc: bool = False) -> datetime:
    """A moment from ISO 8601 text; a date is its midnight. Raises `ValueError`."""
    text = str(value)
    if zone_is_utc and len(text) > 10 and not text.endswith("Z") and "+" not in text[10:]:
        text = text.replace(" ", "T") + "Z"
    found = parse_moment(text)
    if isinstance(found, Fault):
        raise ValueError(found.detail)
    if isinstance(found, datetime):
        return found
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def epoch_ms(value: Any) -> datetime:
    """A moment from milliseconds since 1970. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError("milliseconds")
    return EPOCH + timedelta(milliseconds=int(value))


def without_persons(data: Mapping[str, Any], kind: EventType) -> dict[str, Any]:
    """Data without what plainly tells of a person and the type does not declare.

    No metric needs it; whoever wants such a field kept says so in a mapping.
    """
    return {
        name: value
        for name, value in data.items()
        if name in kind.fields or not _OF_PERSONS.search(_CAPITAL.sub("_", name).lower())
    }


def event_item(
    name: str, source: str, identity: str, at: datetime, data: Mapping[str, Any], **more: str
) -> dict[str, Any]:
    """A finished event in CloudEvents form; what is None of its data is left out."""
    return {
        "specversion": "1.0", "type": name, "source": source, "id": identity,
        "time": at.isoformat(), **more,
        "data": {key: value for key, value in data.items() if value is not None and value != ""},
    }  # fmt: skip
