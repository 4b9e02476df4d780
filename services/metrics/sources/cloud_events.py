"""CloudEvents by webhook: structured, batched and binary, with the sender's handshake."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from services.metrics.domain.mapping import Mapping, Translator
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
)
from shared.errors import Fault

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
            # Without a time of its own an event occurred when it came.
            came = delivery.received_at.isoformat()
            timed = item if "time" in item else {**item, "time": came, "sequence": came}
            _translate_item(timed, translation, mapping, source)
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
    return translation


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
    if mapping.events:
        made = Translator(mapping, source, {}, {}).translate(item, "")
        translation.items += made.items
        translation.faults += [(item, fault) for fault in made.faults]
        if made.items or made.faults:
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
    said = {_NAMES.get(key, key): value for key, value in data.items()}
    made_item = {
        "specversion": "1.0", "type": name, "source": source,
        "id": f"{item['source']} {item['id']}", "time": item["time"], "data": said,
    }  # fmt: skip
    if "sequence" in item:
        made_item["sequence"] = str(item["sequence"])
    if subject:
        made_item["subject"] = subject
    translation.items.append(made_item)
