"""Goals: given events, when a decision is asked for, then events follow, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from services.goals.domain import deciding, judging
from services.goals.domain import goal as domain
from services.goals.domain.goal import (
    BaselineSpec,
    Commitment,
    FrozenBaseline,
    Goal,
    GoalBody,
    GoalDrafted,
    GoalEvent,
    GoalMetricRedefined,
    Override,
    Target,
)
from services.goals.domain.progress import Point, expected_value, read
from services.goals.domain.smart import Evidence, Surroundings, check, committable, horizon
from shared.errors import Refusal

D = Decimal
TODAY = date(2024, 7, 1)


def body(**changes: Any) -> GoalBody:
    stated: dict[str, Any] = {
        "initiative_id": "i",
        "title": "Win more",
        "metric": "win-rate",
        "baseline": BaselineSpec(periods=["2024-Q1", "2024-Q2"]),
        "target": Target(value=D("0.35")),
        "target_period": "2025-Q4",
        "measured_over": "quarter",
        "business_owner": "Head of sales",
        "audience": "business",
        "indicator": "lagging",
        "nature": "value",
        "due": date(2025, 12, 31),
    }
    return GoalBody(**{**stated, **changes})


def promise(reach: str = "0.35", **changes: Any) -> Commitment:
    baseline = FrozenBaseline(
        id="b", value=D("0.27"), periods=["2024-Q1", "2024-Q2"], lower=D("0.22"), upper=D("0.32")
    )
    made: dict[str, Any] = {
        "baseline": baseline,
        "target": Target(value=D(reach)),
        "target_value": D(reach),
        "target_period": "2025-Q4",
        "due": date(2025, 12, 31),
        "metric_version": 1,
        "direction": "up",
    }
    return Commitment(**{**made, **changes})


def given(*facts: GoalEvent) -> Goal:
    state: Goal | None = None
    for fact in (GoalDrafted(goal_id="g", body=body()), *facts):
        state = domain.evolve(state, fact)
    assert state is not None
    return state


GOOD = {"S": "pass", "M": "pass", "A": "warn", "R": "pass", "T": "pass"}
FAILING = {**GOOD, "M": "fail"}


def committed(**changes: Any) -> Goal:
    return given(deciding.commit(given(), promise(**changes), GOOD, None, TODAY))


def closed(value: str = "0.36") -> Goal:
    state = committed()
    return domain.evolve(state, deciding.close(state, D(value), "7-ab", target_period_over=True))


def test_a_draft_that_passes_its_check_is_committed() -> None:
    state = committed()
    assert (state.state, state.revision, state.first, state.present) == (
        "committed", 2, promise(), promise(),
    )  # fmt: skip


def test_a_failing_letter_blocks_the_commitment_until_somebody_answers_for_it() -> None:
    with pytest.raises(Refusal, match="fails M"):
        deciding.commit(given(), promise(), FAILING, None, TODAY)
    override = Override(reason="Measured from March on", responsible="Ann")
    state = given(deciding.commit(given(), promise(), FAILING, override, TODAY))
    assert state.override == override


def test_an_override_that_was_not_needed_leaves_no_mark() -> None:
    override = Override(reason="Just in case", responsible="Ann")
    assert deciding.commit(given(), promise(), GOOD, override, TODAY).override is None


def test_an_amendment_keeps_the_first_promise_beside_the_present_one() -> None:
    state = committed()
    state = domain.evolve(state, deciding.amend(state, promise("0.32"), "Two posts are open"))
    assert (state.first, state.present) == (promise("0.35"), promise("0.32"))
    verdict = deciding.close(state, D("0.33"), "7-ab", target_period_over=True)
    assert (verdict.first, verdict.present) == ("improved", "achieved")


REFUSED: list[tuple[str, Callable[[], Any]]] = [
    ("only a draft", lambda: deciding.commit(committed(), promise(), GOOD, None, TODAY)),
    ("only a committed", lambda: deciding.amend(given(), promise("0.3"), "why")),
    ("changes nothing", lambda: deciding.amend(committed(), promise(), "why")),
    ("amend it instead", lambda: deciding.redraft(committed(), body())),
    ("not over", lambda: deciding.close(committed(), D(1), "b", target_period_over=False)),
    ("only a committed", lambda: deciding.close(given(), D(1), "b", target_period_over=True)),
    ("only a committed", lambda: deciding.close(closed(), D(1), "b", target_period_over=True)),
    ("is closed already", lambda: deciding.abandon(closed(), "why")),
]


@pytest.mark.parametrize(("words", "decision"), REFUSED)
def test_what_the_state_does_not_allow_is_refused(words: str, decision: Callable[[], Any]) -> None:
    with pytest.raises(Refusal, match=words):
        decision()


def test_a_redefined_metric_is_noted_and_changes_nothing_promised() -> None:
    state = committed()
    noted = domain.evolve(state, GoalMetricRedefined(metric="win-rate", version=2))
    assert (noted.present, noted.revision) == (state.present, state.revision + 1)


@pytest.mark.parametrize(
    ("commitment", "value", "verdict"),
    [
        (promise(), "0.35", "achieved"),
        (promise(), "0.40", "achieved"),
        (promise(), "0.33", "improved"),
        (promise(), "0.30", "unchanged"),
        (promise(), "0.27", "unchanged"),
        (promise(), "0.10", "worsened"),
        (promise("0.20", direction="down"), "0.19", "achieved"),
        (promise("0.20", direction="down"), "0.21", "improved"),
        (promise("0.20", direction="down"), "0.40", "worsened"),
        (promise("0.27", direction="down"), "0.40", "worsened"),
        (promise("0.27", direction="down"), "0.26", "achieved"),
        (promise("0.10", direction="up"), "0.40", "improved"),
        (promise(target=Target(band=(D("0.3"), D("0.4"))), target_value=None), "0.4", "achieved"),
        (promise(target=Target(band=(D("0.3"), D("0.4"))), target_value=None), "0.5", "worsened"),
        (promise(target=Target(band=(D("0.3"), D("0.4"))), target_value=None), "0.1", "worsened"),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_rule_that_was_fixed(
    commitment: Commitment, value: str, verdict: str
) -> None:
    assert judging.judge(commitment, D(value)) == verdict


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (Target(value=D("5")), "5"),
        (Target(change=D("-3")), "17"),
        (Target(change_percent=D(10)), "22"),
        (Target(band=(D(1), D(2))), None),
    ],
)
def test_a_target_is_a_figure_or_a_change_against_the_baseline(
    target: Target, value: str | None
) -> None:
    assert target.resolve(D(20)) == (None if value is None else D(value))


WAY = [Point(date(2024, 6, 30), D("0.27")), Point(date(2025, 3, 31), D("0.29")),
       Point(date(2025, 12, 31), D("0.35"))]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("0.36", "reached"),
        ("0.30", "on_track"),
        ("0.275", "at_risk"),
        ("0.20", "off_track"),
        (None, "no_data"),
    ],
)
def test_progress_is_held_against_the_milestones(value: str | None, status: str) -> None:
    reading = read(promise(), "2025-Q1", date(2025, 3, 31), D(value) if value else None, "x", WAY)
    assert reading.status == status
    if value == "0.20":
        assert reading.fraction is not None
        assert reading.fraction < 0, "bad news is not clamped"


def test_what_is_expected_lies_on_straight_lines_between_the_points() -> None:
    assert expected_value(WAY, date(2024, 1, 1)) == D("0.27")
    assert expected_value(WAY, date(2025, 3, 31)) == D("0.29")
    assert D("0.29") < expected_value(WAY, date(2025, 8, 15)) < D("0.35")
    assert expected_value(WAY, date(2030, 1, 1)) == D("0.35")


def evidence(**changes: Any) -> Evidence:
    known: dict[str, Any] = {
        "unit": "ratio", "direction": "up", "kind": "ratio",
        "guidelines": dict.fromkeys(("how", "sources", "cadence", "responsible", "helpers"), "x"),
        "last_period": "2024-Q4", "last_value": D("0.28"), "last_reason": None,
        "baseline_value": D("0.27"), "baseline_state": "established", "baseline_cause": None,
        "baseline_mend": None, "baseline_end": date(2024, 6, 30),
        "baseline_periods": ["2024-Q1", "2024-Q2"],
        "history": [D(v) for v in ("0.25", "0.27", "0.26", "0.29", "0.28", "0.30")],
        "periods_to_go": 6, "today": date(2025, 1, 15),
    }  # fmt: skip
    return Evidence(**{**known, **changes})


@pytest.mark.parametrize(
    ("stated", "known", "letter", "result"),
    [
        ({}, {}, "S", "pass"),
        ({"business_owner": None}, {}, "S", "fail"),
        ({}, {"kind": "sum"}, "S", "warn"),
        ({}, {}, "M", "pass"),
        ({}, {"baseline_state": "unmeasurable", "baseline_cause": "no_history"}, "M", "fail"),
        ({}, {"baseline_state": "insufficient"}, "M", "warn"),
        ({}, {"guidelines": {}}, "M", "warn"),
        ({}, {"last_value": None, "last_reason": "no_events"}, "M", "warn"),
        ({}, {}, "A", "pass"),
        ({"target": Target(value=D("0.9"))}, {}, "A", "warn"),
        ({"target": Target(value=D("1.2"))}, {}, "A", "fail"),
        ({"target": Target(value=D("0.2"))}, {}, "A", "warn"),
        ({}, {"history": []}, "A", "warn"),
        ({"nature": "usage"}, {}, "R", "warn"),
        ({}, {}, "T", "pass"),
        ({}, {"today": date(2026, 1, 1)}, "T", "fail"),
        (
            {},
            {"today": date(2026, 1, 1), "surroundings": Surroundings(retrospective=True)},
            "T",
            "pass",
        ),
        ({"due": date(2024, 6, 30)}, {}, "T", "fail"),
    ],
)
def test_each_letter_says_what_the_evidence_shows(
    stated: dict[str, Any], known: dict[str, Any], letter: str, result: str
) -> None:
    letters = check(body(**stated), evidence(**known))
    assert letters[letter].result == result
    assert all(advice["text"] for advice in letters[letter].advice)
    blocked = letter in "SMT" and result == "fail"
    assert committable(letters) != blocked


@pytest.mark.parametrize(("days", "name"), [(90, "short"), (200, "medium"), (800, "long")])
def test_the_horizon_follows_from_the_due_date(days: int, name: str) -> None:
    today = date(2025, 1, 1)
    assert horizon(today, date.fromordinal(today.toordinal() + days)) == name
