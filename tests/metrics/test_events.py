"""The ingest door: every mode of CloudEvents, a result per item, and nothing of what is wrong."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, cast
from uuid import UUID

import pytest

from services.metrics.queries.kept_types import KeptTypes
from shared.ledger import Ledger, View
from tests.support.house import House, Key
from tests.support.samples import WIN_RATE, closed, deals, event


def count(key: Key, period: str = "2024-Q1", **params: Any) -> Any:
    """How many deals closed in a period, by the metric that the test defined."""
    answer = key.get("metrics", "/v1/metrics/closed/values", period=period, **params)
    return answer["values"][0]["value"]


@pytest.fixture
def counting(key: Key) -> Key:
    definition = {"kind": "count", "events": ["crm.opportunity.closed"]}
    body = {"key": "closed", "name": "Closed", "unit": "count", "definition": definition}
    key.post("metrics", "/v1/metrics", body)
    return key


def test_a_single_event_is_created_once_and_then_a_duplicate(counting: Key) -> None:
    body = closed("a", "2024-02-01T10:00:00Z")
    headers = {"content-type": "application/cloudevents+json"}
    sent = [
        counting.send("POST", "metrics", "/v1/events", content=json.dumps(body), headers=headers)
        for _ in range(2)
    ]
    assert [r.status_code for r in sent] == [201, 200]
    assert [r.json()["status"] for r in sent] == ["accepted", "duplicate"]
    assert count(counting) == 1


def test_binary_mode_takes_attributes_from_headers(counting: Key) -> None:
    headers = {
        "ce-specversion": "1.0", "ce-type": "crm.opportunity.closed", "ce-id": "b",
        "ce-source": "/crm%20north", "ce-time": "2024-02-01T10:00:00.123456789Z",
        "content-type": "application/json",
    }  # fmt: skip
    counting.post("metrics", "/v1/events", {"outcome": "won"}, headers=headers)
    found = counting.get("metrics", "/v1/metrics/closed/events", period="2024-Q1")["items"]
    assert [(e["source"], e["time"]) for e in found] == [
        ("/crm north", "2024-02-01T10:00:00.123456Z")
    ]


def test_a_bad_item_never_fails_its_neighbours(counting: Key) -> None:
    batch = [
        closed("a", "2024-02-01T10:00:00Z"),
        closed("b", "2024-02-01T10:00:00"),
        closed("c", "2024-02-01T10:00:00Z", outcome="maybe"),
        event("d", "crm.opportunity.close", "2024-02-01"),
        closed("a", "2024-02-01T10:00:00Z", outcome="lost"),
        closed("e", "2024-02-03"),
        "no object",
        event("f", "baseline.frozen", "2024-02-01"),
        closed("g", "2999-01-01T00:00:00Z"),
    ]
    results = counting.post("metrics", "/v1/events", batch)["results"]
    assert [r["status"] for r in results] == [
        "accepted", "invalid", "invalid", "invalid", "conflict", "accepted", "invalid", "invalid",
        "quarantined",
    ]  # fmt: skip
    codes = [r["errors"][0]["code"] if r["errors"] else None for r in results]
    assert codes[1:5] == ["naive_time", "choice", "unknown_type", "conflict"]
    assert "'crm.opportunity.closed'" in results[3]["errors"][0]["detail"]
    assert codes[7:] == ["reserved_type", "future"]
    assert count(counting) == 2
    kept = counting.get("metrics", "/v1/quarantine")["items"]
    assert sorted(item["status"] for item in kept) == ["conflict", "quarantined"]


def test_an_atomic_batch_is_stored_whole_or_not_at_all(counting: Key) -> None:
    good, bad = closed("a", "2024-02-01"), closed("b", "2024-02-01", outcome="maybe")
    problem = counting.refused(422, "POST", "metrics", "/v1/events?atomic=true", json=[good, bad])
    assert problem["errors"][0]["pointer"] == "/1/data/outcome"
    counting.events(good)
    clash = closed("a", "2024-02-02")
    counting.refused(
        409, "POST", "metrics", "/v1/events?atomic=true", json=[closed("c", "2024-02-01"), clash]
    )
    assert count(counting) == 1


def test_a_higher_sequence_restates_and_a_lower_one_that_comes_late_does_not_count(
    counting: Key,
) -> None:
    counting.events(closed("first", "2023-12-31"))
    answer = counting.events(closed("a", "2024-02-01", _sequence="2"))
    before = counting.get("metrics", "/v1/calendar")["basis"]
    counting.events(closed("a", "2024-05-01", _sequence="10"))
    assert (count(counting, "2024-Q1"), count(counting, "2024-Q2")) == (0, 1)
    counting.events(closed("a", "2024-08-01", _sequence="9"))
    assert (count(counting, "2024-Q2"), count(counting, "2024-Q3")) == (1, 0)
    assert count(counting, "2024-Q1", basis=before) == 1
    assert answer["position"] is not None


def test_a_stream_of_lines_is_committed_piece_by_piece(counting: Key) -> None:
    lines = [json.dumps(closed(f"n{i}", "2024-02-01")) for i in range(2_500)]
    lines[7] = "{broken"
    lines.append(json.dumps(closed("n1", "2024-02-01")))
    response = counting.send(
        "POST", "metrics", "/v1/events", content="\n".join(lines),
        headers={"content-type": "application/x-ndjson"},
    )  # fmt: skip
    told = [json.loads(line) for line in response.text.splitlines()]
    assert [t["line"] for t in told if "line" in t] == [8, 2501]
    assert sum(t.get("committed", 0) for t in told) == 2_499
    assert told[-1]["summary"] == {"accepted": 2_499, "invalid": 1, "duplicate": 1}
    assert count(counting) == 2_499


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/cloudevents+json", 400),
        (b"\xff\xfe", "application/cloudevents+json", 400),
        (b'{"a": NaN}', "application/cloudevents+json", 400),
        (b"[" * 3_000 + b"]" * 3_000, "application/cloudevents+json", 400),
        (b'{"id": "a\\u0000b"}', "application/cloudevents+json", 400),
        (b"a,b", "text/csv", 415),
        (b"{}", "application/cloudevents-batch+json", 422),
        (b"[]" + b" " * 10_000_001, "application/cloudevents-batch+json", 413),
        (json.dumps(closed("a", "2024-02-01", amount="12.1234567", currency="EUR")).encode(),
         "application/cloudevents+json", 422),
        (json.dumps(closed("a", "2024-02-01", amount=10**16)).encode(),
         "application/cloudevents+json", 422),
        (json.dumps(closed("a", "2024-02-01", currency="EURO")).encode(),
         "application/cloudevents+json", 422),
    ],
)  # fmt: skip
def test_rubbish_gets_a_clear_problem_and_changes_nothing(
    counting: Key, body: bytes, content_type: str, status: int
) -> None:
    before = counting.get("metrics", "/v1/feed")["next"]
    problem = counting.refused(
        status,
        "POST",
        "metrics",
        "/v1/events",
        content=body,
        headers={"content-type": content_type},
    )
    assert problem["type"].startswith("/problems/")
    assert problem["detail"]
    assert counting.get("metrics", "/v1/feed")["next"] == before


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (422, {"params": {"atomc": "true"}}),
        (422, {"params": {"atomic": "perhaps"}}),
        (422, {"headers": {"Idempotency-Key": "x" * 256}}),
        (422, {"headers": {"if-match": "x" * 201}}),
        (401, {"headers": {"Authorization": "Bearer ww_nobody"}}),
        (401, {"headers": {"Authorization": ""}}),
    ],
)
def test_what_a_push_brings_beside_its_body_is_checked(
    counting: Key, status: int, asked: dict[str, Any]
) -> None:
    body = closed("a", "2024-02-01T10:00:00Z")
    counting.refused(status, "POST", "metrics", "/v1/events", json=body, **asked)
    assert count(counting) is None
    counting.post("metrics", "/v1/events", body, params={"atomic": "true"})
    assert count(counting) == 1


def test_a_key_that_may_not_push_and_a_method_that_is_none_are_refused(
    house: House, counting: Key
) -> None:
    reader = house.key(counting.tenant, "metrics:read")
    reader.refused(403, "POST", "metrics", "/v1/events", json=closed("a", "2024-02-01T10:00:00Z"))
    counting.refused(405, "DELETE", "metrics", "/v1/events")


def test_answers_are_compressed_for_those_who_ask_for_it(counting: Key) -> None:
    batch = [closed(str(n), "2024-02-01T10:00:00Z") for n in range(100)]
    for asked, given in (("gzip", "gzip"), ("identity", None)):
        headers = {"accept-encoding": asked}
        answer = counting.send("POST", "metrics", "/v1/events", json=batch, headers=headers)
        assert answer.headers.get("content-encoding") == given
        assert "accept-encoding" in answer.headers["vary"].lower()
        assert len(answer.json()["results"]) == 100


def test_an_event_type_of_the_tenants_own_is_checked_and_hides_what_is_personal(key: Key) -> None:
    fields = [
        {"name": "stars", "kind": "integer", "required": True},
        {"name": "comment", "personal": True},
    ]
    key.post("metrics", "/v1/event-types", {"name": "acme.visit.rated", "fields": fields})
    ok = event("a", "acme.visit.rated", "2024-02-01", stars=4, comment="Lovely people")
    wrong = event("b", "acme.visit.rated", "2024-02-01", stars=4.5)
    results = key.post("metrics", "/v1/events", [ok, wrong])["results"]
    assert [r["status"] for r in results] == ["accepted", "invalid"]
    assert "Lovely" not in json.dumps(key.get("metrics", "/v1/feed"))
    problem = key.refused(
        422, "POST", "metrics", "/v1/metrics",
        json={"key": "x", "name": "X", "unit": "count", "definition": {
            "kind": "distinct", "events": ["acme.visit.rated"], "field": "comment"}},
    )  # fmt: skip
    assert problem["errors"][0]["code"] == "personal_field"


def test_what_was_retracted_no_longer_counts_but_did(counting: Key) -> None:
    counting.events(closed("a", "2024-02-01"), closed("b", "2024-02-02"), closed("c", "2024-03-20"))
    before = counting.get("metrics", "/v1/calendar")["basis"]
    one = {"source": "/crm", "event_id": "a", "reason": "A test deal"}
    counting.post("metrics", "/v1/retractions", one)
    assert count(counting) == 2
    span = {
        "source": "/crm",
        "starts_at": "2024-03-01T00:00:00Z",
        "ends_at": "2024-04-01T00:00:00Z",
        "reason": "The import was wrong",
    }
    counting.post("metrics", "/v1/retractions", span)
    assert count(counting) == 1
    assert count(counting, basis=before) == 3
    counting.events(closed("a", "2024-02-01", _sequence="1"), closed("d", "2024-03-20"))
    assert count(counting) == 3
    counting.refused(404, "POST", "metrics", "/v1/retractions", json={**one, "event_id": "z"})
    counting.refused(
        422, "POST", "metrics", "/v1/retractions", json={"source": "/crm", "reason": "all"}
    )


def test_the_feed_shows_every_event_once_and_waits_for_new_ones(key: Key) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(*deals("2024-Q1", 3, 4))
    page = key.get("metrics", "/v1/feed", limit=2)
    seen = [e["type"] for e in page["items"]]
    while page["more"]:
        page = key.get("metrics", "/v1/feed", after=page["next"], limit=2)
        seen += [e["type"] for e in page["items"]]
    assert seen == ["ledger.opened", "metric.defined", *["crm.opportunity.closed"] * 7]
    waited = key.get("metrics", "/v1/feed", after=page["next"], timeout=50)
    assert (waited["items"], waited["next"]) == ([], page["next"])


def test_whoever_waits_at_the_feed_is_told_what_comes_meanwhile(key: Key) -> None:
    key.events(closed("a", "2024-01-01"))
    after = key.get("metrics", "/v1/feed")["next"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(key.get, "metrics", "/v1/feed", after=after, timeout=30_000)
        time.sleep(0.4)
        assert not waiting.done()
        key.events(closed("b", "2024-01-02"))
        assert [e["id"] for e in waiting.result(10)["items"]] == ["b"]


def test_the_feed_shows_what_was_sent_to_the_last_digit(key: Key) -> None:
    moments = {"whole": "2024-01-01T00:00:00Z", "parts": "2024-01-01T01:00:00.500+01:00"}
    sent = [closed(name, time, amount=0.10, _subject='ä " /') for name, time in moments.items()]
    key.events(*sent, closed("day", "2024-01-03", _sequence="7"))
    shown = {e["id"]: e for e in key.get("metrics", "/v1/feed")["items"]}
    assert shown["whole"]["time"] == "2024-01-01T00:00:00Z"
    assert shown["parts"]["time"] == "2024-01-01T00:00:00.500000Z"
    assert (shown["whole"]["occurredon"], shown["day"]["occurredon"]) == (None, "2024-01-03")
    assert (shown["whole"]["sequence"], shown["day"]["sequence"]) == (None, "7")
    assert shown["whole"]["subject"] == 'ä " /'
    assert list(shown["whole"])[:4] == ["specversion", "id", "source", "type"]
    text = key.send("GET", "metrics", "/v1/feed").text
    assert '"data":{"amount":0.1,"outcome":"won"}' in text


def test_while_many_send_one_of_them_looks_for_new_types(house: House, key: Key) -> None:
    ledger, looks = house.ledgers["metrics"], []

    class Watched:
        def view(self, tenant_id: UUID) -> AbstractContextManager[View]:
            looks.append(tenant_id)
            time.sleep(0.2)
            if len(looks) == 2:
                raise ConnectionError
            return ledger.view(tenant_id)

    kept = KeptTypes(cast(Ledger, Watched()))
    assert kept.recall(key.tenant_id) is None
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: kept.of(key.tenant_id), range(16)))
        assert len(looks) == 1
        assert kept.recall(key.tenant_id) is found[-1]
        failed = [pool.submit(kept.of, key.tenant_id) for _ in range(16)]
    assert {type(one.exception()) for one in failed} == {ConnectionError}
    assert len(looks) == 2
