"""Deliveries that come all at once: one transaction for many, refused before memory grows."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from services.metrics.commands import inbox
from services.metrics.commands.inbox import Inbox
from shared.errors import Refusal
from shared.ids import new_id
from tests.support.house import Key


def delivery(key: Key, body: bytes = b"{}") -> dict[str, Any]:
    now = key.house.ledgers["metrics"].clock.now()
    return {"tenant_id": key.tenant_id, "delivery_id": new_id(), "source": "crm",
            "received_at": now, "headers": "{}", "body": body, "state": "dismissed",
            "detail": "", "events": 0}  # fmt: skip


def test_deliveries_that_come_together_share_a_transaction(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first is being stored, the others gather and are stored at once."""
    groups: list[int] = []
    commit = Inbox._commit

    def slow_commit(self: Inbox, tenant_id: Any, members: Any) -> None:
        groups.append(len(members))
        time.sleep(0.2)
        commit(self, tenant_id, members)

    monkeypatch.setattr(Inbox, "_commit", slow_commit)
    box = Inbox(key.house.metrics_database)
    waiting = [box.store(delivery(key)) for _ in range(30)]
    for one in waiting:
        one.result(timeout=10)
    box.close()
    assert (sum(groups), len(groups) <= 3) == (30, True)
    assert len(key.get("metrics", "/v1/deliveries", limit=500)["items"]) == 30


def test_one_that_can_not_be_stored_is_told_so_and_takes_no_other_with_it(key: Key) -> None:
    box = Inbox(key.house.metrics_database)
    with key.house.metrics_database.write(key.tenant_id):
        stored = [box.store(delivery(key)) for _ in range(3)]
        broken = box.store({**delivery(key), "state": None})
        stored += [box.store(delivery(key)) for _ in range(3)]
    with pytest.raises(Exception, match=r"(?i)null"):
        broken.result(timeout=10)
    for one in stored:
        one.result(timeout=10)
    box.close()


def test_more_than_memory_should_hold_is_refused_until_there_is_room(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_WAITING_BYTES", 1_000)
    box = Inbox(key.house.metrics_database)
    with key.house.metrics_database.write(key.tenant_id):
        first = box.store(delivery(key, b"x" * 1_001))
        with pytest.raises(Refusal) as refused:
            box.store(delivery(key))
        assert (refused.value.problem.status, refused.value.headers["Retry-After"]) == (429, "5")
        if not key.house.metrics_database.is_postgresql:
            assert not first.done()
    first.result(timeout=10)
    box.store(delivery(key)).result(timeout=10)
    box.close()


def test_a_rotated_or_retired_address_stops_working_at_once(key: Key) -> None:
    made = key.post("metrics", "/v1/sources", {"key": "pd", "kind": "pipedrive"})
    body = json.dumps({"meta": {"action": "x", "entity": "x", "timestamp": "2026-01-01T00:00:00Z"},
                       "data": None}).encode()  # fmt: skip

    def send(path: str) -> int:
        return key.send("POST", "metrics", path, content=body).status_code

    assert send(made["webhook_path"]) == 200
    fresh = key.post("metrics", "/v1/sources/pd/rotate-token")["webhook_path"]
    assert (send(made["webhook_path"]), send(fresh)) == (404, 200)
    retired = {"state": "retired", "reason": "Replaced"}
    assert key.send("PATCH", "metrics", "/v1/sources/pd", json=retired).status_code == 200
    assert send(fresh) == 404
