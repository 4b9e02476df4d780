"""Changes to the valuation ledger: cases opened, lines added and withdrawn."""

from __future__ import annotations

from services.valuation.domain import case as domain
from services.valuation.domain.case import (
    BenefitLine,
    Case,
    CaseBody,
    CaseChanged,
    CaseOpened,
    CostLine,
)
from services.valuation.queries import case
from shared.events import Payload
from shared.ids import new_id
from shared.ledger import Transaction


def open_case(transaction: Transaction, body: CaseBody) -> Case:
    """State a case."""
    identity = new_id()
    transaction.record(f"case/{identity}", 0, [CaseOpened(case_id=identity, body=body)])
    return case(transaction, identity)


def change_case(transaction: Transaction, state: Case, body: CaseBody, reason: str) -> Case:
    """State a case's frame anew."""
    return _record(transaction, state, CaseChanged(body=body, reason=reason))


def add_cost(transaction: Transaction, state: Case, line: CostLine) -> Case:
    """Add a cost to a case."""
    return _record(transaction, state, domain.add_cost(state, line))


def add_benefit(transaction: Transaction, state: Case, line: BenefitLine) -> Case:
    """Add a benefit to a case."""
    return _record(transaction, state, domain.add_benefit(state, line))


def withdraw_line(transaction: Transaction, state: Case, line_id: str, reason: str) -> Case:
    """Take a line out of a case."""
    return _record(transaction, state, domain.withdraw(state, line_id, reason))


def _record(transaction: Transaction, state: Case, payload: Payload) -> Case:
    transaction.record(f"case/{state.case_id}", state.revision, [payload])
    return case(transaction, state.case_id)
