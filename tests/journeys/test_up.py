"""`worthwhile up` as its user meets it: processes, files, the demonstration, clear refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from threading import Timer
from typing import Any, Self

import httpx
import pytest

from tests.support.samples import WIN_RATE, closed

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("up")
# Seven processes start one after the other; a busy machine takes its time over them.
START_SECONDS = 240


def free_ports() -> int:
    """A base from which three ports are free."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            base: int = probe.getsockname()[1]
        if base > 60_000:
            continue
        try:
            for port in (base, base + 1, base + 2):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "services.local", "--data-dir", str(folder), *options]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class Up:
    """The three services, running from the command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            command(folder, "--port-base", str(free_ports()), *options),
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        self._described = folder / "dev.json"
        while not self._described.exists():
            assert self.process.poll() is None, "up goes on"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.addresses: dict[str, str] = json.loads(self._described.read_text())
        headers = {"Authorization": f"Bearer {self.addresses['api_key']}"}
        self.client = httpx.Client(headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, path: str, service: str = "metrics") -> str:
        return self.addresses[service] + path

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=START_SECONDS)
        self._described.unlink(missing_ok=True)

    def pid_of(self, service: str) -> int:
        """The process of a service, found among the children."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_text().split("\0")
                    parent = int((entry / "stat").read_text().split()[3])
                except (OSError, ValueError):
                    continue
                if f"services.{service}" in line and parent == self.process.pid:
                    return int(entry.name)
        raise AssertionError(f"{service} runs")


def _won(number: int) -> dict[str, Any]:
    """A Pipedrive deal that is won."""
    now = {"id": number, "status": "won", "value": 10, "currency": "EUR", "stage_id": 2,
           "won_time": "2024-02-01T15:40:02Z"}  # fmt: skip
    meta = {"action": "change", "entity": "deal", "company_id": "7",
            "timestamp": "2024-02-01T15:40:03.000Z"}  # fmt: skip
    return {"data": now, "previous": {"status": "open"}, "meta": meta}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path / "data") as started:
        yield started


def test_the_file_for_developers_names_all_and_is_private(up: Up) -> None:
    described = up.folder / "dev.json"
    assert set(up.addresses) == {"goals", "metrics", "valuation", "api_key"}
    assert stat.S_IMODE(described.stat().st_mode) == 0o600
    for service in ("goals", "metrics", "valuation"):
        assert up.client.get(up.url("/readyz", service)).json()["ready"]
        assert up.client.get(up.url("/v1/feed", service)).status_code == 200
    assert (
        up.client.post(up.url("/v1/dev/clock"), json={"now": "2030-01-01T00:00:00Z"}).status_code
        == 404
    )


