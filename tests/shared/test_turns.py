"""SQLite's writers take turns: nobody who waits is passed by."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from shared import database
from shared.database import Database
from shared.errors import Refusal


def test_writers_go_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """One that writes again and again, without pause, keeps the others waiting for one turn."""
    opened, order = Database(f"sqlite:///{tmp_path}/a.db"), list[int]()

    def write(number: int) -> None:
        with opened.write(None):
            order.append(number)

    with opened.write(None):
        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=write, args=(number,)))
            threads[-1].start()
            time.sleep(0.02)
        assert order == []
    write(99)
    for thread in threads:
        thread.join()
    opened.close()
    assert (order[:5], order[5]) == ([0, 1, 2, 3, 4], 99)


def test_a_writer_that_waits_too_long_is_told_so_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Database(f"sqlite:///{tmp_path}/a.db")
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.1)
    told: list[str] = []

    def write() -> None:
        try:
            with opened.write(None):
                told.append("written")
        except Refusal as refusal:
            told.append(refusal.problem.slug)

    with opened.write(None):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    write()
    opened.close()
    assert told == ["unavailable", "written"]
