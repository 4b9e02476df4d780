"""The metrics service as goals reads it: only the fields that are needed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from pydantic import Field

from shared.chain import canonical_json
from shared.periods import Calendar, FiscalWeeks
from shared.web.client import Peer, Reads


class MetricBody(Reads):
    """A metric's definition."""

    key: str
    version: int
    name: str
    unit: str
    direction: Literal["up", "down", "band", "none"]
    indicator: Literal["leading", "lagging"]
    nature: Literal["value", "usage", "operational"]
    audience: Literal["customer", "prospect", "stakeholder", "business"]
    guidelines: dict[str, Any]
    definition: dict[str, Any]


class MetricAnswer(Reads):
    """`GET /v1/metrics/{key}`."""

    metric: MetricBody
    defined_later: bool


class ProofRead(Reads):
    """What a figure was computed from."""

    metric: str
    version: int
    events: int
    digest: str
    position: int
    semantics: int


class ValueRead(Reads):
    """A figure of one period."""

    period: str
    group: dict[str, str]
    start: date
    end: date
    value: Decimal | None
    reason: str | None
    provisional: bool
    proof: ProofRead


class ReplayRead(Reads):
    """`GET /v1/metrics/{key}/values`."""

    metric: str
    version: int
    unit: str
    known_at: str
    basis: str
    additive: bool
    values: list[ValueRead]


class ProblemRead(Reads):
    """Why a question has no answer."""

    detail: str


class ReplayAnswerRead(Reads):
    """One answer of many."""

    replay: ReplayRead | None
    problem: ProblemRead | None


class ReplayManyRead(Reads):
    """`POST /v1/replay`."""

    basis: str
    answers: list[ReplayAnswerRead]


class LimitsRead(Reads):
    """Natural limits of a baseline."""

    lower: Decimal
    upper: Decimal


class BaselineRead(Reads):
    """`POST /v1/baselines`, `GET /v1/baselines/{id}`, `GET /v1/metrics/{key}/baseline`."""

    id: str | None
    metric: str
    version: int
    periods: list[str]
    value: Decimal | None
    spread: Decimal | None
    limits: LimitsRead | None
    state: Literal["established", "insufficient", "unmeasurable"]
    cause: str | None
    mend: str | None
    values: list[ValueRead]


class QualityRead(Reads):
    """`GET /v1/metrics/{key}/quality`."""

    fresh: bool | None
    last_occurred_at: str | None


class EntryRead(Reads):
    """An entry of the catalogue."""

    id: str


class InstalledMetric(Reads):
    """`POST /v1/catalogue/{id}/install`."""

    key: str


class CatalogueRead(Reads):
    """`GET /v1/catalogue`."""

    items: list[EntryRead]


class CalendarBody(Reads):
    """The organisation's calendar."""

    zone: str
    week_start: int = Field(ge=1, le=7)
    fiscal_start_month: int = Field(ge=1, le=12)
    fiscal_name: Literal["end", "start"]
    fiscal_weeks: FiscalWeeks | None
    fiscal_begins: Literal["nearest", "on_or_before"]
    currency: str


class CalendarRead(Reads):
    """`GET /v1/calendar`."""

    calendar: CalendarBody


# So many questions metrics takes at once.
MAX_QUESTIONS = 200


@dataclass(frozen=True, slots=True)
class ReplayAsked:
    """One question of many: the figures of a metric in some periods."""

    metric: str
    periods: list[str]
    where: dict[str, Any] | None = None
    version: int | None = None
    group_by: Sequence[str] = ()

    def body(self) -> dict[str, Any]:
        return {"metric": self.metric, "period": self.periods, "where": self.where,
                "version": self.version, "group_by": list(self.group_by)}  # fmt: skip


