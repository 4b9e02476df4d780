"""Questions about cases: their present and past state."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from services.valuation.domain.case import Case
from services.valuation.tables import cases
from shared.errors import NOT_FOUND
from shared.ledger import View
from shared.ledger.projecting import known


def case(view: View, identity: str) -> Case:
    """A case as known at the view; refuses with 404."""
    state = view.connection.execute(
        select(cases.c.state).where(
            cases.c.tenant_id == view.tenant_id,
            cases.c.case_id == identity,
            known(cases, view.position),
        )
    ).scalar()
    if state is None:
        raise NOT_FOUND.refusal(f"There is no case {identity!r}.")
    return Case.model_validate_json(state)


def case_list(view: View, initiative_id: str | None, after: str, limit: int) -> list[Case]:
    query = select(cases.c.state).where(
        cases.c.tenant_id == view.tenant_id,
        cases.c.case_id > after,
        known(cases, view.position),
    )
    if initiative_id is not None:
        query = query.where(cases.c.initiative_id == initiative_id)
    rows = view.connection.execute(query.order_by(cases.c.case_id).limit(limit))
    return [Case.model_validate_json(state) for state in rows.scalars()]


def all_cases(view: View) -> Iterator[Case]:
    """Every case of the tenant, a page at a time."""
    after = ""
    while page := case_list(view, None, after, 200):
        yield from page
        after = page[-1].case_id
