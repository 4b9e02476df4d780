"""Which cells are worth keeping: those that the metrics in use are read from."""

from __future__ import annotations

from services.metrics.domain.definition import own_events
from services.metrics.queries.definitions import calendar, definitions, references
from services.metrics.replay.cells.read import presence
from services.metrics.replay.cells.series import Series, series_for
from services.metrics.replay.tree import leaves_of
from services.metrics.replay.wording import CADENCES
from shared.ledger import View


def wanted_series(view: View) -> list[Series]:
    """The series of all metrics in use, in the calendar in force; each once, in a fixed order."""
    days = calendar(view)
    found: dict[bytes, Series] = {}
    for metric in definitions(view).values():
        if metric.retired:
            continue
        leaves = leaves_of(metric.definition, references(view, metric.definition))
        asked = [series_for(leaf, metric.body.dimensions, days) for leaf in leaves]
        if metric.body.guidelines.get("cadence") in CADENCES:
            names = {name for leaf in leaves for name in own_events(leaf)}
            asked.append(series_for(presence(names), (), days))
        found.update({one.id: one for one in asked if one is not None})
    return [found[key] for key in sorted(found)]
