"""Bodies gate what is decided; reviews freeze what was seen, and carry out what was decided."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.goals.clients import MetricsClient
from services.goals.domain import body as domain
from services.goals.domain.body import Body, BodyFormed, Level, Member, next_meeting
from shared.errors import UNAVAILABLE, Refusal
from tests.goals.test_scorecard import quarter, state_goals
from tests.support.house import House, Key

TODAY = datetime.now(UTC).date()
LONG_AGO = TODAY - timedelta(days=400)


def formed(level: Level, *people: str, cadence: str = "FREQ=MONTHLY;INTERVAL=3") -> Body:
    members = [Member(person=p, side="own", role="sponsor", since=LONG_AGO) for p in people]
    fact = BodyFormed(
        body_id="b", initiative_id="i", level=level, name=f"The {level} group", cadence=cadence,
        first_meeting=date(2025, 1, 15), members=members,
    )  # fmt: skip
    return domain.evolve(None, fact)


@pytest.mark.parametrize(
    ("bodies", "person", "decision", "priority", "name"),
    [
        ([], None, "commit", "must", None),
        ([formed("steering", "Ann")], "Ann", "commit", "must", "steering"),
        ([formed("steering", "Ann")], "Bob", "commit", "must", "refused"),
        ([formed("steering", "Ann"), formed("operating", "Bob")], "Bob", "amend", "must",
         "refused"),
        ([formed("steering", "Ann"), formed("operating", "Bob")], "Bob", "amend", "should",
         "operating"),
        ([formed("steering", "Ann"), formed("operating", "Bob")], "Ann", "amend", "should",
         "steering"),
        ([formed("operating", "Bob")], "Bob", "abandon", "must", "operating"),
        ([formed("execution", "Eve")], "Eve", "correct", "must", "execution"),
        ([formed("steering", "Ann"), formed("execution", "Eve")], "Eve", "correct", "must",
         "refused"),
        ([formed("steering", "Ann")], None, "abandon", "later", "refused"),
    ],
)  # fmt: skip
def test_who_decides_what(
    bodies: list[Body], person: str | None, decision: Any, priority: str, name: str | None
) -> None:
    if name == "refused":
        with pytest.raises(Refusal, match="is decided by"):
            domain.demand_right(bodies, person, decision, priority, TODAY)
        return
    authority = domain.demand_right(bodies, person, decision, priority, TODAY)
    assert (
        (authority is None)
        if name is None
        else authority == f"The {name} group: {person} (sponsor)"
    )


def test_who_has_left_decides_no_more() -> None:
    state = formed("steering", "Ann")
    left = domain.evolve(state, domain.leave(state, "Ann", TODAY, "Retired"))
    assert [m.person for m in left.members_on(TODAY - timedelta(days=1))] == ["Ann"]
    assert left.members_on(TODAY) == []
    with pytest.raises(Refusal, match="no member"):
        domain.leave(left, "Ann", TODAY, "Again")
    again = domain.join(left, Member(person="Ann", side="own", role="user", since=TODAY))
    assert domain.evolve(left, again).members_on(TODAY)[0].role == "user"
    with pytest.raises(Refusal, match="already"):
        domain.join(state, Member(person="Ann", side="own", role="user", since=TODAY))
    with pytest.raises(Refusal, match="before that"):
        domain.leave(state, "Ann", LONG_AGO - timedelta(days=1), "Never came")


@pytest.mark.parametrize(
    ("cadence", "held", "meets"),
    [
        ("FREQ=MONTHLY;INTERVAL=3", [], date(2025, 1, 15)),
        ("FREQ=MONTHLY;INTERVAL=3", [date(2025, 1, 15), date(2025, 4, 17)], date(2025, 7, 17)),
        ("FREQ=MONTHLY", [date(2025, 1, 31)], date(2025, 2, 28)),
        ("FREQ=WEEKLY;INTERVAL=2", [date(2025, 1, 15)], date(2025, 1, 29)),
        ("FREQ=DAILY", [date(2025, 12, 31)], date(2026, 1, 1)),
        ("FREQ=YEARLY", [date(2024, 2, 29)], date(2025, 2, 28)),
        ("FREQ=MONTHLY;BYDAY=1TU", [date(2025, 1, 15)], date(2025, 2, 4)),
        ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=-1", [date(2025, 1, 31)], date(2025, 4, 30)),
        ("FREQ=WEEKLY;BYDAY=MO,TH", [date(2025, 1, 13)], date(2025, 1, 16)),
        ("FREQ=YEARLY;BYMONTH=3,9;BYDAY=1MO", [date(2025, 3, 3)], date(2025, 9, 1)),
    ],
)
def test_a_body_meets_again_one_step_after_its_last_meeting(
    cadence: str, held: list[date], meets: date
) -> None:
    assert next_meeting(formed("steering", cadence=cadence), held) == meets


def member(person: str, role: str = "sponsor") -> dict[str, Any]:
    return {"person": person, "role": role, "since": LONG_AGO.isoformat()}


def govern(key: Key, initiative: str) -> tuple[str, str]:
    """A steering and an operating body; their ids."""
    ids = []
    for level, person in (("steering", "Ann"), ("operating", "Bob")):
        made = key.post("goals", "/v1/bodies", {
            "initiative_id": initiative, "level": level, "name": f"The {level} group",
            "first_meeting": LONG_AGO.isoformat(), "members": [member(person)],
            "acting_reason": "The initiative is set up",
        })  # fmt: skip
        assert made["overdue"]
        ids.append(made["id"])
    return ids[0], ids[1]


@pytest.fixture
def people(house: House, key: Key) -> dict[str, Key]:
    """Keys of three people of the same organisation."""
    return {
        name: house.key(key.tenant, "goals:write", "metrics:read", "goals:read", person=name)
        for name in ("Ann", "Bob", "Eve")
    }


def test_rights_gate_commands_and_an_admin_acts_with_a_reason(
    key: Key, people: dict[str, Key]
) -> None:
    initiative, (must, _, should) = state_goals(key)
    govern(key, initiative)
    change = {"target": {"value": 0.5}, "reason": "Two posts stay open"}
    path = f"/v1/goals/{must}/amend"
    problem = people["Bob"].refused(403, "POST", "goals", path, json=change)
    assert "'The steering group'" in problem["detail"]
    people["Eve"].refused(403, "POST", "goals", f"/v1/goals/{should}/amend", json=change)
    key.refused(403, "POST", "goals", path, json=change)
    assert key.get("goals", f"/v1/goals/{must}")["goal"]["revision"] == 2
    people["Bob"].post("goals", f"/v1/goals/{should}/amend", change)
    people["Ann"].post("goals", path, change)
    over = {**change, "target": {"value": 0.55}, "acting_reason": "Ann is ill"}
    people["Eve"].refused(403, "POST", "goals", path, json=over)
    key.post("goals", path, over)
    told = key.get("goals", "/v1/feed")["items"]
    authorities = [e["data"]["authority"] for e in told if e["type"] == "goal.amended"]
    assert authorities == [
        "The operating group: Bob (sponsor)", "The steering group: Ann (sponsor)",
        "admin test: Ann is ill",
    ]  # fmt: skip


def test_a_review_freezes_what_it_saw(key: Key, people: dict[str, Key]) -> None:
    initiative, (ann, bob, _) = state_goals(key)
    steering, operating = govern(key, initiative)
    review = people["Bob"].post("goals", "/v1/reviews", {
        "body_id": operating, "on": TODAY.isoformat(), "attendance": ["Bob", "Eve"],
        "notes": "Slow <start>", "feedback": ["Search is slow"],
    })  # fmt: skip
    path = f"/v1/reviews/{review['id']}"
    assert review["scorecard"]["attention"][0] == bob
    key.events(*quarter("2026-Q3", 9, 0, "late-bob"))
    key.post("goals", f"/v1/goals/{ann}/abandon",
             {"reason": "Given up", "acting_reason": "Ann is ill"})  # fmt: skip
    verified = key.post("goals", f"{path}/verify")
    assert verified == {"identical": True, "differences": []}
    assert key.get("goals", path)["review"]["scorecard"] == review["scorecard"]
    assert not key.get("goals", f"/v1/bodies/{operating}")["body"]["overdue"]
    assert key.get("goals", f"/v1/bodies/{steering}")["body"]["overdue"]
    tomorrow = {"body_id": operating, "on": (TODAY + timedelta(days=2)).isoformat(),
                "attendance": ["Bob"]}  # fmt: skip
    problem = key.refused(422, "POST", "goals", "/v1/reviews", json=tomorrow)
    assert problem["errors"][0]["pointer"] == "/on"


def test_decisions_of_a_review_take_effect_at_once(key: Key, people: dict[str, Key]) -> None:
    initiative, (must, second, should) = state_goals(key)
    steering, operating = govern(key, initiative)
    held = {"body_id": operating, "on": TODAY.isoformat(), "attendance": ["Bob"]}
    path = f"/v1/reviews/{people['Bob'].post('goals', '/v1/reviews', held)['id']}"

    def decide(person: str, **decision: Any) -> Any:
        body = {"text": "As discussed.", "reason": "Two posts stay open", **decision}
        return people[person].send("POST", "goals", f"{path}/decisions", json=body)

    amendment = {"kind": "amend", "target": {"value": 0.5}}
    assert decide("Bob", goal_id=must, **amendment).status_code == 403
    assert decide("Bob", goal_id=should, **amendment).status_code == 200
    goal = key.get("goals", f"/v1/goals/{should}")["goal"]
    assert goal["commitment"]["target_value"] == 0.5
    reason = key.get("goals", f"/v1/goals/{should}/history")["items"][-1]["reason"]
    assert reason == f"Review of {TODAY} (The operating group): Two posts stay open"
    assert decide("Ann", kind="stop", goal_id=second).status_code == 403
    above = {"body_id": steering, "on": TODAY.isoformat(), "attendance": ["Ann"]}
    top = people["Ann"].post("goals", "/v1/reviews", above)["id"]
    stop = {"kind": "stop", "goal_id": second, "text": "It ends.", "reason": "Nobody needs it"}
    people["Ann"].post("goals", f"/v1/reviews/{top}/decisions", stop)
    assert key.get("goals", f"/v1/goals/{second}")["goal"]["state"] == "abandoned"
    assert decide("Eve", kind="correct", goal_id=should).status_code == 403
    assert decide("Bob", kind="continue").status_code == 200
    for wrong in ({"kind": "amend", "goal_id": should}, {"kind": "stop"}, {"kind": "escalate"},
                  {"kind": "continue", "target": {"value": 1}}):  # fmt: skip
        assert decide("Ann", **wrong).status_code == 422
    escalated = decide("Bob", kind="escalate", answer_by="2030-01-01").json()["decisions"][-1]
    assert (escalated["escalated_to"], escalated["answer"]) == (steering, None)
    answer = f"{path}/decisions/{escalated['id']}/answer"
    people["Bob"].refused(403, "POST", "goals", answer, json={"answer": "We answer ourselves"})
    told = people["Ann"].post("goals", answer, {"answer": "The vendor's board was called"})
    assert told["decisions"][-1]["answer"] == "The vendor's board was called"
    people["Ann"].refused(409, "POST", "goals", answer, json={"answer": "Again"})
    training = {"text": "Train <the> south", "owner": "Eve", "due": "2030-01-01"}
    agreed = key.post("goals", f"{path}/actions", training)
    action = f"{path}/actions/{agreed['actions'][0]['id']}/done"
    assert key.post("goals", action, {"note": "All came"})["actions"][0]["done"] == "All came"
    key.refused(409, "POST", "goals", action, json={"note": "Twice"})
    page = key.send("GET", "goals", f"{path}/minutes")
    assert page.headers["content-type"].startswith("text/html")
    assert "0.1 (2026-Q3)" in " ".join(page.text.split())
    for words in ("The operating group: CRM", "eve wins more", "Train &lt;the&gt; south",
                  "All came", "The vendor&#39;s board was called"):  # fmt: skip
        assert words in page.text
    above = {"body_id": steering, "on": TODAY.isoformat(), "attendance": ["Ann"]}
    top = people["Ann"].post("goals", "/v1/reviews", above)["id"]
    body = {
        "kind": "escalate",
        "text": "Up",
        "reason": "Nobody is above",
        "answer_by": "2030-01-01",
    }
    key.refused(409, "POST", "goals", f"/v1/reviews/{top}/decisions", json=body)


def test_one_body_per_level_and_a_cadence_that_can_be_read(key: Key) -> None:
    initiative, _ = state_goals(key, 1)
    steering, _ = govern(key, initiative)
    body = {"initiative_id": initiative, "level": "steering", "name": "Another",
            "first_meeting": "2025-01-15"}  # fmt: skip
    key.refused(409, "POST", "goals", "/v1/bodies", json=body)
    third = {**body, "level": "execution"}
    assert "acting_reason" in key.refused(403, "POST", "goals", "/v1/bodies", json=third)["detail"]
    for rule in ("FREQ=SOMETIMES", "FREQ=MONTHLY;BYDAY=9ZZ", "FREQ=MONTHLY;BYMONTHDAY=",
                 "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=SECONDLY", "FREQ=DAILY;COUNT=9",
                 "FREQ=MONTHLY;BYSETPOS=0;BYDAY=MO", "FREQ=WEEKLY;WKST=ZZ",
                 "FREQ=MONTHLY;BYDAY=99TU", "FREQ=MONTHLY;BYMONTHDAY=0",
                 "FREQ=WEEKLY;BYDAY=1TU"):  # fmt: skip
        rubbish = {**body, "level": "execution", "cadence": rule}
        problem = key.refused(422, "POST", "goals", "/v1/bodies", json=rubbish)
        assert problem["errors"][0]["pointer"] == "/cadence"
    key.refused(404, "POST", "goals", "/v1/bodies", json={**body, "initiative_id": "0" * 36})
    key.refused(403, "POST", "goals", f"/v1/bodies/{steering}/members", json=member("Eve"))
    acting = {"acting_reason": "Ann is ill"}
    joined = key.post(
        "goals", f"/v1/bodies/{steering}/members", {**member("Eve", "user"), **acting}
    )
    left = {"person": "Eve", "until": TODAY.isoformat(), "reason": "Another post", **acting}
    gone = key.post("goals", f"/v1/bodies/{steering}/leave", left)
    assert (joined["revision"], gone["revision"]) == (2, 3)
    told = key.get("goals", f"/v1/bodies/{steering}/history")["items"]
    assert [(e["what"]["code"], e["authority"]) for e in told[1:]] == [
        ("joined", "admin test: Ann is ill"), ("left", "admin test: Ann is ill")]  # fmt: skip
    assert gone["members"][-1]["until"] == TODAY.isoformat()
    names = [b["name"] for b in key.get("goals", "/v1/bodies", initiative_id=initiative)["items"]]
    assert names == ["The steering group", "The operating group"]


def test_what_nobody_saw_is_not_frozen(
    key: Key, people: dict[str, Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    initiative, _ = state_goals(key, 1)
    _, operating = govern(key, initiative)

    def down(self: MetricsClient, *args: Any, **more: Any) -> Any:
        raise UNAVAILABLE.refusal("The metrics service does not answer.")

    monkeypatch.setattr(MetricsClient, "replay", down)
    held = {"body_id": operating, "on": TODAY.isoformat(), "attendance": ["Bob"]}
    answer = people["Bob"].send("POST", "goals", "/v1/reviews", json=held)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert key.get("goals", "/v1/reviews")["items"] == []
