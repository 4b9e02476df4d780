"""The history of a case in words: who changed what, when and why, oldest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, assert_never

from services.valuation.domain.case import (
    BenefitAdded,
    BenefitChanged,
    CaseChanged,
    CaseEvent,
    CaseOpened,
    CostAdded,
    CostChanged,
    LineWithdrawn,
    ScenarioDropped,
    ScenarioStated,
)
from services.valuation.domain.texts import text
from shared.errors import NOT_FOUND
from shared.events import payload_of
from shared.ledger import View


class Entry(NamedTuple):
    """One change of a case."""

    at: datetime
    who: str
    what: dict[str, Any]
    reason: str | None
    revision: int
    position: int


def history(view: View, case_id: str) -> list[Entry]:
    """What happened to a case; refuses with 404 where there is none."""
    found = view.stream(f"case/{case_id}")
    if not found:
        raise NOT_FOUND.refusal(f"There is no case {case_id!r}.")
    names: dict[str, str] = {}
    entries = []
    for event in found:
        payload = payload_of(event)
        assert isinstance(payload, CaseEvent), "a case's stream holds its events"
        what = _what(payload, event.actor, names)
        reason = getattr(payload, "reason", None)
        entries.append(
            Entry(event.recorded_at, event.actor, what, reason, event.revision or 0, event.position)
        )
    return entries


def _what(payload: CaseEvent, who: str, names: dict[str, str]) -> dict[str, Any]:
    match payload:
        case CaseOpened():
            return text("case_opened", who=who, name=payload.body.name)
        case CaseChanged():
            return text("case_changed", who=who)
        case CostAdded() | CostChanged():
            line = payload.line
            names[line.cost_id] = line.name
            added = isinstance(payload, CostAdded)
            return text("cost_added" if added else "cost_changed", who=who, name=line.name)
        case BenefitAdded() | BenefitChanged():
            benefit = payload.line
            names[benefit.benefit_id] = benefit.name
            added = isinstance(payload, BenefitAdded)
            return text("benefit_added" if added else "benefit_changed", who=who, name=benefit.name)
        case LineWithdrawn():
            name = names.get(payload.line_id, payload.line_id)
            return text("line_withdrawn", who=who, name=name)
        case ScenarioStated():
            return text("scenario_stated", who=who, name=payload.scenario.name)
        case ScenarioDropped():
            return text("scenario_dropped", who=who, name=payload.key)
        case _:
            assert_never(payload)
