"""HubSpot's batches at a steady rate: how long each waits for its answer while we translate.

Run as a process of its own, it sends on time whatever the service does, so that a slow answer
counts from when its request was due.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from uuid import uuid4

import httpx

from benchmarks.machine import row
from tests.support.house import House, Key

RATE, SECONDS, NOTIFICATIONS = 50, 20, 100
PUBLIC_URL = "https://hooks.example.com/hubspot"
SECRET = "the-client-secret-of-the-app"  # noqa: S105 - of no app
REACH_SECONDS = 1.0


def bench_webhooks(kind: str, house: House, key: Key) -> None:
    """Batches of 100 notifications at 50 requests a second, against one second at p99."""
    made = key.post(
        "metrics", "/v1/sources",
        {"key": "hubspot", "kind": "hubspot", "secrets": [SECRET], "public_url": PUBLIC_URL},
    )  # fmt: skip
    address = house.url("metrics") + made["webhook_path"]
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.webhooks", address],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(said.stdout)
    name = f"{kind}: HubSpot batches of {NOTIFICATIONS} at {found['rate']:.0f}/s, p99 ms | 1 s"
    ours = found["p99"]
    row(name, f"{ours * 1e3:.0f}", f"{REACH_SECONDS * 1e3:.0f}", ours / REACH_SECONDS, "at most 1")
    assert found["refused"] == 0, f"{found['refused']} deliveries were refused"
    lasted, begun = SECONDS, time.perf_counter()
    while key.get("metrics", "/v1/deliveries", state="received")["items"]:
        time.sleep(0.2)
    behind = time.perf_counter() - begun
    name = f"{kind}: seconds until all {RATE * SECONDS:,} were translated | they were sent in"
    row(name, f"{lasted + behind:.0f}", f"{lasted}", (lasted + behind) / lasted, "printed only")


def _body(number: int, run: str) -> bytes:
    """Notifications about twenty deals: each is made, then changed four times."""
    now = int(time.time() * 1_000)
    items = [
        {
            "eventId": number * NOTIFICATIONS + n, "portalId": 62515, "occurredAt": now + n,
            "objectId": f"{run}{number * 20 + n % 20}",
            **(
                {"subscriptionType": "deal.creation", "changeSource": "CRM"}
                if n < 20
                else {"subscriptionType": "deal.propertyChange", "propertyName": "amount",
                      "propertyValue": str(n)}
            ),
        }
        for n in range(NOTIFICATIONS)
    ]  # fmt: skip
    return json.dumps(items).encode()


def _headers(body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time() * 1_000))
    message = b"POST" + PUBLIC_URL.encode() + body + timestamp.encode()
    digest = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "x-hubspot-request-timestamp": timestamp,
        "x-hubspot-signature-v3": base64.b64encode(digest).decode(),
    }


async def _run(address: str) -> dict[str, float]:
    waited: list[float] = []
    refused = 0

    async def send(client: httpx.AsyncClient, number: int, due: float) -> None:
        nonlocal refused
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        body = _body(number, run)
        answer = await client.post(address, content=body, headers=_headers(body))
        waited.append(time.perf_counter() - due)
        refused += answer.status_code != 200

    run, begin = str(uuid4().int % 10**6), time.perf_counter() + 0.5
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        times = (begin + number / RATE for number in range(RATE * SECONDS))
        await asyncio.gather(*(send(client, number, due) for number, due in enumerate(times)))
    waited.sort()
    spent = time.perf_counter() - begin
    return {
        "rate": len(waited) / spent, "p99": waited[int(len(waited) * 0.99)], "refused": refused,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(sys.argv[1]))))
