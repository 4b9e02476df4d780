"""A chunk: what one node of the ledger holds of a series, in one local month or in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import msgspec
import numpy as np

from services.metrics.replay.cells.columns import (
    DIGEST_LIMBS,
    Columns,
    Narrow,
    Table,
    added_up,
    carried,
    digest_bytes,
    joined,
    limbs_of,
    narrow,
    table,
    taken,
    widened,
)

# Values are whole millionths, as the door bounds them to 6 digits after the point.
SCALE = 1_000_000
LEAF = "V32"
# Number, sum and digest of the events of one day and key; `key` is a place in the chunk's keys.
SUMS = {"day": "<i8", "key": "<i8", "count": "<i8", "high": "<i8", "low": "<i8"}
_ADDED = ("count", "high", "low", "limbs")
# The month of a chunk that is of all months, and how many a segment may touch to have one each.
EVERY_MONTH = 0
FEW_MONTHS = 4
# Sums that come near what their columns hold are not answered from.
_MOST = 1 << 55
_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_MONTH = 1970 * 12
_KEPT = {"day": "<i4", "key": "<u4", "sign": "i1"}
_TEXT = {"high": "<u8", "low": "<u8"}
# What is kept of each event, by form: name and numpy type. Texts and subjects are hashes of two
# halves, and rows stand in the order of the upper one.
ROWS: dict[str, dict[str, str]] = {
    "sums": {},
    "values": {**_KEPT, "value": "<i8"},
    "texts": {**_KEPT, **_TEXT},
    "events": {
        **_KEPT, **_TEXT, "value": "<i8", "at": "<i8", "position": "<i8", "passes": "i1",
    },
}  # fmt: skip


class _Stored(msgspec.Struct, array_like=True):
    """A chunk as it is stored; of the events that do not pass no leaves are kept."""

    keys: list[str]
    sums: list[Narrow]
    digests: bytes
    rows: list[Narrow]
    leaves: bytes
    wide: list[int]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Stored)


@dataclass
class Chunk:
    """Sums by day and key, and rows; `leaves` are those of the rows that pass, in their order.

    `wide` are days of which it holds numbers that its columns can't: they must not be answered
    from it.
    """

    form: str
    keys: Sequence[str]
    sums: Table
    rows: Table
    leaves: np.ndarray
    wide: Sequence[int] = ()

    def encode(self) -> bytes | None:
        """Its stored form; None where nothing is left of it."""
        if not self.sums.size and not self.rows.size:
            return None
        return _ENCODER.encode(
            _Stored(
                keys=list(self.keys),
                sums=[narrow(self.sums[name]) for name in SUMS],
                digests=digest_bytes(self.sums["limbs"]),
                rows=[narrow(self.rows[name]) for name in ROWS[self.form]],
                leaves=self.leaves.tobytes(),
                wide=list(self.wide),
            )
        )

    def days(self) -> np.ndarray:
        """The days of all that is in it, as ordinals; the same one may come again."""
        kept = [self.sums["day"], *([self.rows["day"]] if "day" in self.rows else [])]
        return np.concatenate(kept)

    def is_wide(self, start: int, end: int) -> bool:
        """Whether some day from a start until before an end must not be answered from it."""
        return any(start <= day < end for day in self.wide)


def decode(body: bytes, form: str) -> Chunk:
    """A chunk from its stored form."""
    stored = _DECODER.decode(body)
    sums = _stored_table(stored.sums, SUMS).beside(limbs=lambda: limbs_of(stored.digests))
    rows = _stored_table(stored.rows, ROWS[form])
    return Chunk(form, stored.keys, sums, rows, np.frombuffer(stored.leaves, LEAF), stored.wide)


def _stored_table(columns: Sequence[Narrow], kinds: Mapping[str, str]) -> Table:
    named = zip(columns, kinds.items(), strict=True)
    makers = {name: partial(widened, column, kind) for column, (name, kind) in named}
    return Table(columns[0].size if columns else 0, makers)


def no_sums() -> Table:
    """The sums of no event."""
    columns = {name: np.empty(0, kind) for name, kind in SUMS.items()}
    return table({**columns, "limbs": np.empty((0, DIGEST_LIMBS), np.int64)}, 0)


def summed(code: np.ndarray, keys: int, columns: Columns) -> Table:
    """Sums by a code of day and key (day times the number of keys, plus key); no empty ones."""
    found, sums = added_up(code, columns, _ADDED)
    sums = carried({**sums, "day": found // max(keys, 1), "key": found % max(keys, 1)})
    kept = (sums["count"] != 0) | (sums["high"] != 0) | (sums["low"] != 0)
    kept |= sums["limbs"].any(axis=1)
    return taken(table(sums, len(found)), kept)


def in_order(rows: Table, leaves: np.ndarray) -> tuple[Table, np.ndarray]:
    """Rows with their leaves in the order in which they are kept."""
    if "high" not in rows:
        return rows, leaves
    order = np.argsort(rows["high"], kind="stable")
    return taken(rows, order), leaves_of(rows, leaves, order)


def leaves_of(rows: Table, leaves: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The leaves of some rows, named by their places, as far as these pass."""
    if "passes" not in rows:
        return leaves
    passes = rows["passes"] == 1
    place = np.cumsum(passes) - 1
    kept: np.ndarray = leaves[place[chosen][passes[chosen]]]
    return kept


