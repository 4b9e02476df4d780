"""The two-year story of an initiative, by HTTP alone and in simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.goals.test_scorecard import quarter
from tests.journeys.test_main_job import move
from tests.support.house import Databases, House, Key, open_house
from tests.support.samples import GUIDELINES, WIN_RATE, event

BASE = ["2023-Q3", "2023-Q4"]
SCOPES = ("goals:write", "goals:read", "metrics:read")
ANSWERED = {
    "kind": "ratio", "numerator": {"kind": "count", "events": ["crm.activity.logged"],
                                   "where": {"field": "kind", "op": "eq", "value": "call"}},
    "denominator": {"kind": "count", "events": ["crm.activity.logged"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def simulated(databases: Databases) -> Iterator[House]:
    with open_house(databases, simulate=True) as opened:
        yield opened


class Story:
    """The initiative, its people and what they do, one act after the other."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.admin = house.key()
        self.ann, self.bo, self.eve = (
            house.key(self.admin.tenant, *SCOPES, person=person) for person in ("Ann", "Bo", "Eve")
        )
        self.initiative = ""
        self.goals: dict[str, str] = {}
        self.bodies: dict[str, str] = {}
        self.reviews: list[dict[str, Any]] = []

    def move(self, day: str) -> None:
        move(self.admin, f"{day}T08:00:00Z")

    def won(self, name: str, won: int) -> None:
        self.admin.events(*quarter(name, won, 100 - won, "all"))

    def calls(self, name: str, calls: int) -> None:
        year, number = name.split("-Q")
        day = f"{year}-{int(number) * 3 - 1:02}-10"
        kinds = ["call"] * calls + ["email"] * (10 - calls)
        self.admin.events(*(
            event(f"{name}/{n}", "crm.activity.logged", day, kind=kind)
            for n, kind in enumerate(kinds)
        ))  # fmt: skip

    def found(self) -> None:
        """Metrics, the initiative and its bodies."""
        metric = {**WIN_RATE, "guidelines": GUIDELINES, "direction": "up"}
        self.admin.post("metrics", "/v1/metrics", metric)
        self.admin.post("metrics", "/v1/metrics", {
            "key": "calls", "name": "Calls among activities", "unit": "ratio",
            "definition": ANSWERED, "indicator": "leading", "direction": "up",
            "audience": "customer", "guidelines": GUIDELINES,
        })  # fmt: skip
        self.initiative = self.admin.post("goals", "/v1/initiatives", {
            "name": "CRM for the north", "sponsor": "Ann", "business_owner": "Bo",
            "go_live": "2024-04-01", "aims": ["quick_use"], "starts_on": "2024-01-02",
            "success_rule": {"rule": "target_reached", "goals": "must"},
        })["id"]  # fmt: skip
        for level, person in (("steering", "Ann"), ("operating", "Bo")):
            made = self.admin.post("goals", "/v1/bodies", {
                "initiative_id": self.initiative, "level": level, "name": f"The {level} group",
                "cadence": "FREQ=MONTHLY;INTERVAL=3", "first_meeting": "2024-04-15",
                "members": [{"person": person, "role": "sponsor", "since": "2024-01-01"}],
                "acting_reason": "Set up by the office",
            })  # fmt: skip
            self.bodies[level] = made["id"]

    def workshop(self) -> None:
        """Ideas, votes, and a theme that becomes two drafts, one of them not SMART yet."""
        workshop = self.admin.post("goals", "/v1/workshops", {
            "initiative_id": self.initiative, "name": "We celebrate",
            "participants": [{"person": "Ann"}, {"person": "Bo"}, {"person": "Eve"}],
        })  # fmt: skip
        path = f"/v1/workshops/{workshop['id']}"
        ideas = [
            person.post("goals", f"{path}/ideas", {"text": words})["ideas"][-1]["id"]
            for person, words in ((self.ann, "We win every third deal"), (self.bo, "We call back"))
        ]
        self.eve.post("goals", f"{path}/votes", {"points": {ideas[0]: 3, ideas[1]: 2}})
        theme = self.admin.post("goals", f"{path}/themes", {"name": "Win", "ideas": ideas})
        made = self.admin.post(
            "goals", f"{path}/themes/{theme['themes'][0]['id']}/goals",
            {"goals": [self.win(business_owner=None), self.calling(), self.platform()]},
        )  # fmt: skip
        drafts = made["themes"][0]["goals"]
        self.goals = dict(zip(("win", "calling", "platform"), drafts, strict=True))
        self.admin.post("goals", f"{path}/close", {"reason": "The theme has its goals"})

    def win(self, **more: Any) -> dict[str, Any]:
        return {"title": "Win every third deal", "metric": "win-rate", "priority": "must",
                "baseline": {"periods": BASE}, "target": {"value": 0.35}, "aim": "quick_use",
                "target_period": "2025-Q3", "business_owner": "Bo",
                "milestones": [{"period": "2024-Q4", "value": 0.3}], **more}  # fmt: skip

    def calling(self) -> dict[str, Any]:
        return {"title": "Call back", "metric": "calls", "priority": "should",
                "baseline": {"periods": ["2024-Q1"]}, "target": {"change": 0.2},
                "target_period": "2025-Q1", "business_owner": "Bo"}  # fmt: skip

    def platform(self) -> dict[str, Any]:
        return {"kind": "deliverable", "title": "Interface to the shop", "acceptor": "Eve",
                "business_owner": "Bo", "criteria": ["Orders arrive"], "due": "2024-09-30",
                "priority": "should",
                "steps": [{"title": "Contract", "due": "2024-03-31"}]}  # fmt: skip

    def review(self, level: str, day: str, key: Key) -> dict[str, Any]:
        """A meeting; what it saw is kept for the end of the story."""
        self.move(day)
        held: dict[str, Any] = key.post("goals", "/v1/reviews", {
            "body_id": self.bodies[level], "on": day, "attendance": ["Ann", "Bo"],
        })  # fmt: skip
        self.reviews.append(held)
        return held

    def decide(self, key: Key, review: dict[str, Any], **decision: Any) -> dict[str, Any]:
        decided: dict[str, Any] = key.post(
            "goals", f"/v1/reviews/{review['id']}/decisions",
            {"text": "As said", "reason": "It was talked over", **decision},
        )  # fmt: skip
        return decided


