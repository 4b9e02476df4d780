"""Arrays for PostgreSQL in its binary form: a column of a batch as one value, packed once."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)


class PackedArray:
    """One dimension of values as PostgreSQL sends it; subclasses name the type."""

    element_oid = 0

    def __init__(self, values: Sequence[bytes | None]) -> None:
        parts = [_HEADER.pack(1, int(None in values), self.element_oid, len(values), 1)]
        for value in values:
            if value is None:
                parts.append(_NULL)
            else:
                parts.append(_LENGTH.pack(len(value)))
                parts.append(value)
        self.body = b"".join(parts)


class TextArray(PackedArray):
    """text[]"""

    element_oid = 25


class BytesArray(PackedArray):
    """bytea[]"""

    element_oid = 17


class BigintArray(PackedArray):
    """bigint[]"""

    element_oid = 20


def texts(values: Sequence[str | None]) -> TextArray:
    return TextArray([None if value is None else value.encode() for value in values])


def bigints(values: Sequence[int | None]) -> BigintArray:
    return BigintArray(
        [None if value is None else value.to_bytes(8, "big", signed=True) for value in values]
    )


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
