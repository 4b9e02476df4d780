"""Metrics, their figures, baselines and events as valuation reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from services.valuation.clients import PAGE, Known
from shared.chain import canonical_json
from shared.web.client import Peer, Reads

# The most questions that metrics takes in one request.
MAX_QUESTIONS = 200


class MetricBody(Reads):
    """A metric's definition."""

    key: str
    unit: str
    name: str
    direction: str
    nature: Literal["value", "usage", "operational"]


class MetricAnswer(Reads):
    """`GET /v1/metrics/{key}` of metrics."""

    metric: MetricBody


class CoverageRead(Reads):
    """How much of what was promised arrived."""

    share: Decimal | None


class ValueRead(Reads):
    """A figure of one period and group."""

    period: str
    start: date
    end: date
    value: Decimal | None
    reason: str | None
    provisional: bool
    numerator: Decimal | None
    denominator: Decimal | None
    n: int
    currency: str | None
    coverage: CoverageRead
    group: dict[str, str]


class ReplayRead(Reads):
    """`GET /v1/metrics/{key}/values` of metrics."""

    metric: str
    version: int
    unit: str
    basis: str
    additive: bool
    values: list[ValueRead]


class ProblemRead(Reads):
    """Why a question has no answer."""

    type: str
    detail: str


class ReplayAnswerRead(Reads):
    """One answer of many."""

    replay: ReplayRead | None
    problem: ProblemRead | None


class ReplayManyRead(Reads):
    """`POST /v1/replay` of metrics."""

    basis: str
    answers: list[ReplayAnswerRead]


class LimitsRead(Reads):
    """Natural limits of a baseline."""

    lower: Decimal
    upper: Decimal


class BaselineValueRead(Reads):
    """A baseline's figure of one of its periods."""

    start: date
    end: date
    currency: str | None


class BaselineRead(Reads):
    """`GET /v1/baselines/{id}` of metrics."""

    metric: str
    version: int
    where: dict[str, Any] | None
    value: Decimal | None
    unit: str
    n: int
    periods: list[str]
    basis: str
    spread: Decimal | None
    limits: LimitsRead | None
    values: list[BaselineValueRead]

    @property
    def currency(self) -> str | None:
        """The one currency of its periods' money, if it is money of one."""
        found = {value.currency for value in self.values if value.currency is not None}
        return found.pop() if len(found) == 1 else None


class EventRead(Reads):
    """An event that a figure is made of."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: datetime
    occurredon: date | None = None
    data: dict[str, Any]


class EventPage(Reads):
    """`GET /v1/metrics/{key}/events` of metrics."""

    items: list[EventRead]
    next_cursor: str | None


class CatalogueRead(Reads):
    """An entry of the catalogue, and the results that it drives."""

    id: str
    drives: list[str]


class CatalogueAnswer(Reads):
    """`GET /v1/catalogue` of metrics."""

    items: list[CatalogueRead]


@dataclass(frozen=True)
class Asked:
    """A question for the figures of a metric."""

    key: str
    periods: tuple[str, ...]
    where: dict[str, Any] | None = field(default=None, hash=False)
    version: int | None = None
    group_by: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As metrics wants it."""
        asked = {
            "metric": self.key, "period": list(self.periods), "where": self.where,
            "version": self.version, "group_by": list(self.group_by),
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value}

    @property
    def identity(self) -> str:
        """The same for the same question."""
        return canonical_json(self.body())


class SavedMetric(Reads):
    """The answer to `POST /v1/metrics`."""

    key: str
    version: int


class StoredEvent(Reads):
    """The answer to a single event pushed."""

    status: str
    position: int | None


class MetricsClient:
    """Questions to the metrics service with a caller's credential."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.peer = Peer("metrics", base_url, transport)

    def metric(self, credential: str, key: str) -> MetricBody:
        return self.peer.get(f"/v1/metrics/{key}", MetricAnswer, credential).metric

    def baseline(self, credential: str, identity: str) -> BaselineRead:
        return self.peer.get(f"/v1/baselines/{identity}", BaselineRead, credential)

    def replay(
        self, credential: str, questions: Sequence[Asked], known: Known
    ) -> tuple[list[ReplayAnswerRead], str]:
        """The answers to many questions, all from one basis of the metrics ledger."""
        found: list[ReplayAnswerRead] = []
        for start in range(0, len(questions), MAX_QUESTIONS):
            part = [question.body() for question in questions[start : start + MAX_QUESTIONS]]
            sent = {name: value for name, value in known.items() if value is not None}
            path = f"/v1/replay?{urlencode(sent)}" if sent else "/v1/replay"
            answer = self.peer.post(path, ReplayManyRead, credential, {"questions": part})
            found += answer.answers
            # What is asked in a second request is answered from the basis of the first.
            known = {"basis": answer.basis}
        return found, known["basis"] or ""

    def events(self, credential: str, key: str, asked: dict[str, Any]) -> EventPage:
        """The first of the events that a metric's figure is made of."""
        return self.peer.get(f"/v1/metrics/{key}/events", EventPage, credential, asked)

    def drives(self, credential: str) -> list[tuple[str, str]]:
        """Which of the catalogue's metrics drives which, by their keys."""
        answer = self.peer.get("/v1/catalogue", CatalogueAnswer, credential, {"limit": PAGE})
        return [(entry.id, result) for entry in answer.items for result in entry.drives]

    def define(self, credential: str, body: dict[str, Any]) -> SavedMetric:
        return self.peer.post("/v1/metrics", SavedMetric, credential, body)

    def push(self, credential: str, event: dict[str, Any]) -> StoredEvent:
        return self.peer.post("/v1/events", StoredEvent, credential, event)
