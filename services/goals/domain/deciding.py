"""Which decisions about a goal are allowed, and what they record."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from services.goals.domain.goal import (
    AnyBody,
    AnyPromise,
    CausesAcknowledged,
    Commitment,
    DeliverableBody,
    DeliveryPromise,
    Goal,
    GoalAbandoned,
    GoalAmended,
    GoalCheckedIn,
    GoalClosed,
    GoalCommitted,
    GoalDelivered,
    GoalMeasuring,
    GoalRedrafted,
    Measuring,
    Override,
    StepDone,
)
from services.goals.domain.judging import judge, judge_delivery
from shared.errors import CONFLICT, INVALID, Fault, invalid
from shared.ids import did_you_mean


def demand_committable(state: Goal, smart: dict[str, str], override: Override | None) -> list[str]:
    """The letters that fail; refuses what can't be committed, or not without an override."""
    if not state.unpromised:
        raise CONFLICT.refusal(f"The goal is {state.state}; only a draft is committed.")
    failing = [letter for letter in "SMT" if smart.get(letter) == "fail"]
    if failing and override is None:
        raise CONFLICT.refusal(
            f"The goal fails {', '.join(failing)} of its SMART check. Mend it, or commit with an "
            "`override` that names the reason and who is responsible.",
            [Fault(f"/letters/{letter}", "This letter fails.", "smart") for letter in failing],
        )
    return failing


def commit(
    state: Goal, promise: AnyPromise, smart: dict[str, str], override: Override | None, today: date
) -> GoalCommitted:
    """Commit a draft, or what was measured first; a failing S, M or T needs an override."""
    failing = demand_committable(state, smart, override)
    return GoalCommitted(
        commitment=promise, smart=smart, override=override if failing else None,
        instrumented_on=today if state.measuring else None,
    )  # fmt: skip


def measure_first(
    state: Goal, measuring: Measuring, smart: dict[str, str], today: date
) -> GoalMeasuring:
    """Commit a draft whose metric can't be measured yet; its target is promised afterwards."""
    if state.state != "draft":
        raise CONFLICT.refusal(f"The goal is {state.state}; only a draft is committed.")
    if measuring.by <= today:
        raise invalid("/measure_first/by", "Name a day that is still to come.", "past")
    failing = [letter for letter in "ST" if smart.get(letter) == "fail"]
    if failing:
        raise CONFLICT.refusal(
            f"The goal fails {', '.join(failing)} of its SMART check; measuring mends only M."
        )
    return GoalMeasuring(measuring=measuring, smart=smart)


def amend(state: Goal, commitment: AnyPromise | None, reason: str) -> GoalAmended:
    """Change what was promised; the verdict is given against the first promise too."""
    if state.state != "committed" or commitment is None:
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is amended.")
    if commitment == state.present:
        raise INVALID.refusal("The amendment changes nothing.")
    return GoalAmended(commitment=commitment, reason=reason)


def redraft(state: Goal, body: AnyBody) -> GoalRedrafted:
    """State a draft anew, or what is measured first and has no target yet; it keeps its kind."""
    if body.kind != state.body.kind:
        raise CONFLICT.refusal(f"The goal is {state.body.kind}, and stays it.")
    if not state.unpromised:
        instead = "; amend it instead" if state.state == "committed" else " and stays as it is"
        raise CONFLICT.refusal(f"The goal is {state.state}{instead}.")
    return GoalRedrafted(body=body)


def close(state: Goal, value: Decimal, basis: str, *, target_period_over: bool) -> GoalClosed:
    """Judge a committed goal by the figure of its target period."""
    first, present = state.first, state.promised
    if state.state != "committed" or not isinstance(first, Commitment) or present is None:
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is closed.")
    if not target_period_over:
        raise CONFLICT.refusal(
            f"The target period {present.target_period} is not over yet; abandon the goal "
            "if it is given up."
        )
    return GoalClosed(
        value=value,
        first=judge(first, value),
        present=judge(present, value),
        basis=basis,
    )


def deliver(
    state: Goal, on: date, today: date, accepted_by: str, note: str, spent: Decimal | None,
    basis: str | None,
) -> GoalDelivered:  # fmt: skip
    """Accept a delivery, on a day that is not in the future."""
    first, present = state.first, state.present
    if not (
        state.state == "committed"
        and isinstance(first, DeliveryPromise)
        and isinstance(present, DeliveryPromise)
    ):
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is closed.")
    if on > today:
        raise invalid("/delivered_on", "This day is still to come.", "future")
    return GoalDelivered(
        on=on, accepted_by=accepted_by, note=note, spent=spent, basis=basis,
        first=judge_delivery(first, on, spent), present=judge_delivery(present, on, spent),
        days_late_first=(on - first.due).days, days_late=(on - present.due).days,
    )  # fmt: skip


def finish_step(state: Goal, title: str, on: date, today: date, note: str) -> StepDone:
    """Say that a dated milestone was reached, once, on a day that is not in the future."""
    body = state.of_kind(DeliverableBody)
    if state.state != "committed":
        raise CONFLICT.refusal(
            f"The goal is {state.state}; milestones of a committed one are done."
        )
    titles = [step.title for step in body.steps]
    if title not in titles:
        detail = f"There is no milestone {title!r}.{did_you_mean(title, titles)}"
        raise invalid("/title", detail, "unknown")
    if title in state.steps_done:
        raise CONFLICT.refusal(f"{title!r} was done on {state.steps_done[title]}.")
    if on > today:
        raise invalid("/on", "This day is still to come.", "future")
    return StepDone(title=title, on=on, note=note)


def acknowledge_causes(state: Goal, by: str) -> CausesAcknowledged:
    """Know of a draft what else moves its figure; the share expected from this is what is left."""
    if state.state != "draft":
        raise CONFLICT.refusal(f"The goal is {state.state}; other causes are known before.")
    if not state.body.other_causes:
        raise CONFLICT.refusal("The goal names no other causes.")
    return CausesAcknowledged(by=by, share=expected_share(state.body))


def expected_share(body: AnyBody) -> Decimal | None:
    """The share that other causes leave to the initiative; None where one of them has none."""
    shares = [cause.share for cause in body.other_causes]
    given = [share for share in shares if share is not None]
    return 1 - sum(given, Decimal(0)) if len(given) == len(shares) else None


def abandon(state: Goal, reason: str) -> GoalAbandoned:
    """Give a goal up."""
    if state.state not in ("draft", "committed"):
        raise CONFLICT.refusal(f"The goal is {state.state} already.")
    return GoalAbandoned(reason=reason)


def check_in(
    state: Goal, by: str, at: datetime, confidence: Decimal, comment: str
) -> GoalCheckedIn:
    """Say how likely a committed goal is to be reached."""
    if state.state != "committed":
        raise CONFLICT.refusal(f"The goal is {state.state}; only a committed goal is checked in.")
    return GoalCheckedIn(by=by, at=at, confidence=confidence, comment=comment)
