"""A follower says what a neighbour's events mean here, each once, and survives its failures."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from services.goals.commands.goals import note_redefined_metric
from shared.errors import Refusal
from shared.follow import Follower
from shared.web.client import Free, Peer, waiting_until
from tests.support.house import House, Key
from tests.support.samples import CLOSED, GUIDELINES, WIN_RATE, deals


def committed_goal(key: Key) -> str:
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "guidelines": GUIDELINES})
    key.events(*deals("2024-Q1", 3, 7), *deals("2024-Q2", 4, 6))
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})
    goal = key.post("goals", "/v1/goals", {
        "initiative_id": initiative["id"], "title": "T", "metric": "win-rate",
        "baseline": {"periods": ["2024-Q1", "2024-Q2"]}, "target": {"value": 0.5},
        "target_period": "2099-Q1", "business_owner": "Ann",
    })  # fmt: skip
    key.post("goals", f"/v1/goals/{goal['id']}/commit", {})
    identity: str = goal["id"]
    return identity


@pytest.fixture
def following(house: House) -> Iterator[Follower]:
    peer = Peer("metrics", house.url("metrics"))
    yield Follower("test", peer, house.ledgers["goals"], note_redefined_metric)
    peer.close()


def catch_up(following: Follower, key: Key) -> None:
    while following.step(key.tenant_id, key.key):
        pass


def test_a_redefined_metric_is_noted_once_on_each_committed_goal(
    house: House, following: Follower
) -> None:
    key = house.key()
    goal = committed_goal(key)
    catch_up(following, key)
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "definition": CLOSED, "unit": "count"})
    catch_up(following, key)
    catch_up(following, key)
    history = key.get("goals", f"/v1/goals/{goal}/history")["items"]
    assert [h["what"]["code"] for h in history] == ["drafted", "committed", "metric_redefined"]
    assert history[-1]["who"] == "follower:test"
    assert following.checkpoint(key.tenant_id) == key.get("metrics", "/v1/calendar")["basis"]
    progress = key.get("goals", f"/v1/goals/{goal}/progress")
    assert progress["current"]["proof"]["version"] == 1, "the goal keeps its own version"


def test_a_checkpoint_that_the_neighbour_never_had_is_reported_and_moves_nothing(
    house: House, following: Follower
) -> None:
    key, stranger = house.key(), house.key()
    committed_goal(key)
    catch_up(following, key)
    before = following.checkpoint(key.tenant_id)
    with pytest.raises(Refusal, match="unknown-basis"):
        following.step(key.tenant_id, stranger.key)
    assert following.checkpoint(key.tenant_id) == before


class _Rude(BaseHTTPRequestHandler):
    """A neighbour that answers with whatever it was told to."""

    status, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (500, b"{}"), (302, b""), (404, b"nothing here"), (200, b"{")],
)
def test_garbage_from_a_neighbour_becomes_a_clear_refusal(status: int, body: bytes) -> None:
    handler = type("Rude", (_Rude,), {"status": status, "body": body})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    peer = Peer("metrics", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(Refusal) as refused:
            peer.get("/v1/feed", Free, "ww_x")
    finally:
        peer.close()
        server.shutdown()
        server.server_close()
        thread.join()
    assert refused.value.problem.status == 503
    assert refused.value.headers["Retry-After"]


class _Dripping(_Rude):
    """A neighbour that never stops sending, byte by byte."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b" ")
                time.sleep(0.02)


def test_a_neighbour_that_drips_is_waited_for_no_longer_than_the_request_may_take() -> None:
    server = HTTPServer(("127.0.0.1", 0), _Dripping)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    peer = Peer("metrics", f"http://127.0.0.1:{server.server_port}")
    before = waiting_until.set(time.monotonic() + 0.5)
    try:
        with pytest.raises(Refusal, match="metrics service does not answer as it should") as first:
            peer.get("/v1/feed", Free, "ww_x")
        with pytest.raises(Refusal, match="after others that were slow"):
            peer.post("/v1/replay", Free, "ww_x", {})
    finally:
        waiting_until.reset(before)
        peer.close()
        server.shutdown()
        server.server_close()
        thread.join()
    assert first.value.problem.status == 503


def test_a_neighbour_that_is_down_is_named(house: House) -> None:
    key = house.key()
    goal = committed_goal(key)
    client: Any = house.running["goals"]
    assert client.port
    peer = Peer("metrics", "http://127.0.0.1:9")
    with pytest.raises(Refusal, match="metrics service does not answer"):
        peer.get("/v1/calendar", Free, key.key)
    peer.close()
    assert key.get("goals", f"/v1/goals/{goal}")["goal"]["state"] == "committed"
