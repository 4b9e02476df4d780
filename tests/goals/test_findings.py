"""Findings: each from what shows it, and gone when it is mended."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.goals.clients import MetricsClient
from services.goals.domain import body as bodies
from services.goals.domain import deciding
from services.goals.domain.factor import Factor
from services.goals.domain.findings import Known, Watched, find
from services.goals.domain.goal import Goal, Target
from services.goals.domain.initiative import InitiativeBody, SuccessRule
from services.goals.domain.review import Review
from shared.errors import UNAVAILABLE
from tests.goals.test_goal_decisions import committed, given
from tests.goals.test_scorecard import BASE, SHARE, quarter, state_goals
from tests.support.house import Key
from tests.support.samples import event

TODAY = date(2026, 5, 1)
EARLY, LATE = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
D = Decimal


def goal(identity: str, state: Goal | None = None, **body: Any) -> Goal:
    found = state or committed()
    return found.model_copy(update={"goal_id": identity,
                                    "body": found.body.model_copy(update=body)})  # fmt: skip


def sound() -> list[Goal]:
    """Goals in which there is nothing to find."""
    return [
        goal("a", audience="customer", aim="control"), goal("b", indicator="leading"),
    ]  # fmt: skip


def initiative(**more: Any) -> InitiativeBody:
    stated: dict[str, Any] = {
        "name": "CRM", "description": "", "system_kind": "crm", "sponsor": "Sue",
        "business_owner": None, "project_owner": None, "currency": "EUR", "go_live": None,
        "phases": [], "success_rule": SuccessRule(), "retrospective": False,
    }  # fmt: skip
    return InitiativeBody(**{**stated, **more})


def steering() -> bodies.Body:
    fact = bodies.BodyFormed(
        body_id="s", initiative_id="i", level="steering", name="Steering", members=[],
        cadence="FREQ=MONTHLY;INTERVAL=3", first_meeting=date(2026, 1, 1),
    )  # fmt: skip
    return bodies.evolve(None, fact)


def review(on: date, *there: str) -> Review:
    return Review(
        record_id=str(on), initiative_id="i", revision=1, body_id="s", on=on, notes="",
        attendance=list(there), feedback=[], scorecard={}, known_at=EARLY, metrics_basis=None,
    )  # fmt: skip


def known(goals: list[Goal] | None = None, **more: Any) -> Known:
    stated = sound() if goals is None else goals
    told: dict[str, Any] = {
        "initiative": initiative(), "goals": stated, "first_commitment": EARLY,
        "drafted": {one.goal_id: EARLY for one in stated}, "bodies": [], "reviews": [],
        "factors": [], "today": TODAY, "heard": frozenset(("prospect", "stakeholder")),
    }  # fmt: skip
    return Known(**{**told, **more})


def codes(found: Known) -> list[str]:
    return [one.code for one in find(found)]


def fear(**more: Any) -> Factor:
    return Factor.model_validate({"kind": "obstacle", "category": "fear", "text": "x", **more})


def test_where_all_is_well_nothing_is_found() -> None:
    assert codes(known()) == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (lambda: known([goal("a", indicator="leading", audience="customer")]), "too_few_goals"),
        (lambda: known([*sound(), *(goal(str(n)) for n in range(6))]), "too_many_goals"),
        (lambda: known([*sound(), *(goal(str(n)) for n in range(2))]), "too_many_must"),
        (lambda: known([*sound(), goal("c"), goal("d")],
                       drafted={"a": EARLY, "b": EARLY, "c": LATE, "d": LATE}), "scope_grown"),
        (lambda: known([goal("a", audience="customer"), goal("b")]), "only_lagging"),
        (lambda: known([goal(n, audience="customer", indicator="leading") for n in "ab"]),
         "only_leading"),
        (lambda: known([goal("a", audience="customer", nature="usage"),
                        goal("b", indicator="leading", nature="usage")]), "only_usage"),
        (lambda: known(heard=frozenset()), "audience_unheard"),
        (lambda: known(initiative=initiative(aims=["automation"])), "aim_without_goal"),
        (lambda: known([*sound(), goal("c", business_owner=None)]), "no_owner"),
        (lambda: known([*sound(), goal("c", horizon="long", milestones=[])]),
         "long_without_milestones"),
        (lambda: known(factors=[fear()]), "obstacle_without_plan"),
        (lambda: known(bodies=[steering()]), "review_overdue"),
        (lambda: known(bodies=[steering()], reviews=[review(date(2026, 2, 1), "Bo"),
                                                     review(date(2026, 4, 1), "Bo")]),
         "sponsor_absent"),
        (lambda: known(stale=["win-rate"]), "guideline_broken"),
        (lambda: known(usage=[Watched("wau", D(5), D(9), None)]), "usage_falls"),
        (lambda: known(bypass=[Watched("born-closed", D("0.4"), D(0), None)]), "bypass"),
        (lambda: known(bypass=[Watched("process-compliance", D("0.4"), D(0), None)]), "bypass"),
    ],
)  # fmt: skip
def test_each_finding_is_found(state: Any, code: str) -> None:
    assert code in codes(state())


def test_a_lowered_target_is_found_and_a_raised_one_is_not() -> None:
    def amended(reach: str) -> Goal:
        first = committed()
        assert first.promised is not None
        now = first.promised.model_copy(
            update={"target": Target(value=D(reach)), "target_value": D(reach)}
        )
        return goal("c", first.model_copy(update={"present": now}))

    assert "lowered_target" in codes(known([*sound(), amended("0.32")]))
    assert "lowered_target" not in codes(known([*sound(), amended("0.40")]))


@pytest.mark.parametrize(
    "calm",
    [
        lambda: known(factors=[fear(owner="Ann", response="accept")]),
        lambda: known(factors=[fear(status="closed")]),
        lambda: known(bodies=[steering()], reviews=[review(date(2026, 2, 1), "Bo"),
                                                    review(date(2026, 4, 1), "Sue")]),
        lambda: known(usage=[Watched("wau", D(9), D(9), None)]),
        lambda: known(bypass=[Watched("born-closed", None, None, "no_events")]),
        lambda: known([*sound(), goal("d", given(deciding.abandon(given(), "why")))]),
    ],
)  # fmt: skip
def test_what_is_looked_after_is_not_found(calm: Any) -> None:
    assert codes(calm()) == []


def test_findings_over_http_and_while_metrics_is_down(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    initiative_id, _ = state_goals(key)
    path = f"/v1/initiatives/{initiative_id}/findings"
    key.post("metrics", "/v1/catalogue/born-closed/install", {})
    found = key.get("goals", path)
    told = {one["code"]: one for one in found["items"]}
    assert found["complete"]
    assert {"only_lagging", "audience_unheard", "long_without_milestones"} <= told.keys()
    assert told["only_lagging"]["said"]["text"].startswith("All 3 goals are results")
    assert [one["metric"] for one in found["watched"]] == ["born-closed"]
    now = datetime.now(UTC).date().isoformat()
    key.events(*(
        event(f"f{n}", "feedback.recorded", now, audience=who, text="Good", kind="call")
        for n, who in enumerate(("customer", "prospect", "investor"))
    ))  # fmt: skip
    later = {one["code"] for one in key.get("goals", path)["items"]}
    assert "audience_unheard" not in later

    def down(self: MetricsClient, *args: Any, **more: Any) -> Any:
        raise UNAVAILABLE.refusal("The metrics service does not answer.")

    monkeypatch.setattr(MetricsClient, "calendar", down)
    partly = key.get("goals", path)
    assert (partly["complete"], partly["basis"]["metrics"]) == (False, None)
    assert "only_lagging" in {one["code"] for one in partly["items"]}
    key.refused(404, "GET", "goals", f"/v1/initiatives/{'0' * 36}/findings")


def test_each_of_many_shops_is_held_against_its_own_baseline(key: Key) -> None:
    key.post("metrics", "/v1/metrics", {
        "key": "win-rate", "name": "Win rate", "unit": "ratio", "definition": SHARE,
        "dimensions": ["owner"], "direction": "up",
    })  # fmt: skip
    for owner, (before, after) in {"north": (2, 3), "south": (5, 5), "west": (4, 3)}.items():
        for name in BASE:
            key.events(*quarter(name, before, 10 - before, owner))
        key.events(*quarter("2026-Q3", after, 10 - after, owner))
    key.events(*quarter("2026-Q3", 5, 5, "new"))
    initiative_id = key.post("goals", "/v1/initiatives", {"name": "Shops"})["id"]
    made = key.post("goals", "/v1/goals", {
        "initiative_id": initiative_id, "title": "Each shop a tenth more", "metric": "win-rate",
        "baseline": {"periods": BASE}, "target": {"change_percent": 50},
        "target_period": "2028-Q4", "business_owner": "Ann",
    })["id"]  # fmt: skip
    path = f"/v1/goals/{made}/progress"
    key.refused(409, "GET", "goals", path, params={"group_by": "owner"})
    key.post("goals", f"/v1/goals/{made}/commit", {})
    shown = key.get("goals", path, group_by="owner")["family"]
    members = {one["name"]: one for one in shown["members"]}
    assert {n: (m["baseline"], m["target"], m["fraction"]) for n, m in members.items()} == {
        "north": (0.2, 0.3, 1), "south": (0.5, 0.75, 0), "west": (0.4, 0.6, -0.5),
        "new": (None, None, None),
    }  # fmt: skip
    assert {n: m["status"] for n, m in members.items()}["north"] == "reached"
    assert shown["statuses"] == {"reached": 1, "off_track": 2, "no_data": 1}
    problem = key.refused(422, "GET", "goals", path, params={"group_by": "shop"})
    assert problem["errors"][0]["pointer"] == "query:group_by"


def counted(key: Key, target: dict[str, Any], figures: dict[str, tuple[int, int]]) -> Any:
    """The family of a count over owners, with as many deals before and now."""
    key.post("metrics", "/v1/metrics", {
        "key": "deals", "name": "Deals", "unit": "count", "definition": SHARE["denominator"],
        "dimensions": ["owner"], "direction": "up",
    })  # fmt: skip
    for owner, (before, after) in figures.items():
        key.events(*quarter("2025-Q2", before, 0, owner), *quarter("2026-Q3", after, 0, owner))
    initiative_id = key.post("goals", "/v1/initiatives", {"name": "Shops"})["id"]
    made = key.post("goals", "/v1/goals", {
        "initiative_id": initiative_id, "title": "More deals", "metric": "deals",
        "baseline": {"periods": ["2025-Q2"]}, "target": target, "target_period": "2028-Q4",
        "business_owner": "Ann",
    })["id"]  # fmt: skip
    key.post("goals", f"/v1/goals/{made}/commit", {})
    return key.get("goals", f"/v1/goals/{made}/progress", group_by="owner")["family"]


@pytest.mark.parametrize("target", [{"value": 22}, {"change": 2}, {"change_percent": 10}])
def test_of_what_adds_up_each_member_is_asked_for_its_proportion(
    key: Key, target: dict[str, Any]
) -> None:
    family = counted(key, target, {"north": (10, 11), "south": (10, 0)})
    north, south = family["members"]
    assert (north["target"], north["status"]) == (11, "reached")
    assert (south["target"], south["status"], south["current"]) == (11, "off_track", None)


def test_a_member_that_began_past_the_target_is_not_told_to_come_back(key: Key) -> None:
    key.post("metrics", "/v1/metrics", {
        "key": "win-rate", "name": "Win rate", "unit": "ratio", "definition": SHARE,
        "dimensions": ["owner"], "direction": "up",
    })  # fmt: skip
    for owner, (before, after) in {"ann": (8, 4), "bob": (8, 9), "eve": (1, 2)}.items():
        key.events(*quarter("2025-Q2", before, 10 - before, owner),
                   *quarter("2026-Q3", after, 10 - after, owner))  # fmt: skip
    initiative_id = key.post("goals", "/v1/initiatives", {"name": "Shops"})["id"]
    made = key.post("goals", "/v1/goals", {
        "initiative_id": initiative_id, "title": "Win", "metric": "win-rate",
        "baseline": {"periods": ["2025-Q2"]}, "target": {"value": 0.6}, "target_period": "2028-Q4",
        "business_owner": "Ann",
    })["id"]  # fmt: skip
    key.post("goals", f"/v1/goals/{made}/commit", {})
    family = key.get("goals", f"/v1/goals/{made}/progress", group_by="owner")["family"]
    assert {m["name"]: m["status"] for m in family["members"]} == {
        "ann": "off_track", "bob": "reached", "eve": "at_risk"}  # fmt: skip


@pytest.mark.parametrize("point", ["crm_without_joy", "excel", "outgrown_crm", "vendor_gone",
                                   "e_commerce"])  # fmt: skip
def test_a_starting_point_drafts_all_at_once(key: Key, point: str) -> None:
    known_points = {one["key"]: one for one in key.get("goals", "/v1/starting-points")["items"]}
    body = {"name": "At last", "business_owner": "Ann"}
    made = key.post("goals", f"/v1/starting-points/{point}/initiatives", body)
    wanted = [goal["metric"] for goal in known_points[point]["goals"]]
    assert made["installed"] == wanted
    goals = key.get("goals", "/v1/goals", initiative_id=made["initiative"]["id"])["items"]
    assert ([one["metric"] for one in goals], {one["state"] for one in goals}) == (
        wanted,
        {"draft"},
    )
    assert made["initiative"]["aims"] == known_points[point]["aims"]
    assert len(made["factors"]) == len(known_points[point]["obstacles"])
    again = key.post("goals", f"/v1/starting-points/{point}/initiatives", body)
    assert again["installed"] == []
    problem = key.refused(404, "POST", "goals", "/v1/starting-points/excle/initiatives", json=body)
    assert "Did you mean 'excel'" in problem["detail"]
