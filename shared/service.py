"""What every service's command line can do, from serve and migrate to export and import."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import typer
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import ColumnElement, MetaData, Table, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from shared.clock import Clock, SimulatedClock, SystemClock
from shared.database import Database, sqlite_path
from shared.errors import UNAVAILABLE, Refusal
from shared.ledger import Ledger
from shared.ledger.archive import export as export_ledger
from shared.ledger.archive import import_ as import_ledger
from shared.ledger.archive import register_tenant
from shared.ledger.rebuild import rebuild as rebuild_projections
from shared.ledger.rebuild import tenant_ids
from shared.ledger.tables import heads
from shared.ledger.transactions import Objecting, Projector, nothing_is_wrong
from shared.ledger.verify import verify as verify_ledger
from shared.migrations import (
    SchemaTooNew,
    current_revision,
    is_current,
    known_revisions,
    migrate,
    service_role_of,
)
from shared.settings import ServiceSettings
from shared.telemetry import set_up_logging
from shared.workers import Workers

SWITCH_SECONDS = 0.001
# Longer than those who ask keep a connection that rests (our own services 5 s, ingresses 60): who
# sends just when it is closed here would see it reset.
KEEP_ALIVE_SECONDS = 75
# Simulated time begins here where a ledger has no events yet.
SIMULATED_START = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Service:
    """What is particular to a service, for the verbs that all have."""

    name: str
    settings: type[ServiceSettings]
    metadata: MetaData
    projections: Sequence[Table]
    project: Projector
    migrations: Path
    create_app: Callable[[ServiceSettings, Database, Ledger], FastAPI]
    create_workers: Callable[[ServiceSettings, Ledger], Workers] | None = None
    # Columns about a `tenant` that are asked with the basis of every view.
    beside: Sequence[ColumnElement[Any]] = ()
    # What is wrong with new events of a batch, although their identity is new.
    object_to: Objecting = nothing_is_wrong
    # Makes anew what is kept beside the projections and comes from the ledger alone.
    rebuild_beside: Callable[[Ledger, UUID, Callable[[int, int], None]], None] | None = None

    def open(self, settings: ServiceSettings) -> tuple[Database, Ledger]:
        """The service's database and ledger under these settings."""
        path = sqlite_path(settings.database_url)
        if path is not None and not path.is_file():
            raise UNAVAILABLE.refusal(
                f"There is no database at {path}; `worthwhile {self.name} migrate` makes one."
            )
        database = Database(settings.database_url, prepares=settings.prepared_statements)
        clock = self._clock(settings, database)
        ledger = Ledger(
            database, clock, self.project, source=f"/{self.name}", simulated=settings.simulate,
            beside=self.beside, object_to=self.object_to,
        )  # fmt: skip
        return database, ledger

    def _clock(self, settings: ServiceSettings, database: Database) -> Clock:
        if not settings.simulate:
            return SystemClock()
        start = SIMULATED_START
        if current_revision(database) is not None:
            with database.read(None) as connection:
                for tenant_id in tenant_ids(connection):
                    with database.read(tenant_id) as own:
                        last = own.execute(
                            select(heads.c.recorded_at).where(heads.c.tenant_id == tenant_id)
                        ).scalar()
                    start = max(start, last or start)
        return SimulatedClock(start)

    def migrate(self, settings: ServiceSettings) -> None:
        """Bring the service's database to this version's schema."""
        path = sqlite_path(settings.owner_url)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        owner = Database(settings.owner_url)
        role = service_role_of(settings.database_url, settings.owner_url)
        try:
            migrate(owner, self.migrations, self.metadata, role)
        finally:
            owner.close()

    def ready_check(self, database: Database) -> Callable[[], str | None]:
        """Says what is wrong with the schema, or None."""

        def check() -> str | None:
            if is_current(database, self.migrations):
                return None
            expected = known_revisions(self.migrations)[0]
            return f"the schema is at {current_revision(database)}, this version needs {expected}"

        return check


