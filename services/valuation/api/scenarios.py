"""Scenarios of a case: other ways in which things could go, side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Response
from pydantic import Field

from services.valuation import commands
from services.valuation.api.asking import Included, seen
from services.valuation.api.figures import SliceShown, slice_shown
from services.valuation.api.shapes import Case, NewScenario, Withdraw, shown
from services.valuation.domain.assumptions import by_identity, in_scenario, overridden
from services.valuation.domain.case import BASE, Override, Scenario
from services.valuation.domain.valuation import value
from services.valuation.queries import cases as queries
from shared.ids import KEY_PATTERN
from shared.ledger import Transaction
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Wire

router = make_router("scenarios")
KeyPath = Annotated[str, Path(pattern=KEY_PATTERN, description="Key of the scenario")]


class ScenarioFigures(Wire):
    """A scenario's figures, as planned and in outlook."""

    key: str = Field(description="Its key; `base` is the case itself")
    name: str = Field(description="Its name")
    plan: SliceShown = Field(description="As expected")
    outlook: SliceShown = Field(description="Realised so far, planned for the rest")


class ScenariosShown(Wire):
    """All scenarios of a case, side by side."""

    case_id: str = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    scenarios: list[ScenarioFigures] = Field(description="The base first")


@router.put("/cases/{case_id}/scenarios/{key}", response_model=Case)
def state_scenario(
    case_id: str, key: KeyPath, body: NewScenario,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:  # fmt: skip
    """State a scenario, or state it anew; an assumption that is not there is refused."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        overrides = [Override(**one.model_dump()) for one in body.overrides]
        overridden(state, overrides)
        kept = [o.model_copy(update={"of": by_identity(state, o.of)}) for o in overrides]
        scenario = Scenario(key=key, name=body.name, overrides=kept)
        changed = commands.state_scenario(transaction, state, scenario, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.post("/cases/{case_id}/scenarios/{key}/drop", response_model=Case)
def drop_scenario(
    case_id: str, key: KeyPath, body: Withdraw,
    caller: Annotated[Caller, Depends(writes("valuation:write"))],
) -> Response:  # fmt: skip
    """Give a scenario up; its past stays readable."""

    def work(transaction: Transaction) -> Answer:
        state = queries.case(transaction, case_id)
        caller.demand_revision(state.revision)
        changed = commands.drop_scenario(transaction, state, key, body.reason)
        return Answer(shown(changed), 200, changed.revision)

    return caller.command(work)


@router.get("/cases/{case_id}/scenarios")
def compare_scenarios(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))],
    include: Included = None,
) -> ScenariosShown:  # fmt: skip
    """Show every scenario's figures beside those of the base."""
    known = seen(reader, case_id)
    shares, stated = known.measured.shares, known.stated
    cases = [
        (key, name, in_scenario(stated, key, shares))
        for key, name in [(BASE, BASE), *((s.key, s.name) for s in stated.scenarios)]
    ]
    currency, found = known.stated.body.currency, []
    for key, name, case in cases:
        valued = value(case, known.measured, include or ())
        found.append(
            ScenarioFigures(
                key=key, name=name, plan=slice_shown(valued.plan, currency),
                outlook=slice_shown(valued.outlook, currency),
            )
        )  # fmt: skip
    return ScenariosShown(case_id=case_id, currency=currency, scenarios=found)
