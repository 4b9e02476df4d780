"""Starting, watching and stopping the three services on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.web.client import Peer

SERVICES = ("goals", "metrics", "valuation")
READY_SECONDS = 60
STOP_SECONDS = 25
STATE_FILE = "state.json"
LOCK_FILE = "lock"


class CannotStart(Exception):
    """Why the services can't be started, in one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the services live: folder, address and ports."""

    folder: Path
    host: str
    port_base: int

    def port(self, service: str) -> int:
        return self.port_base + SERVICES.index(service)

    def url(self, service: str) -> str:
        return f"http://{self.host}:{self.port(service)}"


class State:
    """What a data folder remembers between starts; readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_FILE
        self.content: dict[str, Any] = {}
        if self._path.exists():
            self.content = json.loads(self._path.read_text())

    def save(self, **changes: Any) -> None:
        self.content |= changes
        write_private(self._path, self.content)


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that it appears whole, and only its owner can read it."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a data folder, so that two do not serve the same databases."""
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart(
                f"{folder} is in use by another `worthwhile up`; end that one, or choose another "
                "--data-dir."
            ) from error
        yield


def clear(folder: Path) -> None:
    """Remove what a demonstration that was cut off has left, but the lock that is held."""
    for path in folder.iterdir():
        if path.name != LOCK_FILE:
            path.unlink()


class Services:
    """The three processes."""

    def __init__(self, place: Place, *, simulate: bool) -> None:
        self.place = place
        self.state = State(place.folder)
        self._simulate = simulate
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self) -> None:
        """Check ports, bring the databases up to date, and make keys where there are none."""
        for service in SERVICES:
            _demand_free(self.place, service)
        for service in SERVICES:
            self._run(service, "migrate")
        if "api_key" not in self.state.content:
            tenant_id, key = self._create_key("local development")
            _, worker = self._create_key("background work", "metrics:read", "goals:read")
            self.state.save(api_key=key, tenant_id=tenant_id, service_key=worker)

    def _create_key(self, name: str, *scopes: str) -> tuple[str, str]:
        wanted = [f"--scope={scope}" for scope in scopes]
        said = self._run("metrics", "create-key", "--tenant=local", f"--name={name}", *wanted)
        tenant_id, key = said.split()
        return tenant_id, key

    def _run(self, service: str, *verb: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", f"services.{service}", *verb],
            env=self._environment(service),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotStart(done.stderr.strip().removeprefix("worthwhile: ")[-2_000:])
        return done.stdout

    def start(self) -> None:
        """Start all three; returns when all are ready."""
        # Metrics first: the others ask it as soon as they run.
        for service in ("metrics", "goals", "valuation"):
            log = (self.place.folder / f"{service}.log").open("ab")
            self._processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}", "serve"],
                env=self._environment(service),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        for service in SERVICES:
            peer = Peer(service, self.place.url(service))
            while not peer.is_ready():
                if self._processes[service].poll() is not None or time.monotonic() > deadline:
                    raise CannotStart(f"{service} did not start: {self._last_words(service)}")
                time.sleep(0.05)
            peer.close()

    def _last_words(self, service: str) -> str:
        lines = (self.place.folder / f"{service}.log").read_text(errors="replace").splitlines()
        return lines[-1][:500] if lines else "it said nothing"

    def fallen(self) -> str | None:
        """The name of a service that has stopped by itself, if one has."""
        return next((s for s, p in self._processes.items() if p.poll() is not None), None)

    def stop(self) -> None:
        """Let all three finish what is in flight."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _environment(self, service: str) -> dict[str, str]:
        if "secrets_key" not in self.state.content:
            key = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            self.state.save(secrets_key=key, simulated=self._simulate)
        prefix, place = service.upper(), self.place
        content = self.state.content
        own = {
            "HOST": place.host,
            "PORT": str(place.port(service)),
            "DATABASE_URL": f"sqlite:///{place.folder / service}.db",
            "SIMULATE": str(self._simulate).lower(),
            "METRICS_URL": place.url("metrics"),
            "GOALS_URL": place.url("goals"),
        }
        if service == "metrics":
            own["SECRETS_KEY"] = content["secrets_key"]
        if "service_key" in content:
            own["SERVICE_KEYS"] = json.dumps({content["tenant_id"]: content["service_key"]})
        given = {f"{prefix}_{name}": value for name, value in own.items()}
        # What the operator has set wins over these defaults.
        return {
            **given,
            **os.environ,
            **{k: v for k, v in given.items() if k.endswith(("_PORT", "_URL"))},
        }


def _demand_free(place: Place, service: str) -> None:
    port = place.port(service)
    with socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((place.host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} for {service} is taken on {place.host} ({error.strerror}); choose "
                "others with --port-base."
            ) from error
