"""The ledger's laws, on both databases."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from services.metrics import tables
from services.metrics.app import SERVICE
from services.metrics.settings import MetricsSettings
from shared import chain
from shared.clock import SystemClock
from shared.database import Database
from shared.errors import Refusal
from shared.events import NewEvent
from shared.ledger import Ledger, View
from shared.ledger.archive import export, import_, read_all, register_tenant
from shared.ledger.rebuild import rebuild
from shared.ledger.tables import events
from shared.ledger.verify import verify
from shared.web.feed import read_page
from tests.support.house import Databases

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def opened(databases: Databases) -> Iterator[tuple[Database, Ledger]]:
    urls = databases.make()
    settings_ = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings_)
    database, ledger = SERVICE.open(settings_)
    yield database, ledger
    database.close()


@pytest.fixture
def ledger(opened: tuple[Database, Ledger]) -> Ledger:
    return opened[1]


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


def fact(identity: str, **changes: Any) -> NewEvent:
    base = NewEvent(
        source="/crm",
        event_id=identity,
        name="crm.lead.created",
        occurred_at=NOW,
        data=chain.canonical_json({"channel": "web"}),
    )
    return replace(base, **changes)


def append(ledger: Ledger, tenant: UUID, *new: NewEvent) -> list[str]:
    with ledger.transaction(tenant) as transaction:
        return [outcome.status for outcome in transaction.append(new)]


def names(view: View) -> list[str]:
    rows = view.connection.execute(
        select(events.c.event_id)
        .where(events.c.tenant_id == view.tenant_id, events.c.position <= view.position)
        .order_by(events.c.position)
    )
    return list(rows.scalars())


def test_the_first_event_of_a_ledger_says_which_clock_it_keeps(
    ledger: Ledger, tenant: UUID
) -> None:
    append(ledger, tenant, fact("a"))
    with ledger.view(tenant) as view:
        first = read_all(view.connection, tenant)[0]
    assert (first.position, first.name, first.data) == (1, "ledger.opened", '{"clock":"system"}')


def test_the_same_event_twice_is_stored_once(ledger: Ledger, tenant: UUID) -> None:
    assert append(ledger, tenant, fact("a")) == ["accepted"]
    assert append(ledger, tenant, fact("a"), fact("b"), fact("b")) == [
        "duplicate", "accepted", "duplicate",
    ]  # fmt: skip
    with ledger.view(tenant) as view:
        assert names(view) == ["opened", "a", "b"]
        assert view.position == 3


def test_other_content_under_a_known_identity_is_a_conflict(ledger: Ledger, tenant: UUID) -> None:
    append(ledger, tenant, fact("a"))
    changed = fact("a", data=chain.canonical_json({"channel": "fair"}))
    assert append(ledger, tenant, changed, fact("c")) == ["conflict", "accepted"]


def test_personal_values_stand_beside_the_row_and_decide_what_is_a_duplicate(
    ledger: Ledger, tenant: UUID
) -> None:
    said = fact("a", personal={"text": "She was kind"})
    assert append(ledger, tenant, said) == ["accepted"]
    assert append(ledger, tenant, said) == ["duplicate"]
    assert append(ledger, tenant, replace(said, personal={"text": "No"})) == ["conflict"]
    with ledger.database.write(tenant) as connection:
        assert "kind" not in read_all(connection, tenant)[1].data
        connection.execute(
            text("UPDATE personal SET value = NULL, salt = NULL WHERE tenant_id = :t"),
            {"t": tenant if ledger.database.is_postgresql else tenant.hex},
        )
        assert verify(connection, tenant).intact, "erasing a personal value keeps the chain"


def test_a_stream_counts_its_revisions_and_refuses_a_taken_one(
    ledger: Ledger, tenant: UUID
) -> None:
    append(ledger, tenant, fact("a", stream="goal/1", revision=1))
    with pytest.raises(Refusal, match="stale"):
        append(ledger, tenant, fact("b", stream="goal/1", revision=1))
    assert append(ledger, tenant, fact("b", stream="goal/1", revision=2)) == ["accepted"]
    with ledger.view(tenant) as view:
        assert [e.event_id for e in view.stream("goal/1")] == ["a", "b"]
        assert verify(view.connection, tenant).intact


def test_the_database_itself_refuses_to_change_or_delete_events(
    ledger: Ledger, tenant: UUID
) -> None:
    append(ledger, tenant, fact("a"))
    for table in ("events", "batches"):
        for statement in (f"UPDATE {table} SET recorded_at = 0", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError), ledger.database.write(tenant) as connection:
                connection.execute(text(statement))


def test_even_the_owner_of_the_tables_is_stopped_by_a_trigger(databases: Databases) -> None:
    urls = databases.make()
    settings_ = MetricsSettings(database_url=urls.owner)
    SERVICE.migrate(settings_)
    database, ledger = SERVICE.open(settings_)
    tenant = uuid4()
    append(ledger, tenant, fact("a"))
    with (
        pytest.raises(DBAPIError, match="append-only"),
        database.write(tenant) as connection,
    ):
        connection.execute(text("DELETE FROM events"))
    database.close()


def test_a_connection_that_forgets_its_filter_sees_no_other_tenant(
    ledger: Ledger, tenant: UUID, databases: Databases
) -> None:
    if databases.kind != "postgresql":
        pytest.skip("row-level security is PostgreSQL's")
    append(ledger, tenant, fact("a"))
    stranger = uuid4()
    append(ledger, stranger, fact("b"))
    with ledger.database.read(stranger) as connection:
        seen = connection.execute(select(events.c.tenant_id).distinct()).scalars().all()
        assert seen == [stranger]
    with ledger.database.read(None) as connection:
        assert connection.execute(select(events.c.position)).all() == []


def test_verify_names_the_event_that_was_tampered_with(databases: Databases) -> None:
    urls = databases.make()
    settings_ = MetricsSettings(database_url=urls.owner)
    SERVICE.migrate(settings_)
    database, ledger = SERVICE.open(settings_)
    tenant = uuid4()
    append(ledger, tenant, fact("a"), fact("b"))
    append(ledger, tenant, fact("c"))
    with database.write(tenant) as connection:
        assert verify(connection, tenant).intact
        _disarm(connection, database)
        connection.execute(text("UPDATE events SET data = '{}' WHERE position = 3"))
        verdict = verify(connection, tenant)
    assert not verdict.intact
    assert verdict.broken == "event 3 was changed"
    database.close()


def _disarm(connection: Any, database: Database) -> None:
    """Take the guards away, as somebody with the server's own rights could."""
    if database.is_postgresql:
        connection.execute(text("ALTER TABLE events DISABLE TRIGGER events_append_only"))
    else:
        connection.execute(text("DROP TRIGGER events_refuse_update"))


