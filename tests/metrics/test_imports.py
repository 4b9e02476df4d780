"""Imports with mappings of one's own: versions, contradictions, rows that share a fact."""

from __future__ import annotations

import json
from typing import Any

from tests.support.house import Key
from tests.support.samples import CLOSED

MAPPING: dict[str, Any] = {
    "events": [
        {
            "type": "crm.opportunity.closed",
            "id": "{id}/closed",
            "when": {"field": "line", "op": "eq", "value": "1"},
            "time": {"column": "day"},
            "data": {
                "outcome": {"value": "won"},
                "amount": {"column": "amount", "as": "decimal"},
                "currency": {"value": "EUR"},
            },
        }
    ]
}
FEEDBACK: dict[str, Any] = {
    "events": [
        {
            "type": "feedback.recorded",
            "id": "{id}",
            "time": {"column": "day"},
            "data": {"text": "text", "kind": {"value": "comment"}},
        }
    ]
}


def upload(key: Key, content: str, mapping: dict[str, Any] = MAPPING, **form: str) -> Any:
    return key.send(
        "POST", "metrics", "/v1/imports", files={"file": ("f.csv", content)},
        data={"mapping": json.dumps(mapping), "source": "orders", **form},
    )  # fmt: skip


def total(key: Key) -> Any:
    body = {
        "key": "total", "name": "T", "unit": "EUR",
        "definition": {**CLOSED, "kind": "sum", "field": "amount"},
    }  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    return key.get("metrics", "/v1/metrics/total/values", period="2024")["values"][0]["value"]


def test_a_changed_row_is_restated_by_the_moment_of_its_export(key: Key) -> None:
    header = "id,line,day,amount\n"
    first = upload(key, header + "1,1,2024-01-05,100\n", exported_at="2024-02-01T00:00:00Z")
    assert first.json()["accepted"] == 1
    later = upload(key, header + "1,1,2024-01-05,250\n", exported_at="2024-03-01T00:00:00Z")
    assert (later.json()["restated"], total(key)) == (1, 250)
    clash = upload(key, header + "1,1,2024-01-05,300\n", exported_at="2024-03-01T00:00:00Z")
    assert (clash.status_code, total(key)) == (409, 250)
    older = upload(key, header + "1,1,2024-01-05,70\n", exported_at="2024-02-15T00:00:00Z")
    assert (older.status_code, total(key)) == (201, 250)


def test_rows_that_share_a_fact_take_nothing_back(key: Key) -> None:
    content = "id,line,day,amount\n1,1,2024-01-05,100\n1,2,2024-01-05,40\n"
    for moment in ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"):
        report = upload(key, content, exported_at=moment).json()
        assert (report["retracted"], total(key)) == (0, 100)


def test_two_rows_that_contradict_each_other_are_a_fault(key: Key) -> None:
    content = "id,line,day,amount\n1,1,2024-01-05,100\n1,1,2024-01-05,5\n"
    refused = upload(key, content)
    assert refused.status_code == 422
    assert "Row 3 says '1/closed' otherwise than row 2" in refused.json()["detail"]


def test_a_corrected_personal_text_is_a_restatement(key: Key) -> None:
    for text, moment, expected in (
        ("kind", "2024-02-01T00:00:00Z", "accepted"),
        ("kind", "2024-02-02T00:00:00Z", "unchanged"),
        ("very kind", "2024-02-03T00:00:00Z", "restated"),
    ):
        content = f"id,day,text\n1,2024-01-05,{text}\n"
        report = upload(key, content, FEEDBACK, exported_at=moment).json()
        assert report[expected] == 1, report


def test_what_nobody_reads_is_refused(key: Key) -> None:
    refused = upload(key, "id,line,day,amount\n", encodng="latin-1")
    assert (refused.status_code, "encoding" in refused.json()["detail"]) == (422, True)
    key.refused(422, "GET", "metrics", "/v1/metrics?knownat=2024-01-01T00:00:00Z")


def test_other_encodings_are_read_when_they_are_named(key: Key) -> None:
    content = "id,day,text\n1,2024-01-05,Привет\n".encode("cp1251")
    sent = key.send(
        "POST", "metrics", "/v1/imports", files={"file": ("f.csv", content)},
        data={"mapping": json.dumps(FEEDBACK), "source": "ru", "encoding": "cp1251"},
    )  # fmt: skip
    assert (sent.status_code, sent.json()["encoding"]) == (201, "cp1251")
    broken = upload(key, "id,day,text\n1,2024-01-05,é\n", FEEDBACK, encoding="ascii")
    assert broken.json()["errors"][0]["pointer"] == "/encoding"