@pytest.mark.xdist_group("simulated-story")
def test_two_years_from_a_workshop_to_a_verdict(simulated: House) -> None:
    """Goal: the course of an initiative can be followed, and every past review asked for again.

    Method: workshop, V2MOM, a metric that is measured first, a SMART check that fails and is
    mended, commitment, four reviews with an amendment, an obstacle, an escalation, an abandoned
    goal and a late delivery, then exit; at the end each review is compared with what was shown.
    """
    story = Story(simulated)
    story.move("2024-01-02")
    story.found()
    for name, won in {"2023-Q1": 22, "2023-Q2": 24, "2023-Q3": 25, "2023-Q4": 27}.items():
        story.won(name, won)
    story.workshop()
    _state_and_commit(story)
    _first_year(story)
    _second_year(story)
    _look_back(story)


def _state_and_commit(story: Story) -> None:
    plan = story.admin.post("goals", "/v1/v2moms", {
        "initiative_id": story.initiative, "period": "2024", "vision": "Each customer is known",
        "values": ["Trust", "Speed"], "methods": [{"text": "Train the north", "owner": "Bo"}],
    })["id"]  # fmt: skip
    win = f"/v1/goals/{story.goals['win']}"
    problem = story.ann.refused(409, "POST", "goals", f"{win}/commit", json={})
    assert "fails S" in problem["detail"]
    mended = story.win(measure_of=plan)
    assert story.ann.send("PUT", "goals", win, json=mended).status_code == 200
    story.bo.refused(403, "POST", "goals", f"{win}/commit", json={})
    committed = story.ann.post("goals", f"{win}/commit", {})
    assert committed["commitment"]["baseline"]["value"] == 0.26
    assert story.admin.get("goals", f"/v1/v2moms/{plan}")["v2mom"]["measures"] == [
        story.goals["win"]
    ]
    calling = f"/v1/goals/{story.goals['calling']}"
    first = {"cause": "no_instrument", "instrument": "The CRM's activities", "by": "2024-04-10"}
    begun = story.bo.post("goals", f"{calling}/commit", {"measure_first": first})
    assert (begun["state"], begun["commitment"]) == ("committed", None)
    story.bo.post("goals", f"/v1/goals/{story.goals['platform']}/commit", {})


