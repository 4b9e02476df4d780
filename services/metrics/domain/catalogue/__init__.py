"""The built-in catalogue: every standard metric, installable by one call."""

from __future__ import annotations

from services.metrics.domain.catalogue import commerce, contact, marketing, sales, voices, work
from services.metrics.domain.catalogue.entry import Entry, Option

CATALOGUE: dict[str, Entry] = {
    entry.id: entry
    for module in (sales, marketing, contact, commerce, work, voices)
    for entry in module.ENTRIES
}
__all__ = ["CATALOGUE", "Entry", "Option"]