def merged(form: str, parts: Sequence[Chunk]) -> Chunk:
    """Chunks of the same month as one."""
    keys, sums = with_keys_alike(parts, [part.sums for part in parts])
    total = summed(sums["day"] * max(len(keys), 1) + sums["key"], len(keys), sums)
    leaves = np.concatenate([part.leaves for part in parts])
    rows, leaves = in_order(with_keys_alike(parts, [part.rows for part in parts])[1], leaves)
    over = total["day"][np.abs(total["high"]) >= _MOST].tolist()
    wide = sorted({*over, *(day for part in parts for day in part.wide)})
    return Chunk(form, keys, total, rows, leaves, wide)


def apart(chunk: Chunk) -> dict[int, Chunk]:
    """A chunk as one for each of its local months, counted from the year 0."""
    sums = _places_by_month(chunk.sums)
    rows = _places_by_month(chunk.rows)
    if len({*sums, *rows}) == 1:
        return {next(iter({*sums, *rows})): chunk}
    nothing = np.empty(0, np.int64)
    found = {}
    for month in sorted({*sums, *rows}):
        chosen = rows.get(month, nothing)
        own, kept = taken(chunk.sums, sums.get(month, nothing)), taken(chunk.rows, chosen)
        told = [part["key"] for part in (own, kept) if "key" in part]
        used = np.unique(np.concatenate(told))
        own, kept = (_keyed(part, used) for part in (own, kept))
        found[month] = Chunk(
            chunk.form, [chunk.keys[number] for number in used.tolist()], own, kept,
            leaves_of(chunk.rows, chunk.leaves, chosen),
            [day for day in chunk.wide if month_of(day) == month],
        )  # fmt: skip
    return found


def _places_by_month(part: Table) -> dict[int, np.ndarray]:
    """The places of the rows of each month, in their order."""
    if not part.size:
        return {}
    days, places = np.unique(part["day"], return_inverse=True)
    months = months_of(days)[places.reshape(-1)]
    order = np.argsort(months, kind="stable")
    begins = np.flatnonzero(np.diff(months[order], prepend=-1))
    return {int(months[own[0]]): own for own in np.split(order, begins[1:])}


def _keyed(part: Table, used: np.ndarray) -> Table:
    """A part with its keys numbered by their places among those that are used."""
    if "key" not in part:
        return part
    return part.beside(key=lambda: np.searchsorted(used, part["key"]))


def month_of(day: int) -> int:
    """The month of a day, counted from the year 0."""
    found = date.fromordinal(day)
    return found.year * 12 + found.month - 1


def months_of(days: np.ndarray) -> np.ndarray:
    """The months of many days, counted from the year 0."""
    since = (days - _EPOCH).astype("datetime64[D]").astype("datetime64[M]")
    months: np.ndarray = since.astype(np.int64) + _EPOCH_MONTH
    return months


def as_kept(chunk: Chunk) -> dict[int, Chunk]:
    """The chunks by month that a segment is kept as; in one where it touches many months.

    What comes in is of this month and perhaps of the last; what is loaded of the past may be of
    dozens, and a chunk has its price whatever it holds.
    """
    days = chunk.days()
    if not len(days):
        return {}
    first, last = month_of(int(days.min())), month_of(int(days.max()))
    if last - first < FEW_MONTHS:
        return {first: chunk} if first == last else apart(chunk)
    return {EVERY_MONTH: chunk} if len(np.unique(months_of(days))) > FEW_MONTHS else apart(chunk)


def with_keys_alike(chunks: Sequence[Chunk], tables: Sequence[Table]) -> tuple[list[str], Table]:
    """The rows of several chunks under one numbering of their keys."""
    numbers: dict[str, int] = {}
    parts = []
    for chunk, part in zip(chunks, tables, strict=True):
        own = [numbers.setdefault(key, len(numbers)) for key in chunk.keys]
        alike = own == list(range(len(own))) or "key" not in part
        parts.append(part if alike else part.beside(key=partial(_renumbered, part, own)))
    return list(numbers), joined(parts) if parts else Table(0, {})


def _renumbered(part: Table, own: Sequence[int]) -> np.ndarray:
    found: np.ndarray = np.array(own, dtype=np.int64)[part["key"]]
    return found


def could_overflow(high: np.ndarray, times: int) -> bool:
    """Whether sums of so many of these could be more than their columns hold."""
    return bool(len(high)) and int(np.abs(high).max()) * times >= _MOST
