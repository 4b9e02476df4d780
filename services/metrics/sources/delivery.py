"""What every vendor's file works with: a raw delivery, observations, facts, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.errors import Fault

Secrets = list[str]


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


class NotAuthentic(Exception):
    """The delivery does not prove that it comes from the vendor; the text says what is wrong."""


class NotReadable(Exception):
    """The delivery is authentic, but its body is not what this vendor sends."""
