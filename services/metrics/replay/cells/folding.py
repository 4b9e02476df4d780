"""Folding a sheet of events into a series' chunk."""

from __future__ import annotations

import numpy as np

from services.metrics.domain.definition import summands
from services.metrics.replay.cells.chunk import (
    ROWS,
    Chunk,
    could_overflow,
    in_order,
    no_sums,
    summed,
)
from services.metrics.replay.cells.columns import Columns, Table, table, taken
from services.metrics.replay.cells.series import Series
from services.metrics.replay.cells.sheet import Sheet


def fold(one: Series, sheet: Sheet) -> Chunk | None:
    """The chunk of a sheet; None where nothing of it is the series'."""
    if not sheet.size:
        return None
    chosen, passes = _chosen(one, sheet)
    places = np.flatnonzero(chosen)
    if not len(places):
        return None
    codes, keys = sheet.keys(one.dimensions, one.key_of)
    every = table({**_columns(one, sheet, passes), "key": codes}, sheet.size)
    return _chunk(one, every if len(places) == sheet.size else taken(every, places), keys)


def _chosen(one: Series, sheet: Sheet) -> tuple[np.ndarray, np.ndarray]:
    """Which events the series keeps, and which of them pass its filter."""
    leaf = one.leaf
    passes = sheet.named(frozenset(leaf.events)) & sheet.passing(leaf.where)
    there = np.ones(sheet.size, dtype=bool)
    if one.form == "texts":
        there = sheet.texts(leaf.field).there
    elif leaf.field:
        there = sheet.numbers(tuple(summands(leaf.field))).there
    if one.form == "events":
        return sheet.named(one.names), passes & there
    return passes & there, passes


def _columns(one: Series, sheet: Sheet, passes: np.ndarray) -> Columns:
    """What is added up and kept of each event, but for its key."""
    columns = {"day": sheet.day, "sign": sheet.sign, "limbs": sheet.limbs, "leaf": sheet.leaves}
    nothing = np.zeros(sheet.size, dtype=np.int64)
    summing = one.form != "texts" and one.leaf.field
    if summing:
        numbers = sheet.numbers(tuple(summands(one.leaf.field or "")))
        columns |= {"high": numbers.high * sheet.sign, "low": numbers.low * sheet.sign,
                    "value": numbers.value, "wide": ~numbers.fits}  # fmt: skip
    else:
        columns |= {"high": nothing, "low": nothing, "value": nothing, "wide": nothing != 0}
    if one.form == "texts":
        texts = sheet.texts(one.leaf.field)
        columns |= {"text_high": texts.high, "text_low": texts.low}
    if one.form == "events":
        columns |= {"text_high": sheet.subjects.high, "text_low": sheet.subjects.low,
                    "at": sheet.at, "position": sheet.position, "passes": passes}  # fmt: skip
    return columns


def _chunk(one: Series, columns: Table, keys: list[str]) -> Chunk:
    used, owners = np.unique(columns["key"], return_inverse=True)
    owners = owners.reshape(-1)
    form, own = one.form, [keys[number] for number in used.tolist()]
    wide = columns["day"][columns["wide"]] if form in ("values", "events") else columns["day"][:0]
    if could_overflow(columns["high"], columns.size):
        wide = columns["day"]
    sums = no_sums()
    if form != "events":
        code = columns["day"] * len(own) + owners
        counted = {name: columns[name] for name in ("high", "low", "limbs")}
        sums = summed(code, len(own), {**counted, "count": columns["sign"]})
    told = columns.beside(key=lambda: owners)
    if "text_high" in columns:
        told = told.beside(high=lambda: columns["text_high"], low=lambda: columns["text_low"])
    kept = {name: told[name].astype(kind) for name, kind in ROWS[form].items()}
    leaves = columns["leaf"][columns["passes"]] if form == "events" else columns["leaf"][:0]
    rows = in_order(table(kept, columns.size if kept else 0), leaves)
    return Chunk(form, own, sums, *rows, np.unique(wide).tolist())
