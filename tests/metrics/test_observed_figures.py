"""Figures of a spreadsheet's history: a source has one for a moment, and a second is refused."""

from __future__ import annotations

import json
from typing import Any

from tests.metrics.test_door_stories import post, source
from tests.metrics.test_tables import upload
from tests.metrics.test_webhooks import translated
from tests.support.house import Key
from tests.support.samples import event

MARCH, MORNING = "2024-03-31", "2024-03-31T08:00:00Z"
HEADER = "figure,date,value\n"


def figure(identity: str, value: int, time: str = MARCH, **data: Any) -> dict[str, Any]:
    return event(identity, "metric.observed", time, **{"figure": "margin", "value": value, **data})


def push(key: Key, *figures: dict[str, Any], **params: Any) -> list[tuple[str, list[str]]]:
    """What became of each, and the codes of what is wrong with it."""
    answer = key.post("metrics", "/v1/events", list(figures), params=params)
    return [(r["status"], [e["code"] for e in r["errors"]]) for r in answer["results"]]


TAKEN: tuple[str, list[str]] = ("accepted", [])
OVERLAPS = ("invalid", ["overlap"])


def test_a_second_figure_for_the_same_moment_is_refused(key: Key) -> None:
    assert push(key, figure("a", 7)) == [TAKEN]
    assert push(key, figure("b", 8), figure("c", 9, "2024-04-30")) == [OVERLAPS, TAKEN]
    problem = key.refused(422, "POST", "metrics", "/v1/events", json=figure("b", 8))
    assert "'a'" in problem["detail"]
    assert "sequence" in problem["detail"]


def test_two_figures_of_one_batch_do_not_both_count(key: Key) -> None:
    assert push(key, figure("a", 7), figure("b", 8)) == [TAKEN, OVERLAPS]
    with_others = [figure("c", 1, "2024-05-31"), figure("d", 1, "2024-05-31")]
    refused = key.refused(422, "POST", "metrics", "/v1/events?atomic=true", json=with_others)
    assert refused["errors"][0]["pointer"] == "/1/data/figure"
    assert push(key, with_others[1]) == [TAKEN]


def test_what_is_told_apart_does_not_overlap(key: Key) -> None:
    """Another figure, field, subject, moment or source is another thing."""
    others = [
        figure("b", 7, figure="turnover"), figure("c", 7, region="north"),
        figure("d", 7, _subject="plant/2"), figure("e", 7, MORNING),
        {**figure("f", 7), "source": "/other"},
    ]  # fmt: skip
    assert push(key, figure("a", 7), *others) == [TAKEN] * 6


def test_a_figure_is_restated_under_its_own_id_and_may_be_given_anew_once_it_is_gone(
    key: Key,
) -> None:
    assert push(key, figure("a", 7), figure("a", 7)) == [TAKEN, ("duplicate", [])]
    assert push(key, figure("a", 8, _sequence="1")) == [TAKEN]
    assert push(key, figure("a", 8, "2024-02-29", _sequence="2"), figure("b", 9)) == [TAKEN] * 2
    gone = {"source": "/crm", "event_id": "b", "reason": "of another plant"}
    key.post("metrics", "/v1/retractions", gone)
    assert push(key, figure("c", 6)) == [TAKEN]


def test_history_in_a_backfill_overlaps_what_counts_and_what_is_in_it(key: Key) -> None:
    push(key, figure("a", 7))
    backfill = key.post("metrics", "/v1/backfills", {"name": "Past", "reason": "Excel"})["id"]
    april = figure("c", 1, "2024-04-30")
    assert push(key, figure("b", 8), april, backfill=backfill) == [OVERLAPS, TAKEN]
    assert push(key, {**april, "id": "d"}, backfill=backfill) == [OVERLAPS]
    assert push(key, {**april, "id": "e"}) == [TAKEN]


def test_a_stream_of_lines_is_no_way_around(key: Key) -> None:
    lines = "\n".join(json.dumps(figure(name, 7)) for name in "ab")
    answer = key.send("POST", "metrics", "/v1/events", content=lines.encode(),
                      headers={"content-type": "application/x-ndjson"})  # fmt: skip
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert told[0]["errors"][0]["code"] == "overlap"
    assert told[-1]["summary"] == {"accepted": 1, "invalid": 1}


def test_a_file_names_the_row_that_gives_a_figure_again(key: Key) -> None:
    rule = {"type": "metric.observed", "id": "{row}", "time": {"column": "date"},
            "data": {"figure": "figure", "value": "value"}}  # fmt: skip
    table = f"row,{HEADER}1,margin,{MARCH},7\n2,margin,2024-04-30,8\n3,margin,{MARCH},9\n"
    refused = upload(key, table.encode(), "a.csv", mapping=json.dumps({"events": [rule]}))
    assert refused.status_code == 422
    (fault,) = refused.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/rows/4/figure", "overlap")


def test_a_webhook_that_gives_a_figure_again_stands_in_quarantine(key: Key) -> None:
    address = source(key, "cloudevents", secrets=["s3cret-s3cret"])
    for identity in "ab":
        sent = {**figure(identity, 7, MORNING), "type": "com.acme.metric.observed"}
        assert post(key, address, sent, authorization="Bearer s3cret-s3cret").status_code == 200
    translated(key, 2)
    (item,) = key.get("metrics", "/v1/quarantine")["items"]
    assert item["errors"][0]["code"] == "overlap"
