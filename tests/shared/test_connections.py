"""PostgreSQL's connections: those that were lost while they rested are replaced unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Integer, bindparam, select, text

from shared import database
from shared.asking import ask_together
from shared.database import Database
from shared.errors import Refusal
from tests.support.postgresql import SERVICE, PostgreSQL


@pytest.fixture
def opened(postgresql: PostgreSQL) -> Iterator[Database]:
    made = Database(postgresql.url(postgresql.create(), SERVICE))
    yield made
    made.close()


def _pid(connection: Connection) -> int:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver.info.backend_pid


def test_a_connection_that_rests_is_used_again(opened: Database) -> None:
    with opened.read(None) as one:
        first = _pid(one)
    with opened.write(uuid4()) as another:
        assert _pid(another) == first


def test_connections_that_were_cut_while_they_rested_are_replaced(
    opened: Database, postgresql: PostgreSQL
) -> None:
    with opened.read(None) as one, opened.read(None) as another:
        cut = {_pid(one), _pid(another)}
    for pid in cut:
        postgresql.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    with opened.read(None) as one, opened.read(None) as another:
        assert cut.isdisjoint({_pid(one), _pid(another)})


def test_one_that_rested_long_is_asked_whether_it_still_stands(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened.read(None) as one:
        first = _pid(one)
    asked, ask = list[str](), psycopg.Connection.execute

    def watched(driver: psycopg.Connection[Any], query: str) -> psycopg.Cursor[Any]:
        if driver.info.backend_pid == first:
            asked.append(query)
        return ask(driver, query.encode())

    monkeypatch.setattr(psycopg.Connection, "execute", watched)
    with opened.read(None) as again:
        assert (_pid(again), asked) == (first, [])
    monkeypatch.setattr(database, "RESTED_SECONDS", -1)
    with opened.read(None) as again:
        assert (_pid(again), asked) == (first, [""])


def test_one_that_is_cut_while_it_works_is_told_so_and_the_next_is_new(
    opened: Database, postgresql: PostgreSQL
) -> None:
    def cut() -> None:
        with opened.write(None) as connection:
            postgresql.execute(f"SELECT pg_terminate_backend({_pid(connection)}, 5000)")
            connection.execute(text("SELECT 1"))

    with pytest.raises(Refusal, match="unavailable"):
        cut()
    with opened.write(None) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


@pytest.mark.parametrize("tenant", [None, uuid4()])
def test_a_transaction_sees_its_tenant_alone_and_a_reader_writes_nothing(
    opened: Database, tenant: UUID | None
) -> None:
    asked = text(
        "SELECT current_setting('worthwhile.tenant'), current_setting('transaction_read_only'),"
        " current_setting('transaction_isolation'), current_setting('lock_timeout')"
    )
    with opened.write(uuid4()):
        pass
    name = str(tenant or "")
    with opened.read(tenant) as connection:
        assert connection.execute(asked).one() == (name, "on", "repeatable read", "5s")
    with opened.write(tenant) as connection:
        assert connection.execute(asked).one() == (name, "off", "read committed", "5s")
    with opened.engine.connect() as connection:
        left = text("SELECT current_setting('worthwhile.tenant', true)")
        assert connection.execute(left).scalar() in (None, "")


def asked_as_through_a_pooler(made: Database) -> list[int]:
    """The answers to a question of which PostgreSQL forgets what was prepared, as poolers do."""
    question = select(bindparam("number", type_=Integer)), {"number": 7}
    found = []
    for _ in range(3):
        with made.read(None) as connection:
            ((answer,),) = ask_together(connection, [question])[0]
            found.append(answer)
            connection.execute(text("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"))
    return found


def test_a_pooler_that_keeps_nothing_prepared_is_named_or_done_without(
    opened: Database,
) -> None:
    with pytest.raises(Refusal, match="PREPARED_STATEMENTS=false"):
        asked_as_through_a_pooler(opened)
    plain = Database(opened.url, prepares=False)
    assert asked_as_through_a_pooler(plain) == [7, 7, 7]
    plain.close()