def test_a_basis_names_a_state_and_a_wrong_root_is_refused(ledger: Ledger, tenant: UUID) -> None:
    append(ledger, tenant, fact("a"))
    with ledger.view(tenant) as view:
        token = view.basis.token
    append(ledger, tenant, fact("b"))
    with ledger.view(tenant, basis=token) as view:
        assert names(view) == ["opened", "a"]
    position = token.partition("-")[0]
    for wrong in (f"{position}-0000000000000000", "99-" + token[-16:], "x", "1-", f"{position}"):
        with pytest.raises(Refusal, match="unknown-basis"), ledger.view(tenant, basis=wrong):
            pass


def test_known_at_cuts_on_the_recording_time(ledger: Ledger, tenant: UUID) -> None:
    append(ledger, tenant, fact("a"))
    with ledger.view(tenant) as view:
        assert view.basis.recorded_at is not None
        moment = view.basis.recorded_at
    append(ledger, tenant, fact("b"))
    with ledger.view(tenant, known_at=moment) as view:
        assert names(view) == ["opened", "a"]
        assert not view.open
    with ledger.view(tenant, known_at=moment - timedelta(microseconds=1)) as view:
        assert names(view) == []
    with ledger.view(tenant) as view:
        assert names(view) == ["opened", "a", "b"]
        assert view.open


def test_a_ledger_of_simulated_time_is_not_extended_in_real_time(
    ledger: Ledger, tenant: UUID
) -> None:
    simulated = Ledger(
        ledger.database, SystemClock(), ledger.project, source="/metrics", simulated=True
    )
    append(simulated, tenant, fact("a"))
    with pytest.raises(Refusal, match="simulated"):
        append(ledger, tenant, fact("b"))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), writers=st.integers(2, 4))
