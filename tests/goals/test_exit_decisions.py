"""An initiative is judged by its own rule, and confidence by how it turned out."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from services.goals.domain import deciding, judging
from services.goals.domain import goal as domain
from services.goals.domain.confidence import calibration, differs
from services.goals.domain.goal import Goal, GoalClosed, Target, Verdict
from services.goals.domain.initiative import SuccessRule, judge
from shared.errors import Refusal
from tests.goals.test_goal_decisions import committed, given

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def closed(first: Verdict, present: Verdict, value: str = "0.30", **changes: Any) -> Goal:
    fact = GoalClosed(value=D(value), first=first, present=present, basis="1-00")
    return domain.evolve(committed(**changes), fact)


def abandoned() -> Goal:
    return domain.evolve(committed(), deciding.abandon(committed(), "Vendor left"))


@pytest.mark.parametrize(
    ("rule", "goals", "first", "present"),
    [
        ("beyond_noise", [closed("improved", "achieved")], "successful", "successful"),
        ("target_reached", [closed("improved", "achieved")], "unsuccessful", "successful"),
        ("moved_right_way", [closed("unchanged", "unchanged")], "successful", "successful"),
        ("beyond_noise", [closed("unchanged", "unchanged")], "unsuccessful", "unsuccessful"),
        ("moved_right_way", [closed("worsened", "worsened", "0.2")],
         "unsuccessful", "unsuccessful"),
        ("beyond_noise", [closed("achieved", "achieved"), committed()], "undecided", "undecided"),
        ("beyond_noise", [closed("worsened", "worsened"), committed()],
         "unsuccessful", "unsuccessful"),
        ("beyond_noise", [closed("achieved", "achieved"), abandoned()],
         "unsuccessful", "successful"),
        ("beyond_noise", [abandoned()], "unsuccessful", "undecided"),
        ("beyond_noise", [], "undecided", "undecided"),
        ("beyond_noise", [given()], "undecided", "undecided"),
    ],
)  # fmt: skip
def test_an_initiative_is_judged_by_its_goals(
    rule: Any, goals: list[Goal], first: str, present: str
) -> None:
    found = judge(SuccessRule(rule=rule), goals, "Its end", NOW)
    assert (found.first, found.present) == (first, present)
    assert len(found.goals) == sum(goal.first is not None for goal in goals)


def test_only_must_goals_count_unless_the_rule_is_about_all() -> None:
    nice = closed("worsened", "worsened")
    nice = nice.model_copy(update={"body": nice.body.model_copy(update={"priority": "should"})})
    goals = [closed("achieved", "achieved"), nice]
    assert judge(SuccessRule(), goals, "Its end", NOW).present == "successful"
    assert judge(SuccessRule(goals="all"), goals, "Its end", NOW).present == "unsuccessful"


def test_a_band_is_moved_towards_when_its_distance_shrinks() -> None:
    target = Target(band=(D("0.4"), D("0.5")))
    promised = committed(target=target, target_value=None).promised
    assert promised is not None
    near, far, inside = D("0.3"), D("0.2"), D("0.45")
    assert [judging.moved_right_way(promised, value) for value in (near, far, inside)] == [
        True, False, True]  # fmt: skip


def test_only_a_committed_goal_is_checked_in() -> None:
    said = deciding.check_in(committed(), "Ann", NOW, D("0.7"), "Two big deals")
    state = domain.evolve(committed(), said)
    assert (state.check_in, state.state) == (said, "committed")
    for other in (given(), abandoned(), closed("achieved", "achieved")):
        with pytest.raises(Refusal, match="only a committed goal"):
            deciding.check_in(other, "Ann", NOW, D("0.7"), "")


@pytest.mark.parametrize(
    ("confidence", "status", "contradicts"),
    [("0.9", "off_track", True), ("0.1", "on_track", True), ("0.6", "off_track", False),
     ("0.9", "on_track", False), ("0", "no_data", False), ("0.5", "reached", True)],
)  # fmt: skip
def test_a_view_that_contradicts_the_figures_is_told(
    confidence: str, status: str, contradicts: bool
) -> None:
    assert differs(D(confidence), status) is contradicts


def test_calibration_compares_confidence_with_what_came() -> None:
    """Worked by hand: 0.9 twice (one right), 1 right, 0.1 wrong: errors .01 .81 0 .01."""
    told = [(D("0.9"), True), (D("0.9"), False), (D(1), True), (D("0.1"), False)]
    buckets, brier = calibration(told)
    assert brier == D("0.83") / 4
    shown = [(str(b.low), b.views, round(b.achieved, 3)) for b in buckets]
    assert shown == [("0", 1, D(0)), ("0.8", 3, D("0.667"))]
    assert calibration([]) == ([], None)
