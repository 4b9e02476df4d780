"""What routes need of the world: the neighbours with the caller's credential, as known then."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query

from services.valuation.clients.goals import GoalsClient
from services.valuation.clients.metrics import MetricsClient
from services.valuation.domain.assumptions import in_scenario
from services.valuation.domain.case import BASE, Case
from services.valuation.domain.measured import Measured
from services.valuation.domain.risk import RiskTable
from services.valuation.queries import cases, records
from services.valuation.queries.world import World, measure
from shared.ledger import View
from shared.web.runtime import Caller, Reader

Included = Annotated[
    list[Literal["soft_time", "unverified"]] | None,
    Query(description="What stands apart and shall count all the same"),
]
ScenarioKey = Annotated[
    str, Query(max_length=64, description="Key of a scenario; `base` is the case itself")
]


def clients(caller: Caller) -> tuple[GoalsClient, MetricsClient]:
    """The neighbours."""
    goals, metrics = caller.runtime.parts["goals"], caller.runtime.parts["metrics"]
    assert isinstance(goals, GoalsClient)
    assert isinstance(metrics, MetricsClient)
    return goals, metrics


def world_now(caller: Caller) -> World:
    """The world as it is, with the caller's credential."""
    goals, metrics = clients(caller)
    return World(goals, metrics, caller.principal.credential)


class Seen:
    """A case as known at a moment, with what goals and metrics said then."""

    def __init__(
        self, caller: Caller, view: View, case_id: str, *, past: bool,
        goals_basis: str | None = None, metrics_basis: str | None = None, scenario: str = BASE,
    ) -> None:  # fmt: skip
        self.stated = cases.case(view, case_id)
        self.scenario = scenario
        own = records.own_table(view)
        self.table = own.table if own is not None else RiskTable()
        self.known_at: datetime = view.known_at
        self.basis = view.basis.token
        goals, metrics = clients(caller)
        self.world = World(
            goals, metrics, caller.principal.credential,
            self.known_at if past else None, goals_basis, metrics_basis,
        )  # fmt: skip
        self._measured: Measured | None = None

    @property
    def case(self) -> Case:
        """The case in its scenario, with the shares that goals acknowledge by now."""
        return in_scenario(self.stated, self.scenario, self.measured.shares)

    @property
    def measured(self) -> Measured:
        """What the other services say, asked once."""
        if self._measured is None:
            self._measured = measure(self.world, self.stated, self.known_at.date(), self.table)
        return self._measured

    @property
    def bases(self) -> dict[str, str | None]:
        """The states of the three ledgers that the answer rests on."""
        return {
            "valuation": self.basis,
            "goals": self.world.goals_basis or "",
            "metrics": self.world.metrics_basis,
        }


def seen(
    reader: Reader, case_id: str, scenario: str = BASE,
    goals_basis: str | None = None, metrics_basis: str | None = None,
) -> Seen:  # fmt: skip
    """A case as the reader asks for it."""
    with reader.view() as view:
        return Seen(
            reader, view, case_id, past=bool(reader.known_at or reader.basis), scenario=scenario,
            goals_basis=goals_basis, metrics_basis=metrics_basis,
        )  # fmt: skip
