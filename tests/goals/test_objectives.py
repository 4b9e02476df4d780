"""Objectives are scored from their key results, rolled up, and go on in the next period."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.goals.domain.objective import Objective, rolled_up, weighted
from services.goals.domain.statement import Statement
from tests.goals.test_alignment import draft
from tests.goals.test_scorecard import state_goals
from tests.support.house import Key

D = Decimal


@pytest.mark.parametrize(
    ("parts", "mean"),
    [
        ([], None),
        ([(None, D("0.5"))], None),
        ([(D("0.4"), None), (D("0.8"), None)], D("0.6")),
        ([(D("0.4"), D("0.75")), (D("0.8"), D("0.25"))], D("0.5")),
        ([(D("0.4"), D("0.75")), (D("0.8"), None)], D("0.5")),
        ([(D("-0.5"), None), (D("1.5"), None)], D("0.5")),
        ([(D("-1"), D("0.5")), (None, D("0.5"))], D("-1")),
        ([(D("0.7"), D("0.5")), (None, D("0.3")), (D("0"), None)], D("0.5")),
    ],
)
def test_the_score_is_a_weighted_mean_that_hides_no_bad_news(
    parts: list[Any], mean: Decimal | None
) -> None:
    assert weighted(parts) == mean


def test_scores_roll_up_along_the_tree() -> None:
    top, left, right = ("t" * 36, "l" * 36, "r" * 36)

    def stated(identity: str, parent: str | None) -> Statement[Objective]:
        body = Objective(text="Win", period="2026", parent=parent)
        return Statement[Objective](record_id=identity, initiative_id="i", revision=1, body=body)

    tree = [stated(top, None), stated(left, top), stated(right, top)]
    found = rolled_up(tree, {top: D("0.3"), left: D("0.6"), right: None})
    assert found == {top: D("0.45"), left: D("0.6"), right: None}


def objective(key: Key, initiative: str, **more: Any) -> str:
    made: str = key.post("goals", "/v1/objectives", {
        "initiative_id": initiative, "text": "Win in the south", "period": "2027", **more,
    })["id"]  # fmt: skip
    return made


def test_a_key_result_is_scored_by_its_progress_and_a_closed_objective_goes_on(key: Key) -> None:
    initiative, (ann, _, _) = state_goals(key)
    top = objective(key, initiative)
    below = objective(key, initiative, parent=top)
    where = {"field": "owner", "op": "eq", "value": "eve"}
    stated = draft(initiative, objective=below, business_owner="Eve", where=where)
    made = key.post("goals", "/v1/goals", stated)["id"]
    key.post("goals", f"/v1/goals/{made}/commit", {})
    progress = key.get("goals", f"/v1/goals/{made}/progress")
    tree = {one["id"]: one for one in key.get("goals", "/v1/objective-tree")["items"]}
    assert tree[below]["key_results"][0]["score"] == progress["fraction"] == 0
    assert (tree[top]["score"], tree[top]["rolled_up"]) == (None, 0)
    closed = key.post("goals", f"/v1/objectives/{below}/close",
                      {"reason": "The year is over", "next_period": "2031"})  # fmt: skip
    assert (closed["closing"]["score"], closed["closing"]["scores"]) == (0, {made: 0})
    onward = key.get("goals", f"/v1/objectives/{closed['closing']['next']}")["objective"]
    assert (onward["period"], onward["parent"], onward["closing"]) == ("2031", top, None)
    copy = key.get("goals", f"/v1/goals/{onward['key_results'][0]}")["goal"]
    assert (copy["state"], copy["target_period"], copy["due"]) == ("draft", "2031", "2031-12-31")
    key.refused(409, "POST", "goals", f"/v1/objectives/{below}/close",
                json={"reason": "Once more"})  # fmt: skip
    late = draft(initiative, objective=below)
    problem = key.refused(422, "POST", "goals", "/v1/goals", json=late)
    assert problem["errors"][0]["code"] == "closed"
    assert ann


def test_what_goes_on_must_be_a_key_result(key: Key) -> None:
    initiative, (ann, _, _) = state_goals(key)
    top = objective(key, initiative)
    key.refused(422, "POST", "goals", f"/v1/objectives/{top}/close",
                json={"reason": "Over", "next_period": "2031", "goes_on": [ann]})  # fmt: skip
    key.refused(409, "POST", "goals", f"/v1/objectives/{top}/close",
                json={"reason": "Over", "goes_on": [ann]})  # fmt: skip
    assert len(key.get("goals", "/v1/objectives")["items"]) == 1


def test_weighted_key_results_of_one_parent_go_on_together(key: Key) -> None:
    initiative, (parent, _, _) = state_goals(key)
    top = objective(key, initiative)
    for name in ("South", "North"):
        body = draft(initiative, objective=top, parent=parent, weight=0.5, title=name)
        key.post("goals", "/v1/goals", body)
    ids = key.get("goals", f"/v1/objectives/{top}")["objective"]["key_results"]
    closed = key.post("goals", f"/v1/objectives/{top}/close",
                      {"reason": "Over", "next_period": "2031", "goes_on": ids})  # fmt: skip
    onward = key.get("goals", f"/v1/objectives/{closed['closing']['next']}")["objective"]
    assert len(onward["key_results"]) == 2


def test_a_basis_that_does_not_exist_is_refused_and_a_filter_is_looked_at(key: Key) -> None:
    initiative, (ann, _, _) = state_goals(key)
    rubbish = {"metrics_basis": "1-00"}
    key.refused(422, "GET", "goals", f"/v1/goals/{ann}/progress", params=rubbish)
    key.refused(422, "GET", "goals", "/v1/scorecard", params=rubbish)
    for where in ({"banana": 1}, {"field": "nobody", "op": "eq", "value": 1}):
        body = draft(initiative, where=where)
        problem = key.refused(422, "POST", "goals", "/v1/goals", json=body)
        assert problem["errors"][0]["pointer"] == "/where"
    late = draft(initiative, where={"field": "owner", "op": "eq", "value": "x"},
                 target_period="nonsense")  # fmt: skip
    problem = key.refused(422, "POST", "goals", "/v1/goals", json=late)
    assert problem["errors"][0]["pointer"] == "/target_period"
