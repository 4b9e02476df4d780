"""The metrics service put together: the only place where its parts meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from services.metrics import tables, workers
from services.metrics.api import (
    baselines,
    catalogue,
    deliveries,
    events,
    feedback,
    history,
    imports,
    jobs,
    metrics,
    replay,
    sources,
    tenancy,
)
from services.metrics.commands.credentials import KeyAuthentication, Vault
from services.metrics.commands.inbox import Addresses, Inbox
from services.metrics.commands.intake import Intake
from services.metrics.commands.reading_back import ReadsBack
from services.metrics.projections import project
from services.metrics.projections.observed import overlapping
from services.metrics.queries.kept_types import KeptTypes
from services.metrics.replay.rules import STAMP
from services.metrics.settings import MetricsSettings
from shared.database import Database
from shared.group_commit import GroupCommit
from shared.ledger import Ledger
from shared.service import Service
from shared.settings import ServiceSettings
from shared.web.assembly import assemble
from shared.web.feed import feed_router
from shared.web.runtime import Runtime
from shared.workers import Workers

DESCRIPTION = (
    "Events in, metrics out: append-only facts from any system, metrics defined over them, and "
    "their figures for any past period as they were known at any past moment."
)


def create_app(settings: ServiceSettings, database: Database, ledger: Ledger) -> FastAPI:
    """The metrics service over an open database."""
    assert isinstance(settings, MetricsSettings)
    vault = _vault(settings)
    runtime = Runtime(
        service="metrics",
        settings=settings,
        database=database,
        ledger=ledger,
        clock=ledger.clock,
        authenticate=KeyAuthentication(database, ledger.clock),
        ready_checks={"database": SERVICE.ready_check(database)},
        parts={
            "vault": vault,
            "addresses": Addresses(ledger, vault),
            "inbox": Inbox(database),
            "reads_back": reads_back_of(settings, ledger),
            "group_commit": GroupCommit(ledger),
            "intake": Intake(database),
            "types": KeptTypes(ledger),
        },
    )
    routers = [
        events.router, replay.router, metrics.router, history.router, baselines.router,
        catalogue.router, sources.router, deliveries.router, imports.router, jobs.router,
        feedback.router, tenancy.router,
        feed_router("metrics:read"),
    ]  # fmt: skip
    return assemble(runtime, "Worthwhile metrics", DESCRIPTION, routers, _lifespan)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    inbox = runtime.parts["inbox"]
    assert isinstance(inbox, Inbox)
    background = create_workers(runtime.settings, runtime.ledger, inbox.give_way)
    background.start()
    yield
    background.stop()
    inbox.close()
    group = runtime.parts["group_commit"]
    assert isinstance(group, GroupCommit)
    group.close()
    intake = runtime.parts["intake"]
    assert isinstance(intake, Intake)
    intake.flush()


def create_workers(
    settings: ServiceSettings, ledger: Ledger, give_way: Callable[[], None] = lambda: None
) -> Workers:
    """The workers of this service; `give_way` lets what comes in here go first."""
    assert isinstance(settings, MetricsSettings)
    reads_back = reads_back_of(settings, ledger)
    return workers.create_workers(ledger, reads_back, settings, give_way)


def _vault(settings: ServiceSettings) -> Vault:
    assert isinstance(settings, MetricsSettings)
    return Vault(settings.secrets_key.get_secret_value() if settings.secrets_key else None)


def reads_back_of(settings: ServiceSettings, ledger: Ledger) -> ReadsBack:
    """What reads sources back, with the vault and the limits that the settings give it."""
    assert isinstance(settings, MetricsSettings)
    return ReadsBack(ledger, _vault(settings), private=settings.private_connectors)


SERVICE = Service(
    name="metrics",
    settings=MetricsSettings,
    metadata=tables.metadata,
    projections=tables.PROJECTIONS,
    project=project,
    migrations=Path(__file__).parent / "migrations",
    create_app=create_app,
    create_workers=create_workers,
    beside=STAMP,
    object_to=overlapping,
    rebuild_beside=workers.rebuild_cells,
)
