"""What all tests share: both databases, the house on each, and a fresh tenant per test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.house import Databases, House, Key, open_house
from tests.support.postgresql import PostgreSQL

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("house")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    yield server
    server.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Both databases, one after the other: every test that asks for this runs on each."""
    with tempfile.TemporaryDirectory() as folder:
        server = None
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql")
        yield Databases(request.param, Path(folder), server)


@pytest.fixture(scope="session")
def house(databases: Databases) -> Iterator[House]:
    """The three services, on each database."""
    with open_house(databases) as opened:
        yield opened


@pytest.fixture
def key(house: House) -> Key:
    """An administrator of a fresh tenant."""
    return house.key()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data beside the checkout; without it the tests that read it skip."""
    folder = Path(os.environ.get("WORTHWHILE_TEST_DATA", DATA))
    if not folder.is_dir():
        pytest.skip(f"the real data are not at {folder}")
    return folder