def test_writers_that_stall_and_die_leave_no_gap_and_readers_skip_and_repeat_nothing(
    ledger: Ledger, seed: int, writers: int
) -> None:
    """Goal: what a reader of the feed sees is every committed event once, in order.

    Method: writers append batches, stall at random under the lock and roll back at random, while
    a reader polls the feed and asks the bases that it was given once more at the end.
    """
    tenant = uuid4()
    committed: list[str] = []
    finished = threading.Event()
    seen: list[tuple[int, str]] = []
    bases: dict[str, list[str]] = {}

    def write(number: int) -> None:
        chance = random.Random(seed + number)
        for batch in range(4):
            new = [fact(f"{number}/{batch}/{i}") for i in range(chance.randint(1, 3))]
            try:
                with ledger.transaction(tenant) as transaction:
                    transaction.append(new)
                    time.sleep(chance.choice([0, 0, 0.004]))
                    if chance.random() < 0.25:
                        raise InterruptedError
                committed.extend(e.event_id for e in new)
            except InterruptedError:
                continue

    def read() -> None:
        after = None
        while True:
            last_round = finished.is_set()
            page = read_page(ledger, tenant, after, 1_000)
            seen.extend((line.position, line.id) for line in page.lines)
            if page.lines:
                after = page.next
                with ledger.view(tenant, basis=after) as view:
                    bases[after] = names(view)
            if last_round and not page.more:
                return

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    reader = threading.Thread(target=read)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    reader.join()
    assert [position for position, _ in seen] == list(range(1, len(seen) + 1))
    assert sorted(i for _, i in seen if i != "opened") == sorted(committed)
    for token, found in bases.items():
        with ledger.view(tenant, basis=token) as view:
            assert names(view) == found
    with ledger.view(tenant) as view:
        assert verify(view.connection, tenant).intact


def test_an_exported_ledger_imports_with_the_same_bases_and_projections(
    ledger: Ledger, tenant: UUID, databases: Databases
) -> None:
    append(ledger, tenant, fact("a", sequence="1"), fact("p", personal={"text": "private"}))
    append(ledger, tenant, fact("a", sequence="2", data="{}"))
    with ledger.database.read(tenant) as connection:
        lines = list(export(connection, tenant, "metrics"))
        before = _projections(connection, tenant)
    with ledger.view(tenant) as view:
        token = view.basis.token
    urls = databases.make()
    settings_ = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings_)
    database, other = SERVICE.open(settings_)
    with database.write(None) as connection:
        register_tenant(connection, tenant, "imported", {"created_at": NOW})
    assert import_(other, tenant, "metrics", lines) == 4
    rebuild(other, tenant, tables.PROJECTIONS)
    with other.view(tenant, basis=token) as view:
        assert names(view) == ["opened", "a", "p", "a"]
        assert _projections(view.connection, tenant) == before
        assert list(export(view.connection, tenant, "metrics")) == lines
    with pytest.raises(Refusal, match="ledger already"):
        import_(other, tenant, "metrics", lines)
    database.close()


def test_an_import_whose_events_do_not_fit_its_chain_changes_nothing(
    ledger: Ledger, tenant: UUID
) -> None:
    append(ledger, tenant, fact("a"), fact("b"))
    with ledger.database.read(tenant) as connection:
        lines = list(export(connection, tenant, "metrics"))
    stranger = uuid4()
    with ledger.database.write(None) as connection:
        register_tenant(connection, stranger, str(stranger), {"created_at": NOW})
    forged = [line.replace(b'"web', b'"fax').replace(b"web", b"fax") for line in lines]
    with pytest.raises(Refusal, match="chain"):
        import_(ledger, stranger, "metrics", forged)
    with ledger.view(stranger) as view:
        assert names(view) == []


def test_rebuilt_projections_are_the_very_same_rows(ledger: Ledger, tenant: UUID) -> None:
    for number in range(5):
        append(ledger, tenant, fact("a", sequence=str(number), data=f'{{"n":{number}}}'))
        append(ledger, tenant, fact(f"b{number}", occurred_at=NOW - timedelta(days=number)))
    with ledger.database.read(tenant) as connection:
        before = _projections(connection, tenant)
    assert before["excluded"]
    rebuild(ledger, tenant, tables.PROJECTIONS)
    with ledger.database.read(tenant) as connection:
        assert _projections(connection, tenant) == before


def _projections(connection: Any, tenant: UUID) -> dict[str, list[Any]]:
    return {
        table.name: sorted(
            map(repr, connection.execute(select(table).where(table.c.tenant_id == tenant)))
        )
        for table in tables.PROJECTIONS
    }
