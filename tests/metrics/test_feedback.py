"""Voices: recorded once, counted as facts, and given back in people's own words."""

from __future__ import annotations

from typing import Any

from tests.support.house import Key

SAID = {
    "audience": "customer", "kind": "comment", "channel": "phone", "text": "It saves me an hour.",
    "themes": ["speed"], "sentiment": "positive", "judged_by": "Ada", "at": "2024-02-03T10:00:00Z",
}  # fmt: skip


def say(key: Key, **changed: Any) -> Any:
    return key.send("POST", "metrics", "/v1/feedback", json={**SAID, **changed})


def test_what_was_said_is_a_fact_and_its_text_comes_back(key: Key) -> None:
    made = say(key, id="f1").json()
    assert (made["text"], made["at"]) == ("It saves me an hour.", "2024-02-03T10:00:00Z")
    assert say(key, id="f1").status_code == 200
    assert say(key, id="f1", text="It costs me an hour.").status_code == 409
    (found,) = key.get("metrics", "/v1/feedback")["items"]
    assert {name: found[name] for name in SAID} == SAID
    (fact,) = [e for e in key.get("metrics", "/v1/feed")["items"] if e["type"].startswith("feedb")]
    assert "hour" not in str(fact["data"])
    key.post("metrics", "/v1/catalogue/positive-feedback-share/install", {})
    path = "/v1/metrics/positive-feedback-share/values"
    assert key.get("metrics", path, period="2024-Q1")["values"][0]["value"] == 1


def test_voices_are_found_by_audience_theme_and_period_and_come_in_pages(key: Key) -> None:
    for number in range(7):
        at = f"2024-0{1 + number % 3}-1{number}T10:00:00Z"
        audience = "prospect" if number == 3 else "customer"
        themes = ["speed", "price"] if number % 2 else ["price"]
        assert say(key, id=str(number), at=at, audience=audience, themes=themes).status_code == 201

    def ids(**params: Any) -> list[str]:
        page = key.get("metrics", "/v1/feedback", limit=2, **params)
        found = [v["id"] for v in page["items"]]
        while page["next_cursor"]:
            page = key.get("metrics", "/v1/feedback", limit=2, cursor=page["next_cursor"], **params)
            found += [v["id"] for v in page["items"]]
        return found

    assert ids() == ["0", "3", "6", "1", "4", "2", "5"]
    assert ids(audience="prospect") == ["3"]
    assert ids(theme="speed") == ["3", "1", "5"]
    assert ids(period="2024-02") == ["1", "4"]
    key.post("metrics", "/v1/retractions",
             {"source": "/feedback", "event_id": "1", "reason": "Asked to forget it"})  # fmt: skip
    assert ids(period="2024-02") == ["4"]


def test_a_judgement_says_whose_it_is_and_nothing_is_guessed(key: Key) -> None:
    assert say(key, judged_by=None).status_code == 422
    assert say(key, sentiment=None, judged_by=None).status_code == 201
    assert key.get("metrics", "/v1/feedback")["items"][0]["sentiment"] is None
    assert say(key, text="").status_code == 422
    assert say(key, audience="nobody").status_code == 422
    sets = key.get("metrics", "/v1/feedback/questions")["items"]
    assert [s["audience"] for s in sets] == ["customer", "prospect", "stakeholder"]
    assert all(s["questions"] for s in sets)
