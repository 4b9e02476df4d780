"""Load over many connections: by wrk where it is installed, else by clients of our own.

Our own need much of a core for themselves, and find the service slower than it is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.made import cloudevents

SECONDS = 5
WARM_UP_SECONDS = 1
_SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests a second were answered, and the time within which 99 % of them were."""

    rate: float
    p99: float


def put_load(ports: Sequence[int], path: str, key: str, clients: int) -> Load:
    """As many clients as said, spread over the processes that serve; each waits for its answer."""
    _put_load(ports, path, key, clients, WARM_UP_SECONDS)
    return _put_load(ports, path, key, clients, SECONDS)


def push_batches(port: int, key: str, clients: int, seconds: int, events: int) -> Load | None:
    """Batches of so many events, one after the other by each client; None without wrk."""
    if not has_wrk():
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        items = cloudevents(events, 3)
        json.dump([{**item, "id": f"@RUN@/{n}"} for n, item in enumerate(items)], file)
        file.flush()
        return _told([_wrk(port, "/v1/events", key, clients, seconds, file.name)])


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


def _wrk(
    port: int, path: str, key: str, clients: int, seconds: int, *more: str
) -> subprocess.Popen[str]:
    command = [
        "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(_SCRIPT),
        f"http://127.0.0.1:{port}{path}", "--", key, uuid4().hex[:12], *more,
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _put_load(ports: Sequence[int], path: str, key: str, clients: int, seconds: int) -> Load:
    each = clients // len(ports)
    if has_wrk():
        return _told([_wrk(port, path, key, each, seconds) for port in ports])
    own = [sys.executable, "-m", "benchmarks.load"]
    told = [path, key, str(each), str(seconds)]
    return _told(
        [
            subprocess.Popen([*own, str(port), *told], stdout=subprocess.PIPE, text=True)
            for port in ports
        ]
    )


def _told(running: Sequence[subprocess.Popen[str]]) -> Load:
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    assert all(one["failed"] == 0 for one in told), told
    return Load(sum(one["rate"] for one in told), max(one["p99"] for one in told))


async def _client(
    port: int, head: bytes, bodies: list[bytes], seconds: int, found: list[float]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ends = time.perf_counter() + seconds
    for body in bodies:
        started = time.perf_counter()
        if started > ends:
            break
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in answer.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        assert answer.split(b" ")[1] in (b"200", b"201"), answer.decode()
        found.append(time.perf_counter() - started)
    writer.close()


async def _run(port: int, path: str, key: str, clients: int, seconds: int) -> list[float]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/cloudevents+json\r\n"
    ).encode()
    items, run = cloudevents(4_000, 7), uuid4().hex
    found: list[float] = []
    work = []
    for number in range(clients):
        bodies = [
            json.dumps({**item, "id": f"{run}/{number}/{n}"}).encode()
            for n, item in enumerate(items)
        ]
        work.append(_client(port, head, bodies, seconds, found))
    await asyncio.gather(*work)
    return found


def main() -> None:
    port, path, key, clients, seconds = sys.argv[1:]
    found = sorted(asyncio.run(_run(int(port), path, key, int(clients), int(seconds))))
    rate, p99 = len(found) / int(seconds), found[int(len(found) * 0.99)]
    print(json.dumps({"rate": rate, "p99": p99, "failed": 0}))


if __name__ == "__main__":
    main()
