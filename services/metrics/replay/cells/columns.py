"""Columns of whole numbers: added up exactly, and stored as narrow as they get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np

Columns = Mapping[str, np.ndarray]
# Sums are held as two whole numbers, `high` times 2^32 plus `low`, and digests as eight of them,
# so that adding up any number of rows stays exact.
LIMB_BITS = 32
LIMB = 1 << LIMB_BITS
DIGEST_LIMBS = 8
_INT64 = 1 << 63
_KINDS = (("<u1", 1 << 8), ("<u2", 1 << 16), ("<u4", 1 << 32))


class Narrow(msgspec.Struct, array_like=True, frozen=True):
    """A column as stored: `base` plus `step` times each number of its bytes.

    `kind` is the numpy type of those numbers; without one all values are the base.
    """

    size: int
    base: int = 0
    step: int = 1
    kind: str = ""
    body: bytes = b""


def narrow(column: np.ndarray) -> Narrow:
    """A column in the fewest bytes per value that hold its range and common divisor."""
    size = len(column)
    if not size:
        return Narrow(0)
    base, top = int(column.min()), int(column.max())
    if base == top:
        return Narrow(size, base)
    if top - base >= _INT64:
        return Narrow(size, 0, 1, column.dtype.str, column.tobytes())
    places = (column - column.dtype.type(base)).astype(np.int64)
    step = int(np.gcd.reduce(places))
    if step > 1:
        places //= step
    spread = (top - base) // step
    kind = next((kind for kind, bound in _KINDS if spread < bound), "<u8")
    return Narrow(size, base, step, kind, places.astype(kind).tobytes())


def widened(stored: Narrow, kind: str) -> np.ndarray:
    """The column again, as a numpy type that holds it."""
    made = np.dtype(kind)
    if not stored.kind:
        return np.full(stored.size, stored.base, made)
    column = np.frombuffer(stored.body, stored.kind).astype(made, copy=False)
    if stored.step != 1:
        column = column * made.type(stored.step)
    return column + made.type(stored.base) if stored.base else column


def split(values: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of up to 95 bits as `high` and `low`."""
    try:
        whole = np.array(values, dtype=np.int64)
    except OverflowError:
        pairs = [divmod(value, LIMB) for value in values]
        high, low = zip(*pairs, strict=True)
        return np.array(high, dtype=np.int64), np.array(low, dtype=np.int64)
    return whole >> LIMB_BITS, whole & (LIMB - 1)


def limbs_of(digests: bytes) -> np.ndarray:
    """Digests, one after the other, as rows of limbs, the uppermost first."""
    return np.frombuffer(digests, dtype=">u4").reshape(-1, DIGEST_LIMBS).astype(np.int64)


def digest_bytes(limbs: np.ndarray) -> bytes:
    return limbs.astype(">u4").tobytes()


def added_up(
    code: np.ndarray, columns: Columns, names: Sequence[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The sums of some columns over the rows of each code, in the order of the codes."""
    if not len(code):
        return code, {name: columns[name] for name in names}
    if code[0] == code[-1] and (code == code[0]).all():
        # All in one, as a figure without groups is.
        return code[:1], {name: columns[name].sum(axis=0, keepdims=True) for name in names}
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sums = {name: np.add.reduceat(columns[name][order], begins, axis=0) for name in names}
    return ordered[begins], sums


def carried(sums: Columns) -> dict[str, np.ndarray]:
    """The same sums with every limb below 2^32 again; digests wrap around at 2^256."""
    limbs = sums["limbs"]
    for place in range(DIGEST_LIMBS - 1, 0, -1):
        limbs[:, place - 1] += limbs[:, place] >> LIMB_BITS
    limbs &= LIMB - 1
    high = sums["high"] + (sums["low"] >> LIMB_BITS)
    return {**sums, "high": high, "low": sums["low"] & (LIMB - 1), "limbs": limbs}


def digest_of(limbs: Sequence[int]) -> int:
    """One digest as a whole number, its limbs carried or not."""
    digest = 0
    for limb in limbs:
        digest = (digest << LIMB_BITS) + limb
    return digest


def whole_sum(high: np.ndarray, low: np.ndarray, place: int) -> int:
    """One sum as a whole number."""
    return int(high[place]) * LIMB + int(low[place])


class Table(Mapping[str, np.ndarray]):
    """Columns of one length, each made when it is first looked at: many questions need but few."""

    def __init__(self, size: int, makers: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self.size = size
        self._makers = makers
        self._made: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def beside(self, **makers: Callable[[], np.ndarray]) -> Table:
        """The same table with other columns, or others of these names."""
        return Table(self.size, {**{n: partial(self.__getitem__, n) for n in self}, **makers})


def joined(parts: Sequence[Table]) -> Table:
    """The rows of several tables, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Table(
        sum(part.size for part in parts),
        {name: partial(_concatenated, parts, name) for name in parts[0]},
    )


def taken(table: Table, rows: np.ndarray) -> Table:
    """Some rows of a table, by their places or by a mask."""
    size = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
    return Table(size, {name: partial(_of_rows, table, name, rows) for name in table})


def _concatenated(parts: Sequence[Table], name: str) -> np.ndarray:
    return np.concatenate([part[name] for part in parts])


def _of_rows(table: Table, name: str, rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = table[name][rows]
    return found


def table(columns: Columns, size: int) -> Table:
    """Columns that are there already."""
    return Table(size, {name: partial(columns.__getitem__, name) for name in columns})
