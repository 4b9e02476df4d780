"""Files as people have them: workbooks, decimal commas, and a look before anything is mapped."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from services.metrics.commands import import_jobs
from services.metrics.commands.imports import append_part
from services.metrics.commands.jobs import Job, Jobs
from tests.support.house import Key
from tests.support.samples import WON


def workbook(*rows: list[Any], title: str = "Deals") -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def upload(key: Key, content: bytes, name: str = "file.xlsx", path: str = "/v1/imports",
           headers: dict[str, str] | None = None, **form: Any) -> Any:  # fmt: skip
    files = [("file", (name, content))]
    return key.send("POST", "metrics", path, data=form, files=files, headers=headers or {})


MIDNIGHT = datetime(2024, 2, 29)  # noqa: DTZ001 - spreadsheets know no zones
HEADER = ["figure", "date", "value"]


def test_a_workbook_is_a_table(key: Key) -> None:
    """Dates are dates, whole numbers are whole, fractions keep every digit."""
    content = workbook(
        HEADER, ["margin", date(2024, 1, 31), 0.1], ["margin", MIDNIGHT, 12],
        ["margin", "2024-03-31", "7.5"], [None, None, None],
    )  # fmt: skip
    answer = upload(key, content, preset="figures")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["rows"], answer.json()["accepted"]) == (3, 3)
    facts = key.get("metrics", "/v1/feed")["items"]
    told = [(f["occurredon"], f["data"]["value"]) for f in facts if f["type"] == "metric.observed"]
    assert told == [("2024-01-31", 0.1), ("2024-02-29", 12), ("2024-03-31", 7.5)]
    again = upload(key, content, preset="figures").json()
    assert (again["accepted"], again["unchanged"]) == (0, 3)


def test_a_sheet_is_taken_by_name(key: Key) -> None:
    content = workbook(HEADER, ["a", "2024-01-31", 1], title="History")
    assert upload(key, content, preset="figures", sheet="History").status_code == 201
    refused = upload(key, content, preset="figures", sheet="Histroy")
    assert refused.status_code == 422
    assert "History" in refused.json()["detail"]


def test_what_only_looks_like_a_workbook_is_refused(key: Key) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 400_000_000)
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for content in (bomb.getvalue(), empty.getvalue(), b"PK\x03\x04 and no more"):
        assert upload(key, content, preset="figures").status_code == 422


def test_numbers_with_a_decimal_comma_are_read_where_the_mapping_says_so(key: Key) -> None:
    table = b"figure;date;value\na;2024-01-31;1.234,50\nb;2024-01-31;-7,25\n"
    rule = {"type": "metric.observed", "id": "{figure}", "time": {"column": "date"},
            "data": {"figure": "figure",
                     "value": {"column": "value", "as": "decimal", "point": ","}}}  # fmt: skip
    answer = upload(key, table, "a.csv", mapping=json.dumps({"events": [rule]}))
    assert answer.status_code == 201, answer.text
    facts = key.get("metrics", "/v1/feed")["items"]
    values = [f["data"]["value"] for f in facts if f["type"] == "metric.observed"]
    assert values == [1234.5, -7.25]


def test_a_preview_says_how_a_table_is_written(key: Key) -> None:
    table = "name;when;worth;paid;note\nä;31.01.2024;1.234,50;J;\nb;01.02.2024;7,25;N;\n"
    found = upload(key, table.encode("cp1252"), "a.csv", "/v1/imports/preview").json()
    assert (found["rows"], found["encoding"], found["delimiter"]) == (2, "cp1252", ";")
    shapes = {c["name"]: c["shape"] for c in found["columns"]}
    assert shapes == {"name": "text", "when": "date (day.month.year)", "worth": "decimal comma",
                      "paid": "text", "note": "empty"}  # fmt: skip
    fitting = upload(key, b"figure,date,value\na,2024-01-01,1\n", "a.csv", "/v1/imports/preview")
    assert fitting.json()["presets"] == ["figures"]
    assert key.get("metrics", "/v1/feed")["items"] == []


ORDERS = (
    "order_no,created,site,brand,customer_no,customer_type,channel,total,currency\n"
    "1,2024-01-05T10:00:00,eu,Nord,C1,B2B,web,100.50,EUR\n"
    "2,2024-01-06T10:00:00,us,Nord,C2,b2c,app,20,USD\n"
)
ISSUES = (
    "key,type,team,started,completed\nA-1,Bug,core,2024-01-02T09:00:00Z,2024-01-03T09:00:00Z\n"
    "A-2,Story,core,2024-01-02T09:00:00Z,\n"
)


@pytest.mark.parametrize(
    ("preset", "table", "names"),
    [("orders", ORDERS, ["commerce.order.placed"] * 2),
     ("issues", ISSUES, ["work.item.started", "work.item.completed", "work.item.started"])],
)  # fmt: skip
def test_exports_of_a_known_shape_need_no_mapping(
    key: Key, preset: str, table: str, names: list[str]
) -> None:
    answer = upload(key, table.encode(), "a.csv", preset=preset)
    assert answer.status_code == 201, answer.text
    facts = [f for f in key.get("metrics", "/v1/feed")["items"] if f["source"] == "/sources/files"]
    assert sorted(f["type"] for f in facts) == sorted(names)


@pytest.mark.parametrize(
    ("path", "preset", "accepted"),
    [("call-centre-2021q1/Call-Center-Dataset.xlsx", "call-workbook", 9_054),
     ("marketing-2021-02/marketing.csv", "campaign-spend", 308),
     ("salesforce-stage-history/OpportunityHistory.csv", "salesforce-opportunity-history", 48)],
)  # fmt: skip
def test_real_exports_are_recognised_and_read(
    key: Key, data_folder: Path, path: str, preset: str, accepted: int
) -> None:
    content = (data_folder / path).read_bytes()
    found = upload(key, content, path, "/v1/imports/preview").json()
    assert found["presets"] == [preset]
    answer = upload(key, content, path, preset=preset)
    assert answer.status_code == 201, answer.text
    assert answer.json()["accepted"] == accepted


def test_a_workbook_of_deals_becomes_a_metric(key: Key) -> None:
    content = workbook(
        ["opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date",
         "close_date", "close_value"],
        ["D1", "Ann", "Pump", "Acme", "Won", date(2024, 1, 8), date(2024, 2, 20), 4000.25],
    )  # fmt: skip
    assert upload(key, content, preset="crm-opportunities", currency="EUR").status_code == 201
    body = {"key": "won", "name": "Won", "unit": "EUR",
            "definition": {**WON, "kind": "sum", "field": "amount"}}  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    values = key.get("metrics", "/v1/metrics/won/values", period="2024-Q1")["values"]
    assert values[0]["numerator"] == "4000.25"


def test_history_from_a_file_is_loaded_apart_and_counts_once_it_is_closed(key: Key) -> None:
    made = key.post("metrics", "/v1/backfills", {"name": "2023", "reason": "The old system"})
    table = b"figure,date,value\nmargin,2023-12-31,7\n"
    loaded = upload(key, table, "a.csv", preset="figures", backfill=made["id"])
    assert (loaded.status_code, loaded.json()["accepted"]) == (201, 1)
    latest = {"kind": "latest", "events": ["metric.observed"], "field": "value"}
    body = {"key": "margin", "name": "Margin", "unit": "count", "definition": latest}
    key.post("metrics", "/v1/metrics", body)
    path = "/v1/metrics/margin/values"
    assert key.get("metrics", path, period="2023-Q4")["values"][0]["value"] is None
    shown = key.get("metrics", path, period="2023-Q4", with_backfill=made["id"])
    assert shown["values"][0]["value"] == 7
    key.post("metrics", f"/v1/backfills/{made['id']}/close", {"reason": "Checked"})
    assert key.get("metrics", path, period="2023-Q4")["values"][0]["value"] == 7
    late = upload(key, table, "a.csv", preset="figures", backfill=made["id"])
    assert late.status_code == 409


ASYNC = {"prefer": "respond-async"}


def figures_of(count: int, bad: int | None = None) -> bytes:
    rows = [f"margin,2024-01-{n % 28 + 1:02},{n}" for n in range(count)]
    if bad is not None:
        rows[bad] = "margin,2024-13-01,1"
    return "\n".join(["figure,date,value", *(f"m{n}-{row}" for n, row in enumerate(rows))]).encode()


def test_a_long_file_is_a_job_that_shows_its_progress_and_outlives_a_crash(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before a part's commit and killed after it: each row is there, and counted, once."""
    monkeypatch.setattr(import_jobs, "PART", 100)
    crashes = {"before": 1, "after": 1}
    save = Jobs._save

    def crash(when: str) -> None:
        if crashes[when]:
            crashes[when] -= 1
            raise RuntimeError(f"killed {when} the commit")

    def append_and_crash(*args: Any) -> None:
        append_part(*args)
        crash("before")

    def crash_and_save(self: Jobs, job: Job, **values: Any) -> None:
        if job.done:
            crash("after")
        save(self, job, **values)

    monkeypatch.setattr(import_jobs, "append_part", append_and_crash)
    monkeypatch.setattr(Jobs, "_save", crash_and_save)
    begun = upload(key, figures_of(350), "a.csv", headers=ASYNC, preset="figures")
    assert begun.status_code == 202, begun.text
    job = key.finished(begun)
    assert (job["state"], job["done"], job["total"], crashes) == (
        "done", 350, 350, {"before": 0, "after": 0})  # fmt: skip
    assert (job["result"]["accepted"], job["result"]["unchanged"]) == (350, 0)
    assert key.get("metrics", f"/v1/imports/{job['id']}")["accepted"] == 350
    again = key.finished(upload(key, figures_of(350), "a.csv", headers=ASYNC, preset="figures"))
    assert (again["result"]["accepted"], again["result"]["unchanged"]) == (0, 350)


def test_a_faulty_file_stores_nothing_as_a_job_either(key: Key) -> None:
    job = key.finished(upload(key, figures_of(9, bad=4), "a.csv", headers=ASYNC, preset="figures"))
    assert (job["state"], job["done"], job["problem"]["status"]) == ("failed", 0, 422)
    assert job["problem"]["errors"][0]["pointer"].startswith("/rows/6")
    assert key.get("metrics", "/v1/feed")["items"][1:] == []
