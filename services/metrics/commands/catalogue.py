"""Installing entries of the catalogue as ordinary metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from services.metrics.commands.definitions import define_metric
from services.metrics.domain.catalogue import Entry, Option
from services.metrics.domain.facts import MetricDefined
from services.metrics.queries.definitions import DEFINITION
from shared.errors import INVALID, Fault, invalid
from shared.ids import did_you_mean
from shared.ledger import Transaction


def demand_choices(entry: Entry, chosen: Mapping[str, Any]) -> None:
    """Refuse options that the entry does not have, and values that it does not allow."""
    known = {option.name: option for option in entry.options}
    faults = []
    for name, value in chosen.items():
        if name not in known:
            detail = f"{entry.id!r} has no option {name!r}.{did_you_mean(name, known)}"
            faults.append(Fault(f"/options/{name}", detail, "unknown_option"))
        elif not _allowed(known[name], value):
            wanted = ", ".join(map(str, known[name].choices)) or f"like {known[name].default!r}"
            faults.append(Fault(f"/options/{name}", f"{value!r} must be: {wanted}.", "choice"))
    if faults:
        raise INVALID.refusal(faults[0].detail, faults)


def _allowed(option: Option, value: Any) -> bool:
    if option.choices:
        return value in option.choices
    match option.default:
        case tuple():
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case str():
            return isinstance(value, str)
        case _:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and 0 <= value <= 10**9


def install(
    transaction: Transaction, entry: Entry, chosen: Mapping[str, Any], body: Mapping[str, Any]
) -> MetricDefined:
    """Define the entry's metric with these choices; refuses those that make no definition."""
    definition = entry.definition(chosen)
    try:
        DEFINITION.validate_python(definition)
    except ValidationError as error:
        detail = f"These options make no definition: {error.errors()[0]['msg']}."
        raise invalid("/options", detail, "options") from error
    dimensions = body["dimensions"]
    how = f"{entry.formula}. Convention: {entry.convention}."
    return define_metric(
        transaction,
        {
            "key": body["key"] or entry.id,
            "name": body["name"] or entry.name,
            "description": f"{entry.formula}. {entry.traps}".strip(),
            "unit": body["unit"] or entry.unit_with(chosen),
            "direction": entry.direction,
            "indicator": entry.indicator,
            "nature": entry.nature,
            "audience": entry.audience,
            "dimensions": list(entry.dimensions) if dimensions is None else dimensions,
            "settles_after": body["settles_after"],
            "guidelines": {
                "how": how,
                "sources": [],
                "cadence": body["cadence"] or entry.cadence,
                "responsible": body["responsible"],
                "helpers": [],
            },
            "definition": definition,
            "reason": body["reason"],
        },
        None,
    )
