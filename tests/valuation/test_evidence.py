"""What a claim can be checked against: the very events that its metrics count."""

from __future__ import annotations

from typing import Any

from tests.support.samples import WON, closed
from tests.valuation.test_worth import Story, story

__all__ = ["story"]

RESCUED = {"field": "rescued", "value": True}


def _rescue(story: Story, where: dict[str, Any] = RESCUED) -> str:
    body = {"key": "won", "name": "Won deals", "unit": "count", "definition": WON}
    story.key.post("metrics", "/v1/metrics", body)
    line = story.post("benefits", {
        "name": "Rescued", "category": "revenue", "template": "rescued-deals", "inputs": {
            "deals": {"metric": {"key": "won", "where": where}},
            "value": {"value": "1000", "unit": "EUR"}, "margin": {"value": "0.4", "unit": "ratio"},
        }, "planned": {"deals": {"value": "5"}}, "evidence": "verified",
    })  # fmt: skip
    return str(line["benefits"][0]["id"])


def _behind(story: Story, line: str, **params: Any) -> dict[str, Any]:
    found = story.get(f"benefits/{line}/evidence", **params)["evidence"]
    assert len(found) == 1
    return dict(found[0])


def test_rescued_deals_are_listed_one_by_one(story: Story) -> None:
    line = _rescue(story)
    story.key.events(
        closed("saved", "2025-02-10", rescued=True, amount=1000.25, currency="EUR"),
        closed("plain", "2025-02-11", rescued=False, amount=1000, currency="EUR"),
        closed("gone", "2025-02-12", "lost", rescued=True, amount=1000, currency="EUR"),
        closed("before", "2024-12-31T12:00:00Z", rescued=True, amount=1000, currency="EUR"),
    )
    behind = _behind(story, line)
    assert behind["metric"] == "won"
    assert [event["subject"] for event in behind["events"]] == ["deal/saved"]
    told = behind["events"][0]["data"]
    assert told == {"outcome": "won", "rescued": True, "amount": 1000.25, "currency": "EUR"}
    assert not behind["more"]


def test_what_was_known_then_is_listed_then(story: Story) -> None:
    line = _rescue(story)
    story.key.events(closed("first", "2025-02-10", rescued=True))
    then = story.get("valuation")["known_at"]
    story.key.events(closed("late", "2025-02-11", rescued=True))
    assert len(_behind(story, line)["events"]) == 2
    assert [e["id"] for e in _behind(story, line, known_at=then)["events"]] == ["first"]


def test_a_bound_with_decimals_is_asked_to_the_last_digit(story: Story) -> None:
    bound = {"field": "amount", "op": "gt", "value": 1000.5}
    line = _rescue(story, bound)
    story.key.events(
        closed("above", "2025-02-10", amount=1000.75, currency="EUR"),
        closed("below", "2025-02-10", amount=1000.25, currency="EUR"),
    )
    behind = _behind(story, line)
    assert [(event["id"], event["occurredon"]) for event in behind["events"]] == [
        ("above", "2025-02-10")
    ]
    assert behind["where"]["value"] == 1000.5


def test_every_metric_of_a_benefit_is_looked_behind(story: Story) -> None:
    line = story.benefit()["benefits"][0]["id"]
    story.key.events(closed("one", "2025-02-10", amount=1000, currency="EUR"))
    found = story.get(f"benefits/{line}/evidence")["evidence"]
    assert {entry["metric"] for entry in found} == {"win-rate", "size", "deals"}
    assert {event["id"] for entry in found for event in entry["events"]} == {"one"}


def test_a_benefit_that_is_not_there_has_none(story: Story) -> None:
    story.key.refused(404, "GET", "valuation", f"/v1/cases/{story.case}/benefits/none/evidence")
