"""A series: one leaf in one time zone by some dimensions; what cells are kept of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from services.metrics.domain.definition import Leaf, Simple, own_events
from services.metrics.domain.filters import fields_of, related_in
from shared.chain import canonical_json, parse_json
from shared.periods import Calendar
from shared.zones import Transitions

SEGMENT = 4_096
FANOUT = 16
# Rises when the same events are folded otherwise, so that no cell outlives its rules.
FOLD = 4
# The largest run holds a million positions: what is merged must fit into memory and into a row.
MAX_LEVEL = 2
# A node's number holds its level above this many bits.
_LEVEL_BITS = 48
Form = Literal["sums", "values", "texts", "events"]


@dataclass(frozen=True)
class Series:
    """What one cell row belongs to.

    Its form says what is kept besides numbers, sums and digests per day: nothing (`sums`), the
    values (`values`), hashes of the texts (`texts`), or the events with their subjects (`events`).
    """

    leaf: Simple
    dimensions: tuple[str, ...]
    calendar: Calendar

    @cached_property
    def id(self) -> bytes:
        return hashlib.sha256(self.spec.encode()).digest()[:16]

    @cached_property
    def spec(self) -> str:
        """What makes it this series and no other, as canonical JSON."""
        leaf = self.leaf.model_dump(mode="json", by_alias=True, exclude={"q", "carry_forward"})
        zone = _digest_of(self.calendar.offsets)
        parts = {
            "fold": FOLD,
            "leaf": leaf,
            "dimensions": self.dimensions,
            "zone": zone,
            "form": self.form,
        }
        return canonical_json(parts)

    @property
    def form(self) -> Form:
        if self.leaf.per_subject == "last_in_period" or self.leaf.kind == "latest":
            return "events"
        if self.leaf.kind in ("min", "max", "percentile"):
            return "values"
        return "texts" if self.leaf.kind == "distinct" else "sums"

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(own_events(self.leaf))

    def key_of(self, source: str, fields: Mapping[str, object]) -> str:
        """By what an event is told apart: source, currency and dimensions, as canonical JSON."""
        values = [fields.get(name) for name in self.dimensions]
        return canonical_json([source, fields.get("currency"), *values])

    def fields_of(self, key: str) -> dict[str, object]:
        """The fields that a key stands for, as filters and groups look at them."""
        source, currency, *values = parse_json(key)
        fields = dict(zip(self.dimensions, values, strict=True))
        return {**fields, "$source": source, "currency": currency}


@lru_cache(maxsize=256)
def _digest_of(offsets: Transitions) -> str:
    return hashlib.sha256(json.dumps(offsets).encode()).hexdigest()


def series_for(leaf: Leaf, dimensions: Sequence[str], calendar: Calendar) -> Series | None:
    """The series that a leaf is read from, or None where only its events will do.

    States, durations and conversions look back without bound; `had` and `then` look at other
    events; a carried value may be as old as the ledger.
    """
    if not isinstance(leaf, Simple) or leaf.carry_forward or related_in(leaf.where):
        return None
    if leaf.kind == "distinct" and leaf.per_subject != "all":
        return None
    if any("." in name or name.startswith("$") for name in dimensions):
        return None
    return Series(leaf, tuple(sorted(set(dimensions) - {"currency"})), calendar)


def answers(series: Series, fields: Iterable[str]) -> bool:
    """Whether questions about these fields can be answered from the keys of a series."""
    return set(fields) <= {*series.dimensions, "$source", "currency"}


def asked_fields(where: object, group_by: Sequence[str]) -> set[str]:
    """The fields that a question filters and groups by."""
    return {*fields_of(where), *group_by}  # type: ignore[arg-type]


def node_of(level: int, index: int) -> int:
    """The number of the index-th run of 16^level segments."""
    return (level << _LEVEL_BITS) | index


def nodes_below(segments: int) -> list[int]:
    """The fewest nodes that together hold the first so many segments."""
    found, place = [], 0
    for level in range(MAX_LEVEL, -1, -1):
        size = FANOUT**level
        while place + size <= segments:
            found.append(node_of(level, place // size))
            place += size
    return found
