"""The metrics service in a process of its own, with a route that does nothing beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import Annotated

import httpx
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from sqlalchemy import select

from services.metrics.app import SERVICE, create_app
from services.metrics.domain.cloudevents import read_cloudevent
from services.metrics.domain.types import CANONICAL
from services.metrics.settings import MetricsSettings
from shared.database import Database
from shared.service import settle_in
from shared.telemetry import set_up_logging
from shared.web.routes import add_routes, strict_json
from shared.web.routes import router as make_router
from shared.web.runtime import Caller, writes
from shared.workers import leases
from tests.support.house import SECRETS_KEY, Urls

START_SECONDS = 30


def _environment(urls: Urls) -> dict[str, str]:
    return {
        **os.environ, "METRICS_DATABASE_URL": urls.service,
        "METRICS_MIGRATION_DATABASE_URL": urls.owner, "METRICS_SECRETS_KEY": SECRETS_KEY,
    }  # fmt: skip


class Working:
    """`worthwhile metrics work` in a process of its own, which has the lease for building cells."""

    def __init__(self, urls: Urls, database: Database) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.metrics", "work"], env=_environment(urls)
        )
        deadline = time.monotonic() + START_SECONDS
        while not _is_led(database):
            assert time.monotonic() < deadline, "the worker starts in time"
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def _is_led(database: Database) -> bool:
    with database.read(None) as connection:
        found = connection.execute(select(leases).where(leases.c.task == "metrics.cells"))
        return found.one_or_none() is not None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Serving:
    """The process, for as long as it is measured."""

    def __init__(self, urls: Urls) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {**_environment(urls), "METRICS_PORT": str(self.port)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving"], env=environment
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            assert time.monotonic() < deadline, "the service starts in time"
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def _no_op() -> APIRouter:
    router = make_router("bench")

    @router.post("/no-op", response_model=None)
    async def no_op(
        request: Request, caller: Annotated[Caller, Depends(writes("events:write"))]
    ) -> Response:
        read_cloudevent(strict_json(await request.body()), CANONICAL, caller.runtime.clock.now())
        return Response(b'{"status":"accepted"}', 201, media_type="application/json")

    return router


def app() -> FastAPI:
    settings = MetricsSettings()
    made = create_app(settings, *SERVICE.open(settings))
    add_routes(made, _no_op())
    return made


if __name__ == "__main__":
    set_up_logging("bench", "warning")
    port = int(os.environ["METRICS_PORT"])
    serving = app()
    settle_in()
    uvicorn.Server(uvicorn.Config(serving, port=port, log_config=None, access_log=False)).run()
