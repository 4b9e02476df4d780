"""Folding a sheet of events into a series' chunks, a month each."""

from __future__ import annotations

from collections.abc import Iterator

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

Chunks = dict[int, Chunk]


def fold(one: Series, sheet: Sheet) -> Chunks:
    """The chunks of a sheet by month, counted from the year 0."""
    if not sheet.size:
        return {}
    chosen, passes = _chosen(one, sheet)
    places = np.flatnonzero(chosen)
    if not len(places):
        return {}
    codes, keys = sheet.keys(one.dimensions, one.key_of)
    every = table({**_columns(one, sheet, passes), "key": codes}, sheet.size)
    mine = every if len(places) == sheet.size else taken(every, places)
    chunks = {}
    for month, rows in _by_month(sheet.month[places]):
        chunks[month] = _chunk(one, mine if rows is None else taken(mine, rows), keys)
    return chunks


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


def _by_month(months: np.ndarray) -> Iterator[tuple[int, np.ndarray | None]]:
    """The months of some rows, each with the places of its rows; None for all of them."""
    if (months == months[0]).all():
        yield int(months[0]), None
        return
    order = np.argsort(months, kind="stable")
    begins = np.flatnonzero(np.diff(months[order], prepend=-1))
    for rows in np.split(order, begins[1:]):
        yield int(months[rows[0]]), rows


def _chunk(one: Series, columns: Table, keys: list[str]) -> Chunk:
    used, owners = np.unique(columns["key"], return_inverse=True)
    owners = owners.reshape(-1)
    form, own = one.form, [keys[number] for number in used.tolist()]
    wide = bool(columns["wide"].any()) and form in ("values", "events")
    wide = wide or could_overflow(columns["high"], columns.size)
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
    return Chunk(form, own, sums, *in_order(table(kept, columns.size if kept else 0), leaves), wide)