def _first_year(story: Story) -> None:
    story.move("2024-04-02")
    story.won("2024-Q1", 28)
    story.calls("2024-Q1", 4)
    calling = f"/v1/goals/{story.goals['calling']}"
    promised = story.bo.post("goals", f"{calling}/commit", {})
    assert promised["instrumented_on"] == "2024-04-02"
    assert promised["first_commitment"]["target_value"] == 0.6
    review = story.review("operating", "2024-04-15", story.bo)
    obstacle = {
        "initiative_id": story.initiative, "kind": "obstacle", "category": "not_understanding",
        "text": "The north does not see why", "goals": [story.goals["win"]], "likelihood": 4,
        "impact": 4,
    }  # fmt: skip
    fear = story.bo.post("goals", "/v1/factors", obstacle)
    letter = story.bo.get("goals", f"/v1/goals/{story.goals['win']}/smart")["letters"]["R"]
    assert letter["result"] == "warn"
    answered = {k: v for k, v in obstacle.items() if k != "initiative_id"} | {
        "owner": "Bo", "response": "mitigate", "reason": "Agreed in the review",
        "mitigations": [{"kind": "training", "text": "A day in the south", "likelihood_after": 2}],
    }  # fmt: skip
    changed = story.bo.send("PUT", "goals", f"/v1/factors/{fear['id']}", json=answered).json()
    assert (changed["planned"], changed["exposure_after"]) == (True, 8)
    story.bo.post("goals", f"/v1/reviews/{review['id']}/actions",
                  {"text": "Train", "owner": "Bo", "due": "2024-05-31"})  # fmt: skip
    story.move("2024-07-02")
    story.won("2024-Q2", 27)
    story.calls("2024-Q2", 5)
    review = story.review("operating", "2024-07-15", story.bo)
    amend = {"kind": "amend", "goal_id": story.goals["win"], "target": {"value": 0.3}}
    story.bo.refused(403, "POST", "goals", f"/v1/reviews/{review['id']}/decisions",
                     json={"text": "Less", "reason": "Not trained", **amend})  # fmt: skip
    asked = story.decide(story.bo, review, kind="escalate", goal_id=story.goals["win"],
                         answer_by="2024-08-15")  # fmt: skip
    decision = asked["decisions"][0]
    assert decision["escalated_to"] == story.bodies["steering"]
    story.ann.post("goals", f"/v1/reviews/{review['id']}/decisions/{decision['id']}/answer",
                   {"answer": "We amend it at our next meeting"})  # fmt: skip
    steering = story.review("steering", "2024-08-01", story.ann)
    story.decide(story.ann, steering, **amend)


def _second_year(story: Story) -> None:
    story.move("2024-10-02")
    story.won("2024-Q3", 29)
    story.calls("2024-Q3", 3)
    platform = f"/v1/goals/{story.goals['platform']}"
    late = story.admin.get("goals", f"{platform}/progress")
    assert (late["status"], late["delivery"]["days_left"]) == ("off_track", -2)
    review = story.review("operating", "2024-10-15", story.bo)
    stopped = story.decide(story.bo, review, kind="stop", goal_id=story.goals["calling"])
    assert stopped["decisions"][0]["kind"] == "stop"
    story.move("2024-11-20")
    delivered = {"delivered_on": "2024-11-18", "note": "Orders arrive"}
    verdict = story.eve.post("goals", f"{platform}/close", delivered)["verdict"]
    assert (verdict["present"], verdict["days_late"]) == ("late", 49)
    seconds = [("2025-01-02", "2024-Q4", 30), ("2025-04-02", "2025-Q1", 31),
               ("2025-07-02", "2025-Q2", 33), ("2025-10-02", "2025-Q3", 33)]  # fmt: skip
    for day, name, won in seconds:
        story.move(day)
        story.won(name, won)
        if day == "2025-01-02":
            story.review("steering", "2025-01-15", story.ann)
    verdict = story.ann.post("goals", f"/v1/goals/{story.goals['win']}/close", {})["verdict"]
    assert (verdict["value"], verdict["first"], verdict["present"]) == (
        0.33, "improved", "achieved")  # fmt: skip
    exit_ = story.ann.post("goals", f"/v1/initiatives/{story.initiative}/exit",
                           {"reason": "The two years are over"})  # fmt: skip
    judged = exit_["judgements"][0]
    assert (judged["first"], judged["present"]) == ("unsuccessful", "successful")


def _look_back(story: Story) -> None:
    """Each past review is what it was, and the scorecard of its moment is what it showed."""
    for held in story.reviews:
        card = held["scorecard"]
        again = story.admin.get(
            "goals", f"/v1/initiatives/{story.initiative}/scorecard",
            known_at=card["known_at"], metrics_basis=card["basis"]["metrics"],
        )  # fmt: skip
        assert again == card
        verified = story.admin.post("goals", f"/v1/reviews/{held['id']}/verify")
        assert (verified["identical"], verified["differences"]) == (True, [])
    told = [
        (e["what"]["code"], e["authority"])
        for e in story.admin.get("goals", f"/v1/goals/{story.goals['win']}/history")["items"]
    ]
    assert told == [
        ("drafted", None), ("redrafted", None),
        ("committed", "The steering group: Ann (sponsor)"),
        ("amended", "The steering group: Ann (sponsor)"), ("closed", None),
    ]  # fmt: skip
    found = story.admin.get("goals", f"/v1/initiatives/{story.initiative}/findings")
    assert "review_overdue" in {one["code"] for one in found["items"]}
    minutes = story.admin.send("GET", "goals", f"/v1/reviews/{story.reviews[0]['id']}/minutes",
                               headers={"Accept-Language": "fr"})  # fmt: skip
    assert "Décisions" in minutes.text
