"""Forward-only migrations per service, run under a lock, and the rights that go with the tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import make_url

from shared.database import Database, tenant_tables
from shared.ledger.tables import APPEND_ONLY

# One number for "a migration of Worthwhile is running", so that two pods do not migrate at once.
_MIGRATION_LOCK = 7_206_401


class SchemaTooNew(Exception):
    """The database was written by a newer version than this one."""


def migrate(database: Database, folder: Path, metadata: MetaData, service_role: str | None) -> None:
    """Bring the database to the newest schema, then set triggers, rights and row security."""
    present = current_revision(database)
    if present not in {None, *known_revisions(folder)}:
        raise SchemaTooNew(
            f"The database is at schema {present}, which this version does not know: it was "
            "written by a newer version. Start that version, or use another database."
        )
    with database.write(None) as connection:
        if database.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _protect(connection, metadata, service_role)


def run_environment() -> None:
    """What every service's `migrations/env.py` does: run the steps on the connection given."""
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()


def known_revisions(folder: Path) -> list[str]:
    """All schema revisions of this version, newest first."""
    return [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]


def current_revision(database: Database) -> str | None:
    """The schema revision that the database is at."""
    with database.read(None) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_current(database: Database, folder: Path) -> bool:
    return current_revision(database) == known_revisions(folder)[0]


def _protect(connection: Connection, metadata: MetaData, service_role: str | None) -> None:
    if connection.dialect.name == "sqlite":
        _protect_sqlite(connection)
        return
    for table in APPEND_ONLY:
        _refuse_changes(connection, table)
    for table in tenant_tables(metadata):
        if table != "tenants":
            _isolate(connection, table)
    if service_role is not None:
        _grant(connection, metadata, service_role)


def _protect_sqlite(connection: Connection) -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {table}_refuse_{verb.lower()}"
                f" BEFORE {verb} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _refuse_changes(connection: Connection, table: str) -> None:
    connection.exec_driver_sql(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION '%% is append-only', TG_TABLE_NAME; END $$"
    )
    connection.exec_driver_sql(
        f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE"
        f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def _isolate(connection: Connection, table: str) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    connection.exec_driver_sql(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    connection.exec_driver_sql(f"DROP POLICY IF EXISTS own_tenant ON {table}")
    connection.exec_driver_sql(
        f"CREATE POLICY own_tenant ON {table} USING"
        " (tenant_id = nullif(current_setting('worthwhile.tenant', true), '')::uuid)"
    )
    # By statistics an organisation that came since they were made has no rows, so that any index
    # would do for it; without them the one that tells most is taken.
    connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN tenant_id SET STATISTICS 0")


def _grant(connection: Connection, metadata: MetaData, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {quoted}")
    connection.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {quoted}")
    for table in metadata.sorted_tables:
        rights = "SELECT, INSERT" if table.name in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"
        connection.exec_driver_sql(f"REVOKE ALL ON {table.name} FROM {quoted}")
        connection.exec_driver_sql(f"GRANT {rights} ON {table.name} TO {quoted}")


def service_role_of(service_url: str, owner_url: str) -> str | None:
    """The role that serves, where it is another than the one that owns the tables."""
    service, owner = make_url(service_url).username, make_url(owner_url).username
    return service if service != owner else None
