"""Figures of a spreadsheet's history: a source has one for a moment, and a second is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.metrics.test_door_stories import post, source
from tests.metrics.test_tables import upload
from tests.metrics.test_webhooks import translated
from tests.support.house import Key
from tests.support.samples import event

MARCH, APRIL, MAY, JUNE = "2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30"
MORNING = "2024-03-31T08:00:00Z"
BECAUSE = {"reason": "loaded"}
HEADER = "row,figure,date,value\n"
RULE = {"type": "metric.observed", "id": "{row}", "time": {"column": "date"},
        "data": {"figure": "figure", "value": "value"}}  # fmt: skip
TAKEN: tuple[str, list[str]] = ("accepted", [])
OVERLAPS = ("conflict", ["overlap"])


def figure(identity: str, value: int, time: str = MARCH, **data: Any) -> dict[str, Any]:
    return event(identity, "metric.observed", time, **{"figure": "margin", "value": value, **data})


def push(key: Key, *figures: dict[str, Any], **params: Any) -> list[tuple[str, list[str]]]:
    """What became of each, and the codes of what is wrong with it."""
    answer = key.post("metrics", "/v1/events", list(figures), params=params)
    return [(r["status"], [e["code"] for e in r["errors"]]) for r in answer["results"]]


def retract(key: Key, identity: str, **params: Any) -> None:
    gone = {"source": "/crm", "event_id": identity, "reason": "of another plant"}
    key.post("metrics", "/v1/retractions", gone, params=params)


def opened(key: Key) -> str:
    made: str = key.post("metrics", "/v1/backfills", {"name": "Past", "reason": "Excel"})["id"]
    return made


def test_a_second_figure_for_the_same_moment_is_refused_and_kept(key: Key) -> None:
    assert push(key, figure("a", 7)) == [TAKEN]
    assert push(key, figure("b", 8), figure("c", 9, APRIL)) == [OVERLAPS, TAKEN]
    problem = key.refused(409, "POST", "metrics", "/v1/events", json=figure("b", 8))
    assert problem["type"] == "/problems/figure-overlap"
    assert "'a'" in problem["detail"]
    (kept, again) = key.get("metrics", "/v1/quarantine")["items"]
    assert kept["item"] == again["item"] == figure("b", 8)


def test_two_figures_of_one_batch_do_not_both_count(key: Key) -> None:
    assert push(key, figure("a", 7), figure("b", 8), figure("b", 8)) == [TAKEN, OVERLAPS, OVERLAPS]
    both = [figure("c", 1, "2024-05-31"), figure("d", 1, "2024-05-31")]
    refused = key.refused(409, "POST", "metrics", "/v1/events?atomic=true", json=both)
    assert refused["errors"][0]["pointer"] == "/1/data/figure"
    assert push(key, both[1]) == [TAKEN]


def test_of_two_that_come_at_once_one_counts(key: Key) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: push(key, figure(f"s{n}", n)), range(8)))
    assert sorted(status for ((status, _),) in told) == ["accepted", *["conflict"] * 7]


def test_what_is_told_apart_does_not_overlap(key: Key) -> None:
    """Another figure, field, subject, moment or source is another thing."""
    others = [
        figure("b", 7, figure="turnover"), figure("c", 7, region="north"),
        figure("d", 7, _subject="plant/2"), figure("e", 7, MORNING),
        {**figure("f", 7), "source": "/other"},
    ]  # fmt: skip
    assert push(key, figure("a", 7), *others) == [TAKEN] * 6


def test_a_figure_is_said_again_under_its_own_id(key: Key) -> None:
    assert push(key, figure("a", 7), figure("a", 7)) == [TAKEN, ("duplicate", [])]
    assert push(key, figure("a", 8, _sequence="2")) == [TAKEN]
    assert push(key, figure("a", 9, APRIL, _sequence="3"), figure("b", 9)) == [TAKEN] * 2
    # A version that a higher one outranks counts nowhere, and may come late.
    assert push(key, figure("a", 6, _sequence="1")) == [TAKEN]
    assert push(key, figure("a", 6, _sequence="4")) == [OVERLAPS]


def test_a_place_is_free_once_its_fact_is_gone(key: Key) -> None:
    push(key, figure("a", 7))
    retract(key, "a")
    assert push(key, figure("b", 6)) == [TAKEN]
    span = {"starts_at": "2024-01-01T00:00:00Z", "ends_at": "2025-01-01T00:00:00Z"}
    whole_year = {"source": "/crm", "reason": "of another plant", **span}
    key.post("metrics", "/v1/retractions", whole_year)
    assert push(key, figure("c", 5)) == [TAKEN]


def test_facts_may_change_places_in_one_batch(key: Key) -> None:
    push(key, figure("a", 1), figure("b", 2, APRIL))
    changed = [figure("a", 2, APRIL, _sequence="1"), figure("b", 1, _sequence="1")]
    assert push(key, *changed) == [TAKEN] * 2


def test_one_who_can_not_leave_keeps_its_place_and_hinders_nobody_else(key: Key) -> None:
    push(key, figure("a", 1), figure("b", 2, APRIL), figure("c", 3, MAY), figure("d", 4, JUNE))
    moves = [
        figure("a", 2, APRIL, _sequence="1"), figure("b", 1, _sequence="1"),
        figure("e", 5, MAY), figure("c", 4, JUNE, _sequence="1"),
    ]  # fmt: skip
    assert push(key, *moves) == [TAKEN, TAKEN, OVERLAPS, OVERLAPS]
    told = key.post("metrics", "/v1/events", moves[2:])["results"]
    by_e, by_c = (result["errors"][0]["detail"] for result in told)
    assert "'c'" in by_e
    assert "can't leave" in by_e
    assert by_c.startswith("The event 'd'")


def test_only_versions_that_count_outrank_others(key: Key) -> None:
    push(key, figure("b", 8))
    for end in ("drop", None, "close"):
        backfill = opened(key)
        push(key, figure(f"a{end}", 1, APRIL, _sequence="9", region=str(end)), backfill=backfill)
        if end:
            key.post("metrics", f"/v1/backfills/{backfill}/{end}", BECAUSE)
        if end == "close":
            key.post("metrics", f"/v1/backfills/{backfill}/revert", BECAUSE)
        assert push(key, figure(f"a{end}", 1, _sequence="5")) == [OVERLAPS]


def test_of_versions_that_are_equally_high_the_first_stands(key: Key) -> None:
    push(key, figure("a", 7, _sequence="1"))
    assert push(key, figure("a", 7, APRIL, _sequence="01"), figure("b", 8)) == [TAKEN, OVERLAPS]
    assert push(key, figure("c", 7, APRIL)) == [TAKEN]


def test_a_version_that_can_not_count_claims_nothing(key: Key) -> None:
    push(key, figure("a", 7, _sequence="5"), figure("c", 7, APRIL, _sequence="5"))
    retract(key, "a")
    retract(key, "c")
    assert push(key, figure("a", 6, _sequence="3"), figure("b", 8)) == [TAKEN] * 2
    assert push(key, figure("c", 6, _sequence="3")) == [TAKEN]
    assert push(key, figure("c", 6, _sequence="6")) == [OVERLAPS]
    backfill = opened(key)
    push(key, figure("d", 1, MAY, _sequence="5"), backfill=backfill)
    retract(key, "d", backfill=backfill)
    late = figure("d", 1, JUNE, _sequence="3"), figure("e", 1, JUNE)
    assert push(key, *late, backfill=backfill) == [TAKEN] * 2
    key.post("metrics", f"/v1/backfills/{backfill}/close", BECAUSE)


def test_where_a_higher_version_is_refused_the_lower_one_counts(key: Key) -> None:
    push(key, figure("x", 7))
    versions = [figure("a", 1, APRIL, _sequence="4"), figure("a", 1, _sequence="5")]
    assert push(key, *versions) == [TAKEN, OVERLAPS]
    assert push(key, figure("b", 2, APRIL)) == [OVERLAPS]
    many = [figure("m", n, _sequence=str(n)) for n in range(10)]
    assert push(key, *many) == [OVERLAPS] * 10


def test_a_fact_of_another_kind_leaves_its_place(key: Key) -> None:
    push(key, figure("a", 7))
    other = event("a", "work.item.completed", MARCH, type="feature", _sequence="2")
    assert push(key, other, figure("b", 8)) == [TAKEN] * 2
    assert push(key, figure("a", 9, _sequence="1"), figure("c", 1, APRIL)) == [TAKEN] * 2
    assert push(key, figure("a", 9, _sequence="3")) == [OVERLAPS]


def test_what_repeats_a_refused_event_is_refused_with_it(key: Key) -> None:
    push(key, figure("z", 7))
    assert push(key, figure("a", 7, _sequence="1"), figure("a", 7)) == [OVERLAPS] * 2


def test_history_in_a_backfill_overlaps_what_counts_and_what_is_in_it(key: Key) -> None:
    push(key, figure("a", 7))
    backfill = opened(key)
    assert push(key, figure("b", 8), figure("c", 1, APRIL), backfill=backfill) == [OVERLAPS, TAKEN]
    assert push(key, figure("d", 1, APRIL), backfill=backfill) == [OVERLAPS]


def test_within_a_backfill_what_it_changes_is_changed(key: Key) -> None:
    push(key, figure("a", 7), figure("b", 8, APRIL))
    backfill = opened(key)
    retract(key, "a", backfill=backfill)
    moved = figure("b", 8, "2024-05-31", _sequence="1")
    assert push(key, figure("c", 1), moved, backfill=backfill) == [TAKEN] * 2
    assert push(key, figure("d", 1, APRIL), backfill=backfill) == [TAKEN]
    assert push(key, figure("e", 1), figure("e", 1, APRIL)) == [OVERLAPS] * 2
    key.post("metrics", f"/v1/backfills/{backfill}/close", BECAUSE)
    assert push(key, figure("f", 1), figure("g", 1, APRIL)) == [OVERLAPS] * 2


def test_a_backfill_does_not_close_on_figures_that_came_meanwhile(key: Key) -> None:
    backfill = opened(key)
    push(key, figure("a", 1, APRIL), figure("b", 2), backfill=backfill)
    assert push(key, figure("c", 1, APRIL)) == [TAKEN]
    closing = f"/v1/backfills/{backfill}/close"
    problem = key.refused(409, "POST", "metrics", closing, json=BECAUSE)
    assert problem["errors"][0]["code"] == "overlap"
    assert key.get("metrics", f"/v1/backfills/{backfill}")["state"] == "open"
    retract(key, "c", backfill=backfill)
    assert key.post("metrics", closing, BECAUSE)["state"] == "closed"


def test_what_overlaps_since_a_revert_can_be_put_right(key: Key) -> None:
    push(key, figure("b", 7))
    backfill = opened(key)
    push(key, figure("b", 7, APRIL, _sequence="1"), backfill=backfill)
    key.post("metrics", f"/v1/backfills/{backfill}/close", BECAUSE)
    assert push(key, figure("d", 8)) == [TAKEN]
    key.post("metrics", f"/v1/backfills/{backfill}/revert", BECAUSE)
    assert push(key, figure("d", 9, _sequence="1")) == [TAKEN]
    later, other = opened(key), opened(key)
    assert push(key, figure("d", 10, _sequence="2"), backfill=later) == [TAKEN]
    key.post("metrics", f"/v1/backfills/{later}/close", BECAUSE)
    # What a backfill takes back within itself hinders nobody.
    push(key, figure("e", 1, MAY), backfill=other)
    retract(key, "e", backfill=other)
    assert push(key, figure("f", 1, MAY)) == [TAKEN]
    key.post("metrics", f"/v1/backfills/{other}/close", BECAUSE)


def test_a_stream_of_lines_is_no_way_around(key: Key) -> None:
    lines = "\n".join(json.dumps(figure(name, 7)) for name in "ab")
    answer = key.send("POST", "metrics", "/v1/events", content=lines.encode(),
                      headers={"content-type": "application/x-ndjson"})  # fmt: skip
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert told[0]["errors"][0]["code"] == "overlap"
    assert told[-1]["summary"] == {"accepted": 1, "conflict": 1}


def load(key: Key, rows: str, exported_at: str, **more: str) -> Any:
    told: dict[str, Any] = {
        "mapping": json.dumps({"events": [RULE]}),
        "exported_at": exported_at,
        **more,
    }
    return upload(key, (HEADER + rows).encode(), "a.csv", **told)


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_file_names_the_row_that_gives_a_figure_again(key: Key, dry_run: str) -> None:
    rows = f"1,margin,{MARCH},7\n2,margin,{APRIL},8\n3,margin,{MARCH},9\n"
    refused = load(key, rows, "2024-06-01T00:00:00Z", dry_run=dry_run)
    assert refused.status_code == 409
    (fault,) = refused.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/rows/4", "overlap")
    assert load(key, f"1,margin,{MARCH},7\n", "2024-06-01T00:00:00Z").is_success


def test_a_later_file_may_number_its_rows_anew(key: Key) -> None:
    first = f"1,margin,{MARCH},7\n2,margin,{APRIL},8\n"
    assert load(key, first, "2024-06-01T00:00:00Z").json()["accepted"] == 2
    later = f"1,margin,2024-02-29,6\n2,margin,{MARCH},7\n3,margin,{APRIL},8\n"
    changed = load(key, later, "2024-07-01T00:00:00Z").json()
    assert (changed["restated"], changed["accepted"]) == (2, 1)
    assert load(key, later, "2024-07-01T00:00:00Z").json()["unchanged"] == 3


def test_a_file_names_who_stands_in_the_way(key: Key) -> None:
    first = "".join(f"{n},margin,2024-{n:02}-28,{n}\n" for n in range(1, 6))
    load(key, first, "2024-06-01T00:00:00Z")
    shorter = "".join(f"{n},margin,2024-{n + 1:02}-28,{n}\n" for n in range(1, 5))
    refused = load(key, shorter, "2024-07-01T00:00:00Z").json()
    last = next(error for error in refused["errors"] if error["pointer"] == "/rows/5")
    assert "The event '5'" in last["detail"]
    assert all("'5'" in error["detail"] for error in refused["errors"])
    five = {"source": "/sources/files", "event_id": "5", "reason": "gone"}
    key.post("metrics", "/v1/retractions", five)
    assert load(key, shorter, "2024-07-01T00:00:00Z").json()["restated"] == 4


def test_an_older_export_gives_what_can_not_count_any_more(key: Key) -> None:
    june, july = "2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z"
    load(key, f"1,margin,{MARCH},7\n2,margin,{APRIL},8\n", june)
    gone = {"source": "/sources/files", "event_id": "1", "reason": "typed twice"}
    key.post("metrics", "/v1/retractions", gone)
    assert load(key, f"3,margin,{MARCH},7\n", july).json()["accepted"] == 1
    assert load(key, f"1,margin,{MARCH},6\n", "2024-05-01T00:00:00Z").is_success


def test_a_webhook_that_gives_a_figure_again_stands_in_quarantine(key: Key) -> None:
    address = source(key, "cloudevents", secrets=["s3cret-s3cret"])
    for identity in "ab":
        sent = figure(identity, 7, MORNING)
        assert post(key, address, sent, authorization="Bearer s3cret-s3cret").status_code == 200
    translated(key, 2)
    (kept,) = key.get("metrics", "/v1/quarantine")["items"]
    assert kept["errors"][0]["code"] == "overlap"
