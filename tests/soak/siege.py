"""A siege of the metrics service: load from several senders, kills at random, then a reckoning."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from services.metrics.app import SERVICE
from services.metrics.settings import MetricsSettings
from tests.support.house import SECRETS_KEY, Databases, House
from tests.support.postgresql import PostgreSQL, free_port
from tests.support.samples import closed

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
BATCH = 20


@dataclass
class Told:
    """What the senders were told: each entry was answered with a success."""

    events: list[str] = field(default_factory=list)
    deals: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


class Service:
    """The metrics service as a process that can be killed."""

    def __init__(self, environment: dict[str, str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.metrics", "serve"], cwd=ROOT, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert self.process.poll() is None, "the service starts"
            assert time.monotonic() < deadline, "the service starts in time"
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Senders:
    """Three that never tire: batches, single events and a CRM's webhooks."""

    def __init__(self, url: str, key: str, hook: str, told: Told) -> None:
        self._url, self._hook, self._told = url, hook, told
        self._headers = {"Authorization": f"Bearer {key}"}
        self._stop = threading.Event()
        work = (self._batches, self._singles, self._webhooks)
        self._threads = [threading.Thread(target=self._go_on, args=(one,)) for one in work]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, send: Any) -> None:
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=15) as client:
            while not self._stop.is_set():
                try:
                    answer = send(client, uuid4().hex[:12])
                    if answer is not None:
                        self._told.refused[str(answer.status_code)] += 1
                        time.sleep(0.05)
                except httpx.TransportError:
                    time.sleep(0.02)

    def _batches(self, client: httpx.Client, run: str) -> httpx.Response | None:
        batch = [closed(f"b/{run}/{n}", "2024-02-01") for n in range(BATCH)]
        answer = client.post("/v1/events", json=batch)
        if answer.status_code != 200:
            return answer
        results = answer.json()["results"]
        self._told.events += [r["id"] for r in results if r["status"] == "accepted"]
        return None

    def _singles(self, client: httpx.Client, run: str) -> httpx.Response | None:
        answer = client.post("/v1/events", json=closed(f"s/{run}", "2024-02-01"))
        if answer.status_code != 201:
            return answer
        self._told.events.append(f"s/{run}")
        return None

    def _webhooks(self, client: httpx.Client, run: str) -> httpx.Response | None:
        now = {"id": run, "status": "won", "value": 10, "currency": "EUR", "stage_id": 2,
               "won_time": "2024-02-01T15:40:02Z"}  # fmt: skip
        meta = {"action": "change", "entity": "deal", "company_id": "7",
                "timestamp": "2024-02-01T15:40:03.000Z"}  # fmt: skip
        body = {"data": now, "previous": {"status": "open"}, "meta": meta}
        answer = client.post(self._hook, json=body)
        if answer.status_code != 200:
            return answer
        self._told.deals.append(run)
        return None


def besiege(databases: Databases, rounds: int, seed: int) -> Told:
    """Kill the service, or its PostgreSQL, so many times under load; then reckon up.

    Asserts that all that was answered with a success is in the ledger exactly once, that no batch
    is half there, that each delivery became its fact, and that the chain is whole.
    """
    chance, told, port = random.Random(seed), Told(), free_port()
    urls = databases.make()
    settings = MetricsSettings(database_url=urls.service, migration_database_url=urls.owner)
    SERVICE.migrate(settings)
    database, ledger = SERVICE.open(settings)
    key = House(database, {"metrics": ledger}).key().key
    database.close()
    environment = {
        **os.environ, "METRICS_DATABASE_URL": urls.service, "METRICS_PORT": str(port),
        "METRICS_MIGRATION_DATABASE_URL": urls.owner, "METRICS_SECRETS_KEY": SECRETS_KEY,
    }  # fmt: skip
    service, hook = Service(environment, port), ""
    headers = {"Authorization": f"Bearer {key}"}
    made = httpx.post(f"{service.url}/v1/sources", headers=headers,
                      json={"key": "pd", "kind": "pipedrive"})  # fmt: skip
    hook = made.json()["webhook_path"]
    for _ in range(rounds):
        senders = Senders(service.url, key, hook, told)
        try:
            time.sleep(chance.uniform(0.2, 1.2))
            if databases.server is not None and chance.random() < 0.5:
                _kill_the_database(databases.server, chance)
            service.kill()
            service = Service(environment, port)
            time.sleep(chance.uniform(0.1, 0.4))
        finally:
            senders.stop()
    _reckon(service, headers, told)
    service.kill()
    verified = subprocess.run(
        [sys.executable, "-m", "services.metrics", "verify"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, "intact" in verified.stdout) == (0, True), verified.stdout
    return told


def _kill_the_database(server: PostgreSQL, chance: random.Random) -> None:
    """Kill PostgreSQL and start it again; the service lives on and heals by itself."""
    server.kill()
    time.sleep(chance.uniform(0.0, 0.3))
    server.start()
    time.sleep(chance.uniform(0.3, 1.0))


def _reckon(service: Service, headers: dict[str, str], told: Told) -> None:
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        deadline = time.monotonic() + START_SECONDS
        while client.get("/v1/deliveries?state=received").json()["items"]:
            assert time.monotonic() < deadline, "all deliveries are translated"
            time.sleep(0.1)
        assert client.get("/v1/deliveries?state=quarantined").json()["items"] == []
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"more": True}
        while page["more"]:
            after = {"after": page["next"]} if found else {}
            page = client.get("/v1/feed", params=after).json()
            found += page["items"]
    assert told.refused.keys() <= {"503"}, "the only refusal is: not now"
    facts = Counter(e["id"] for e in found if e["type"] == "crm.opportunity.closed")
    assert set(facts.values()) == {1}, "nothing is there twice"
    assert set(told.events) <= facts.keys(), "nothing acknowledged is lost"
    deals = {identity.split("/")[2] for identity in facts if "/deal/" in identity}
    assert set(told.deals) <= deals, "what was delivered became a fact"
    batches = Counter(identity.split("/")[1] for identity in facts if identity.startswith("b/"))
    assert set(batches.values()) == {BATCH}, "no batch is half there"
