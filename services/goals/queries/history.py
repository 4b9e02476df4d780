"""The history of anything in words: who changed what, when and why, oldest first."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from pydantic import BaseModel

from services.goals.domain import body as bodies
from services.goals.domain import goal as goals
from services.goals.domain import initiative as initiatives
from services.goals.domain import review as reviews
from services.goals.domain import share as shares
from services.goals.domain import statement as statements
from services.goals.domain import workshop as workshops
from services.goals.domain.texts import text
from shared.errors import NOT_FOUND
from shared.events import Event, Payload, payload_of
from shared.ledger import View

Told = dict[str, Any]


def history(view: View, stream: str) -> list[Told]:
    """What happened to one thing; refuses with 404 where there is none."""
    found = view.stream(stream)
    if not found:
        kind, _, identity = stream.partition("/")
        raise NOT_FOUND.refusal(f"There is no {kind} {identity!r}.")
    entries, before = [], dict[str, Any]()
    for event in found:
        payload = payload_of(event)
        entries.append(_entry(event, payload, before))
        for name in ("body", "commitment"):
            before[name] = getattr(payload, name, before.get(name))
        if isinstance(payload, initiatives.InitiativeBody):
            before["body"] = payload
    return entries


def _entry(event: Event, payload: Payload, before: Told) -> Told:
    return {
        "at": event.recorded_at,
        "who": event.actor,
        "what": _what(payload, event.actor, before),
        "reason": getattr(payload, "reason", None),
        "authority": getattr(payload, "authority", None),
        "position": event.position,
    }


@singledispatch
def _what(payload: Payload, who: str, before: Told) -> Told:
    raise AssertionError(f"{type(payload).__name__} has no words")


@_what.register
def _(payload: goals.GoalDrafted, who: str, before: Told) -> Told:
    return _drafted("drafted", who, payload.body)


@_what.register
def _(payload: goals.GoalRedrafted, who: str, before: Told) -> Told:
    return _drafted("redrafted", who, payload.body)


@_what.register
def _(payload: goals.GoalCommitted, who: str, before: Told) -> Told:
    made = payload.commitment
    if payload.override is not None:
        failed = ", ".join(k for k, v in payload.smart.items() if v == "fail")
        by = payload.override.responsible
        return text("committed_override", who=who, letters=failed, responsible=by)
    if isinstance(made, goals.DeliveryPromise):
        return text("committed_delivery", who=who, promise=promise_words(made))
    return text("committed", who=who, baseline=f"{made.baseline.value:f}",
                target=target_words(made.target), period=made.target_period)  # fmt: skip


@_what.register
def _(payload: goals.GoalAmended, who: str, before: Told) -> Told:
    was, is_now = (promise_words(c) for c in (before["commitment"], payload.commitment))
    return text("amended", who=who, before=was, after=is_now)


@_what.register
def _(payload: goals.GoalClosed, who: str, before: Told) -> Told:
    judged = {"first": payload.first, "present": payload.present}
    return text("closed", who=who, value=str(payload.value), **judged)


@_what.register
def _(payload: goals.GoalMeasuring, who: str, before: Told) -> Told:
    made = payload.measuring
    return text("measuring", who=who, instrument=made.instrument, by=made.by.isoformat())


@_what.register
def _(payload: goals.GoalDelivered, who: str, before: Told) -> Told:
    judged = {"first": payload.first, "present": payload.present}
    return text("accepted", who=who, on=payload.on.isoformat(), **judged)


@_what.register
def _(payload: goals.StepDone, who: str, before: Told) -> Told:
    return text("step_done", who=who, title=payload.title, on=payload.on.isoformat())


@_what.register
def _(payload: goals.CausesAcknowledged, who: str, before: Told) -> Told:
    return text("acknowledged", who=payload.by)


@_what.register
def _(payload: goals.GoalAbandoned, who: str, before: Told) -> Told:
    return text("abandoned", who=who)


@_what.register
def _(payload: goals.GoalCheckedIn, who: str, before: Told) -> Told:
    return text("checked_in", who=who, confidence=f"{payload.confidence * 100:.0f} %")


@_what.register
def _(payload: goals.GoalMetricRedefined, who: str, before: Told) -> Told:
    return text("metric_redefined", metric=payload.metric, version=payload.version)


@_what.register
def _(payload: initiatives.InitiativeStarted, who: str, before: Told) -> Told:
    return text("stated", who=who)


@_what.register
def _(payload: initiatives.InitiativeChanged, who: str, before: Told) -> Told:
    return text("changed", who=who, changes=_changes(before["body"], payload))


@_what.register
def _(payload: initiatives.InitiativeJudged, who: str, before: Told) -> Told:
    return text("judged", who=who, first=payload.first, present=payload.present)


@_what.register
def _(payload: statements.Stated, who: str, before: Told) -> Told:
    return text("stated", who=who)


@_what.register
def _(payload: statements.Changed, who: str, before: Told) -> Told:
    return text("changed", who=who, changes=_changes(before["body"], payload.body))


@_what.register
def _(payload: statements.Retired, who: str, before: Told) -> Told:
    return text("retired", who=who)


@_what.register
def _(payload: bodies.BodyFormed, who: str, before: Told) -> Told:
    return text("formed", who=who, name=payload.name)


@_what.register
def _(payload: bodies.MemberJoined, who: str, before: Told) -> Told:
    return text("joined", person=payload.member.person, role=payload.member.role)


@_what.register
def _(payload: bodies.MemberLeft, who: str, before: Told) -> Told:
    return text("left", person=payload.person)


@_what.register
def _(payload: reviews.ReviewHeld, who: str, before: Told) -> Told:
    there = ", ".join(payload.attendance)
    return text("held", who=who, on=payload.on.isoformat(), attendance=there)


@_what.register
def _(payload: reviews.ReviewDecided, who: str, before: Told) -> Told:
    made = payload.decision
    return text("decided", who=who, kind=made.kind, words=made.text)


@_what.register
def _(payload: reviews.EscalationAnswered, who: str, before: Told) -> Told:
    return text("answered", who=who, words=payload.answer)


@_what.register
def _(payload: reviews.ActionAgreed, who: str, before: Told) -> Told:
    made = payload.action
    return text("agreed", owner=made.owner, due=made.due.isoformat(), words=made.text)


@_what.register
def _(payload: reviews.ActionDone, who: str, before: Told) -> Told:
    return text("finished", who=who, words=payload.note)


@_what.register
def _(payload: workshops.WorkshopOpened, who: str, before: Told) -> Told:
    return text("opened", who=who, name=payload.name)


@_what.register
def _(payload: workshops.IdeaAdded, who: str, before: Told) -> Told:
    return text("idea", who=payload.by, words=payload.text)


@_what.register
def _(payload: workshops.Voted, who: str, before: Told) -> Told:
    return text("voted", who=payload.by, count=sum(payload.points.values()))


@_what.register
def _(payload: workshops.Themed, who: str, before: Told) -> Told:
    return text("themed", who=who, name=payload.name, count=len(payload.ideas))


@_what.register
def _(payload: workshops.ThemeBecameGoals, who: str, before: Told) -> Told:
    return text("became_goals", who=who, count=len(payload.goals))


@_what.register
def _(payload: workshops.WorkshopClosed, who: str, before: Told) -> Told:
    return text("ended", who=who)


@_what.register
def _(payload: shares.ShareOpened, who: str, before: Told) -> Told:
    return text("shared", who=who, until=payload.expires_at.date().isoformat())


@_what.register
def _(payload: shares.ShareRevoked, who: str, before: Told) -> Told:
    return text("revoked", who=who)


@_what.register
def _(payload: shares.ShareLookedAt, who: str, before: Told) -> Told:
    return text("looked_at")


def _drafted(verb: str, who: str, body: goals.AnyBody) -> Told:
    if isinstance(body, goals.DeliverableBody):
        return text(f"{verb}_delivery", who=who, due=body.due.isoformat())
    told = {"metric": body.metric, "target": target_words(body.target)}
    return text(verb, who=who, period=body.target_period, **told)


def _changes(before: BaseModel, after: BaseModel) -> str:
    """The fields that differ, with both values where these are short."""
    was, is_now = before.model_dump(mode="json"), after.model_dump(mode="json")
    said = []
    for name, value in is_now.items():
        if name not in was or was[name] == value:
            continue
        words = name.replace("_", " ")
        plain = not any(isinstance(one, dict | list) for one in (was[name], value))
        said.append(f"{words} {_short(was[name])} -> {_short(value)}" if plain else words)
    return ", ".join(said)


def _short(value: Any) -> str:
    shown = "-" if value is None else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def promise_words(promise: goals.AnyPromise) -> str:
    """A promise as people say it."""
    if isinstance(promise, goals.Commitment):
        return f"{target_words(promise.target)} ({promise.target_period})"
    budget = "" if promise.budget is None else f", {promise.budget:f}"
    return f"{promise.due}{budget}"


def target_words(target: goals.Target) -> str:
    """A target as people say it."""
    if target.value is not None:
        return format(target.value, "f")
    if target.change is not None:
        return f"{target.change:+f}"
    if target.change_percent is not None:
        return f"{target.change_percent:+f} %"
    assert target.band is not None, "a target has one of its four forms"
    return f"{target.band[0]:f} - {target.band[1]:f}"
