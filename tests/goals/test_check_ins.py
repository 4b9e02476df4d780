"""Check-ins and the exit of an initiative, over HTTP."""

from __future__ import annotations

from tests.goals.test_scorecard import state_goals
from tests.support.house import Key


def test_people_say_what_they_believe_beside_the_figures(key: Key) -> None:
    _, (ann, bob, _) = state_goals(key)
    path = f"/v1/goals/{bob}/check-ins"
    key.post("goals", path, {"confidence": 0.4, "comment": "Slow start"})
    said = key.post("goals", path, {"confidence": 0.9, "comment": "Two big deals are near"})
    assert (said["by"], said["confidence"]) == ("test", 0.9)
    assert [one["confidence"] for one in key.get("goals", path)["items"]] == [0.4, 0.9]
    progress = key.get("goals", f"/v1/goals/{bob}/progress")
    assert (progress["status"], progress["check_in"]["differs"]) == ("off_track", True)
    assert key.get("goals", f"/v1/goals/{ann}/progress")["check_in"] is None
    history = key.get("goals", f"/v1/goals/{bob}/history")["items"]
    assert history[-1]["what"]["text"] == "test is 90 % sure that the goal will be reached."
    for bad in ({"confidence": 1.1}, {"confidence": -0.1}, {"confidence": "0.5"}, {}):
        key.refused(422, "POST", "goals", path, json=bad)
    nothing = key.get("goals", "/v1/check-ins/calibration")
    assert (nothing["buckets"], nothing["brier"]) == ([], None)


def test_an_initiative_is_undecided_while_its_goals_are_not_judged(key: Key) -> None:
    initiative, (ann, bob, _) = state_goals(key)
    path = f"/v1/initiatives/{initiative}/exit"
    exited = key.post("goals", path, {"reason": "The project is over"})
    (judgement,) = exited["judgements"]
    assert (judgement["first"], judgement["present"]) == ("undecided", "undecided")
    assert {one["goal_id"] for one in judgement["goals"]} == {ann, bob}
    key.post("goals", f"/v1/goals/{bob}/abandon", {"reason": "Bob has left"})
    again = key.post("goals", path, {"reason": "Once more, after the lag"})
    assert [one["first"] for one in again["judgements"]] == ["undecided", "unsuccessful"]
    assert again["revision"] == 3
    key.refused(422, "POST", "goals", path, json={})
