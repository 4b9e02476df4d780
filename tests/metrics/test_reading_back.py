"""Bitrix24 tells only ids: deals are read back from the portal, now, later, or all of a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from shared.errors import Refusal
from shared.web.client import Outside
from tests.metrics.test_webhooks import translated
from tests.support.house import Key

TOKEN = "the-token-of-this-webhook"
PAGE = 2


def deal(identity: int, stage: str, semantic: str, at: str, created: str) -> dict[str, Any]:
    return {"id": identity, "createdTime": created, "updatedTime": at, "movedTime": at,
            "assignedById": 6, "categoryId": 0, "stageId": stage, "stageSemanticId": semantic,
            "opportunity": 9900.5, "currencyId": "EUR"}  # fmt: skip


class Portal(BaseHTTPRequestHandler):
    """Answers as the documented REST interface does; `server.answers` says whether it does."""

    def do_GET(self) -> None:
        server, url = self.server, urlsplit(self.path)
        server.asked.append(self.path)  # type: ignore[attr-defined]
        if not server.answers:  # type: ignore[attr-defined]
            self.send_error(503)
            return
        query = parse_qs(url.query)
        deals: list[dict[str, Any]] = server.deals  # type: ignore[attr-defined]
        if url.path.endswith("crm.item.get"):
            found = [d for d in deals if str(d["id"]) == query["id"][0]]
            body: dict[str, Any] = {"result": {"item": found[0]}} if found else {"error": "none"}
        else:
            since, start = query["filter[>=updatedTime]"][0], int(query["start"][0])
            changed = sorted((d for d in deals if d["updatedTime"] >= since),
                             key=lambda d: d["updatedTime"])  # fmt: skip
            body = {"result": {"items": changed[start : start + PAGE]}}
            if start + PAGE < len(changed):
                body["next"] = start + PAGE
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def portal(*deals: dict[str, Any]) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Portal)
    server.deals, server.answers, server.asked = list(deals), True, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/rest/1/a-key/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def connect(key: Key, rest_url: str | None) -> str:
    body = {"key": "bitrix", "kind": "bitrix24", "secrets": [TOKEN], "rest_url": rest_url}
    made = key.post("metrics", "/v1/sources", body)
    assert "a-key" not in json.dumps(made)
    path: str = made["webhook_path"]
    return path


def tell(key: Key, path: str, event: str, identity: int) -> None:
    form = {"event": event, "data[FIELDS][ID]": identity, "ts": 1774366810,
            "auth[domain]": "acme.bitrix24.eu", "auth[application_token]": TOKEN}  # fmt: skip
    answer = key.send("POST", "metrics", path, content=urlencode(form).encode(),
                      headers={"content-type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert answer.status_code == 200, answer.text


def states(key: Key) -> list[tuple[str, str]]:
    items = key.get("metrics", "/v1/deliveries")["items"]
    return [(d["state"], d["detail"]) for d in items]


WON = deal(7, "WON", "S", "2026-03-24T16:40:02+01:00", "2026-03-10T09:00:00+01:00")
NEW = deal(8, "NEW", "P", "2026-03-25T10:00:00+01:00", "2026-03-25T10:00:00+01:00")


def test_a_deal_that_is_only_named_is_read_back(key: Key) -> None:
    with portal(WON, NEW) as server:
        path = connect(key, server.url)
        tell(key, path, "ONCRMDEALUPDATE", 7)
        tell(key, path, "ONCRMDEALADD", 8)
        won, opened = sorted(translated(key, 2), key=lambda f: f["subject"])
    assert (won["type"], won["data"]["outcome"], won["data"]["amount"]) == (
        "crm.opportunity.closed", "won", 9900.5)  # fmt: skip
    assert (opened["type"], opened["data"]["stage"]) == ("crm.opportunity.opened", "NEW")


def test_what_can_not_be_read_back_is_kept_and_read_later(key: Key) -> None:
    with portal(WON) as server:
        path = connect(key, server.url)
        server.answers = False
        tell(key, path, "ONCRMDEALUPDATE", 7)
        assert translated(key, 1) == []
        ((state, detail),) = states(key)
        assert (state, detail.startswith("Not read back yet")) == ("quarantined", True)
        (delivery,) = key.get("metrics", "/v1/deliveries")["items"]
        retry = f"/v1/deliveries/{delivery['id']}/retry"
        assert key.send("POST", "metrics", retry).status_code == 409
        server.answers = True
        assert key.post("metrics", retry)["state"] == "translated"
        assert len(translated(key, 1)) == 1


def test_without_an_address_the_delivery_waits_with_the_mend(key: Key) -> None:
    tell(key, connect(key, None), "ONCRMDEALUPDATE", 7)
    assert translated(key, 1) == []
    assert "rest_url" in states(key)[0][1]


def test_what_was_lost_on_the_way_is_found_by_reading_all_that_changed(key: Key) -> None:
    more = [deal(20 + n, "WON", "S", f"2026-03-2{n}T12:00:00+01:00", "2026-01-05T09:00:00+01:00")
            for n in range(4)]  # fmt: skip
    with portal(WON, NEW, *more) as server:
        path = connect(key, server.url)
        tell(key, path, "ONCRMDEALUPDATE", 7)
        translated(key, 1)
        since = {"since": "2026-03-20T00:00:00Z"}
        found = key.job("/v1/sources/bitrix/reconcile", since)["result"]
        assert found["records"] == 6
        again = key.job("/v1/sources/bitrix/reconcile", since)["result"]
        assert again == {"records": 6, "added": 0}
        facts = translated(key, 1)
    told = [f["type"].rpartition(".")[2] for f in facts]
    assert (told.count("closed"), told.count("opened")) == (5, 1)


def test_addresses_of_our_own_network_are_not_read_from() -> None:
    for url in ("http://127.0.0.1:9/", "https://127.0.0.1/", "https://169.254.169.254/",
                "https://localhost/", "http://example.com/"):  # fmt: skip
        with pytest.raises(Refusal, match="public"):
            Outside(url).get("x", {})
