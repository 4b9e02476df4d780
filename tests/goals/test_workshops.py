"""A team finds its goals: ideas, votes, themes, drafts; a closed workshop is only read."""

from __future__ import annotations

from typing import Any

import pytest

from services.goals.domain.workshop import Idea, suggested_themes
from tests.goals.test_scorecard import BASE, state_goals
from tests.support.house import House, Key


@pytest.fixture
def people(house: House, key: Key) -> dict[str, Key]:
    scopes = ("goals:write", "goals:read", "metrics:read")
    return {n: house.key(key.tenant, *scopes, person=n) for n in ("Ann", "Bo", "Eve")}


def opened(key: Key, initiative: str) -> str:
    made: str = key.post("goals", "/v1/workshops", {
        "initiative_id": initiative, "name": "What will we celebrate?", "points": 5,
        "participants": [{"person": "Ann"}, {"person": "Bo", "side": "vendor", "team": "Support"}],
    })["id"]  # fmt: skip
    return made


def test_a_theme_becomes_goals_and_both_keep_the_link(key: Key, people: dict[str, Key]) -> None:
    initiative, _ = state_goals(key, 1)
    path = f"/v1/workshops/{opened(key, initiative)}"
    for person, words in (("Ann", "We answered every lead within a day"),
                          ("Bo", "Each lead was answered within one day"),
                          ("Bo", "The coffee was better")):  # fmt: skip
        found = people[person].post("goals", f"{path}/ideas", {"text": words})
    ids = {idea["text"][:4]: idea["id"] for idea in found["ideas"]}
    (group,) = key.get("goals", f"{path}/suggested-themes")["items"]
    assert {idea["id"] for idea in group["ideas"]} == {ids["We a"], ids["Each"]}
    votes = {"points": {ids["We a"]: 2, ids["The "]: 3}}
    people["Ann"].post("goals", f"{path}/votes", votes)
    people["Bo"].post("goals", f"{path}/votes", {"points": {ids["We a"]: 5}})
    changed = {"points": {ids["We a"]: 4, ids["The "]: 1}}
    ranking = people["Ann"].post("goals", f"{path}/votes", changed)
    assert [(idea["text"][:4], idea["points"]) for idea in ranking["ideas"]] == [
        ("We a", 9), ("The ", 1), ("Each", 0)]  # fmt: skip
    theme = key.post("goals", f"{path}/themes",
                     {"name": "Fast answers", "ideas": [ids["We a"], ids["The "]]})  # fmt: skip
    theme_id = theme["themes"][0]["id"]
    regrouped = {"name": "Fast answers", "ideas": [ids["We a"], ids["Each"]]}
    again = key.send("PUT", "goals", f"{path}/themes/{theme_id}", json=regrouped)
    assert {i["text"][:4]: i["theme"] for i in again.json()["ideas"]} == {
        "We a": theme_id, "Each": theme_id, "The ": None}  # fmt: skip
    goal = {"title": "Win more", "metric": "win-rate", "baseline": {"periods": BASE},
            "target": {"value": 0.6}, "target_period": "2030-Q4"}  # fmt: skip
    made = key.post("goals", f"{path}/themes/{theme_id}/goals", {"goals": [goal, {
        "kind": "deliverable", "title": "A queue for leads", "due": "2030-01-01"}]})  # fmt: skip
    drafts = made["themes"][0]["goals"]
    assert [key.get("goals", f"/v1/goals/{d}")["goal"]["theme"] for d in drafts] == [theme_id] * 2
    stale = {"If-Match": '"1"'}
    key.refused(412, "POST", "goals", f"{path}/themes", json=regrouped, headers=stale)
    closed = key.post("goals", f"{path}/close", {"reason": "All themes have goals"})
    assert closed["closed"] == "All themes have goals"
    ann = people["Ann"]
    ann.refused(409, "POST", "goals", f"{path}/ideas", json={"text": "More"})
    ann.refused(409, "POST", "goals", f"{path}/votes", json=changed)
    key.refused(409, "POST", "goals", f"{path}/close", json={"reason": "Once more"})
    drafted = {"goals": [goal]}
    key.refused(409, "POST", "goals", f"{path}/themes/{theme_id}/goals", json=drafted)
    assert key.get("goals", path)["workshop"]["revision"] == closed["revision"]


def test_a_vote_beyond_ones_points_and_a_stranger_change_nothing(
    key: Key, people: dict[str, Key]
) -> None:
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    path = f"/v1/workshops/{opened(key, initiative)}"
    idea = people["Ann"].post("goals", f"{path}/ideas", {"text": "Fast"})["ideas"][0]["id"]
    problem = people["Ann"].refused(422, "POST", "goals", f"{path}/votes",
                                    json={"points": {idea: 6}})  # fmt: skip
    assert problem["errors"][0]["code"] == "too_many_points"
    wrong = {"points": {"0" * 36: 1}}
    people["Ann"].refused(422, "POST", "goals", f"{path}/votes", json=wrong)
    people["Ann"].refused(422, "POST", "goals", f"{path}/votes", json={"points": {idea: -1}})
    people["Eve"].refused(403, "POST", "goals", f"{path}/ideas", json={"text": "Mine"})
    as_bo = {"text": "Mine", "person": "Bo"}
    people["Ann"].refused(403, "POST", "goals", f"{path}/ideas", json=as_bo)
    key.refused(404, "PUT", "goals", f"{path}/themes/{'0' * 36}", json={"name": "x", "ideas": []})
    assert key.get("goals", path)["workshop"]["voted"] == []
    assert key.post("goals", f"{path}/ideas", as_bo)["ideas"][-1]["by"] == "Bo"


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        ([], []),
        (["Answer leads faster", "Leads get faster answers", "Better coffee"], [[0, 1]]),
        (["Customers find products", "Products are found by customers quickly",
          "Better coffee"], [[0, 1]]),
        (["Clean data", "Clean customer data everywhere"], [[0, 1]]),
        (["One", "Two"], []),
    ],
)  # fmt: skip
def test_ideas_that_share_their_words_are_suggested_together(
    texts: list[str], groups: list[list[int]]
) -> None:
    ideas = [Idea(idea_id=str(n), by="Ann", text=words) for n, words in enumerate(texts)]
    found: list[Any] = [sorted(int(i.idea_id) for i in group) for group in suggested_themes(ideas)]
    assert found == groups