def command_line(service: Service) -> typer.Typer:
    """The verbs of one service, whose modules are all imported by now."""
    gc.freeze()
    gc.enable()
    app = typer.Typer(
        help=f"The {service.name} service.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    _add_running(app, service)
    _add_care(app, service)
    _add_archive(app, service)
    return app


def _add_running(app: typer.Typer, service: Service) -> None:
    @app.command()
    def serve() -> None:
        """Answer HTTP until stopped."""
        import uvicorn

        with _clear_errors():
            settings = service.settings()
            set_up_logging(service.name, settings.log_level)
            config = uvicorn.Config(
                _assembled(service, settings),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=settings.shutdown_grace_seconds,
            )
            uvicorn.Server(config).run()

    if service.create_workers is not None:
        make = service.create_workers

        @app.command()
        def work() -> None:
            """Do the work that no request waits for, until stopped."""
            with _clear_errors():
                settings = service.settings()
                set_up_logging(service.name, settings.log_level)
                _, ledger = service.open(settings)
                workers = make(settings, ledger)
                settle_in()
                signal.signal(signal.SIGTERM, lambda *_: workers.stop())
                workers.start()
                workers.wait()

    @app.command(name="migrate")
    def migrate_() -> None:
        """Bring the database to this version's schema."""
        with _clear_errors():
            service.migrate(service.settings())


def _assembled(service: Service, settings: ServiceSettings) -> FastAPI:
    """The service ready to answer."""
    assembled = service.create_app(settings, *service.open(settings))
    settle_in()
    return assembled


def settle_in() -> None:
    """Make a process ready for its work, once all that stays was made."""
    gc.collect()
    gc.freeze()
    # A thread that waited for the database gets its turn this soon; meanwhile the database is idle.
    sys.setswitchinterval(SWITCH_SECONDS)


def _add_care(app: typer.Typer, service: Service) -> None:
    @app.command()
    def rebuild() -> None:
        """Build every projection anew from the ledger."""
        with _clear_errors():
            database, ledger = service.open(service.settings())
            for tenant_id in _tenants(database):
                with _progress(str(tenant_id)) as tell:
                    count = rebuild_projections(ledger, tenant_id, service.projections, tell)
                if service.rebuild_beside is not None:
                    with _progress(f"{tenant_id}, cells") as tell:
                        service.rebuild_beside(ledger, tenant_id, tell)
                typer.echo(f"{tenant_id}: {count} events")

    @app.command()
    def verify() -> None:
        """Walk every ledger's chain and name the first break, if there is one."""
        with _clear_errors():
            database, _ = service.open(service.settings())
            broken = False
            for tenant_id in _tenants(database):
                with database.read(tenant_id) as connection:
                    verdict = verify_ledger(connection, tenant_id)
                state = "intact" if verdict.intact else f"BROKEN: {verdict.broken}"
                typer.echo(f"{tenant_id}: {verdict.events} events, {state}")
                broken = broken or not verdict.intact
        if broken:
            raise typer.Exit(1)


def _add_archive(app: typer.Typer, service: Service) -> None:
    @app.command()
    def export(tenant: UUID) -> None:
        """Write a tenant's ledger to standard output, one JSON object a line."""
        with _clear_errors():
            database, _ = service.open(service.settings())
            with database.read(tenant) as connection:
                for line in export_ledger(connection, tenant, service.name):
                    sys.stdout.buffer.write(line)

    @app.command(name="import")
    def import_(tenant: UUID) -> None:
        """Read an exported ledger from standard input into a tenant that has none."""
        with _clear_errors():
            database, ledger = service.open(service.settings())
            with database.write(None) as connection:
                register_tenant(connection, tenant, str(tenant), {"created_at": ledger.clock.now()})
            with _progress("events") as tell:
                count = import_ledger(ledger, tenant, service.name, sys.stdin.buffer, tell)
            rebuild_projections(ledger, tenant, service.projections)
            typer.echo(f"{count} events imported")


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, and what moves it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _tenants(database: Database) -> list[UUID]:
    with database.read(None) as connection:
        return tenant_ids(connection)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """One sentence instead of a stack trace, for what an operator can mend."""
    try:
        yield
    except SchemaTooNew as error:
        _fail(str(error))
    except Refusal as error:
        _fail(error.detail)
    except (ArgumentError, NoSuchModuleError) as error:
        _fail(f"The database's address can't be read: {error}")
    except ValidationError as error:
        _fail("; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors()))


def _fail(sentence: str) -> None:
    typer.echo(f"worthwhile: {sentence}", err=True)
    raise typer.Exit(1)
