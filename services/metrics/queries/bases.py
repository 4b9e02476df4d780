"""Named states of the ledger: closed periods, reviews, whatever people want to come back to."""

from __future__ import annotations

from pydantic import Field
from sqlalchemy import select

from services.metrics.domain.facts import BasisNamed, MetricRestated
from services.metrics.tables import bases, restated
from shared.ledger import View
from shared.ledger.projecting import known
from shared.web.wire import BasisToken, InstantField, PeriodName, Wire


class NamedBasis(Wire):
    """A state of the ledger under a name."""

    name: str = Field(description="Its name", examples=["Close of 2025-Q3"])
    basis: BasisToken
    known_at: InstantField = Field(description="The moment of knowledge that it stands for")
    closes: PeriodName | None = Field(description="The period that it closes, if any")
    reason: str = Field(description="Why it was named")


class RestatedFigure(Wire):
    """A figure that someone holds and that is another by now."""

    holder: str = Field(description="Who holds it: `basis/<name>` or `baseline/<id>`")
    metric: str = Field(description="Key of the metric")
    period: str = Field(description="The period; for a baseline its periods")
    held_basis: str = Field(description="Basis of the figure that is held")
    held: float | None = Field(description="The figure that is held")
    now_basis: str = Field(description="Basis at which the difference was seen")
    now: float | None = Field(description="The figure as it was known then")
    reason: str | None = Field(description="Why there is none now, where there is none")


def named_basis(view: View, name: str) -> NamedBasis | None:
    """The state of that name, or None."""
    body = view.connection.execute(
        select(bases.c.body).where(
            bases.c.tenant_id == view.tenant_id, bases.c.name == name, known(bases, view.position)
        )
    ).scalar()
    return None if body is None else _shown(body)


def named_bases(view: View, after: str, limit: int) -> list[NamedBasis]:
    """Named states by name."""
    rows = view.connection.execute(
        select(bases.c.body)
        .where(
            bases.c.tenant_id == view.tenant_id,
            bases.c.name > after,
            known(bases, view.position),
        )
        .order_by(bases.c.name)
        .limit(limit)
    )
    return [_shown(body) for body in rows.scalars()]


def _shown(body: str) -> NamedBasis:
    return NamedBasis(**BasisNamed.model_validate_json(body).model_dump())


def restated_figures(view: View, after: str, limit: int) -> list[tuple[str, RestatedFigure]]:
    """What was told to holders last, by holder, metric and period; with the key of each."""
    key = restated.c.holder + " " + restated.c.metric + " " + restated.c.period
    rows = view.connection.execute(
        select(key.label("key"), restated.c.body)
        .where(restated.c.tenant_id == view.tenant_id, key > after, known(restated, view.position))
        .order_by(key)
        .limit(limit)
    )
    return [
        (row.key, RestatedFigure(**MetricRestated.model_validate_json(row.body).model_dump()))
        for row in rows
    ]
