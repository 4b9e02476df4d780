"""Neighbours that are down or talk rubbish: a clear problem in bounded time, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest

from services.valuation.clients.goals import GoalsClient
from services.valuation.clients.metrics import MetricsClient
from services.valuation.domain.case import Case
from services.valuation.domain.measured import Measured
from services.valuation.domain.risk import RiskTable
from services.valuation.queries.world import World, measure
from shared.errors import Refusal
from tests.valuation.test_finance import FRAME

INITIATIVE = {
    "initiative": {"id": "i", "name": "CRM", "currency": "EUR", "go_live": None, "phases": []},
    "basis": "1-0",
}
Answer = Callable[[httpx.Request], httpx.Response]


def refusing(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


def hanging(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer in time", request=request)


def rubbish(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"<html>")


def half(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"initiative": {}, "basis": None})


def broken(request: httpx.Request) -> httpx.Response:
    return httpx.Response(500, json={"detail": "boom"})


def answering(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=INITIATIVE)


def asked(goals: Answer, metrics: Answer) -> Measured:
    world = World(
        GoalsClient("http://goals", httpx.MockTransport(goals)),
        MetricsClient("http://metrics", httpx.MockTransport(metrics)),
        "key",
    )
    case = Case(case_id="c", revision=1, body=FRAME)
    return measure(world, case, date(2026, 1, 1), RiskTable())


@pytest.mark.parametrize("fault", [refusing, hanging, rubbish, half, broken])
@pytest.mark.parametrize("who", ["goals", "metrics"])
def test_a_neighbour_in_trouble_is_named(fault: Answer, who: str) -> None:
    faults: dict[str, Any] = {"goals": answering, "metrics": answering, who: fault}
    with pytest.raises(Refusal) as refused:
        asked(**faults)
    assert refused.value.problem.status == 503
    assert who in refused.value.detail
    assert refused.value.headers["Retry-After"] == "5"
