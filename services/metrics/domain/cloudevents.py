"""From a CloudEvent as it came to a fact of the ledger, or to what is wrong with it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from services.metrics.domain.types import EventType, check_data, is_reserved
from shared.chain import canonical_json, parse_json
from shared.clock import midnight_utc
from shared.errors import Fault
from shared.events import NewEvent
from shared.ids import did_you_mean

MAX_ATTRIBUTE = 1_000
# What an index of PostgreSQL can hold of one row, with room for the tenant.
MAX_IDENTITY_BYTES = 1_500
FIRST_DAY = date(1900, 1, 1)
FIRST_MOMENT = midnight_utc(FIRST_DAY)
MAX_FUTURE = timedelta(hours=24)
_KNOWN = {
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema",
    "data", "data_base64", "sequence", "occurredon", "traceparent", "tracestate",
}  # fmt: skip
_RARE = {"datacontenttype", "dataschema", "traceparent", "tracestate"}
_TEXTS = (("source", ""), ("id", ""), ("type", ""), ("sequence", ""), ("subject", "-"))
# Five attributes of this length fit into an identity, however their letters are encoded.
MAX_PLAIN = 120
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FRACTION = re.compile(r"(\.\d{6})\d+")


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that is not stored as a fact: why, and whether it is kept in quarantine."""

    status: str
    faults: tuple[Fault, ...]


def read_cloudevent(
    item: Any, types: Mapping[str, EventType], now: datetime, *, actor: str = "",
    backfill: str | None = None,
) -> NewEvent | Rejected:  # fmt: skip
    """Check one CloudEvent in structured form against its type.

    An event more than 24 h in the future is quarantined; a late one never is.
    """
    if not isinstance(item, dict):
        return Rejected("invalid", (Fault("/", "An event is a JSON object.", "object"),))
    faults = [] if _is_plain(item) else _attribute_faults(item)
    kind = types.get(str(item.get("type")))
    if kind is None and not faults:
        faults.append(_unknown_type(str(item["type"]), types))
    moment, day = _time(item, now, faults)
    data = _data(item, faults)
    if faults or kind is None:
        return Rejected("invalid", tuple(faults))
    checked, wrong = check_data(kind, data)
    if wrong:
        return Rejected("invalid", tuple(wrong))
    personal = {name: str(checked.pop(name)) for name in kind.personal if name in checked}
    if moment > now + MAX_FUTURE:
        fault = Fault("/time", f"{moment.isoformat()} is more than 24 h in the future.", "future")
        return Rejected("quarantined", (fault,))
    return NewEvent(
        source=item["source"],
        event_id=item["id"],
        sequence=str(item.get("sequence", "")),
        name=kind.name,
        schema_number=kind.schema_number,
        subject=item.get("subject"),
        occurred_at=moment,
        occurred_on=day,
        data=canonical_json(checked),
        personal=personal,
        actor=actor,
        backfill=backfill,
    )


def _is_plain(item: Mapping[str, Any]) -> bool:
    """Whether the attributes are beyond doubt; anything else is looked at one by one."""
    if item.get("specversion") != "1.0" or not item.keys() <= _KNOWN:
        return False
    texts = [item.get(name, default) for name, default in _TEXTS]
    if not all(type(text) is str for text in texts):
        return False
    source, event_id, name, _, subject = texts
    return (
        source.strip() != "" and event_id.strip() != "" and name.strip() != "" and subject != ""
        and max(map(len, texts)) <= MAX_PLAIN
        and _CONTROL.search("".join(texts)) is None
        and _CONTROL.search(str(item.get("time", ""))) is None
        and item.keys().isdisjoint(_RARE)
    )  # fmt: skip


