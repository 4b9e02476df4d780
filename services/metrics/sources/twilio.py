"""Twilio: status callbacks of calls, and Event Streams."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from services.metrics.domain.mapping import Mapping
from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    equal,
    event_item,
    garbled,
    json_of,
    pairs_of,
)

_FINAL = ("completed", "busy", "failed", "no-answer", "canceled")


def authenticate(delivery: Delivery, secrets: Secrets, mapping: Mapping) -> None:
    """HMAC-SHA1 over the address and, for forms, its sorted parameters; raises `NotAuthentic`."""
    given, signed = delivery.headers.get("x-twilio-signature", ""), ""
    if _is_form(delivery):
        try:
            signed = _parameters(pairs_of(delivery.body))
        except NotReadable as error:
            raise NotAuthentic(str(error)) from error
    else:
        said = dict(parse_qsl(urlsplit(delivery.url).query)).get("bodySHA256", "")
        if not equal(hashlib.sha256(delivery.body).hexdigest(), said.lower()):
            raise NotAuthentic("The address does not carry the SHA-256 of the body.")
    for secret in secrets:
        for url in _addresses(delivery.url):
            digest = hmac.new(secret.encode(), (url + signed).encode(), hashlib.sha1).digest()
            if equal(base64.b64encode(digest), given):
                return
    raise NotAuthentic("X-Twilio-Signature does not fit the address, the body and any valid token.")


def _is_form(delivery: Delivery) -> bool:
    return "form-urlencoded" in delivery.headers.get("content-type", "")


def _parameters(pairs: Iterable[tuple[str, str]]) -> str:
    values: dict[str, set[str]] = defaultdict(set)
    for name, value in pairs:
        values[name].add(value)
    return "".join(name + value for name in sorted(values) for value in sorted(values[name]))


def _addresses(url: str) -> Iterator[str]:
    """The address with and without its default port; senders differ."""
    yield url
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    host = parts.hostname or ""
    other = host if parts.port == default else f"{host}:{default}" if parts.port is None else None
    if other:
        yield urlunsplit(parts._replace(netloc=other))


def translate(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """A call that has ended; each event of a stream by the mapping."""
    translation = Translation()
    if _is_form(delivery):
        _call(dict(pairs_of(delivery.body)), translation, source)
        return translation
    body = json_of(delivery)
    for item in body if isinstance(body, list) else [body]:
        try:
            if not isinstance(item, dict) or not item["type"]:
                raise ValueError("type")
            if not translation.take(mapping, source, item, item):
                translation.ignored += 1
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
    return translation


def _call(form: dict[str, str], translation: Translation, source: str) -> None:
    try:
        status, identity = form["CallStatus"], form["CallSid"]
        if status not in _FINAL:
            translation.ignored += 1
            return
        at = parsedate_to_datetime(form["Timestamp"]).astimezone(UTC)
        inbound = form.get("Direction", "inbound").startswith("inbound")
        data: dict[str, Any] = {
            "direction": "inbound" if inbound else "outbound",
            "talk": int(form["CallDuration"]) if form.get("CallDuration") else None,
            "abandoned": False if status == "completed" else None,
            "status": status,
        }
        translation.items.append(
            event_item("contact.call.completed", source, f"call/{identity}", at, data,
                       subject=f"call/{identity}", sequence=form.get("SequenceNumber", ""))
        )  # fmt: skip
    except GARBLED as error:
        raise NotReadable(f"The callback lacks or garbles {error}.") from error
