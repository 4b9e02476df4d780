"""The SMART check: every letter with its result, evidence and advice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from services.goals.domain.goal import AnyBody, GoalBody, Measuring
from services.goals.domain.texts import text

Result = Literal["pass", "warn", "fail"]
_ORDER = {"pass": 0, "warn": 1, "fail": 2}
# Below so many past changes, their distribution says nothing.
MIN_CHANGES = 4
# Enough to see that a percentile is meant; more digits would feign precision.
_SHOWN = Decimal("0.0001")
_GUIDELINES = ("how", "sources", "cadence", "responsible", "helpers")


@dataclass(frozen=True)
class Evidence:
    """What the check needs to know of the metric and the calendar."""

    unit: str
    direction: str
    kind: str
    guidelines: dict[str, Any]
    last_period: str
    last_value: Decimal | None
    last_reason: str | None
    baseline_value: Decimal | None
    baseline_state: str
    baseline_cause: str | None
    baseline_mend: str | None
    baseline_end: date
    baseline_periods: Sequence[str]
    history: Sequence[Decimal]
    periods_to_go: int
    today: date
    drivers: Sequence[str] = ()
    fresh: bool | None = None
    last_arrival: str | None = None
    measuring: Measuring | None = None
    # What each milestone asks per period; of long goals only.
    legs: Sequence[Decimal] = ()
    # Whether a milestone, or the end, comes at least once a year.
    yearly: bool = False
    surroundings: Surroundings = field(default_factory=lambda: Surroundings())


@dataclass(frozen=True)
class Surroundings:
    """What surrounds a goal: obstacles on it, causes known of, whether it is set up afterwards."""

    unplanned: Sequence[str] = ()
    acknowledged_by: str | None = None
    retrospective: bool = False


@dataclass
class Letter:
    """One letter's verdict."""

    result: Result = "pass"
    evidence: dict[str, Any] = field(default_factory=dict)
    advice: list[dict[str, Any]] = field(default_factory=list)

    def say(self, result: Result, code: str, **params: Any) -> None:
        if _ORDER[result] > _ORDER[self.result]:
            self.result = result
        self.advice.append(text(code, **params))


def check(body: GoalBody, known: Evidence) -> dict[str, Letter]:
    """All five letters of a measured goal."""
    return {
        "S": _specific(body, known),
        "M": _measurable(body, known),
        "A": _attainable(body, known),
        "R": relevant(body, known.surroundings, body.metric),
        "T": _timed(body, known),
    }


def committable(letters: dict[str, Letter]) -> bool:
    """Whether no letter that blocks a commitment fails."""
    return all(letters[name].result != "fail" for name in "SMT")


def _specific(body: GoalBody, known: Evidence) -> Letter:
    letter = Letter(evidence={"metric": body.metric, "audience": body.audience})
    letter.evidence["business_owner"] = body.business_owner
    if not body.business_owner:
        letter.say("fail", "no_owner")
    if known.kind == "sum" and known.drivers:
        drivers = ", ".join(known.drivers)
        letter.say("warn", "driver_named", metric=body.metric, drivers=drivers)
    elif known.kind == "sum":
        letter.say("warn", "total_without_driver", metric=body.metric)
    return letter


def _measurable(body: GoalBody, known: Evidence) -> Letter:
    letter = Letter()
    letter.evidence = {
        "last_period": known.last_period,
        "last_value": _shown(known.last_value),
        "baseline": _shown(known.baseline_value),
        "baseline_state": known.baseline_state,
    }
    if known.measuring is not None and known.baseline_value is None:
        named = {"instrument": known.measuring.instrument, "by": known.measuring.by.isoformat()}
        if known.measuring.by >= known.today:
            letter.say("warn", "measured_first", **named)
        else:
            letter.say("fail", "measured_late", **named)
        return letter
    if known.fresh is False:
        letter.say("warn", "stale_data", metric=body.metric, since=known.last_arrival or "-")
    if known.last_value is None:
        letter.say(
            "warn",
            "no_value",
            metric=body.metric,
            period=known.last_period,
            reason=known.last_reason,
        )
    if known.baseline_state == "unmeasurable":
        letter.say(
            "fail", "baseline_unmeasurable", cause=known.baseline_cause, mend=known.baseline_mend
        )
    elif known.baseline_state == "insufficient":
        letter.say("warn", "baseline_insufficient")
    else:
        periods = ", ".join(known.baseline_periods)
        value = _shown(known.baseline_value)
        letter.say("pass", "baseline_established", value=value, periods=periods)
    missing = [name for name in _GUIDELINES if not known.guidelines.get(name)]
    if missing:
        letter.say("warn", "guideline_missing", metric=body.metric, missing=", ".join(missing))
    return letter


