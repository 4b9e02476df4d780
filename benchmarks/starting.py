"""From nothing to ready: what each service takes, in time and memory, as it is deployed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.machine import row, timed
from benchmarks.serving import START_SECONDS, free_port

TIMES = 3
MOST_MEGABYTES = 150
SERVICES = ("goals", "metrics", "valuation")
_IMPORTS = "import fastapi, sqlalchemy"


def bench_start() -> None:
    """Each service until it is ready, against the import of what it is built on."""
    peer = timed(lambda: subprocess.run([sys.executable, "-c", _IMPORTS], check=True), TIMES)
    with tempfile.TemporaryDirectory() as folder:
        for service in SERVICES:
            begun = [_begin(service, Path(folder)) for _ in range(TIMES)]
            seconds, megabytes = min(s for s, _ in begun), begun[-1][1]
            name = f"{service}: cold start, s | python -c '{_IMPORTS}'"
            row(name, f"{seconds:.2f}", f"{peer:.2f}", seconds / peer, "at most 3")
            if megabytes is not None:
                name = f"{service}: resident memory when ready, MB | {MOST_MEGABYTES}"
                ours = f"{megabytes:.0f}"
                row(name, ours, str(MOST_MEGABYTES), megabytes / MOST_MEGABYTES, "at most 1")


def _begin(service: str, folder: Path) -> tuple[float, float | None]:
    """Seconds from the start of a process until it is ready; then its resident megabytes."""
    prefix, port = service.upper(), free_port()
    address = f"sqlite:///{folder / service}.db"
    # With bytecode, as images have it, and as the packages have that it is held against.
    environment = {
        **os.environ, f"{prefix}_PORT": str(port), f"{prefix}_DATABASE_URL": address,
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": "",
    }  # fmt: skip
    command = [sys.executable, "-m", f"services.{service}"]
    subprocess.run([*command, "migrate"], env=environment, check=True, capture_output=True)
    started = time.perf_counter()
    process = subprocess.Popen([*command, "serve"], env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        with httpx.Client() as client:
            while not _is_ready(client, port):
                assert time.perf_counter() - started < START_SECONDS, f"{service} starts in time"
                time.sleep(0.01)
        return time.perf_counter() - started, _resident(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _is_ready(client: httpx.Client, port: int) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _resident(process: int) -> float | None:
    """Resident megabytes of a process, where the system tells them."""
    told = Path(f"/proc/{process}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", told.read_text()) if told.exists() else None
    return int(found[1]) / 1024 if found else None
