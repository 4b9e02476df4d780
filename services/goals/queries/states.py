"""Questions to the goals ledger: states, lists, history in words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from services.goals.domain.goal import (
    Commitment,
    Goal,
    GoalAbandoned,
    GoalAmended,
    GoalBody,
    GoalCheckedIn,
    GoalClosed,
    GoalCommitted,
    GoalDrafted,
    GoalMetricRedefined,
    GoalRedrafted,
    Target,
)
from services.goals.domain.initiative import Initiative
from services.goals.domain.texts import text
from services.goals.tables import goals, initiatives
from shared.errors import NOT_FOUND
from shared.events import Event, Payload, payload_of
from shared.ledger import View
from shared.ledger.projecting import known


def initiative(view: View, identity: str) -> Initiative:
    """An initiative as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(initiatives.c.state).where(
            initiatives.c.tenant_id == view.tenant_id,
            initiatives.c.initiative_id == identity,
            known(initiatives, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no initiative {identity!r}.")
    return Initiative.model_validate_json(state)


def initiative_list(view: View, after: str, limit: int) -> list[Initiative]:
    rows = view.connection.execute(
        select(initiatives.c.state)
        .where(
            initiatives.c.tenant_id == view.tenant_id,
            initiatives.c.initiative_id > after,
            known(initiatives, view.position),
        )
        .order_by(initiatives.c.initiative_id)
        .limit(limit)
    )
    return [Initiative.model_validate_json(state) for state in rows.scalars()]


def goal(view: View, identity: str) -> Goal:
    """A goal as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(goals.c.state).where(
            goals.c.tenant_id == view.tenant_id,
            goals.c.goal_id == identity,
            known(goals, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no goal {identity!r}.")
    return Goal.model_validate_json(state)


def goal_list(view: View, initiative_id: str | None, after: str, limit: int) -> list[Goal]:
    query = select(goals.c.state).where(
        goals.c.tenant_id == view.tenant_id,
        goals.c.goal_id > after,
        known(goals, view.position),
    )
    if initiative_id is not None:
        query = query.where(goals.c.initiative_id == initiative_id)
    rows = view.connection.execute(query.order_by(goals.c.goal_id).limit(limit))
    return [Goal.model_validate_json(state) for state in rows.scalars()]


def goals_on_metric(view: View, key: str) -> list[Goal]:
    """The goals that measure by a metric."""
    rows = view.connection.execute(
        select(goals.c.state).where(
            goals.c.tenant_id == view.tenant_id,
            goals.c.metric == key,
            known(goals, view.position),
        )
    )
    return [Goal.model_validate_json(state) for state in rows.scalars()]


def check_ins(view: View, identity: str) -> list[GoalCheckedIn]:
    """What people said of a goal's chances, oldest first."""
    goal(view, identity)
    told = [payload_of(event) for event in view.stream(f"goal/{identity}")]
    return [said for said in told if isinstance(said, GoalCheckedIn)]


def history(view: View, identity: str) -> list[dict[str, Any]]:
    """Who changed what of a goal, when and why, in words, oldest first."""
    goal(view, identity)
    entries: list[dict[str, Any]] = []
    present: Commitment | None = None
    for event in view.stream(f"goal/{identity}"):
        payload = payload_of(event)
        entries.append(_entry(event, payload, present))
        if isinstance(payload, GoalCommitted | GoalAmended):
            present = payload.commitment
    return entries


def _entry(event: Event, payload: Payload, present: Commitment | None) -> dict[str, Any]:
    return {
        "at": event.recorded_at,
        "who": event.actor,
        "what": _what(event.actor, payload, present),
        "reason": getattr(payload, "reason", None),
        "position": event.position,
    }


def _what(who: str, payload: Payload, present: Commitment | None) -> dict[str, Any]:
    match payload:
        case GoalDrafted(body=body):
            return text("drafted", who=who, **_stated(body))
        case GoalRedrafted(body=body):
            return text("redrafted", who=who, **_stated(body))
        case GoalCommitted(commitment=made, override=override):
            if override is not None:
                failed = ", ".join(k for k, v in payload.smart.items() if v == "fail")
                return text(
                    "committed_override", who=who, letters=failed, responsible=override.responsible
                )
            shown = {"baseline": str(made.baseline.value), "target": target_words(made.target)}
            return text("committed", who=who, period=made.target_period, **shown)
        case GoalAmended(commitment=made):
            assert present is not None, "an amendment follows a commitment"
            before, after = (
                f"{target_words(c.target)} in {c.target_period}" for c in (present, made)
            )
            return text("amended", who=who, before=before, after=after)
        case GoalClosed():
            return text(
                "closed",
                who=who,
                value=str(payload.value),
                first=payload.first,
                present=payload.present,
            )
        case GoalAbandoned():
            return text("abandoned", who=who)
        case GoalCheckedIn():
            return text("checked_in", who=who, confidence=f"{payload.confidence * 100:.0f} %")
        case GoalMetricRedefined():
            return text("metric_redefined", metric=payload.metric, version=payload.version)
        case _:
            raise AssertionError(f"{type(payload).__name__} is no event of a goal")


def _stated(body: GoalBody) -> dict[str, str]:
    return {
        "metric": body.metric,
        "target": target_words(body.target),
        "period": body.target_period,
    }


def target_words(target: Target) -> str:
    """A target as people say it."""
    if target.value is not None:
        return format(target.value, "f")
    if target.change is not None:
        return f"{target.change:+f}"
    if target.change_percent is not None:
        return f"{target.change_percent:+f} %"
    assert target.band is not None, "a target has one of its four forms"
    return f"{target.band[0]:f} to {target.band[1]:f}"
