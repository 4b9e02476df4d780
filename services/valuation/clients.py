"""Goals and metrics as valuation reads them: only the fields that are needed here."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

import httpx

from shared.chain import canonical_json
from shared.web.client import Peer, Reads


class InitiativeBody(Reads):
    """An initiative."""

    id: str
    name: str
    currency: str


class InitiativeAnswer(Reads):
    """`GET /v1/initiatives/{id}` of goals."""

    initiative: InitiativeBody
    basis: str


class GoalBody(Reads):
    """A goal."""

    id: str
    initiative_id: str


class GoalAnswer(Reads):
    """`GET /v1/goals/{id}` of goals."""

    goal: GoalBody


class MetricBody(Reads):
    """A metric's definition."""

    key: str
    unit: str
    nature: Literal["value", "usage", "operational"]


class MetricAnswer(Reads):
    """`GET /v1/metrics/{key}` of metrics."""

    metric: MetricBody


class ValueRead(Reads):
    """A figure of one period and group."""

    period: str
    start: date
    end: date
    value: Decimal | None
    reason: str | None
    provisional: bool
    numerator: Decimal | None
    currency: str | None
    group: dict[str, str]


class ReplayRead(Reads):
    """`GET /v1/metrics/{key}/values` of metrics."""

    unit: str
    basis: str
    values: list[ValueRead]


class BaselineRead(Reads):
    """`GET /v1/baselines/{id}` of metrics."""

    metric: str
    version: int
    where: dict[str, Any] | None
    value: Decimal | None


class SavedMetric(Reads):
    """The answer to `POST /v1/metrics`."""

    key: str
    version: int


class StoredEvent(Reads):
    """The answer to a single event pushed."""

    status: str
    position: int | None


class GoalsClient:
    """Questions to the goals service with a caller's credential."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.peer = Peer("goals", base_url, transport)

    def initiative(
        self, credential: str, identity: str, known: dict[str, str | None] | None = None
    ) -> InitiativeAnswer:
        return self.peer.get(f"/v1/initiatives/{identity}", InitiativeAnswer, credential, known)

    def goal(self, credential: str, identity: str) -> GoalBody:
        return self.peer.get(f"/v1/goals/{identity}", GoalAnswer, credential).goal


class MetricsClient:
    """Questions to the metrics service with a caller's credential."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.peer = Peer("metrics", base_url, transport)

    def metric(self, credential: str, key: str) -> MetricBody:
        return self.peer.get(f"/v1/metrics/{key}", MetricAnswer, credential).metric

    def baseline(self, credential: str, identity: str) -> BaselineRead:
        return self.peer.get(f"/v1/baselines/{identity}", BaselineRead, credential)

    def values(
        self,
        credential: str,
        key: str,
        periods: list[str],
        known: dict[str, str | None],
        *,
        where: dict[str, Any] | None = None,
        group_by: str | None = None,
        version: int | None = None,
    ) -> ReplayRead:
        params: dict[str, Any] = {
            "period": periods,
            "where": canonical_json(where) if where else None,
            "group_by": group_by,
            "version": version,
            **known,
        }
        return self.peer.get(f"/v1/metrics/{key}/values", ReplayRead, credential, params)

    def define(self, credential: str, body: dict[str, Any]) -> SavedMetric:
        return self.peer.post("/v1/metrics", SavedMetric, credential, body)

    def push(self, credential: str, event: dict[str, Any]) -> StoredEvent:
        return self.peer.post("/v1/events", StoredEvent, credential, event)
