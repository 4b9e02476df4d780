"""What history counts: backfills, cut-overs between sources, named states of the ledger."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import AfterValidator, Field, model_validator

from services.metrics.commands.history import (
    Change,
    change_backfill,
    lift_cut_over,
    name_basis,
    open_backfill,
    set_cut_over,
)
from services.metrics.domain.facts import BackfillClosed, BackfillDropped, BackfillReverted
from services.metrics.queries import backfills as backfill_queries
from services.metrics.queries import bases as basis_queries
from services.metrics.queries.backfill_effects import BackfillEffect, effect
from services.metrics.queries.backfills import Backfill, BackfillAnswer
from services.metrics.queries.bases import NamedBasis, RestatedFigure
from services.metrics.queries.cut_overs import CutOverShown, cut_over_list
from services.metrics.queries.definitions import calendar
from services.metrics.queries.figures import no_such_period
from shared.errors import NOT_FOUND
from shared.ledger import Transaction
from shared.periods import PeriodError, parse_period
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Known, PeriodName, Wire
from shared.words import Name, Reason

router = make_router("history")


def _no_token(name: str) -> str:
    if re.fullmatch(r"\d+-[0-9a-f]{16}", name):
        raise ValueError("a name must not look like a basis")
    return name


# A name stands in a path as it is, and never looks like a basis.
BasisName = Annotated[
    str, Field(pattern=r"^[^\W_][^/\\?#%\x00-\x1f]{0,198}$"), AfterValidator(_no_token)
]
SourceName = Annotated[str, Field(min_length=1, max_length=1_000)]


class NewBackfill(Wire):
    """History to be loaded apart from what arrives every day."""

    name: Name = Field(description="What is loaded", examples=["Deals of 2019 from the old CRM"])
    reason: Reason = Field(description="Why it is loaded")


class Because(Wire):
    """Why something is done."""

    reason: Reason = Field(description="Why")


class NewNamedBasis(Wire):
    """A state of the ledger to be named."""

    name: BasisName = Field(description="Its name, used once", examples=["Close of 2025-Q3"])
    closes: PeriodName | None = Field(None, description="The period that it closes")
    known_at: InstantField | None = Field(None, description="The state known at this moment")
    basis: str | None = Field(None, max_length=64, description="Or this basis; default: the head")
    reason: Reason = Field(description="Why it is named")

    @model_validator(mode="after")
    def _one_state(self) -> NewNamedBasis:
        if self.known_at is not None and self.basis is not None:
            raise ValueError("name either `known_at` or `basis`")
        return self


class NewCutOver(Wire):
    """A day from which on a new system's facts count instead of the old one's."""

    old_source: SourceName = Field(description="Source whose facts count before the day")
    new_source: SourceName = Field(description="Source whose facts count from the day on")
    on: Annotated[date, Field(ge=date(1900, 1, 1), lt=date(2200, 1, 1))] = Field(
        description="First day of the new source"
    )
    events: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=100, description="Types that it is about; empty: all"
    )
    reason: Reason = Field(description="Why this day")

    @model_validator(mode="after")
    def _two_sources(self) -> NewCutOver:
        if self.old_source == self.new_source:
            raise ValueError("a source can't replace itself")
        return self


class CutOvers(Known):
    """The cut-overs in force."""

    items: list[CutOverShown] = Field(description="By old, then new source")


@router.post("/backfills", status_code=201, response_model=Backfill)
def open_history_backfill(
    body: NewBackfill, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Open a backfill. Events sent with `?backfill=<id>` are stored at once, but count only
    when it is closed; until then `?with_backfill=<id>` on a replay shows its effect."""

    def work(transaction: Transaction) -> Answer:
        made = open_backfill(transaction, body.name, body.reason)
        return Answer(made, 201, 1, f"/v1/backfills/{made.id}")

    return caller.command(work)


