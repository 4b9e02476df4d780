"""What the degrees of likelihood and impact stand for: an organisation's own table."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from services.valuation import commands
from services.valuation.api.inputs import Share
from services.valuation.domain.risk import OwnTable, RiskTable
from services.valuation.queries import records
from shared.ledger import Transaction
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Wire
from shared.words import Reason

router = make_router("uncertainty")
Degrees = Annotated[list[Share], Field(min_length=5, max_length=5)]


class NewRiskTable(Wire):
    """What the degrees 1 to 5 stand for, as fractions in rising order."""

    likelihood: Degrees = Field(description="Probability of each degree")
    impact: Degrees = Field(description="Part of a benefit that each degree costs")
    reason: Reason = Field(description="Why these")


class RiskTableShown(Wire):
    """What the degrees stand for."""

    likelihood: Degrees = Field(description="Probability of each degree")
    impact: Degrees = Field(description="Part of a benefit that each degree costs")
    is_example: bool = Field(description="True until the organisation has stated its own")
    revision: int = Field(ge=0, description="Number of changes; the ETag")


@router.get("/risk-table")
def get_risk_table(
    response: Response, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> RiskTableShown:
    """Show what likelihood and impact from 1 to 5 stand for; examples until they are stated."""
    with reader.view() as view:
        own = records.own_table(view)
    response.headers["ETag"] = f'"{own.revision if own else 0}"'
    return _shown(own)


@router.put("/risk-table", response_model=RiskTableShown)
def state_risk_table(
    body: NewRiskTable, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Say what likelihood and impact from 1 to 5 stand for, with the reason."""

    def work(transaction: Transaction) -> Answer:
        before = records.own_table(transaction)
        caller.demand_revision(before.revision if before else 0)
        table = RiskTable(likelihood=body.likelihood, impact=body.impact)
        stated = commands.state_risk_table(transaction, before, table, body.reason)
        return Answer(_shown(stated), 200, stated.revision)

    return caller.command(work)


def _shown(own: OwnTable | None) -> RiskTableShown:
    table = own.table if own else RiskTable()
    return RiskTableShown(
        likelihood=table.likelihood, impact=table.impact, is_example=own is None,
        revision=own.revision if own else 0,
    )  # fmt: skip
