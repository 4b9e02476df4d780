"""Canonical bytes, leaf hashes, Merkle roots and the chain: what makes a ledger provable.

The algorithm is fixed for ever (decision 0003): canonical JSON has sorted keys and plain numbers;
a leaf is SHA-256 over 0x00 and the canonical event; inner nodes are SHA-256 over 0x01 and both
children (RFC 6962, section 2.1); a batch's chain value is SHA-256 over 0x02, the previous chain
value, the batch's root, its first and last position and its recorded_at (8 bytes each).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

EMPTY_CHAIN = bytes(32)
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def canonical_number(value: Decimal) -> Decimal | int:
    """The one way to write a number: no exponent, no trailing zeros, integers without a point."""
    if value == value.to_integral_value():
        return int(value)
    return Decimal(format(value.normalize(), "f"))


def canonical_json(value: Any) -> str:
    """JSON text of a value that holds only objects, lists, strings, numbers, booleans, nulls."""
    return _ENCODER.encode(value).decode()


def parse_json(text: str | bytes) -> Any:
    """Parse JSON, keeping every decimal as it was written."""
    return _DECODER.decode(text)


def commitment(salt: bytes, value: str) -> str:
    """What stands in a leaf for a personal value, so that erasing the value keeps the chain."""
    return hashlib.sha256(salt + value.encode()).hexdigest()


def leaf_hash(parts: Sequence[object]) -> bytes:
    return hashlib.sha256(b"\x00" + msgspec.json.encode(parts)).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The RFC 6962 tree head of one or more leaves."""
    assert leaves, "a batch has at least one event"
    level = list(leaves)
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        # An odd node moves up unchanged; this gives RFC 6962's split at the largest power of two.
        level = paired + level[-1:] if len(level) % 2 else paired
    return level[0]


def next_chain(previous: bytes, root: bytes, first: int, last: int, recorded_at: int) -> bytes:
    numbers = b"".join(n.to_bytes(8, "big") for n in (first, last, recorded_at))
    return hashlib.sha256(b"\x02" + previous + root + numbers).digest()
