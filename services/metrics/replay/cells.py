"""Cells: sums and packed values of whole segments of the ledger, read instead of its events."""

from __future__ import annotations

from collections.abc import Sequence

from services.metrics.domain.definition import Leaf
from services.metrics.domain.filters import Filter
from services.metrics.replay.frame import Figures, Grouping
from services.metrics.replay.rates import Exchange
from services.metrics.replay.raw import Reading
from shared.periods import Period


class Cells:
    """Reads figures from cells where there are such."""

    def figures(
        self, reading: Reading, leaf: Leaf, dimensions: Sequence[str], periods: Sequence[Period],
        group_of: Grouping, where: Filter | None, exchange: Exchange | None,
    ) -> Figures | None:  # fmt: skip
        return None
