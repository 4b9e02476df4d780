"""`python -m services.metrics`: the metrics service's command line."""

from __future__ import annotations

import gc

# What is made while modules are imported stays; looking for what does not takes a fifth of a start.
gc.disable()

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from services.metrics.app import SERVICE, reads_back_of
from services.metrics.commands.credentials import create_key, create_tenant, find_tenant
from services.metrics.commands.loading import reconcile
from services.metrics.settings import MetricsSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import Refusal
from shared.ids import new_id
from shared.service import command_line
from shared.web.runtime import SCOPES

app = command_line(SERVICE)


@app.command(name="create-key")
def create_key_(
    tenant: Annotated[str, typer.Option(help="Readable key of the organisation; made when new")],
    name: Annotated[str, typer.Option(help="What the key is for")] = "first key",
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated")] = None,
    person: Annotated[str | None, typer.Option(help="The person who uses it")] = None,
) -> None:
    """Make an API key and print it with its tenant; it is shown this once."""
    from uuid import UUID

    scopes = scope or ["admin"]
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        typer.echo(f"worthwhile: no scope is named {', '.join(sorted(unknown))}.", err=True)
        raise typer.Exit(2)
    settings = SERVICE.settings()
    database, now = Database(settings.database_url), SystemClock().now()
    with database.write(None) as connection:
        tenant_id = create_tenant(connection, tenant, UUID(new_id()), now)
    with database.write(tenant_id) as connection:
        _, key = create_key(connection, tenant_id, name, scopes, now, person=person)
    typer.echo(f"{tenant_id} {key}")


@app.command(name="reconcile")
def reconcile_(
    tenant: Annotated[str, typer.Option(help="Readable key of the organisation")],
    source: Annotated[str, typer.Option(help="Key of the source")],
    since: Annotated[datetime, typer.Option(help="Moment (UTC) from which changes are read")],
) -> None:
    """Have a source read back for what was lost; a worker does it. Prints the job's id."""
    settings = SERVICE.settings()
    assert isinstance(settings, MetricsSettings)
    database, ledger = SERVICE.open(settings)
    with closing(database):
        with database.read(None) as connection:
            tenant_id = find_tenant(connection, tenant)
        if tenant_id is None:
            typer.echo(f"worthwhile: there is no organisation {tenant!r}.", err=True)
            raise typer.Exit(2)
        reads_back = reads_back_of(settings, ledger)
        try:
            with ledger.transaction(tenant_id, actor="command line") as transaction:
                job = reconcile(transaction, reads_back, source, since.replace(tzinfo=UTC))
        except Refusal as refusal:
            typer.echo(f"worthwhile: {refusal.detail}", err=True)
            raise typer.Exit(2) from refusal
    typer.echo(job.job_id)


if __name__ == "__main__":
    app(prog_name="worthwhile metrics")
