"""Group commit: each sender is answered after the commit, and none can stall the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from services.metrics.app import SERVICE
from services.metrics.settings import MetricsSettings
from shared.errors import Refusal
from shared.group_commit import MAX_WAITING_EVENTS, SMALL_BATCH, GroupCommit, RefusedWhole
from shared.ledger import Ledger
from shared.ledger.tables import batches
from tests.shared.test_ledger import fact, names
from tests.support.house import Databases

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def ledger(databases: Databases) -> Iterator[Ledger]:
    urls = databases.make()
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    database, opened = SERVICE.open(settings)
    yield opened
    database.close()


async def test_many_appends_of_one_tenant_are_each_answered_with_their_own(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    alone = [group.append(tenant, [fact(str(n)), fact("shared")]) for n in range(50)]
    large = group.append(
        tenant, [fact(f"of {SMALL_BATCH + 1}: {n}") for n in range(SMALL_BATCH + 1)]
    )
    *outcomes, batch = await asyncio.gather(*alone, large)
    assert all(o[0].status == "accepted" for o in outcomes)
    assert sum(o[1].status == "accepted" for o in outcomes) == 1
    assert [o.status for o in batch] == ["accepted"] * (SMALL_BATCH + 1)
    group.close()
    with ledger.view(tenant) as view:
        assert len(names(view)) == 52 + len(batch)


async def test_whoever_comes_while_the_lock_is_waited_for_goes_along(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    await group.append(tenant, [fact("first")])
    with ledger.transaction(tenant):
        waiting = [
            asyncio.ensure_future(group.append(tenant, [fact(f"waits {n}")])) for n in range(5)
        ]
        await asyncio.sleep(0.2)
    await asyncio.gather(*waiting)
    group.close()
    with ledger.database.read(tenant) as connection:
        found = connection.execute(select(batches).where(batches.c.tenant_id == tenant)).all()
    assert [(b.first_position, b.last_position) for b in found] == [(1, 2), (3, 7)]


async def test_a_sender_that_gives_up_stalls_nobody(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    for _ in range(20):
        gives_up = asyncio.ensure_future(group.append(tenant, [fact(str(uuid4()))]))
        await asyncio.sleep(0)
        gives_up.cancel()
    kept = await group.append(tenant, [fact("kept")])
    assert kept[0].status == "accepted"
    group.close()


async def test_an_atomic_batch_with_a_conflict_stores_nothing(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    await group.append(tenant, [fact("a")])
    clash = [fact("b"), fact("a", data="{}")]
    with pytest.raises(RefusedWhole):
        await group.append(tenant, clash, atomic=True)
    with ledger.view(tenant) as view:
        assert names(view) == ["opened", "a"]
    group.close()


async def test_what_can_not_be_stored_is_told_to_all_that_wait_for_it(ledger: Ledger) -> None:
    def fails(*_: object) -> None:
        raise LookupError("the projection is broken")

    group = GroupCommit(Ledger(ledger.database, ledger.clock, fails, source="/metrics"))
    tenant = uuid4()
    asked = [group.append(tenant, [fact(str(n))]) for n in range(3)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in told] == [LookupError] * 3
    with ledger.view(tenant) as view:
        assert names(view) == []
    group.close()


async def test_the_end_of_an_iterator_in_a_projection_is_told_as_well(ledger: Ledger) -> None:
    def ends(*_: object) -> None:
        next(iter(()))

    group = GroupCommit(Ledger(ledger.database, ledger.clock, ends, source="/metrics"))
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(group.append(uuid4(), [fact("a")]), 30)
    group.close()


async def test_a_lock_that_is_not_to_be_had_is_told_to_those_who_waited_for_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes in the last moment has a transaction of their own to wait for."""
    group, tenant = GroupCommit(ledger), uuid4()
    entered, may_fail = asyncio.Event(), threading.Event()
    loop, real = asyncio.get_running_loop(), ledger.transaction

    def fails(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(ledger, "transaction", real)
        loop.call_soon_threadsafe(entered.set)
        may_fail.wait(30)
        raise LookupError("no lock")

    monkeypatch.setattr(ledger, "transaction", fails)
    first = asyncio.ensure_future(group.append(tenant, [fact("first")]))
    await entered.wait()
    second = asyncio.ensure_future(group.append(tenant, [fact("second")]))
    await asyncio.sleep(0.05)
    may_fail.set()
    told = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(told[0], LookupError)
    assert not isinstance(told[1], BaseException)
    assert [outcome.status for outcome in told[1]] == ["accepted"]
    group.close()


async def test_who_comes_when_the_service_stops_is_told_so(ledger: Ledger) -> None:
    group = GroupCommit(ledger)
    group.close()
    for _ in range(2):
        with pytest.raises(Refusal, match="stopping"):
            await asyncio.wait_for(group.append(uuid4(), [fact("a")]), 30)


async def test_more_than_fits_in_memory_is_refused_before_it_is_taken(ledger: Ledger) -> None:
    group = GroupCommit(ledger)
    with pytest.raises(Refusal, match="too-many-requests"):
        await group.append(uuid4(), [fact("a")] * (MAX_WAITING_EVENTS + 1))
    group.close()
