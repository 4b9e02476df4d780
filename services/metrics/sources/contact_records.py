"""Contact centre records: Amazon Connect's and Genesys Cloud's, each a whole call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from services.metrics.domain.mapping import Mapping
from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    Secrets,
    Translation,
    demand_key,
    event_item,
    garbled,
    json_of,
    moment_of,
)

_QUEUED = ("INBOUND", "QUEUE_TRANSFER", "TRANSFER", "CALLBACK")
Read = Callable[[dict[str, Any], str], dict[str, Any] | None]


def authenticate(delivery: Delivery, secrets: Secrets, mapping: Mapping) -> None:
    """The record's own cloud signs nothing; the hop before us adds the key."""
    demand_key(delivery, secrets)


def translate_connect(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """Amazon Connect: sent again at every update; the newest update of a contact counts."""
    return _each(delivery, source, _connect)


def translate_genesys(delivery: Delivery, mapping: Mapping, source: str) -> Translation:
    """Genesys Cloud: the analytics detail of a conversation."""
    return _each(delivery, source, _genesys)


def _each(delivery: Delivery, source: str, read: Read) -> Translation:
    body, translation = json_of(delivery), Translation()
    if isinstance(body, dict) and isinstance(body.get("detail"), dict):
        body = body["detail"]
    if isinstance(body, dict) and isinstance(body.get("conversations"), list):
        body = body["conversations"]
    for item in body if isinstance(body, list) else [body]:
        try:
            made = read(item, source)
        except GARBLED as error:
            translation.faults.append(garbled(item, error))
            continue
        if made is None:
            translation.ignored += 1
        else:
            translation.items.append(made)
    return translation


def _connect(record: dict[str, Any], source: str) -> dict[str, Any] | None:
    ended = record["DisconnectTimestamp"]
    if not ended:
        return None
    agent, queue = record.get("Agent") or {}, record.get("Queue") or {}
    how = record.get("InitiationMethod") or "INBOUND"
    connected = bool(agent) and bool(agent.get("ConnectedToAgentTimestamp", True))
    talked = agent.get("AgentInteractionDuration") if agent else 0
    data = {
        "queue": queue.get("Name"),
        "direction": "outbound" if how in ("OUTBOUND", "API") else "inbound",
        "agent": agent.get("Username"),
        "wait": queue.get("Duration"),
        "talk": talked,
        "hold": agent.get("CustomerHoldDuration") if agent else 0,
        "after_call": agent.get("AfterContactWorkDuration") if agent else 0,
        "abandoned": bool(queue) and not connected and how in _QUEUED,
        "channel": str(record.get("Channel") or "").lower() or None,
        "started": record["InitiationTimestamp"],
    }
    identity = record["ContactId"]
    return event_item(
        "contact.call.completed", source, f"contact/{identity}", moment_of(ended), data,
        subject=f"call/{identity}", sequence=record.get("LastUpdateTimestamp") or ended,
    )  # fmt: skip


def _genesys(record: dict[str, Any], source: str) -> dict[str, Any] | None:
    ended = record.get("conversationEnd")
    if not ended:
        return None
    of_queue = _metrics(record, "acd")
    agents = _metrics(record, "agent")
    # An agent who did not respond can carry after-call work; only one who talked handled the call.
    handled = bool(agents.get("tTalk") or agents.get("tTalkComplete"))
    names = [p.get("participantName") for p in record["participants"] if p["purpose"] == "acd"]
    media = [s.get("mediaType") for p in record["participants"] for s in p.get("sessions") or []]
    data = {
        "queue": next((name for name in names if name), None),
        "direction": record.get("originatingDirection") or "inbound",
        "wait": _seconds(of_queue.get("tAcd") or of_queue.get("tAbandon")),
        "talk": _seconds(agents.get("tTalkComplete") or agents.get("tTalk") or 0),
        "hold": _seconds(agents.get("tHeldComplete") or agents.get("tHeld") or 0),
        "after_call": _seconds(agents.get("tAcw", 0)) if handled else 0,
        "abandoned": "tAbandon" in of_queue and not handled,
        "channel": next((medium for medium in media if medium), None),
        "started": record["conversationStart"],
    }
    identity = record["conversationId"]
    return event_item(
        "contact.call.completed", source, f"conversation/{identity}", moment_of(ended), data,
        subject=f"call/{identity}", sequence=ended,
    )  # fmt: skip


def _metrics(record: dict[str, Any], purpose: str) -> dict[str, Decimal]:
    """The sums of a purpose's metrics over all its sessions, in milliseconds."""
    found: dict[str, Decimal] = {}
    for participant in record["participants"]:
        if participant["purpose"] == purpose:
            for metric in _all_metrics(participant):
                found[metric["name"]] = found.get(metric["name"], Decimal(0)) + metric["value"]
    return found


def _all_metrics(participant: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return [
        m for session in participant.get("sessions") or [] for m in session.get("metrics") or []
    ]


def _seconds(milliseconds: Any) -> Decimal | None:
    return None if milliseconds is None else Decimal(milliseconds) / 1000
