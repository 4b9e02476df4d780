"""Workers: each task is done by one process at a time, again and again, and yields to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from services.metrics.app import SERVICE
from services.metrics.settings import MetricsSettings
from shared.database import Database
from shared.workers import Task, Workers, leases
from tests.support.house import Databases


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    urls = databases.make()
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    opened, _ = SERVICE.open(settings)
    yield opened
    opened.close()


class Steps:
    """A task that is counted; it has more to do until it is told that there is nothing."""

    def __init__(self) -> None:
        self.count, self.more, self.takes = 0, True, 0.0
        self.done = threading.Event()

    def __call__(self) -> bool:
        until = time.thread_time() + self.takes
        while time.thread_time() < until:
            pass
        self.count += 1
        self.done.set()
        return self.more


@contextmanager
def working(
    database: Database, step: Callable[[], bool], pause: float = 0.01, **more: float
) -> Iterator[None]:
    workers = Workers(database, [Task("test", step, pause, **more)])
    workers.start()
    yield
    workers.stop()


def test_a_task_is_done_by_one_process_until_its_lease_is_over(database: Database) -> None:
    first, second = Steps(), Steps()
    with working(database, first):
        assert first.done.wait(10)
        with working(database, second):
            time.sleep(0.3)
            assert (first.count > 1, second.count) == (True, 0)
    before = first.count
    with working(database, second):
        assert not second.done.wait(0.2)
        with database.write(None) as connection:
            over = {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}
            connection.execute(update(leases).values(over))
        assert second.done.wait(10)
    assert first.count == before


def test_a_task_that_finds_nothing_rests_longer_than_it_looked(database: Database) -> None:
    idle = Steps()
    idle.more, idle.takes = False, 0.1
    with working(database, idle, rest=20):
        assert idle.done.wait(10)
        time.sleep(1.0)
        assert idle.count == 1


def test_a_task_that_found_something_looks_again_soon(database: Database) -> None:
    found = Steps()
    with working(database, found, pause=60, first_pause_seconds=0.01):
        assert found.done.wait(10)
        found.more = False
        for _ in range(3):
            found.done.clear()
            assert found.done.wait(10)


def test_pauses_grow_from_the_first_to_the_longest() -> None:
    task = Task("test", lambda: False, 0.5, 10, first_pause_seconds=0.1)
    assert [task.pause_after(pause, 0.0) for pause in (0.0, 0.1, 0.2, 0.4)] == [0.1, 0.2, 0.4, 0.5]
    assert task.pause_after(0.0, 0.2) == 2.0
    assert Task("test", lambda: False, 0.5).pause_after(0.0, 9.0) == 0.5


def test_a_task_that_fails_is_tried_again(database: Database) -> None:
    tried = Steps()

    def fails_once() -> bool:
        if not tried():
            return False
        tried.more = False
        tried.done.clear()
        raise LookupError("the first time")

    with working(database, fails_once):
        assert tried.done.wait(10)
        tried.done.clear()
        assert tried.done.wait(10)
    assert tried.count >= 2
