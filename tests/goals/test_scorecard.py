"""The scorecard: every goal at a glance, from one basis, what needs attention first."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.goals.clients import MetricsClient
from shared.web.client import Peer
from tests.support.house import House, Key
from tests.support.samples import closed

SHARE = {"kind": "ratio",
         "numerator": {"kind": "count", "events": ["crm.opportunity.closed"],
                       "where": {"field": "outcome", "op": "eq", "value": "won"}},
         "denominator": {"kind": "count", "events": ["crm.opportunity.closed"]}}  # fmt: skip
BASE = ["2025-Q1", "2025-Q2"]


def quarter(name: str, won: int, lost: int, owner: str) -> list[dict[str, Any]]:
    year, number = name.split("-Q")
    day = f"{year}-{int(number) * 3 - 1:02}-10"
    return [
        closed(f"{owner}/{name}/{n}", day, "won" if n < won else "lost", owner=owner)
        for n in range(won + lost)
    ]


def state_goals(key: Key, count: int = 3) -> tuple[str, list[str]]:
    """An initiative with goals on one metric; the team of each moved another way."""
    body = {"key": "win-rate", "name": "Win rate", "unit": "ratio", "definition": SHARE,
            "dimensions": ["owner"], "direction": "up"}  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    rates = {"ann": (3, 8), "bob": (3, 1), "eve": (3, 3)}
    for owner, (before, after) in rates.items():
        for name in BASE:
            key.events(*quarter(name, before, 10 - before, owner))
        key.events(*quarter("2026-Q3", after, 10 - after, owner))
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    ids = []
    for owner in list(rates)[:count]:
        goal = key.post("goals", "/v1/goals", {
            "initiative_id": initiative, "title": f"{owner} wins more", "metric": "win-rate",
            "where": {"field": "owner", "op": "eq", "value": owner}, "baseline": {"periods": BASE},
            "target": {"value": 0.6}, "target_period": "2027-Q4", "business_owner": owner,
            "priority": "should" if owner == "eve" else "must",
        })  # fmt: skip
        ids.append(goal["id"])
        key.post("goals", f"/v1/goals/{goal['id']}/commit", {})
    return initiative, ids


def test_what_needs_attention_comes_first(key: Key) -> None:
    initiative, (ann, bob, eve) = state_goals(key)
    draft = key.post("goals", "/v1/goals", {
        "initiative_id": initiative, "title": "Later", "metric": "win-rate",
        "baseline": {"periods": BASE}, "target": {"value": 0.6}, "target_period": "2026-Q4",
    })["id"]  # fmt: skip
    card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    assert (card["states"], card["verdicts"]) == ({"committed": 3, "draft": 1}, {})
    assert card["statuses"] == {"reached": 1, "off_track": 2}
    assert card["attention"] == [bob, eve, draft]
    assert [(group["name"], len(group["goals"])) for group in card["groups"]] == [
        ("short", 1), ("long", 3)]  # fmt: skip
    by_owner = key.get("goals", f"/v1/initiatives/{initiative}/scorecard", by="business_owner")
    assert [group["name"] for group in by_owner["groups"]] == ["ann", "bob", "eve", None]
    assert ann in str(by_owner["groups"][0])


def test_an_early_warning_is_shown_with_the_goal_that_it_warns_for(key: Key) -> None:
    initiative, (ann, bob, eve) = state_goals(key)
    made = key.post("goals", "/v1/goals", {
        "initiative_id": initiative, "title": "Early", "metric": "win-rate",
        "where": {"field": "owner", "op": "eq", "value": "bob"}, "baseline": {"periods": BASE},
        "target": {"value": 0.6}, "target_period": "2027-Q4", "business_owner": "Bo",
        "warns_for": [ann],
    })["id"]  # fmt: skip
    key.post("goals", f"/v1/goals/{made}/commit", {})
    progress = key.get("goals", f"/v1/goals/{ann}/progress")
    assert progress["leading"] == [{"goal_id": made, "title": "Early", "status": "off_track"}]
    signals = [key.get("goals", f"/v1/goals/{g}/progress")["signal"] for g in (ann, bob, eve)]
    assert signals == ["beyond_noise", "beyond_noise", "noise"]
    card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    shown = {one["goal"]["id"]: one["progress"] for g in card["groups"] for one in g["goals"]}
    assert shown[ann]["leading"] == progress["leading"]


def test_a_scorecard_says_what_each_goal_says_and_can_be_asked_again(key: Key) -> None:
    initiative, ids = state_goals(key)
    card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    shown = {one["goal"]["id"]: one["progress"] for g in card["groups"] for one in g["goals"]}
    for goal in ids:
        alone = key.get("goals", f"/v1/goals/{goal}/progress")
        assert {**alone, "known_at": ""} == {**shown[goal], "known_at": ""}
    key.events(*(closed(f"late/{n}", "2026-08-11", "won", owner="eve") for n in range(40)))
    goals_basis, metrics_basis = card["basis"]["goals"], card["basis"]["metrics"]
    again = key.get("goals", f"/v1/initiatives/{initiative}/scorecard", basis=goals_basis,
                    metrics_basis=metrics_basis)  # fmt: skip
    assert {**again, "known_at": ""}["statuses"] == card["statuses"]
    assert [one["progress"]["current"] for g in again["groups"] for one in g["goals"]] == [
        one["progress"]["current"] for g in card["groups"] for one in g["goals"]]  # fmt: skip
    now = key.get("goals", "/v1/scorecard")
    assert (now["initiative_id"], len(now["attention"])) == (None, 1)


def test_metrics_is_asked_once_for_all_goals(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    initiative, _ = state_goals(key)
    asked: list[str] = []
    send = Peer._send

    def counted(self: Peer, method: str, path: str, *rest: Any, **more: Any) -> Any:
        asked.append(f"{method} {path.partition('?')[0]}")
        return send(self, method, path, *rest, **more)

    monkeypatch.setattr(Peer, "_send", counted)
    key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    assert sorted(set(asked) - {"GET /v1/credentials/self"}) == [
        "GET /v1/calendar", "POST /v1/replay"]  # fmt: skip
    assert asked.count("POST /v1/replay") == 1


def test_while_metrics_is_down_goals_stay_readable(
    key: Key, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    initiative, ids = state_goals(key, 2)

    def down(self: MetricsClient, *args: Any, **more: Any) -> Any:
        return Peer("metrics", "http://127.0.0.1:9", httpx.MockTransport(_refuse)).get(
            "/v1/calendar", Any, ""
        )  # type: ignore[type-var]

    monkeypatch.setattr(MetricsClient, "calendar", down)
    card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    assert card["statuses"] == {"no_data": 2}
    assert card["basis"]["metrics"] is None
    (cause,) = card["groups"][0]["goals"][0]["progress"]["because"]
    assert (cause["code"], "metrics service" in cause["text"]) == ("no_current_value", True)
    assert card["attention"] == ids


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_a_goal_whose_question_has_a_problem_does_not_hide_the_others(key: Key) -> None:
    initiative, ids = state_goals(key, 2)
    key.post("metrics", "/v1/metrics/win-rate/retire", {"reason": "Replaced"})
    card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
    assert sum(card["statuses"].values()) == len(ids)
    key.refused(404, "GET", "goals", f"/v1/initiatives/{'0' * 36}/scorecard")
    key.refused(422, "GET", "goals", "/v1/scorecard?by=colour")
