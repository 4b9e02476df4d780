"""How a question looks at the keys and days of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from services.metrics.domain.filters import Predicate
from services.metrics.replay.cells.chunk import Chunk, with_keys_alike
from services.metrics.replay.cells.columns import Table
from services.metrics.replay.cells.series import Series
from services.metrics.replay.frame import Frame, Group, Grouping
from services.metrics.replay.knowledge import CutOver
from services.metrics.replay.rates import Exchange
from shared.periods import ONE_DAY


@dataclass(frozen=True)
class Wanted:
    """How a question looks at keys and days."""

    series: Series
    frame: Frame
    group_of: Grouping
    asked: Predicate
    cuts: Sequence[CutOver]
    exchange: Exchange | None

    def group(self, fields: Mapping[str, Any]) -> Group | None:
        """The group of a key's fields; None where the question filters it out."""
        return self.group_of(fields) if self.asked(fields) else None

    @cached_property
    def starts(self) -> np.ndarray:
        return np.array([p.start.toordinal() for p in self.frame.periods], dtype=np.int64)

    @cached_property
    def ends(self) -> np.ndarray:
        return np.array([p.end.toordinal() for p in self.frame.periods], dtype=np.int64)

    def periods_of(self, days: np.ndarray) -> np.ndarray:
        """The period in which each day lies; -1 where in none."""
        places = np.searchsorted(self.starts, days, side="right") - 1
        return np.where((places >= 0) & (days < self.ends[places]), places, -1)


class Gathered:
    """Rows of several chunks under one numbering of keys; `group` is -1 for keys left out."""

    def __init__(self, wanted: Wanted, chunks: Sequence[Chunk], parts: Sequence[Table]) -> None:
        self._wanted = wanted
        keys, self.table = with_keys_alike(chunks, parts)
        self.fields = [wanted.series.fields_of(key) for key in keys]
        found = [wanted.group(fields) for fields in self.fields]
        self.groups: list[Group] = sorted({group for group in found if group is not None})
        places = {group: place for place, group in enumerate(self.groups)}
        self.group = np.array([-1 if g is None else places[g] for g in found] or [-1])
        told = [fields["currency"] for fields in self.fields]
        self.currency = [str(currency) if currency else None for currency in told]

    def hidden(self) -> np.ndarray:
        """Which rows a cut-over takes out: before its day or from it on, by their source."""
        name = next(iter(self._wanted.series.names))
        owner, day = self.table["key"], self.table["day"]
        out = np.zeros(len(day), dtype=bool)
        for cut in self._wanted.cuts:
            before, after = (self._hidden_on(cut, name, on) for on in (cut.on - ONE_DAY, cut.on))
            out |= np.where(day >= cut.on.toordinal(), after[owner], before[owner])
        return out

    def _hidden_on(self, cut: CutOver, name: str, day: date) -> np.ndarray:
        sources = [str(fields["$source"]) for fields in self.fields]
        return np.array([cut.hides(source, name, day) for source in sources], dtype=bool)
