"""A few rounds of the siege that `make soak` repeats for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.siege import besiege
from tests.support.house import Databases
from tests.support.postgresql import PostgreSQL

ROUNDS = 6
pytestmark = pytest.mark.xdist_group("up")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_was_acknowledged_survives_kills_of_service_and_database(
    kind: str, tmp_path: Path
) -> None:
    server = PostgreSQL() if kind == "postgresql" else None
    try:
        told = besiege(Databases(kind, tmp_path, server), ROUNDS, seed=1)
    finally:
        if server is not None:
            server.stop()
    assert min(len(told.events), len(told.deals)) > ROUNDS
