"""The three services over real sockets in this process, on either database."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import httpx
import uvicorn
from fastapi import FastAPI

from services.goals.app import SERVICE as GOALS
from services.goals.settings import GoalsSettings
from services.metrics.app import SERVICE as METRICS
from services.metrics.commands.credentials import create_key, create_tenant
from services.metrics.settings import MetricsSettings
from services.valuation.app import SERVICE as VALUATION
from services.valuation.settings import ValuationSettings
from shared.database import Database
from shared.ledger import Ledger
from shared.service import KEEP_ALIVE_SECONDS
from tests.support.postgresql import OWNER, SERVICE, PostgreSQL

SECRETS_KEY = "ZmFrZS1rZXktZm9yLXRlc3RzLW9ubHktMzItYnl0ZSE="
START_SECONDS = 20


@dataclass
class Urls:
    """Addresses of one service's database."""

    service: str
    owner: str


@dataclass
class Databases:
    """Makes databases of one kind."""

    kind: str
    folder: Path
    server: PostgreSQL | None = None
    count: int = 0

    def make(self) -> Urls:
        self.count += 1
        if self.server is None:
            url = f"sqlite:///{self.folder / f'{self.count}.db'}"
            return Urls(url, url)
        name = self.server.create()
        return Urls(self.server.url(name, SERVICE), self.server.url(name, OWNER))


class Running:
    """A service that answers on a port of its own."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app, port=0, log_config=None, access_log=False, timeout_keep_alive=KEEP_ALIVE_SECONDS
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            assert self._thread.is_alive(), "the service starts"
            assert time.monotonic() < deadline, "the service starts in time"
            time.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)


class Answering(Protocol):
    """A service that answers, in this process or in another."""

    port: int
    url: str

    def stop(self) -> None: ...


@dataclass
class House:
    """The three services and their parts."""

    metrics_database: Database
    ledgers: dict[str, Ledger]
    running: Mapping[str, Answering] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for service, running in self.running.items():
            self.clients[service] = httpx.Client(base_url=running.url, timeout=60)

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def url(self, service: str) -> str:
        return self.running[service].url

    def key(self, tenant: str | None = None, *scopes: str, person: str | None = None) -> Key:
        """A key of a tenant (a new one unless named) with these scopes (all unless named)."""
        name = tenant or f"tenant-{uuid4().hex[:12]}"
        now = datetime.now(UTC)
        with self.metrics_database.write(None) as connection:
            tenant_id = create_tenant(connection, name, uuid4(), now)
        with self.metrics_database.write(tenant_id) as connection:
            _, key = create_key(
                connection, tenant_id, "test", scopes or ("admin",), now, person=person
            )
        return Key(self, tenant_id, key, name)


class Key:
    """A credential with which the services are asked."""

    def __init__(self, house: House, tenant_id: UUID, key: str, tenant: str = "") -> None:
        self.house, self.tenant_id, self.key, self.tenant = house, tenant_id, key, tenant
        self._headers = {"Authorization": f"Bearer {key}"}

    def send(self, method: str, service: str, path: str, **content: Any) -> httpx.Response:
        headers = {**self._headers, **content.pop("headers", {})}
        return self.house.clients[service].request(method, path, headers=headers, **content)

    def get(self, service: str, path: str, **params: Any) -> Any:
        """The body of an answer that must be a success."""
        response = self.send("GET", service, path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, service: str, path: str, body: Any = None, **content: Any) -> Any:
        """The body of an answer that must be a success."""
        response = self.send("POST", service, path, json=body, **content)
        assert response.status_code < 300, response.text
        return response.json()

    def refused(self, status: int, method: str, service: str, path: str, **content: Any) -> Any:
        """The problem of an answer that must be a refusal."""
        response = self.send(method, service, path, **content)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        return response.json()

    def job(self, path: str, body: Any) -> Any:
        """Begin a job at metrics and wait for its end; what the job shows then."""
        return self.finished(self.send("POST", "metrics", path, json=body))

    def finished(self, begun: httpx.Response) -> Any:
        """A job that an answer has begun, as it shows itself at its end."""
        assert begun.status_code == 202, begun.text
        assert begun.headers["location"] == f"/v1/jobs/{begun.json()['id']}"
        return self.wait_for(begun.headers["location"])

    def wait_for(self, path: str) -> Any:
        """A job once it has ended."""
        deadline = time.monotonic() + 60
        while True:
            found = self.get("metrics", path)
            if found["state"] in ("done", "failed"):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def events(self, *events: dict[str, Any]) -> Any:
        """Push events as a batch; all must be accepted."""
        answer = self.post("metrics", "/v1/events", list(events))
        assert answer["accepted"] == len(events), answer
        return answer


@contextlib.contextmanager
def open_house(databases: Databases, *, simulate: bool = False) -> Iterator[House]:
    """Migrate, start and, at the end, stop all three."""
    ledgers: dict[str, Ledger] = {}
    running: dict[str, Running] = {}
    opened: list[Database] = []
    configured: dict[str, Any] = {}

    def start(service: Any, settings: Any) -> None:
        configured[service.name] = settings
        service.migrate(settings)
        database, ledgers[service.name] = service.open(settings)
        opened.append(database)
        running[service.name] = Running(
            service.create_app(settings, database, ledgers[service.name])
        )

    def common() -> dict[str, Any]:
        urls = databases.make()
        return {
            "database_url": urls.service,
            "migration_database_url": urls.owner,
            "simulate": simulate,
        }

    try:
        start(METRICS, MetricsSettings(**common(), secrets_key=SECRETS_KEY,
                                       private_connectors=True, reconcile_minutes=0))  # fmt: skip
        metrics_url = running["metrics"].url
        start(GOALS, GoalsSettings(**common(), metrics_url=metrics_url))
        start(
            VALUATION,
            ValuationSettings(**common(), metrics_url=metrics_url, goals_url=running["goals"].url),
        )
        house = House(opened[0], ledgers, running, configured)
        yield house
        house.close()
    finally:
        for service in reversed(running.values()):
            service.stop()
        for database in opened:
            database.close()