def _attainable(body: GoalBody, known: Evidence) -> Letter:
    letter, baseline = Letter(), known.baseline_value
    target = body.target.resolve(baseline)
    edges = body.target.band or ((target,) if target is not None else ())
    if known.unit == "ratio":
        for edge in edges:
            if edge is not None and not 0 <= edge <= 1:
                letter.say("fail", "impossible_value", unit="ratio", target=_shown(edge))
    if target is None or baseline is None:
        return letter
    if target == baseline:
        letter.say("warn", "no_change")
        return letter
    if known.direction in ("up", "down") and (target > baseline) != (known.direction == "up"):
        letter.say("warn", "wrong_direction", metric=body.metric, direction=known.direction)
    required = (target - baseline) / max(1, known.periods_to_go)
    long = horizon(known.today, body.due) == "long"
    if long and not known.yearly:
        letter.say("warn", "long_without_milestones")
    _against_history(letter, required, known.history, known.legs if long else ())
    return letter


def _against_history(
    letter: Letter, required: Decimal, history: Sequence[Decimal], legs: Sequence[Decimal]
) -> None:
    changes = [b - a for a, b in itertools.pairwise(history)]
    forward = [c if required > 0 else -c for c in changes]
    letter.evidence = {"required_per_period": _shown(required), "past_changes": len(changes)}
    if len(changes) < MIN_CHANGES:
        letter.say("warn", "too_little_history")
        return
    needed, best = abs(required), max(forward)
    did = sum(1 for c in forward if c >= needed)
    letter.evidence["best_change"] = _shown(best)
    letter.evidence["share_of_periods"] = _shown(Decimal(did) / len(changes))
    letter.evidence["longest_streak"] = _longest_streak(forward, needed)
    if needed > best and legs and all(abs(leg) <= best for leg in legs):
        letter.say("pass", "ambitious")
    elif needed > best:
        letter.say("warn", "beyond_history", required=_shown(required), best=_shown(best))
    else:
        share = f"{did} of {len(changes)}"
        letter.say("pass", "within_history", required=_shown(required), share=share)


def _longest_streak(changes: Sequence[Decimal], needed: Decimal) -> int:
    longest = current = 0
    for change in changes:
        current = current + 1 if change >= needed else 0
        longest = max(longest, current)
    return longest


def relevant(body: AnyBody, around: Surroundings, metric: str) -> Letter:
    """R: it serves something, is no mere usage, and what stands in its way is looked after."""
    letter = Letter(evidence={"nature": body.nature, "audience": body.audience})
    if body.nature == "usage":
        letter.say("warn", "usage_is_not_value", metric=metric)
    else:
        letter.say("pass", "relevant", nature=body.nature, audience=body.audience)
    served = [name for name in ("parent", "measure_of", "objective") if getattr(body, name)]
    letter.evidence["serves"] = served
    if not served:
        letter.say("pass", "serves_nothing")
    if around.unplanned:
        letter.say("warn", "unplanned_obstacles", texts="; ".join(around.unplanned))
    if body.other_causes:
        causes = ", ".join(c.cause for c in body.other_causes)
        letter.evidence["acknowledged_by"] = around.acknowledged_by
        if around.acknowledged_by is None:
            letter.say("warn", "causes_open", causes=causes)
        else:
            letter.say("pass", "other_causes", causes=causes, who=around.acknowledged_by)
    return letter


def _timed(body: GoalBody, known: Evidence) -> Letter:
    letter = Letter(
        evidence={"due": body.due.isoformat(), "horizon": horizon(known.today, body.due)}
    )
    if body.due <= known.baseline_end:
        letter.say("fail", "due_before_baseline", period=body.target_period)
    elif body.due <= known.today and not known.surroundings.retrospective:
        letter.say("fail", "due_past", period=body.target_period)
    else:
        letter.say("pass", "due_ok", period=body.target_period, due=body.due.isoformat())
    return letter


def horizon(today: date, due: date) -> str:
    """short up to a quarter, medium up to a year, long beyond."""
    days = (due - today).days
    return "short" if days <= 92 else "medium" if days <= 366 else "long"


def _shown(value: Decimal | None) -> str | None:
    if value is None:
        return None
    rounded = value.quantize(_SHOWN) if value != value.to_integral_value() else value
    return format(
        rounded.normalize()
        if rounded != rounded.to_integral_value()
        else rounded.to_integral_value(),
        "f",
    )
