"""Changes to the valuation ledger: cases and their lines, frozen valuations, the risk table."""

from __future__ import annotations

from collections.abc import Iterable

from services.valuation.domain import case as domain
from services.valuation.domain.case import Case, CaseBody, CaseChanged, CaseOpened, Scenario
from services.valuation.domain.frozen import Frozen, FrozenValuation, ValuationFrozen
from services.valuation.domain.guards import claimed
from services.valuation.domain.lines import BenefitLine, CostLine
from services.valuation.domain.risk import STREAM, OwnTable, RiskTable, RiskTableStated
from services.valuation.queries import records
from services.valuation.queries.cases import all_cases, case
from shared.errors import CONFLICT
from shared.events import Payload
from shared.ids import new_id
from shared.ledger import Transaction


def open_case(transaction: Transaction, body: CaseBody) -> Case:
    """State a case."""
    identity = new_id()
    transaction.record(f"case/{identity}", 0, [CaseOpened(case_id=identity, body=body)])
    return case(transaction, identity)


def change_case(transaction: Transaction, state: Case, body: CaseBody, reason: str) -> Case:
    """State a case's frame anew; refuses what then claims more of a movement than there is."""
    frame = (body.start, body.grain, body.periods)
    if frame != (state.body.start, state.body.grain, state.body.periods):
        framed = state.model_copy(update={"body": body})
        others = list(all_cases(transaction))
        for line in state.benefits:
            _demand_unclaimed(others, framed, line)
    return _record(transaction, state, CaseChanged(body=body, reason=reason))


def add_cost(transaction: Transaction, state: Case, line: CostLine) -> Case:
    """Add a cost to a case."""
    return _record(transaction, state, domain.add_cost(state, line))


def change_cost(transaction: Transaction, state: Case, line: CostLine, reason: str) -> Case:
    """State a cost anew."""
    return _record(transaction, state, domain.change_cost(state, line, reason))


def add_benefit(transaction: Transaction, state: Case, line: BenefitLine) -> Case:
    """Add a benefit to a case; refuses what claims more of a movement than there is."""
    _demand_unclaimed(all_cases(transaction), state, line)
    return _record(transaction, state, domain.add_benefit(state, line))


def change_benefit(transaction: Transaction, state: Case, line: BenefitLine, reason: str) -> Case:
    """State a benefit anew; refuses what claims more of a movement than there is."""
    _demand_unclaimed(all_cases(transaction), state, line)
    return _record(transaction, state, domain.change_benefit(state, line, reason))


def withdraw_line(transaction: Transaction, state: Case, line_id: str, reason: str) -> Case:
    """Take a line out of a case."""
    return _record(transaction, state, domain.withdraw(state, line_id, reason))


def state_scenario(transaction: Transaction, state: Case, scenario: Scenario, reason: str) -> Case:
    """State a scenario of a case."""
    return _record(transaction, state, domain.state_scenario(state, scenario, reason))


def drop_scenario(transaction: Transaction, state: Case, key: str, reason: str) -> Case:
    """Give a scenario of a case up."""
    return _record(transaction, state, domain.drop_scenario(state, key, reason))


def freeze(transaction: Transaction, frozen: Frozen) -> FrozenValuation:
    """Keep a valuation with every input."""
    identity = new_id()
    fact = ValuationFrozen(valuation_id=identity, frozen=frozen)
    transaction.record(f"valuation/{identity}", 0, [fact])
    return records.frozen(transaction, identity)


def state_risk_table(
    transaction: Transaction, before: OwnTable | None, table: RiskTable, reason: str
) -> OwnTable:
    """Say what the degrees of likelihood and impact stand for."""
    revision = before.revision if before else 0
    transaction.record(STREAM, revision, [RiskTableStated(table=table, reason=reason)])
    stated = records.own_table(transaction)
    assert stated is not None, "the table was just stated"
    return stated


def _demand_unclaimed(cases: Iterable[Case], state: Case, line: BenefitLine) -> None:
    """Over all initiatives, the shares of one movement never exceed the whole of it."""
    if line.status == "withdrawn" or not line.drivers:
        return
    known = list(cases)
    for driver in line.drivers:
        others = claimed(known, driver, state)
        total = sum((share for _, share in others), line.attribution.share)
        if total <= 1:
            continue
        who = ", ".join(f"{initiative} claims {share:f}" for initiative, share in others)
        raise CONFLICT.refusal(
            f"The shares of {driver.metric} over all initiatives would add up to {total:f}: {who}. "
            f"Claim at most {1 - (total - line.attribution.share):f}, or settle it with them."
        )


def _record(transaction: Transaction, state: Case, payload: Payload) -> Case:
    transaction.record(f"case/{state.case_id}", state.revision, [payload])
    return case(transaction, state.case_id)