@router.get("/backfills")
def list_backfills(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[Backfill]:
    """List backfills, oldest first."""
    with reader.view() as view:
        rows = backfill_queries.backfill_list(view, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda row: row.id)


@router.get("/backfills/{backfill_id}")
def get_backfill(
    backfill_id: str,
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    response: Response,
) -> BackfillAnswer:
    """Show a backfill."""
    with reader.view() as view:
        found = backfill_queries.backfill(view, backfill_id)
        response.headers["ETag"] = f'"{backfill_queries.revision(view, backfill_id)}"'
        return BackfillAnswer(
            **found.model_dump(),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/backfills/{backfill_id}/effect")
def show_effect_of_backfill(
    backfill_id: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> BackfillEffect:
    """Show which figures an open backfill would change, per quarter, before it counts."""
    with reader.view() as view:
        return effect(view, backfill_id)


def _change(caller: Caller, change: Change) -> Response:
    def work(transaction: Transaction) -> Answer:
        present = backfill_queries.revision(transaction, change.backfill_id)
        caller.demand_revision(present)
        return Answer(change_backfill(transaction, change), 200, present + 1)

    return caller.command(work)


@router.post("/backfills/{backfill_id}/close", response_model=Backfill)
def close_backfill(
    backfill_id: str, body: Because, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Close a backfill: its events count from here on; answers about earlier knowledge stay.

    Refused while another fact that counts gives one of its plain figures.
    """
    return _change(caller, BackfillClosed(backfill_id=backfill_id, reason=body.reason))


@router.post("/backfills/{backfill_id}/drop", response_model=Backfill)
def drop_backfill(
    backfill_id: str, body: Because, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Drop an open backfill: its events never count."""
    return _change(caller, BackfillDropped(backfill_id=backfill_id, reason=body.reason))


@router.post("/backfills/{backfill_id}/revert", response_model=Backfill)
def revert_backfill(
    backfill_id: str, body: Because, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Revert a closed backfill: its events count no longer from here on."""
    return _change(caller, BackfillReverted(backfill_id=backfill_id, reason=body.reason))


@router.post("/bases", status_code=201, response_model=NamedBasis)
def name_ledger_basis(
    body: NewNamedBasis, caller: Annotated[Caller, Depends(writes("baselines:write"))]
) -> Response:
    """Name a state of the ledger, for example to close a period.

    When a figure of a closed period changes later, the feed says so (`metric.restated`).
    """

    def work(transaction: Transaction) -> Answer:
        view = caller.past(transaction, body.known_at, body.basis)
        if body.closes is not None:
            try:
                parse_period(body.closes, calendar(view))
            except PeriodError as error:
                raise no_such_period("/closes", error) from error
        made = name_basis(transaction, body.name, view, body.closes, body.reason)
        return Answer(made, 201, 1)

    return caller.command(work)


@router.get("/bases")
def list_bases(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[NamedBasis]:
    """List named states of the ledger, by name."""
    with reader.view() as view:
        rows = basis_queries.named_bases(view, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda row: row.name)


@router.get("/bases/{name}")
def get_basis(name: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]) -> NamedBasis:
    """Show a named state of the ledger."""
    with reader.view() as view:
        found = basis_queries.named_basis(view, name)
        if found is None:
            raise NOT_FOUND.refusal(f"No basis is named {name!r}.")
        return found


@router.get("/restated")
def list_restated_figures(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[RestatedFigure]:
    """List the figures that someone holds (closed periods, baselines) and that changed since."""
    with reader.view() as view:
        rows = basis_queries.restated_figures(view, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda row: row[0], lambda row: row[1])


@router.post("/cut-overs", status_code=201, response_model=CutOverShown)
def set_source_cut_over(
    body: NewCutOver, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Say from which day a new system's facts count instead of the old one's.

    Nothing is stored twice or taken away: the choice is made when figures are read, and answers
    about earlier knowledge keep the choice of their time.
    """

    def work(transaction: Transaction) -> Answer:
        made = set_cut_over(
            transaction, body.old_source, body.new_source, body.on, body.events, body.reason
        )
        return Answer(made, 201)

    return caller.command(work)


@router.get("/cut-overs")
def list_cut_overs(reader: Annotated[Reader, Depends(reads("metrics:read"))]) -> CutOvers:
    """List the cut-overs in force."""
    with reader.view() as view:
        return CutOvers(
            items=cut_over_list(view),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.delete("/cut-overs", status_code=204)
def lift_source_cut_over(
    old_source: Annotated[str, Query(max_length=1_000, description="Old source")],
    new_source: Annotated[str, Query(max_length=1_000, description="New source")],
    caller: Annotated[Caller, Depends(writes("metrics:write"))],
) -> Response:
    """Lift a cut-over: both sources' facts count again from here on."""
    with caller.transaction() as transaction:
        lift_cut_over(transaction, old_source, new_source, "lifted")
    return Response(status_code=204)
