"""What surrounds goals is stated, restated and retired; it names only what there is."""

from __future__ import annotations

from typing import Any

import pytest

from services.goals.domain.factor import Factor, planned
from tests.goals.test_scorecard import state_goals
from tests.support.house import Key

NOBODY = "0" * 36
V2MOM: dict[str, Any] = {
    "period": "FY2026", "vision": "Each customer is known", "values": ["Trust", "Speed"],
    "methods": [{"text": "Clean the addresses", "owner": "Bo", "due": "2026-12-01"}],
}  # fmt: skip
FEAR: dict[str, Any] = {
    "kind": "obstacle", "category": "fear", "text": "Sales fear to be watched",
    "likelihood": 4, "impact": 5,
}  # fmt: skip


@pytest.fixture
def initiative(key: Key) -> str:
    made: str = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    return made


def state(key: Key, path: str, initiative: str, body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = key.post("goals", path, {"initiative_id": initiative, **body})
    return made


def restate(key: Key, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = key.send("PUT", "goals", path, json={"reason": "It has changed", **body},
                      headers=headers)  # fmt: skip
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def test_an_obstacle_is_looked_after_and_its_past_can_be_asked_for(
    key: Key, initiative: str
) -> None:
    made = state(key, "/v1/factors", initiative, FEAR)
    assert (made["planned"], made["exposure"], made["exposure_after"]) == (False, 20, 20)
    before = key.get("goals", f"/v1/factors/{made['id']}")["basis"]
    help_ = {"kind": "training", "text": "Two half days", "likelihood_after": 2, "impact_after": 3}
    changed = restate(key, f"/v1/factors/{made['id']}", {
        **FEAR, "owner": "Ann", "response": "mitigate", "mitigations": [help_],
    })  # fmt: skip
    assert (changed["planned"], changed["exposure_after"], changed["revision"]) == (True, 6, 2)
    past = key.get("goals", f"/v1/factors/{made['id']}", basis=before)["factor"]
    assert (past["owner"], past["revision"]) == (None, 1)
    told = key.get("goals", f"/v1/factors/{made['id']}/history")["items"]
    assert [item["what"]["code"] for item in told] == ["stated", "changed"]
    assert "owner - -> Ann" in told[1]["what"]["text"]
    assert told[1]["reason"] == "It has changed"


def test_what_is_retired_leaves_the_lists_and_not_the_past(key: Key, initiative: str) -> None:
    made = state(key, "/v1/stakeholders", initiative, {"name": "Works council", "group": True})
    path = f"/v1/stakeholders/{made['id']}"
    basis = key.get("goals", path)["basis"]
    key.post("goals", f"{path}/retire", {"reason": "It was dissolved"})
    assert key.get("goals", "/v1/stakeholders")["items"] == []
    key.refused(404, "GET", "goals", path)
    assert key.get("goals", path, basis=basis)["stakeholder"]["name"] == "Works council"
    assert key.get("goals", f"{path}/history")["items"][-1]["what"]["code"] == "retired"


def test_two_people_do_not_overwrite_each_others_v2mom(key: Key, initiative: str) -> None:
    made = state(key, "/v1/v2moms", initiative, V2MOM)
    path = f"/v1/v2moms/{made['id']}"
    other = {**V2MOM, "vision": "Each customer is a friend", "reason": "Rewritten"}
    key.refused(428, "PUT", "goals", path, json=other)
    key.refused(412, "PUT", "goals", path, json=other, headers={"If-Match": '"7"'})
    assert restate(key, path, other, **{"If-Match": '"1"'})["revision"] == 2
    key.refused(412, "PUT", "goals", path, json=V2MOM | {"reason": "Mine"},
                headers={"If-Match": '"1"'})  # fmt: skip


def test_v2moms_are_rewritten_yearly_and_align_without_circles(key: Key, initiative: str) -> None:
    first = state(key, "/v1/v2moms", initiative, V2MOM)
    problem = key.refused(409, "POST", "goals", "/v1/v2moms",
                          json={"initiative_id": initiative, **V2MOM})  # fmt: skip
    assert first["id"] in problem["detail"]
    later = {**V2MOM, "period": "FY2027", "aligns_to": first["id"]}
    second = state(key, "/v1/v2moms", initiative, later)
    circle = {**V2MOM, "aligns_to": second["id"], "reason": "Turned round"}
    problem = key.refused(422, "PUT", "goals", f"/v1/v2moms/{first['id']}", json=circle,
                          headers={"If-Match": '"1"'})  # fmt: skip
    assert problem["errors"][0]["code"] == "circle"
    assert [v["period"] for v in key.get("goals", "/v1/v2moms")["items"]] == ["FY2026", "FY2027"]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/v2moms", {**V2MOM, "obstacles": [NOBODY]}, "/obstacles/0"),
        ("/v1/v2moms", {**V2MOM, "aligns_to": NOBODY}, "/aligns_to"),
        ("/v1/factors", {**FEAR, "goals": [NOBODY]}, "/goals/0"),
        ("/v1/communications", {"text": "Why", "to": [NOBODY], "by": "Ann", "on": "2026-01-01",
                                "benefit": "They know"}, "/to/0"),
        ("/v1/objectives", {"text": "Come back", "period": "2026", "parent": NOBODY}, "/parent"),
        ("/v1/lessons", {"text": "Early", "evidence": "Pilot", "factor": NOBODY}, "/factor"),
        ("/v1/lessons", {"text": "Early", "evidence": "Pilot", "review": NOBODY}, "/review"),
        ("/v1/pre-mortem-answers", {"prompt": "fear", "factor": NOBODY}, "/factor"),
    ],
)  # fmt: skip
def test_what_is_named_must_be_there(
    key: Key, initiative: str, path: str, body: dict[str, Any], pointer: str
) -> None:
    problem = key.refused(422, "POST", "goals", path, json={"initiative_id": initiative, **body})
    assert problem["errors"][0]["pointer"] == pointer
    assert key.get("goals", path)["items"] == []


