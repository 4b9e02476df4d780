"""Group commit: each sender is answered after the commit, and none can stall the others."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from services.metrics.app import SERVICE
from services.metrics.settings import MetricsSettings
from shared.errors import Refusal
from shared.group_commit import MAX_WAITING_EVENTS, GroupCommit, RefusedWhole
from shared.ledger import Ledger
from tests.shared.test_ledger import fact, names
from tests.support.house import Databases


@pytest.fixture(scope="module")
def ledger(databases: Databases) -> Iterator[Ledger]:
    urls = databases.make()
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    database, opened = SERVICE.open(settings)
    yield opened
    database.close()


def test_many_appends_of_one_tenant_are_each_answered_with_their_own(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    waiting = [group.submit(tenant, [fact(str(n)), fact("shared")]) for n in range(50)]
    outcomes = [w.result(timeout=30) for w in waiting]
    assert all(o[0].status == "accepted" for o in outcomes)
    assert sum(o[1].status == "accepted" for o in outcomes) == 1
    group.close()
    with ledger.view(tenant) as view:
        assert len(names(view)) == 52


def test_a_sender_that_gives_up_stalls_nobody(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    for _ in range(20):
        group.submit(tenant, [fact(str(uuid4()))]).cancel()
    kept = group.submit(tenant, [fact("kept")]).result(timeout=30)
    assert kept[0].status == "accepted"
    group.close()


def test_an_atomic_batch_with_a_conflict_stores_nothing(ledger: Ledger) -> None:
    group, tenant = GroupCommit(ledger), uuid4()
    group.submit(tenant, [fact("a")]).result(timeout=30)
    clash = [fact("b"), fact("a", data="{}")]
    with pytest.raises(RefusedWhole):
        group.submit(tenant, clash, atomic=True).result(timeout=30)
    with ledger.view(tenant) as view:
        assert names(view) == ["opened", "a"]
    group.close()


def test_more_than_fits_in_memory_is_refused_before_it_is_taken(ledger: Ledger) -> None:
    group = GroupCommit(ledger)
    with pytest.raises(Refusal, match="too-many-requests"):
        group.submit(uuid4(), [fact("a")] * (MAX_WAITING_EVENTS + 1))
    group.close()
