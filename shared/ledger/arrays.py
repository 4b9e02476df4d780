"""Columns of a batch as PostgreSQL takes them: one value where all rows agree, else one array."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
Kind = Literal["text", "bytea", "bigint"]
_ELEMENTS: dict[Kind, int] = {"text": 25, "bytea": 17, "bigint": 20}


@dataclass(frozen=True, slots=True)
class Column:
    """The values of so many rows; `same` is what all of them say, where they do."""

    kind: Kind
    size: int
    uniform: bool
    same: Any = None
    body: bytes = b""
    holds_null: bool = False

    def array(self) -> PackedArray:
        """All values as one array in PostgreSQL's binary form."""
        body, null = self.body, self.holds_null
        if self.uniform:
            body, null = _packed([self.same], self.kind) * self.size, self.same is None
        header = _HEADER.pack(1, int(null), _ELEMENTS[self.kind], self.size, 1)
        return _ARRAYS[self.kind](header + body)


def column(values: Sequence[Any], kind: Kind) -> Column:
    """A column from its values, in order; None is null."""
    first = values[0]
    if kind != "bytea" and values.count(first) == len(values):
        return Column(kind, len(values), True, first)
    return Column(kind, len(values), False, None, _packed(values, kind), None in values)


def joined(parts: Sequence[Column]) -> Column:
    """Columns of several batches, one after the other."""
    if len(parts) == 1:
        return parts[0]
    first, size = parts[0], sum(part.size for part in parts)
    if all(part.uniform and part.same == first.same for part in parts):
        return Column(first.kind, size, True, first.same)
    body = b"".join(
        _packed([part.same], part.kind) * part.size if part.uniform else part.body for part in parts
    )
    null = any(part.same is None if part.uniform else part.holds_null for part in parts)
    return Column(first.kind, size, False, None, body, null)


def _packed(values: Sequence[Any], kind: Kind) -> bytes:
    """Each value with its length before it."""
    if None in values:
        return b"".join(_NULL if v is None else _packed([v], kind) for v in values)
    if kind == "bigint":
        return struct.pack("!" + "iq" * len(values), *chain(*zip(repeat(8), values)))
    encoded = [value.encode() for value in values] if kind == "text" else values
    parts = [b""] * (2 * len(encoded))
    parts[::2] = map(_LENGTH.pack, map(len, encoded))
    parts[1::2] = encoded
    return b"".join(parts)


class PackedArray:
    """One dimension of values as PostgreSQL sends it; subclasses name the type."""

    def __init__(self, body: bytes) -> None:
        self.body = body


class TextArray(PackedArray):
    """text[]"""


class BytesArray(PackedArray):
    """bytea[]"""


class BigintArray(PackedArray):
    """bigint[]"""


_ARRAYS: dict[Kind, type[PackedArray]] = {
    "text": TextArray, "bytea": BytesArray, "bigint": BigintArray,
}  # fmt: skip


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> bytes:
        return obj.body


class _TextDumper(_Dumper):
    oid = 1009


class _BytesDumper(_Dumper):
    oid = 1001


class _BigintDumper(_Dumper):
    oid = 1016


psycopg.adapters.register_dumper(TextArray, _TextDumper)
psycopg.adapters.register_dumper(BytesArray, _BytesDumper)
psycopg.adapters.register_dumper(BigintArray, _BigintDumper)
