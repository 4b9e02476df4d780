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
        self.count, self.more = 0, True
        self.done = threading.Event()

    def __call__(self) -> bool:
        self.count += 1
        self.done.set()
        return self.more


@contextmanager
def working(
    database: Database, step: Callable[[], bool | float], pause: float = 0.01
) -> Iterator[None]:
    workers = Workers(database, [Task("test", step, pause)])
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


def test_a_task_that_found_something_goes_on_at_once(database: Database) -> None:
    found = Steps()
    with working(database, found, pause=60):
        for _ in range(3):
            assert found.done.wait(10)
            found.done.clear()


def test_a_task_that_finds_nothing_rests(database: Database) -> None:
    idle = Steps()
    idle.more = False
    with working(database, idle, pause=60):
        assert idle.done.wait(10)
        time.sleep(0.5)
        assert idle.count == 1


def test_a_task_may_say_when_there_may_be_more(database: Database) -> None:
    asked = threading.Event()

    def soon() -> float:
        asked.set()
        return 0.01

    with working(database, soon, pause=60):
        for _ in range(3):
            assert asked.wait(10)
            asked.clear()


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