def test_whoever_is_impatient_leaves_no_service_running(tmp_path: Path) -> None:
    """A second Ctrl-C, or the one that make passes on, does not interrupt the stopping."""
    with Up(tmp_path / "data") as started:
        pids = [started.pid_of(service) for service in ("goals", "metrics", "valuation")]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            started.process.send_signal(number)
            time.sleep(0.01)
        assert started.process.wait(timeout=START_SECONDS) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_service_killed_in_mid_ingest_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Goal: each acknowledged event and delivery is there exactly once after kill -9 and a restart.

    Method: batches and a CRM's webhooks are pushed until the process is killed at a random moment;
    then everything is started again, what was delivered is translated, counted, and verified.
    """
    folder = tmp_path / "data"
    with Up(folder) as started:
        acknowledged, delivered = _push_until_killed(started)
        started.process.wait(timeout=START_SECONDS)
    with Up(folder) as again:
        found = _counted(again)
    assert len(set(found)) == len(found), "no event is there twice"
    assert set(acknowledged) <= set(found), "nothing acknowledged is lost"
    told = {identity.split("/")[2] for identity in found if "/deal/" in identity}
    assert {str(deal) for deal in delivered} <= told, "what was delivered became a fact"
    assert len([f for f in found if "/deal/" not in f]) % 20 == 0, "no batch is half there"
    environment = {**os.environ, "METRICS_DATABASE_URL": f"sqlite:///{folder}/metrics.db"}
    verified = subprocess.run(
        [sys.executable, "-m", "services.metrics", "verify"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, "intact" in verified.stdout) == (0, True)


def _push_until_killed(started: Up) -> tuple[list[str], list[int]]:
    """The events and the deals that were acknowledged before the service died."""
    made = started.client.post(started.url("/v1/sources"), json={"key": "pd", "kind": "pipedrive"})
    hook = made.json()["webhook_path"]
    acknowledged: list[str] = []
    delivered: list[int] = []
    kill = Timer(Random().random() / 10, os.kill, (started.pid_of("metrics"), signal.SIGKILL))
    try:
        for number in count():
            if number == 8:
                kill.start()
            batch = [closed(f"{number}/{i}", "2024-02-01") for i in range(20)]
            answer = started.client.post(started.url("/v1/events"), json=batch).json()
            acknowledged += [r["id"] for r in answer["results"] if r["status"] == "accepted"]
            if started.client.post(started.url(hook), json=_won(number)).status_code == 200:
                delivered.append(number)
    except httpx.TransportError:
        pass
    assert min(len(acknowledged) / 20, len(delivered)) >= 8
    return acknowledged, delivered


def _counted(started: Up) -> list[str]:
    """The ids of all events in a count, once what was delivered is translated."""
    body = {**WIN_RATE, "key": "n", "definition": WIN_RATE["definition"]["denominator"]}
    started.client.post(started.url("/v1/metrics"), json=body).raise_for_status()
    waiting = started.url("/v1/deliveries?state=received")
    while started.client.get(waiting).json()["items"]:
        time.sleep(0.2)
    found: list[str] = []
    cursor = ""
    while True:
        path = f"/v1/metrics/n/events?period=2024-Q1&limit=500{cursor}"
        page = started.client.get(started.url(path)).json()
        found += [e["id"] for e in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_the_demonstration_tells_its_story_twice_alike(tmp_path: Path) -> None:
    folder, base = tmp_path / "data", str(free_ports())
    first = run(folder, "--demo", "--once", "--port-base", base)
    assert first.returncode == 0, first.stdout + first.stderr
    for word in ("Win rate by quarter", "2025-Q4", "Baseline of 2023-Q2", "Goal: 35.0 %", "NPV",
                 "Payback", "/docs", "API key"):  # fmt: skip
        assert word in first.stdout
    again = run(folder, "--demo", "--once", "--port-base", base)
    summary = again.stdout[again.stdout.index("Nordwind") :]
    assert first.stdout.endswith(summary)
    assert "Nordwind" in run(folder, "--demo", "--once", "--port-base", str(free_ports())).stdout


def test_what_stands_in_the_way_is_said_in_one_sentence(tmp_path: Path) -> None:
    base = free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 1))
        taken.listen()
        refused = run(tmp_path / "a", "--once", "--port-base", str(base))
    assert refused.returncode == 1
    assert f"Port {base + 1} for metrics is taken" in refused.stdout
    outside = run(tmp_path / "a", "--once", "--host", "0.0.0.0", "--port-base", str(base))
    assert (outside.returncode, "reachable from outside" in outside.stdout) == (1, True)
    newer = tmp_path / "b"
    assert run(newer, "--once", "--port-base", str(base)).returncode == 0
    _pretend_newer(newer / "metrics.db")
    refused = run(newer, "--once", "--port-base", str(base))
    assert refused.returncode == 1
    assert "newer version" in " ".join(refused.stdout.split())
    mixed = run(newer, "--simulate", "--once", "--port-base", str(base))
    assert (mixed.returncode, "real time" in " ".join(mixed.stdout.split())) == (1, True)


def _pretend_newer(path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


def test_bound_to_the_world_without_keys_a_service_refuses_to_start(tmp_path: Path) -> None:
    environment: dict[str, Any] = {
        **os.environ, "GOALS_HOST": "0.0.0.0", "GOALS_DATABASE_URL": f"sqlite:///{tmp_path}/g.db",
    }  # fmt: skip
    refused = subprocess.run(
        [sys.executable, "-m", "services.goals", "serve"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=START_SECONDS,
        check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "without AUTH=keys only loopback is allowed" in refused.stderr