@pytest.mark.parametrize(
    "slip",
    [{"category": "quick_win"}, {"impact": 6}, {"brings": ["influence"]}, {"status": "gone"},
     {"text": ""}, {"kind": "accelerator", "category": "team", "response": "remove"}],
)  # fmt: skip
def test_a_factor_that_contradicts_itself_is_refused(
    key: Key, initiative: str, slip: dict[str, Any]
) -> None:
    body = {"initiative_id": initiative, **FEAR, **slip}
    key.refused(422, "POST", "goals", "/v1/factors", json=body)
    assert key.get("goals", "/v1/factors")["items"] == []


def test_what_belongs_to_another_initiative_is_not_named(key: Key, initiative: str) -> None:
    other, (goal, _, _) = state_goals(key)
    body = {"initiative_id": initiative, **FEAR, "goals": [goal]}
    problem = key.refused(422, "POST", "goals", "/v1/factors", json=body)
    assert problem["errors"][0]["code"] == "other_initiative"
    assert state(key, "/v1/factors", other, {**FEAR, "goals": [goal]})["goals"] == [goal]


def test_the_premortem_is_complete_when_each_prompt_is_answered_or_dismissed(
    key: Key, initiative: str
) -> None:
    path = f"/v1/initiatives/{initiative}/pre-mortem"
    prompts = [one["prompt"] for one in key.get("goals", path)["prompts"]]
    fear = state(key, "/v1/factors", initiative, FEAR)["id"]
    for prompt in prompts:
        answer = {"factor": fear} if prompt == "fear" else {"dismissed": "Looked at; not here"}
        state(key, "/v1/pre-mortem-answers", initiative, {"prompt": prompt, **answer})
    found = key.get("goals", path)
    states = {one["prompt"]: one["state"] for one in found["prompts"]}
    assert (found["complete"], states["fear"], states["migration"]) == (True, "found", "dismissed")
    again = {"initiative_id": initiative, "prompt": "fear", "dismissed": "Gone"}
    key.refused(409, "POST", "goals", "/v1/pre-mortem-answers", json=again)
    both = {"initiative_id": initiative, "prompt": "other", "dismissed": "x", "factor": fear}
    key.refused(422, "POST", "goals", "/v1/pre-mortem-answers", json=both)


