"""Migrations: they make exactly the tables that the code reads, guarded, and can run again."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from services.goals.app import SERVICE as GOALS
from services.metrics.app import SERVICE as METRICS
from services.valuation.app import SERVICE as VALUATION
from shared.database import Database
from shared.migrations import SchemaTooNew, is_current
from tests.support.house import Databases, Urls

SERVICES = [GOALS, METRICS, VALUATION]


def settings_of(service: Any, urls: Urls) -> Any:
    return service.settings(database_url=urls.service, migration_database_url=urls.owner)


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
def test_the_migrated_schema_is_the_one_that_the_code_reads(
    databases: Databases, service: Any
) -> None:
    urls = databases.make()
    service.migrate(settings_of(service, urls))
    database = Database(urls.owner)
    with database.read(None) as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, service.metadata) == []
    database.close()


def test_a_service_is_not_ready_until_its_schema_is_there_and_migrating_again_is_harmless(
    databases: Databases,
) -> None:
    urls = databases.make()
    database = Database(urls.service)
    check = METRICS.ready_check(database)
    assert "this version needs" in str(check())
    for _ in range(2):
        METRICS.migrate(settings_of(METRICS, urls))
        assert check() is None
    with database.read(None) as connection:
        if databases.kind == "sqlite":
            query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
            assert connection.execute(text(query)).scalar() == 4
        else:
            query = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%_append_only'"
            assert connection.execute(text(query)).scalar() == 2
    database.close()


def test_no_statistics_tell_whose_rows_there_are(databases: Databases) -> None:
    """By statistics who came since has none, and a planner would read all of theirs each time."""
    if databases.server is None:
        pytest.skip("SQLite keeps no statistics unless it is told to")
    urls, tenant = databases.make(), str(uuid4())
    METRICS.migrate(settings_of(METRICS, urls))
    database = urls.owner.rpartition("/")[2]
    with psycopg.connect(databases.server.url(database, "postgres")) as connection:
        connection.execute("INSERT INTO heads VALUES (%s, 0, 0, '', false)", (tenant,))
        connection.execute("ANALYZE heads")
        found = connection.execute("SELECT attname FROM pg_stats WHERE tablename = 'heads'")
        told = {name for (name,) in found}
    assert "position" in told
    assert "tenant_id" not in told


def test_two_that_migrate_at_once_do_not_hinder_each_other(databases: Databases) -> None:
    urls = databases.make()
    failed: list[BaseException] = []

    def migrate() -> None:
        try:
            VALUATION.migrate(settings_of(VALUATION, urls))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    database = Database(urls.service)
    assert is_current(database, VALUATION.migrations)
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(databases: Databases) -> None:
    urls = databases.make()
    GOALS.migrate(settings_of(GOALS, urls))
    owner = Database(urls.owner)
    with owner.write(None) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    owner.close()
    with pytest.raises(SchemaTooNew, match="newer version"):
        GOALS.migrate(settings_of(GOALS, urls))


def test_the_serving_role_may_not_truncate_or_own_the_ledger(databases: Databases) -> None:
    if databases.kind != "postgresql":
        pytest.skip("roles are PostgreSQL's")
    urls = databases.make()
    METRICS.migrate(settings_of(METRICS, urls))
    database = Database(urls.service)
    with database.read(None) as connection:
        rights = connection.execute(
            text(
                "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
                " WHERE grantee = current_user AND table_name IN ('events', 'batches')"
            )
        ).all()
    assert {tuple(r) for r in rights} == {
        (table, right) for table in ("events", "batches") for right in ("SELECT", "INSERT")
    }
    database.close()
