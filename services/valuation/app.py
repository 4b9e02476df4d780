"""The valuation service put together: the only place where its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from services.valuation import tables
from services.valuation.api import (
    before_after,
    benefits,
    cases,
    comparisons,
    evidence,
    frozen,
    reports,
    risks,
    scenarios,
    uncertainty,
    valuations,
)
from services.valuation.clients.goals import GoalsClient
from services.valuation.clients.metrics import MetricsClient
from services.valuation.projections import project
from services.valuation.settings import ValuationSettings
from shared.database import Database
from shared.ledger import Ledger
from shared.service import Service
from shared.settings import ServiceSettings
from shared.web.assembly import assemble
from shared.web.feed import feed_router
from shared.web.introspection import Introspection
from shared.web.runtime import Runtime

DESCRIPTION = (
    "Business cases: costs, benefits and what they were worth, planned and realised, as known at "
    "any past moment."
)


def create_app(
    settings: ServiceSettings,
    database: Database,
    ledger: Ledger,
    goals_transport: httpx.BaseTransport | None = None,
    metrics_transport: httpx.BaseTransport | None = None,
) -> FastAPI:
    """The valuation service over an open database; transports replace the network in tests."""
    assert isinstance(settings, ValuationSettings)
    metrics = MetricsClient(settings.metrics_url, metrics_transport)
    runtime = Runtime(
        service="valuation",
        settings=settings,
        database=database,
        ledger=ledger,
        clock=ledger.clock,
        authenticate=Introspection(metrics.peer),
        ready_checks={"database": SERVICE.ready_check(database)},
        parts={"metrics": metrics, "goals": GoalsClient(settings.goals_url, goals_transport)},
    )
    routers = [
        cases.router, benefits.router, scenarios.router, valuations.router, frozen.router,
        uncertainty.router, risks.router, comparisons.router, before_after.router,
        evidence.router, reports.router, feed_router("valuation:read"),
    ]  # fmt: skip
    return assemble(runtime, "Worthwhile valuation", DESCRIPTION, routers, _lifespan)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


SERVICE = Service(
    name="valuation",
    settings=ValuationSettings,
    metadata=tables.metadata,
    projections=tables.PROJECTIONS,
    project=project,
    migrations=Path(__file__).parent / "migrations",
    create_app=create_app,
)