def _attribute_faults(item: Mapping[str, Any]) -> list[Fault]:
    faults: list[Fault] = []
    if item.get("specversion") != "1.0":
        faults.append(
            Fault("/specversion", 'CloudEvents "1.0" is the version taken.', "specversion")
        )
    for name in ("id", "source", "type"):
        value = item.get(name)
        if not isinstance(value, str) or not value.strip():
            faults.append(
                Fault(f"/{name}", f"{name!r} must be a text that is not empty.", "missing")
            )
    identity = "".join(str(item.get(name, "")) for name in ("source", "id", "sequence"))
    if len(identity.encode("utf-8", "replace")) > MAX_IDENTITY_BYTES:
        detail = f"source, id and sequence have at most {MAX_IDENTITY_BYTES} bytes together."
        faults.append(Fault("/id", detail, "long"))
    sequence = item.get("sequence")
    if sequence is not None and (isinstance(sequence, bool) or not isinstance(sequence, str | int)):
        faults.append(
            Fault("/sequence", "'sequence' must be a text or a whole number.", "sequence")
        )
    subject = item.get("subject")
    if subject is not None and (not isinstance(subject, str) or not subject):
        faults.append(Fault("/subject", "'subject' must be a text that is not empty.", "subject"))
    for name, value in item.items():
        if name in ("data", "data_base64"):
            continue
        if name not in _KNOWN and not _ATTRIBUTE.fullmatch(name):
            faults.append(
                Fault(f"/{name}", "Attribute names are lower-case letters and digits.", "name")
            )
        if isinstance(value, str) and (len(value) > MAX_ATTRIBUTE or _CONTROL.search(value)):
            detail = (
                f"Attributes have at most {MAX_ATTRIBUTE} characters and no control characters."
            )
            faults.append(Fault(f"/{name}", detail, "attribute"))
    return faults


def _unknown_type(name: str, types: Mapping[str, EventType]) -> Fault:
    if is_reserved(name):
        return Fault("/type", f"{name!r} is written by the service itself.", "reserved_type")
    detail = f"{name[:100]!r} is no known event type.{_nearest_type(name[:100], tuple(types))}"
    mend = " Register a type of your own with POST /v1/event-types."
    return Fault("/type", detail + mend, "unknown_type")


@lru_cache(maxsize=1_024)
def _nearest_type(name: str, known: tuple[str, ...]) -> str:
    """Looked for once per name, since a batch may hold thousands of the same mistake."""
    return did_you_mean(name, known)


def _time(
    item: Mapping[str, Any], now: datetime, faults: list[Fault]
) -> tuple[datetime, date | None]:
    stated_day = item.get("occurredon")
    try:
        if stated_day is not None:
            day = date.fromisoformat(stated_day)
            if day < FIRST_DAY:
                raise ValueError("before 1900")
            return midnight_utc(day), day
    except (TypeError, ValueError):
        faults.append(Fault("/occurredon", f"{stated_day!r} must be a date, 2025-01-31.", "date"))
        return now, None
    text = item.get("time")
    if text is None:
        detail = "An event says when it occurred: 'time' (RFC 3339) or 'occurredon' (a date)."
        faults.append(Fault("/time", detail, "missing"))
        return now, None
    moment = parse_moment(text)
    if isinstance(moment, Fault):
        faults.append(moment)
        return now, None
    if isinstance(moment, datetime):
        return moment, None
    return midnight_utc(moment), moment


def parse_moment(text: Any) -> datetime | date | Fault:
    """A moment (aware, UTC) or a date from its text; a time without zone is refused."""
    if not isinstance(text, str):
        return Fault("/time", "'time' must be a text in RFC 3339 form.", "time")
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            if day < FIRST_DAY:
                return Fault("/time", f"{text!r} lies before 1900.", "time")
            return day
        if len(text) > 26:
            text = _FRACTION.sub(r"\1", text)
        moment = datetime.fromisoformat(text.replace("z", "Z"))
        if moment.tzinfo is None:
            detail = f"{text!r} has no time zone; write 2025-01-31T12:00:00Z or with +01:00."
            return Fault("/time", detail, "naive_time")
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return Fault(
            "/time", f"{text[:60]!r} must be an RFC 3339 time, 2025-01-31T12:00:00Z.", "time"
        )
    if moment < FIRST_MOMENT:
        return Fault("/time", f"{text!r} lies before 1900.", "time")
    return moment


def _data(item: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    data = item.get("data", {})
    if "data_base64" in item:
        try:
            data = parse_json(base64.b64decode(item["data_base64"], validate=True))
        except (TypeError, ValueError, binascii.Error, RecursionError):
            faults.append(Fault("/data_base64", "This must be base64 of a JSON object.", "base64"))
            return {}
    if data is None:
        data = {}
    if not isinstance(data, dict):
        faults.append(Fault("/data", "'data' must be a JSON object.", "object"))
        return {}
    return data
