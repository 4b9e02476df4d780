"""A chunk: what one node of the ledger holds of a series in one local month."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

import msgspec
import numpy as np

from services.metrics.domain.filters import lookup
from services.metrics.replay.frame import DIGEST_MODULUS

# Values are whole millionths, as the door bounds them to 6 digits after the point.
SCALE = 1_000_000
_INT64 = 1 << 63
# The door takes no more than 6 digits after the point, so that nothing is cut off.
_WIDE = Context(prec=60)
NO_TEXT = (0, 0)
# The columns of packed rows: name and numpy type.
COLUMNS = {
    "values": {"day": "<i4", "key": "<u4", "sign": "i1", "value": "<i8"},
    "texts": {"day": "<i4", "key": "<u4", "sign": "i1", "high": "<u8", "low": "<u8"},
    "events": {
        "day": "<i4", "key": "<u4", "sign": "i1", "value": "<i8", "high": "<u8", "low": "<u8",
        "at": "<i8", "position": "<i8", "passes": "i1", "leaf": "V32",
    },
}  # fmt: skip


class Stored(msgspec.Struct, array_like=True):
    """A chunk as it is stored: keys, then sums by (day, key) in columns, then packed columns.

    Sums are texts, since they may be longer than 64 bits; `wide` says that a single value is.
    """

    keys: list[str]
    days: list[int]
    owners: list[int]
    counts: list[int]
    sums: list[str]
    digests: bytes
    packed: dict[str, bytes]
    wide: bool


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Stored)


def decode(body: bytes) -> Stored:
    return _DECODER.decode(body)


def hashed(text: str) -> tuple[int, int]:
    """128 bits that stand for a text; two texts that share them are not to be expected."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


@dataclass
class Sum:
    """Number, sum and digest of the events of one day and key."""

    count: int = 0
    total: int = 0
    digest: int = 0


@dataclass
class Chunk:
    """A chunk that is being made."""

    form: str
    keys: dict[str, int] = field(default_factory=dict)
    sums: dict[tuple[int, int], Sum] = field(default_factory=dict)
    rows: list[tuple[object, ...]] = field(default_factory=list)
    packed: list[dict[str, np.ndarray]] = field(default_factory=list)
    wide: bool = False

    def owner(self, key: str) -> int:
        return self.keys.setdefault(key, len(self.keys))

    def add_sum(self, day: int, owner: int, count: int, total: int, digest: int) -> None:
        found = self.sums.get((day, owner))
        if found is None:
            found = self.sums[day, owner] = Sum()
        found.count += count
        found.total += total
        found.digest += digest

    def take_in(self, stored: Stored) -> None:
        """Add another chunk of the same month."""
        owners = [self.owner(key) for key in stored.keys]
        for place, (day, owner, count, total) in enumerate(
            zip(stored.days, stored.owners, stored.counts, stored.sums, strict=True)
        ):
            digest = int.from_bytes(stored.digests[place * 32 : place * 32 + 32], "big")
            self.add_sum(day, owners[owner], count, int(total), digest)
        if stored.packed:
            columns = columns_of(stored, self.form)
            columns["key"] = np.array(owners, dtype="<u4")[columns["key"]]
            self.packed.append(columns)
        self.wide = self.wide or stored.wide

    def encode(self) -> bytes | None:
        """Its stored form; None where nothing is left of it."""
        for one in self.sums.values():
            one.digest %= DIGEST_MODULUS
        kept = sorted((at, s) for at, s in self.sums.items() if s.count or s.total or s.digest)
        columns = self._columns()
        if not kept and not columns:
            return None
        return _ENCODER.encode(
            Stored(
                keys=list(self.keys),
                days=[day for (day, _), _ in kept],
                owners=[owner for (_, owner), _ in kept],
                counts=[s.count for _, s in kept],
                sums=[str(s.total) for _, s in kept],
                digests=b"".join(s.digest.to_bytes(32, "big") for _, s in kept),
                packed={name: column.tobytes() for name, column in columns.items()},
                wide=self.wide,
            )
        )

    def _columns(self) -> dict[str, np.ndarray]:
        if self.form == "sums":
            return {}
        types = COLUMNS[self.form]
        parts = list(self.packed)
        if self.rows:
            by_column = zip(*self.rows, strict=True)
            parts.append(
                {
                    name: np.array(list(values), dtype=kind)
                    for (name, kind), values in zip(types.items(), by_column, strict=True)
                }
            )
        if not parts:
            return {}
        return {name: np.concatenate([part[name] for part in parts]) for name in types}


def columns_of(stored: Stored, form: str) -> dict[str, np.ndarray]:
    """The packed columns of a stored chunk."""
    return {name: np.frombuffer(stored.packed[name], kind) for name, kind in COLUMNS[form].items()}


def scaled_sum(fields: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The sum of the fields that are numbers, as whole millionths; None where none of them is."""
    total, found = 0, False
    for name in names:
        value = fields.get(name) if name in fields else lookup(fields, name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            total, found = total + value * SCALE, True
        elif isinstance(value, Decimal):
            total, found = total + int(value.scaleb(6, _WIDE)), True
    return total if found else None


def fits(value: int) -> bool:
    return -_INT64 <= value < _INT64