def test_a_lesson_is_spread(key: Key, initiative: str) -> None:
    win = state(key, "/v1/factors", initiative, {
        "kind": "accelerator", "category": "quick_win", "text": "Offers in a day",
        "brings": ["influence"],
    })["id"]  # fmt: skip
    lesson = state(key, "/v1/lessons", initiative, {
        "text": "Begin with offers", "evidence": "Pilot south: 9 days -> 1", "factor": win,
        "applies_to": ["North"],
    })  # fmt: skip
    spread = key.post("goals", f"/v1/lessons/{lesson['id']}/spread",
                      {"to": "North", "reason": "Same offers there"})  # fmt: skip
    assert [(one["to"], one["by"]) for one in spread["spread"]] == [("North", "test")]
    kept = restate(key, f"/v1/lessons/{lesson['id']}", {
        "text": "Begin with the offers", "evidence": "Pilot south: 9 days -> 1",
    })  # fmt: skip
    assert (kept["spread"], kept["text"]) == (spread["spread"], "Begin with the offers")


def test_tenants_do_not_see_each_others(key: Key, initiative: str) -> None:
    made = state(key, "/v1/factors", initiative, FEAR)
    stranger = key.house.key()
    for path in (f"/v1/factors/{made['id']}", f"/v1/factors/{made['id']}/history",
                 f"/v1/initiatives/{initiative}/pre-mortem"):  # fmt: skip
        stranger.refused(404, "GET", "goals", path)
    assert stranger.get("goals", "/v1/factors")["items"] == []
    stranger.refused(404, "POST", "goals", "/v1/factors", json={"initiative_id": initiative,
                                                               **FEAR})  # fmt: skip


def test_an_answer_that_is_only_announced_is_no_plan() -> None:
    body = Factor.model_validate({**FEAR, "owner": "Ann", "response": "mitigate"})
    assert not planned(body)
    assert planned(Factor.model_validate({**FEAR, "owner": "Ann", "response": "accept"}))
    assert not planned(Factor.model_validate({**FEAR, "response": "accept"}))


def test_what_was_retired_holds_up_nothing_that_named_it(key: Key, initiative: str) -> None:
    objectives: list[str] = []
    for _ in range(2):
        above = {"parent": objectives[-1]} if objectives else {}
        body = {"text": "Come back", "period": "2026", **above}
        objectives.append(state(key, "/v1/objectives", initiative, body)["id"])
    win = state(key, "/v1/factors", initiative, {
        "kind": "accelerator", "category": "quick_win", "text": "Offers in a day",
    })["id"]  # fmt: skip
    lesson = state(key, "/v1/lessons", initiative,
                   {"text": "Offers", "evidence": "Pilot", "factor": win})["id"]  # fmt: skip
    for path in (f"/v1/objectives/{objectives[0]}", f"/v1/factors/{win}"):
        key.post("goals", f"{path}/retire", {"reason": "Over"})
    spread = {"to": "North", "reason": "Same there"}
    assert key.post("goals", f"/v1/lessons/{lesson}/spread", spread)["spread"]
    child = {"text": "Sooner", "period": "2026", "parent": objectives[1]}
    assert state(key, "/v1/objectives", initiative, child)["parent"] == objectives[1]
    key.post("goals", f"/v1/objectives/{objectives[1]}/close", {"reason": "Over"})
    orphan = {"initiative_id": initiative, "text": "x", "period": "2026", "parent": objectives[0]}
    key.refused(422, "POST", "goals", "/v1/objectives", json=orphan)


@pytest.mark.parametrize(
    "change",
    [{"starts_on": "2027-01-01"}, {"phases": [{"name": "South"}, {"name": "South"}]},
     {"phases": [{"name": "South", "starts_on": "2026-02-01", "ends_on": "2026-01-01"}]}],
)  # fmt: skip
def test_an_initiative_does_not_come_to_contradict_itself(key: Key, change: dict[str, Any]) -> None:
    body = {"name": "CRM", "planned_end": "2026-12-31"}
    path = f"/v1/initiatives/{key.post('goals', '/v1/initiatives', body)['id']}"
    key.refused(422, "PATCH", "goals", path, json={**change, "reason": "A slip"})
    assert key.get("goals", path)["initiative"]["revision"] == 1
