"""Cells: sums and packed values of whole segments of the ledger, read instead of its events."""

from services.metrics.replay.cells.read import Cells

__all__ = ["Cells"]
