"""The goals service put together: the only place where its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI

from services.goals import tables, workers
from services.goals.api import (
    bodies,
    check_ins,
    findings,
    goals,
    initiatives,
    objectives,
    progress,
    promises,
    reviews,
    roadmap,
    scorecard,
    shares,
    starting_points,
    surroundings,
    workshops,
)
from services.goals.clients import MetricsClient
from services.goals.projections import project
from services.goals.settings import GoalsSettings
from shared.database import Database
from shared.ledger import Ledger
from shared.service import Service
from shared.settings import ServiceSettings
from shared.web.assembly import assemble
from shared.web.client import Peer
from shared.web.feed import feed_router
from shared.web.introspection import Introspection
from shared.web.runtime import Runtime
from shared.workers import Workers

DESCRIPTION = (
    "Initiatives and their goals: stated from a metric's past, checked letter by letter, "
    "committed, followed with proof and judged by the rule that was fixed at the start. Words for "
    "people come as code, parameters and text; `Accept-Language` chooses English, Swedish, French "
    "or Russian."
)


def create_app(
    settings: ServiceSettings,
    database: Database,
    ledger: Ledger,
    transport: httpx.BaseTransport | None = None,
) -> FastAPI:
    """The goals service over an open database; `transport` replaces the network in tests."""
    assert isinstance(settings, GoalsSettings)
    client = MetricsClient(settings.metrics_url, transport)
    runtime = Runtime(
        service="goals",
        settings=settings,
        database=database,
        ledger=ledger,
        clock=ledger.clock,
        authenticate=Introspection(client.peer),
        ready_checks={"database": SERVICE.ready_check(database)},
        parts={"metrics": client},
    )
    routers = [
        initiatives.router, goals.router, promises.router, progress.router, check_ins.router,
        scorecard.router, bodies.router, reviews.router, surroundings.router,
        surroundings.factors_router, objectives.router, workshops.router, roadmap.router,
        shares.router, findings.router, starting_points.router,
        feed_router("goals:read"),
    ]  # fmt: skip
    return assemble(runtime, "Worthwhile goals", DESCRIPTION, routers, _lifespan)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    background = create_workers(runtime.settings, runtime.ledger)
    background.start()
    yield
    background.stop()


def create_workers(settings: ServiceSettings, ledger: Ledger) -> Workers:
    assert isinstance(settings, GoalsSettings)
    return workers.create_workers(settings, ledger, Peer("metrics", settings.metrics_url))


SERVICE = Service(
    name="goals",
    settings=GoalsSettings,
    metadata=tables.metadata,
    projections=tables.PROJECTIONS,
    project=project,
    migrations=Path(__file__).parent / "migrations",
    create_app=create_app,
    create_workers=create_workers,
)