class MetricsClient:
    """Questions to the metrics service with a caller's credential."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.peer = Peer("metrics", base_url, transport)

    def metric(self, credential: str, key: str) -> MetricBody:
        return self.peer.get(f"/v1/metrics/{key}", MetricAnswer, credential).metric

    def calendar(self, credential: str) -> Calendar:
        found = self.peer.get("/v1/calendar", CalendarRead, credential).calendar
        return Calendar(
            found.zone,
            found.week_start,
            found.fiscal_start_month,
            found.fiscal_name,
            found.currency,
            found.fiscal_weeks,
            found.fiscal_begins,
        )

    def values(
        self,
        credential: str,
        key: str,
        periods: list[str],
        *,
        where: dict[str, Any] | None = None,
        version: int | None = None,
        known_at: str | None = None,
        basis: str | None = None,
    ) -> ReplayRead:
        params = {
            "period": periods,
            "where": canonical_json(where) if where else None,
            "version": version,
            "known_at": known_at,
            "basis": basis,
        }
        return self.peer.get(f"/v1/metrics/{key}/values", ReplayRead, credential, params)

    def quality(
        self, credential: str, key: str, period: str, *, known_at: str | None = None,
        basis: str | None = None,
    ) -> QualityRead:  # fmt: skip
        params = {"period": period, "known_at": known_at, "basis": basis}
        return self.peer.get(f"/v1/metrics/{key}/quality", QualityRead, credential, params)

    def drivers(self, credential: str, key: str) -> list[str]:
        """What drives a result, by the catalogue's ids; empty where the catalogue has none."""
        params = {"drives": key, "limit": 500}
        found = self.peer.get("/v1/catalogue", CatalogueRead, credential, params)
        return [entry.id for entry in found.items]

    def install(self, credential: str, entry_id: str) -> None:
        """Install a metric of the catalogue under its own key."""
        self.peer.post(f"/v1/catalogue/{entry_id}/install", InstalledMetric, credential, {})

    def replay(
        self, credential: str, questions: Sequence[ReplayAsked], *,
        known_at: str | None = None, basis: str | None = None,
    ) -> tuple[list[ReplayAnswerRead], str]:  # fmt: skip
        """The answers to many questions, all from one basis of the metrics ledger."""
        found: list[ReplayAnswerRead] = []
        for start in range(0, len(questions), MAX_QUESTIONS):
            part = [question.body() for question in questions[start : start + MAX_QUESTIONS]]
            # What is asked in a second request is answered from the basis of the first.
            known = {"basis": basis} if basis else {"known_at": known_at} if known_at else {}
            path = f"/v1/replay?{urlencode(known)}" if known else "/v1/replay"
            answer = self.peer.post(path, ReplayManyRead, credential, {"questions": part})
            found += answer.answers
            basis = answer.basis
        assert basis is not None, "at least one question is asked"
        return found, basis

    def preview(
        self, credential: str, name: str, definition: dict[str, Any], period: str,
        group_by: Sequence[str], *, basis: str,
    ) -> ReplayRead:  # fmt: skip
        """The figures of a count that nobody has saved, from a basis of the metrics ledger."""
        metric = {"name": name, "unit": "count", "dimensions": list(group_by),
                  "definition": definition}  # fmt: skip
        body = {"metric": metric, "period": [period], "group_by": list(group_by)}
        path = f"/v1/metrics/preview?{urlencode({'basis': basis})}"
        return self.peer.post(path, ReplayRead, credential, body)

    def baseline(self, credential: str, baseline_id: str) -> BaselineRead:
        return self.peer.get(f"/v1/baselines/{baseline_id}", BaselineRead, credential)

    def preview_baseline(
        self,
        credential: str,
        key: str,
        periods: list[str],
        method: str,
        where: dict[str, Any] | None,
    ) -> BaselineRead:
        params = {
            "period": periods,
            "method": method,
            "where": canonical_json(where) if where else None,
        }
        return self.peer.get(f"/v1/metrics/{key}/baseline", BaselineRead, credential, params)

    def freeze_baseline(
        self,
        credential: str,
        key: str,
        periods: list[str],
        method: str,
        where: dict[str, Any] | None,
        reason: str,
    ) -> BaselineRead:
        body = {
            "metric": key, "periods": periods, "method": method, "where": where, "reason": reason,
        }  # fmt: skip
        return self.peer.post("/v1/baselines", BaselineRead, credential, body)
