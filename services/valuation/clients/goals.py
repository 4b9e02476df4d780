"""Initiatives, goals, factors and V2MOMs as valuation reads them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import httpx

from services.valuation.clients import PAGE, Known
from shared.web.client import Peer, Reads


class PhaseRead(Reads):
    """A phase of an initiative."""

    name: str
    go_live: date | None


class InitiativeBody(Reads):
    """An initiative."""

    id: str
    name: str
    currency: str
    go_live: date | None
    phases: list[PhaseRead]


class InitiativeAnswer(Reads):
    """`GET /v1/initiatives/{id}` of goals."""

    initiative: InitiativeBody
    basis: str


class GoalBody(Reads):
    """A goal, with the share of the change that its owner expects of the initiative."""

    id: str
    initiative_id: str
    expected_share: Decimal | None
    acknowledged_by: str | None


class GoalAnswer(Reads):
    """`GET /v1/goals/{id}` of goals."""

    goal: GoalBody


class MitigationRead(Reads):
    """Something that makes an obstacle smaller."""

    done: bool
    cost_line: str | None
    likelihood_after: int | None
    impact_after: int | None


class FactorRead(Reads):
    """Something that helps or holds back."""

    id: str
    kind: str
    text: str
    status: str
    goals: list[str]
    likelihood: int | None
    impact: int | None
    mitigations: list[MitigationRead]


class FactorPage(Reads):
    """`GET /v1/factors` of goals."""

    items: list[FactorRead]
    next_cursor: str | None


class MethodRead(Reads):
    """A method of a V2MOM."""

    text: str


class V2momRead(Reads):
    """A V2MOM: what an initiative is for."""

    period: str
    vision: str
    values: list[str]
    methods: list[MethodRead]


class V2momPage(Reads):
    """`GET /v1/v2moms` of goals."""

    items: list[V2momRead]


class SaidRead(Reads):
    """A sentence for people."""

    text: str


class TitleRead(Reads):
    """A goal on a scorecard."""

    title: str


class StatusRead(Reads):
    """Where a goal stands, and why."""

    status: str
    because: list[SaidRead]


class ScoredGoal(Reads):
    """A goal of a scorecard."""

    goal: TitleRead
    progress: StatusRead


class GroupRead(Reads):
    """A group of a scorecard."""

    goals: list[ScoredGoal]


class ScorecardRead(Reads):
    """`GET /v1/initiatives/{id}/scorecard` of goals."""

    groups: list[GroupRead]


class GoalsClient:
    """Questions to the goals service with a caller's credential."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.peer = Peer("goals", base_url, transport)

    def initiative(
        self, credential: str, identity: str, known: Known | None = None
    ) -> InitiativeAnswer:
        return self.peer.get(f"/v1/initiatives/{identity}", InitiativeAnswer, credential, known)

    def goal(self, credential: str, identity: str, known: Known | None = None) -> GoalBody:
        return self.peer.get(f"/v1/goals/{identity}", GoalAnswer, credential, known).goal

    def factors(self, credential: str, initiative_id: str, known: Known) -> list[FactorRead]:
        """All factors of an initiative."""
        found: list[FactorRead] = []
        asked: dict[str, Any] = {"initiative_id": initiative_id, "limit": PAGE, **known}
        while True:
            page = self.peer.get("/v1/factors", FactorPage, credential, asked)
            found += page.items
            if page.next_cursor is None:
                return found
            asked["cursor"] = page.next_cursor

    def v2moms(self, credential: str, initiative_id: str, known: Known) -> list[V2momRead]:
        """The V2MOMs of an initiative, oldest first."""
        asked: dict[str, Any] = {"initiative_id": initiative_id, "limit": PAGE, **known}
        return self.peer.get("/v1/v2moms", V2momPage, credential, asked).items

    def scorecard(
        self, credential: str, initiative_id: str, known: Known, metrics_basis: str | None
    ) -> list[ScoredGoal]:
        """The goals of an initiative with where they stand, by figures of one metrics basis."""
        path = f"/v1/initiatives/{initiative_id}/scorecard"
        asked = {**known, "metrics_basis": metrics_basis}
        groups = self.peer.get(path, ScorecardRead, credential, asked).groups
        return [goal for group in groups for goal in group.goals]
