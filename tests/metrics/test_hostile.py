"""Rubbish of every kind: a clear refusal, never a 5xx, nothing stored, nothing held up."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.metrics.test_webhooks import T0, URL, created, deal, hubspot, source, translated
from tests.support.house import Key
from tests.support.samples import CLOSED, WIN_RATE, closed


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/metrics/%00/values?period=2024",
        "/v1/metrics/x?basis=%00",
        f"/v1/metrics?cursor={cursor('a' + chr(0))}",
        f"/v1/metrics?cursor={cursor([1])}",
        f"/v1/metrics/win-rate/events?period=2024&cursor={cursor([10**30, 1])}",
        f"/v1/metrics/win-rate/events?period=2024&cursor={cursor([True, 'x'])}",
        "/v1/metrics/win-rate/values?period=0001",
        "/v1/metrics/win-rate/values?period=9999-12",
        "/v1/metrics/win-rate/values?period=FY0001",
        "/v1/metrics/win-rate/values?period=0001-W01",
        "/v1/metrics/win-rate/values?from=0001-01-01&to=0002-01-01&grain=year",
        "/v1/metrics/win-rate/values?period=2024&known_at=0001-01-01T00:00:00%2B14:00",
        "/v1/metrics/win-rate/values?period=2024&known_at=5",
        "/v1/metrics/win-rate/values?period=2024&version=99999999999999999999",
        "/v1/metrics/win-rate/values?period=2024&basis=999999999999999999-00",
        "/v1/metrics/win-rate/values?period=2024&where=" + "[" * 500,
        "/v1/metrics/win-rate/values?period=2024&where={\"all\":[]}",
        "/v1/metrics/win-rate/values?period=2024&group_by=" + "a." * 200,
        "/v1/feed?after=x&timeout=-1",
        "/v1/metrics/win-rate/baseline?count=5",
        "/v1/metrics/win-rate/baseline?count=120&last=1901",
    ],
)  # fmt: skip
def test_a_strange_question_is_refused_or_answered_but_never_breaks(key: Key, path: str) -> None:
    key.post("metrics", "/v1/metrics", WIN_RATE)
    key.events(closed("a", "2024-01-05"))
    response = key.send("GET", "metrics", path)
    assert response.status_code in (200, 400, 404, 422), response.text
    if response.status_code != 200:
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "data",
    [
        {"outcome": "won", "owner": 1e300},
        {"outcome": "won", "amount": "1e999999999"},
        {"outcome": "won", "amount": "sNaN"},
        {"outcome": "won", "own": {"deep": [1e200]}},
        {"outcome": ["won"]},
        {"outcome": {"won": True}},
        {"outcome": "won", "currency": ["EUR"]},
        {"outcome": "won", "owner": "x" * 10_001},
        {"outcome": "won", "expected_close": "someday"},
        {"outcome": "won", "rescued": "yes"},
        {"outcome": None},
    ],
)
def test_data_that_can_not_be_counted_exactly_is_invalid(key: Key, data: dict[str, Any]) -> None:
    body = {**closed("a", "2024-01-05"), "data": data}
    results = key.post("metrics", "/v1/events", [body, closed("b", "2024-01-05")])["results"]
    assert [r["status"] for r in results] == ["invalid", "accepted"]
    assert results[0]["errors"][0]["pointer"].startswith("/data/")


def test_a_filter_with_a_decimal_means_the_same_after_it_was_stored(key: Key) -> None:
    big = {**CLOSED, "where": {"field": "amount", "op": "gt", "value": 100.5}}
    listed = {**CLOSED, "where": {"field": "amount", "op": "in", "value": [100.75, 5]}}
    for name, definition in (("big", big), ("listed", listed)):
        body = {"key": name, "name": name, "unit": "count", "definition": definition}
        key.post("metrics", "/v1/metrics", body)
    key.events(
        closed("a", "2024-01-05", amount="100.5"), closed("b", "2024-01-05", amount="100.75")
    )
    for name in ("big", "listed"):
        found = key.get("metrics", f"/v1/metrics/{name}/values", period="2024")["values"][0]
        assert found["value"] == 1, name


def test_a_deal_with_an_impossible_amount_holds_up_nothing(key: Key) -> None:
    path = source(key, "hubspot", ["a-secret-of-the-app"], public_url=URL)
    odd = [
        *deal(1, T0, amount="123456789012345678901234567890"),
        *deal(2, T0, amount="1.123456789"),
        *deal(3, T0, deal_currency_code="NOPE", dealstage="x" * 20_000),
        *deal(4, T0, hubspot_owner_id="a\x00b"),
    ]
    assert hubspot(key, path, odd).status_code == 200
    assert hubspot(key, path, [created(5, T0)]).status_code == 200
    found = translated(key, 2)
    assert found[-1]["subject"].endswith("/deal/5")


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"", {"preset": "crm-opportunities"}),
        (b"\x00\x01\x02" * 50, {"preset": "crm-opportunities"}),
        (b"a,b\n1,2\n", {"preset": "crm-opportunities"}),
        (b"a,b\n1,2\n", {"preset": "nope"}),
        (b"a,b\n1,2\n", {"mapping": "{"}),
        (b"a,b\n1,2\n", {"mapping": "[" * 5_000}),
        (b"a,b\n1,2\n", {"mapping": '{"events": [{"type": "x", "id": "{a}"}]}'}),
        (b"a,b\n1,2\n", {"mapping": '{"events": []}', "source": "Not A Key"}),
        (b'a,b\n"1,2\n', {"mapping": '{"events":[{"type":"user.active","id":"{c}",'
                                    '"time":{"column":"a"}}]}'}),
        (b"a,b\n1,2\n", {}),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(key: Key, content: bytes, form: dict[str, str]) -> None:
    response = key.send(
        "POST", "metrics", "/v1/imports", files={"file": ("../../x.csv", content)}, data=form
    )
    assert response.status_code in (400, 409, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert key.get("metrics", "/v1/feed")["items"] == []


def test_other_dialects_and_encodings_are_read(key: Key) -> None:
    mapping = {
        "events": [
            {
                "type": "crm.opportunity.closed",
                "id": "{Nr}/closed",
                "time": {"column": "Datum", "format": "%d.%m.%Y"},
                "data": {"outcome": {"value": "won"}, "account": "Kunde"},
            }
        ]
    }
    content = "Nr;Datum;Kunde\r\n1;05.01.2024;Müller & Söhne\r\n2;06.01.2024;Größe GmbH\r\n"
    for source_key, encoding in (("a", "utf-8-sig"), ("b", "latin-1"), ("c", "utf-16")):
        response = key.send(
            "POST", "metrics", "/v1/imports", files={"file": ("k.csv", content.encode(encoding))},
            data={"mapping": json.dumps(mapping), "source": source_key},
        )  # fmt: skip
        assert response.status_code == 201, (encoding, response.text)
    accounts = {e["data"]["account"] for e in key.get("metrics", "/v1/feed")["items"][1:]}
    assert accounts == {"Müller & Söhne", "Größe GmbH"}
