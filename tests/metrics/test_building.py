"""The builder of cells: what it builds, when it looks again, and whom it does not wait for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from services.metrics import workers
from services.metrics.replay.cells.build import Folded, built_segments, drop_cells, fold_next
from services.metrics.replay.cells.series import Series
from services.metrics.workers import Building
from shared.ledger import Ledger, View
from tests.support.house import House, Key
from tests.support.samples import WON, closed

SEGMENT = 4


@pytest.fixture
def ledger(house: House) -> Ledger:
    return house.ledgers["metrics"]


def define(key: Key, name: str) -> None:
    body = {"key": name, "name": name, "unit": "count", "definition": WON, "dimensions": [name]}
    key.post("metrics", "/v1/metrics", body)


def push(key: Key, name: str, count: int) -> None:
    key.events(*(closed(f"{name}{n}", "2024-01-10") for n in range(count)))


def segments(ledger: Ledger, key: Key) -> list[int]:
    """How many segments of each series are built."""
    with ledger.database.read(key.tenant_id) as connection:
        return sorted(built_segments(connection, key.tenant_id).values())


def build(building: Building, key: Key) -> None:
    while building.build_some(key.tenant_id):
        pass


def head(ledger: Ledger, key: Key) -> int:
    with ledger.view(key.tenant_id) as view:
        return view.position


def test_each_segment_is_built_once_it_is_whole(house: House, key: Key, ledger: Ledger) -> None:
    define(key, "region")
    building = Building(ledger, SEGMENT)
    push(key, "a", -head(ledger, key) % SEGMENT + SEGMENT)
    assert building.build_some(key.tenant_id) > 0
    whole = head(ledger, key) // SEGMENT
    assert segments(ledger, key) == [whole]
    push(key, "b", SEGMENT - 1)
    assert building.build_some(key.tenant_id) == 0
    push(key, "c", 1)
    assert building.build_some(key.tenant_id) > 0
    assert segments(ledger, key) == [whole + 1]


def test_a_new_metric_is_built_for_without_new_events(
    house: House, key: Key, ledger: Ledger
) -> None:
    define(key, "region")
    push(key, "a", 2 * SEGMENT)
    building = Building(ledger, SEGMENT)
    build(building, key)
    push(key, "b", (SEGMENT - 2 - head(ledger, key)) % SEGMENT)
    before = segments(ledger, key)
    define(key, "owner")
    build(building, key)
    assert segments(ledger, key) == before * 2


def test_what_lacks_nothing_is_not_asked_again(
    house: House, key: Key, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(key, "region")
    push(key, "a", 2 * SEGMENT)
    building = Building(ledger, SEGMENT)
    build(building, key)
    asked: list[object] = []
    monkeypatch.setattr(workers, "fold_next", lambda *args: asked.append(args))
    assert building.build_some(key.tenant_id) == 0
    assert asked == []


def test_dropped_cells_are_built_again_after_a_while(
    house: House, key: Key, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "FORGETTING_SECONDS", 0.0)
    monkeypatch.setattr(workers, "_tenants", lambda ledger: [key.tenant_id])
    define(key, "region")
    push(key, "a", 2 * SEGMENT)
    building = Building(ledger, SEGMENT)
    build(building, key)
    before = segments(ledger, key)
    with ledger.database.write(key.tenant_id) as connection:
        drop_cells(connection, key.tenant_id)
    while building.step() == 0:
        pass
    assert segments(ledger, key) == before != []


def test_whoever_is_idle_is_looked_at_seldom_and_makes_no_other_wait(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, *idle = [uuid4() for _ in range(20)]
    monkeypatch.setattr(workers, "_tenants", lambda ledger: [busy, *idle])
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "thread_time", lambda: now)
    looks: list[tuple[UUID, float]] = []

    def look(tenant_id: UUID) -> int:
        nonlocal now
        looks.append((tenant_id, now))
        now += 0.001
        # Somebody's segment is whole five times a second.
        return int(tenant_id == busy and int(now * 5) != int((now - 0.02) * 5))

    building = Building(ledger, SEGMENT)
    monkeypatch.setattr(building, "build_some", look)
    while now < 1_030.0:
        now += building.step()
    late = [(tenant_id, at) for tenant_id, at in looks if at > 1_020.0]
    times = [at for tenant_id, at in late if tenant_id == busy]
    assert max(after - before for before, after in pairwise(times)) < 0.04
    # An idle one half a second after the last time, as soon as it stood still for long enough.
    for tenant_id in idle:
        assert 15 <= sum(one == tenant_id for one, _ in late) <= 20


def test_whoever_has_no_whole_segment_is_looked_at_ever_less_often_with_others(
    key: Key, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_tenants", lambda ledger: [key.tenant_id])
    monkeypatch.setattr(workers, "ASKING_SECONDS", 1_000.0)
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0.01)
    # As if there were thousands of them.
    monkeypatch.setattr(workers, "IDLE_SHARE", 1e-6)
    push(key, "a", 1)
    building = Building(ledger)
    rests = []
    for _ in range(5):
        rests.append(building.step())
        time.sleep(0.02)
    assert max(rests) > 1


def test_a_dear_look_puts_nobody_to_sleep(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    tenants = [uuid4() for _ in range(100)]
    monkeypatch.setattr(workers, "_tenants", lambda ledger: tenants)
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "thread_time", lambda: now)
    seen: dict[UUID, list[float]] = {tenant_id: [] for tenant_id in tenants}

    building = Building(ledger, SEGMENT)

    def look(tenant_id: UUID) -> int:
        nonlocal now
        building._stand[tenant_id] = (0, None)
        # The first look of all reads much; later ones only where the ledger stands.
        now += 0.0003 if seen[tenant_id] else 0.02
        seen[tenant_id].append(now)
        return 0

    monkeypatch.setattr(building, "build_some", look)
    while now < 1_030.0:
        now += building.step()
    assert max(b - a for times in seen.values() for a, b in pairwise(times)) < 3
    late = sum(at > 1_020 for times in seen.values() for at in times)
    assert late * 0.0003 / 10 < 0.025


def test_trouble_of_one_organisation_is_not_that_of_others(
    house: House, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [house.key(), house.key()]
    for key in keys:
        define(key, "region")
        push(key, "a", 2 * SEGMENT)
    monkeypatch.setattr(workers, "_tenants", lambda ledger: sorted(k.tenant_id for k in keys))
    troubled = min(keys, key=lambda key: key.tenant_id)

    tried: list[UUID] = []

    def failing(view: View, wanted: Sequence[Series], segment_size: int) -> Folded:
        tried.append(view.tenant_id)
        if view.tenant_id == troubled.tenant_id:
            raise LookupError("as if its rules could not be read")
        return fold_next(view, wanted, segment_size)

    monkeypatch.setattr(workers, "fold_next", failing)
    building = Building(ledger, SEGMENT)
    while building.step() == 0:
        pass
    assert tried.count(troubled.tenant_id) == 1
    assert [bool(segments(ledger, key)) for key in keys] == [key is not troubled for key in keys]
