"""Objectives and key results: goals as key results of a text, scored from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.goals.domain.goal import Exact
from services.goals.domain.plan import Said
from services.goals.domain.statement import Statement, StatementBody, kind
from shared.events import Payload
from shared.words import Id, Name


class ObjectiveStated(StatementBody):
    """What is to be reached in a period; its key results are the goals that name it."""

    text: Said = Field(description="What is to be reached", examples=["Customers come back"])
    period: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="In which period", examples=["2026-Q1"]
    )
    owner: Name | None = Field(None, description="Who answers for it")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="Whose value it is"
    )
    parent: Id | None = Field(None, description="The objective that it serves; no circles")


class Closing(Payload):
    """How an objective ended."""

    at: datetime
    score: Exact | None
    scores: dict[str, Exact | None]
    next: str | None


class Objective(ObjectiveStated):
    """An objective, and how it ended."""

    closing: Closing | None = None


OBJECTIVE = kind("objective", Objective)


def weighted(parts: Sequence[tuple[Decimal | None, Decimal | None]]) -> Decimal | None:
    """The mean of (score, weight); parts without a score are left out.

    Parts without a weight share alike what the others leave of the whole; where these leave
    nothing, they count nothing.
    """
    given = sum((weight for _, weight in parts if weight is not None), Decimal(0))
    without = sum(1 for _, weight in parts if weight is None)
    rest = max(Decimal(0), 1 - given) / without if without else Decimal(0)
    shares = [
        (score, rest if weight is None else weight) for score, weight in parts if score is not None
    ]
    total = sum((share for _, share in shares), Decimal(0))
    return sum((s * share for s, share in shares), Decimal(0)) / total if total else None


def rolled_up(
    objectives: Sequence[Statement[Objective]], own: Mapping[str, Decimal | None]
) -> dict[str, Decimal | None]:
    """Every objective's score with those below it: the mean of its own and its children's.

    What has no score is left out; what is closed keeps the one that it was closed with.
    """
    below: dict[str | None, list[str]] = {}
    for one in objectives:
        below.setdefault(one.body.parent, []).append(one.record_id)
    kept = {one.record_id: one.body.closing for one in objectives}
    # Parents before their children, however deep; so that from the end on children are known.
    order = [one.record_id for one in objectives if one.body.parent not in kept]
    for identity in order:
        order.extend(below.get(identity, []))
    found: dict[str, Decimal | None] = {}
    for identity in reversed(order):
        closing = kept[identity]
        mine = closing.score if closing else own.get(identity)
        parts = [mine, *(found[child] for child in below.get(identity, []))]
        found[identity] = weighted([(part, None) for part in parts if part is not None])
    return found
