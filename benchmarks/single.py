"""A client that sends single events over many connections; run in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from uuid import uuid4

from benchmarks.made import cloudevents

SECONDS = 5.0


async def _client(
    host: str, port: int, head: bytes, bodies: list[bytes], found: list[float]
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    ends = time.perf_counter() + SECONDS
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


async def _run(host: str, port: int, path: str, key: str, clients: int) -> list[float]:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
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
        work.append(_client(host, port, head, bodies, found))
    await asyncio.gather(*work)
    return found


def main() -> None:
    host, port, path, key, clients = sys.argv[1:]
    found = sorted(asyncio.run(_run(host, int(port), path, key, int(clients))))
    summary = {"rate": len(found) / SECONDS, "p99": found[int(len(found) * 0.99)]}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
