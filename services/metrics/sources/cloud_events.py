"""CloudEvents by webhook: structured, batched and binary, with the sender's handshake."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import unquote

from services.metrics.domain.mapping import Mapping
from services.metrics.domain.types import CANONICAL
from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotReadable,
    Secrets,
    Translation,
    demand_key,
    garbled,
    json_of,
    without_persons,
)
from shared.chain import parse_json
from shared.clock import to_micros
from shared.errors import Fault

# Later than any delivery, in microseconds: what came earlier has the higher sequence.
_FAR = 10**17
_ENDINGS = {tuple(name.split(".")[-2:]): name for name in CANONICAL}
# Everyday names of a thing's id, and of times in seconds, as other systems write them.
_SUBJECTS = {"opportunity_id": "opportunity", "lead_id": "lead", "call_id": "call",
             "case_id": "case", "order_id": "order"}  # fmt: skip
_NAMES = {"talk_s": "talk", "hold_s": "hold", "acw_s": "after_call", "queue_s": "wait",
          "customer_id": "customer"}  # fmt: skip


def authenticate(delivery: Delivery, secrets: Secrets, mapping: Mapping) -> None:
    """A bearer token, or `access_token` in the address."""
    demand_key(delivery, secrets)


def translate(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """Each event by the mapping; without one by its type's ending, where it is canonical."""
    translation = Translation()
    for item in _items(delivery):
        try:
            _demand_version(item)
            _translate_item(_timed(_decoded(item), delivery), translation, mapping, source)
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
    return translation


def _demand_version(item: dict[str, Any]) -> None:
    if item.get("specversion") != "1.0":
        raise ValueError(f'specversion: "1.0" is taken, not {str(item.get("specversion"))[:20]!r}')


def _decoded(item: dict[str, Any]) -> dict[str, Any]:
    """An event whose data came as base64 with them as the JSON that they are."""
    if "data_base64" not in item:
        return item
    rest = {name: value for name, value in item.items() if name != "data_base64"}
    return {**rest, "data": parse_json(base64.b64decode(item["data_base64"], validate=True))}


def _timed(item: dict[str, Any], delivery: Delivery) -> dict[str, Any]:
    """Without a time of its own an event occurred when it came first; later ones do not count."""
    if "time" in item:
        return item
    first = str(_FAR - to_micros(delivery.received_at))
    return {"sequence": first, **item, "time": delivery.received_at.isoformat()}


def _items(delivery: Delivery) -> list[Any]:
    kind = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "ce-specversion" in delivery.headers:
        item: dict[str, Any] = {"data": json_of(delivery)}
        for name, value in delivery.headers.items():
            if name.startswith("ce-"):
                try:
                    item[name[3:]] = unquote(value.strip('"'), errors="strict")
                except UnicodeDecodeError as error:
                    raise NotReadable(f"The header {name} is no percent-encoded UTF-8.") from error
        return [item]
    body = json_of(delivery)
    if kind == "application/cloudevents-batch+json" or isinstance(body, list):
        if not isinstance(body, list):
            raise NotReadable("A batch is a JSON array.")
        return body
    return [body]


def _translate_item(
    item: dict[str, Any], translation: Translation, mapping: Mapping, source: str
) -> None:
    if translation.take(mapping, source, item, item):
        return
    name = _ENDINGS.get(tuple(item["type"].split(".")[-2:]))
    if name is None:
        fault = Fault("/type", f"No rule of the mapping takes the type {item['type']!r}.", "type")
        translation.faults.append((item, fault))
        return
    data = dict(item.get("data") or {})
    subject = item.get("subject")
    for key, thing in _SUBJECTS.items():
        if key in data:
            subject = f"{thing}/{data.pop(key)}"
    said = {_NAMES.get(key, str(key)): value for key, value in data.items()}
    made_item = {
        "specversion": "1.0", "type": name, "source": source,
        "id": f"{item['source']} {item['id']}", "time": item["time"],
        "data": without_persons(said, CANONICAL[name]),
    }  # fmt: skip
    if "sequence" in item:
        made_item["sequence"] = str(item["sequence"])
    if subject:
        made_item["subject"] = subject
    translation.items.append(made_item)
