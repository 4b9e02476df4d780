"""How a question looks at the keys and days of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.metrics.domain.filters import Predicate
from services.metrics.replay.cells.series import Series
from services.metrics.replay.frame import Frame, Group, Grouping
from services.metrics.replay.knowledge import CutOver
from services.metrics.replay.rates import Exchange


@dataclass(frozen=True)
class Wanted:
    """How a question looks at keys and days."""

    series: Series
    frame: Frame
    group_of: Grouping
    asked: Predicate
    cuts: Sequence[CutOver]
    exchange: Exchange | None

    def group(self, key: str) -> tuple[Group, dict[str, object]] | None:
        """The group of a key and its fields; None where the question filters it out."""
        fields = self.series.fields_of(key)
        return (self.group_of(fields), fields) if self.asked(fields) else None

    def hides(self, fields: Mapping[str, Any], day: date) -> bool:
        source, name = fields["$source"], next(iter(self.series.names))
        return any(cut.hides(source, name, day) for cut in self.cuts)
