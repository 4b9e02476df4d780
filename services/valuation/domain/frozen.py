"""Frozen valuations: what was said once, with every input that it was computed from."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, assert_never

from pydantic import BaseModel, ConfigDict

from services.valuation.domain.case import Case
from services.valuation.domain.lines import Value
from services.valuation.domain.measured import Measured
from services.valuation.domain.risk import RiskTable
from shared.chain import canonical_json
from shared.events import Payload, event


class Frozen(Value):
    """A valuation as it was given: the case, what the world said, and the answer.

    `basis` names the state of each of the three ledgers; `digest` is over inputs and answer.
    """

    case_id: str
    scenario: str
    included: list[str]
    name: str
    reason: str
    known_at: datetime
    basis: dict[str, str | None]
    case: Case
    measured: Measured
    risk_table: RiskTable
    answer: dict[str, Any]
    digest: str


@event("valuation.frozen")
class ValuationFrozen(Payload):
    """A valuation was frozen."""

    valuation_id: str
    frozen: Frozen


class FrozenValuation(BaseModel):
    """A frozen valuation as the ledger holds it."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    revision: int = 1
    frozen: Frozen


def evolve(state: FrozenValuation | None, fact: ValuationFrozen) -> FrozenValuation:
    """A frozen valuation after its only event."""
    match fact:
        case ValuationFrozen():
            return FrozenValuation(record_id=fact.valuation_id, frozen=fact.frozen)
        case _:
            assert_never(fact)


def digest_of(case: Case, measured: Measured, answer: dict[str, Any]) -> str:
    """SHA-256 over the canonical form of the inputs and the answer."""
    whole = {
        "case": case.model_dump(mode="json"),
        "measured": comparable(measured),
        "answer": answer,
    }
    return hashlib.sha256(canonical_json(whole).encode()).hexdigest()


def comparable(measured: Measured) -> dict[str, Any]:
    """What was measured, but for what follows from the rest or did not use to be told."""
    told = measured.model_dump(mode="json")
    for baseline in told["baselines"]:
        del baseline["per_period"], baseline["scaled"]
    if not told["day_rates"]:
        del told["day_rates"]
    return told


def differences(before: Any, after: Any, pointer: str = "") -> list[tuple[str, Any, Any]]:
    """Where two answers differ: pointer, value before, value after."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for name in sorted({*before, *after})
            for found in differences(before.get(name), after.get(name), f"{pointer}/{name}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            found
            for place, (a, b) in enumerate(zip(before, after, strict=True))
            for found in differences(a, b, f"{pointer}/{place}")
        ]
    return [] if before == after else [(pointer, before, after)]
