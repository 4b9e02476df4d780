"""What is delivered: its SMART check, and where it stands between its milestones and its budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from services.goals.domain.goal import DeliverableBody, DeliveryPromise
from services.goals.domain.progress import Reading, Status
from services.goals.domain.smart import Letter, Surroundings, horizon, relevant
from services.goals.domain.texts import text


def check_delivery(body: DeliverableBody, today: date, around: Surroundings) -> dict[str, Letter]:
    """All five letters: accepted by whom, by what, on which way, what for, and by when."""
    return {
        "S": _specific(body),
        "M": _measurable(body),
        "A": _attainable(body, today),
        "R": _relevant(body, around),
        "T": _timed(body, today, around),
    }


def _specific(body: DeliverableBody) -> Letter:
    letter = Letter(evidence={"business_owner": body.business_owner, "acceptor": body.acceptor})
    if not body.business_owner:
        letter.say("fail", "no_owner")
    if not body.acceptor:
        letter.say("fail", "no_acceptor")
    return letter


def _measurable(body: DeliverableBody) -> Letter:
    letter = Letter(evidence={"criteria": len(body.criteria)})
    if body.criteria:
        letter.say("pass", "criteria", acceptor=body.acceptor or "-", count=len(body.criteria))
    else:
        letter.say("fail", "no_criteria")
    if body.budget is not None:
        letter.evidence["budget"] = f"{body.budget.amount:f} {body.budget.currency}"
        if body.budget.metric is None:
            letter.say("warn", "budget_unwatched")
        else:
            letter.say("pass", "budget_watched", metric=body.budget.metric)
    return letter


def _attainable(body: DeliverableBody, today: date) -> Letter:
    letter = Letter(evidence={"milestones": len(body.steps)})
    if not body.steps and horizon(today, body.due) != "short":
        letter.say("warn", "no_steps")
    elif body.steps:
        letter.say("pass", "steps", count=len(body.steps))
    for step in body.steps:
        if step.due > body.due:
            letter.say("warn", "steps_after_due", title=step.title, due=step.due.isoformat())
    return letter


def _relevant(body: DeliverableBody, around: Surroundings) -> Letter:
    letter = relevant(body, around, body.title)
    if body.enables:
        letter.say("pass", "enables", count=len(body.enables))
    return letter


def _timed(body: DeliverableBody, today: date, around: Surroundings) -> Letter:
    letter = Letter(evidence={"due": body.due.isoformat(), "horizon": horizon(today, body.due)})
    day = body.due.isoformat()
    if body.due <= today and not around.retrospective:
        letter.say("fail", "day_past", due=day)
    else:
        letter.say("pass", "day_ok", due=day)
    return letter


@dataclass(frozen=True)
class Spending:
    """What was spent by now, or why that is not known; None of both where nothing watches it."""

    value: Decimal | None = None
    reason: str | None = None


def read_delivery(
    body: DeliverableBody, promise: DeliveryPromise, done: Mapping[str, date], spent: Spending,
    today: date, delivered_on: date | None,
) -> Reading:  # fmt: skip
    """Where a delivery stands: overdue or over budget is off track, a milestone overdue a risk.

    The fraction is the share of its milestones that are done, beside the share that is due.
    """
    count = len(body.steps)
    fraction = Decimal(len(done)) / count if count else None
    due = [step for step in body.steps if step.due < today]
    expected = Decimal(len(due)) / count if count else None
    if delivered_on is not None:
        because = [text("delivered_on", on=delivered_on.isoformat())]
        return Reading("reached", Decimal(1), expected, because)
    status: Status = "on_track"
    said: list[dict[str, Any]] = []
    behind = [step.title for step in due if step.title not in done]
    if behind:
        status = "at_risk"
        said.append(text("steps_behind", titles=", ".join(behind)))
    if spent.value is not None and promise.budget is not None and spent.value > promise.budget:
        status = "off_track"
        figures = {"spent": f"{spent.value:f}", "budget": f"{promise.budget:f}"}
        said.append(text("over_budget", **figures))
    elif spent.reason is not None:
        said.append(text("spending_unknown", reason=spent.reason))
    if promise.due < today:
        status = "off_track"
        said.append(text("overdue", due=promise.due.isoformat()))
    if status == "on_track":
        told = {"done": len(done), "count": count, "due": promise.due.isoformat()}
        said.append(text("under_way", **told))
    return Reading(status, fraction, expected, said)
