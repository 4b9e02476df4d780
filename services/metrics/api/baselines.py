"""Baselines: past figures frozen with their proof, and verified again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, model_validator

from services.metrics.api.replay import parse_filter
from services.metrics.domain.facts import BaselineFrozen
from services.metrics.domain.filters import Filter
from services.metrics.queries import baselines as queries
from services.metrics.queries.baselines import BaselineFigure, Method
from services.metrics.queries.definitions import calendar
from services.metrics.queries.figures import Span, periods_of
from shared.chain import parse_json
from shared.errors import invalid
from shared.ids import new_id
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Key, PeriodName, Wire
from shared.words import Id, Reason

router = make_router("baselines")


class Trailing(Wire):
    """So many periods, of which the last is named."""

    count: Annotated[int, Field(strict=True, ge=1, le=120)] = Field(description="How many periods")
    last: PeriodName


class NewBaseline(Wire):
    """A past figure to be frozen."""

    metric: Key = Field(description="Key of the metric", examples=["win-rate"])
    where: Filter | None = Field(None, description="Filter, besides the metric's own")
    periods: list[PeriodName] | None = Field(
        None,
        min_length=1,
        max_length=120,
        description="The periods",
        examples=[["2024-Q1", "2024-Q2"]],
    )
    trailing: Trailing | None = Field(None, description="Or so many periods up to one")
    method: Method = Field("pooled", description="How several periods become one figure")
    known_at: InstantField | None = Field(None, description="As known at this moment; default: now")
    basis: str | None = Field(None, max_length=64, description="Or as known at this basis")
    reason: Reason = Field(description="Why it is frozen")

    @model_validator(mode="after")
    def _one_form(self) -> NewBaseline:
        if (self.periods is None) == (self.trailing is None):
            raise ValueError("name either `periods` or `trailing`")
        if self.known_at is not None and self.basis is not None:
            raise ValueError("name either `known_at` or `basis`")
        return self


class Verification(Wire):
    """Whether a frozen baseline still comes out of the ledger as it was."""

    id: Id = Field(description="The baseline")
    identical: bool = Field(description="True when every figure and proof is the same")
    differences: list[str] = Field(description="What differs")
    frozen: BaselineFigure = Field(description="What was frozen")
    recomputed: BaselineFigure = Field(description="What the ledger gives for the same basis")


@router.post("/baselines", status_code=201, response_model=BaselineFigure)
def freeze_baseline(
    body: NewBaseline, caller: Annotated[Caller, Depends(writes("baselines:write"))]
) -> Response:
    """Freeze a metric's figure over past periods, with its proof.

    Its `state` is `established`, `insufficient` (some period has no value, or is not over) or
    `unmeasurable`, which names the cause and what would mend it.
    """

    def work(transaction: Transaction) -> Answer:
        view = caller.past(transaction, body.known_at, body.basis)
        trailing = body.trailing
        periods = queries.baseline_periods(
            view,
            body.periods or (),
            trailing.count if trailing else None,
            trailing.last if trailing else None,
        )
        where = body.model_dump(mode="json", by_alias=True)["where"]
        found = queries.baseline(
            view, body.metric, periods, body.method, where=body.where, where_json=where
        )
        answer = found.model_copy(update={"id": new_id(), "reason": body.reason, "open": False})
        payload = BaselineFrozen(
            baseline_id=str(answer.id),
            metric=body.metric,
            question=body.model_dump(mode="json", by_alias=True),
            answer=answer.model_dump(mode="json"),
            reason=body.reason,
        )
        transaction.record(f"baseline/{answer.id}", 0, [payload])
        return Answer(answer, 201, 1, f"/v1/baselines/{answer.id}")

    return caller.command(work)


@router.get("/baselines")
def list_baselines(
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    metric: Annotated[str | None, Query(max_length=64, description="Only of this metric")] = None,
) -> Page[BaselineFigure]:
    """List frozen baselines, oldest first."""
    with reader.view() as view:
        rows = queries.frozen_list(view, metric, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda b: b.id)


@router.get("/baselines/{baseline_id}")
def get_baseline(
    baseline_id: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> BaselineFigure:
    """Show a frozen baseline, as it was frozen."""
    with reader.view() as view:
        return queries.frozen(view, baseline_id)[1]


@router.post("/baselines/{baseline_id}/verify")
def verify_baseline(
    baseline_id: str, caller: Annotated[Reader, Depends(reads("metrics:read"))]
) -> Verification:
    """Recompute a frozen baseline from the ledger and compare every figure and proof."""
    with caller.view() as view:
        event, frozen = queries.frozen(view, baseline_id)
        then = caller.runtime.ledger.view_in(view.connection, view.tenant_id, basis=frozen.basis)
        past = View(view.connection, view.tenant_id, then.basis, frozen.known_at, False)
        question = NewBaseline.model_validate(event.question)
        days = calendar(past)
        again = queries.baseline(
            past,
            frozen.metric,
            periods_of(Span(frozen.periods), days),
            frozen.method,
            where=question.where,
            where_json=frozen.where,
            version=frozen.version,
        )
    own: dict[str, Any] = {"id": frozen.id, "reason": frozen.reason, "known_at": frozen.known_at}
    recomputed = again.model_copy(update=own)
    differences = _differences(frozen, recomputed)
    return Verification(
        id=baseline_id,
        identical=not differences,
        differences=differences,
        frozen=frozen,
        recomputed=recomputed,
    )


def _differences(frozen: BaselineFigure, again: BaselineFigure) -> list[str]:
    found = []
    before, after = frozen.model_dump(mode="json"), again.model_dump(mode="json")
    for name, value in before.items():
        if name != "values" and value != after[name]:
            found.append(f"{name}: {value} -> {after[name]}")
    for old, new in zip(before["values"], after["values"], strict=True):
        for name in ("value", "numerator", "denominator", "n", "proof"):
            if old[name] != new[name]:
                found.append(f"{old['period']} {name}: {old[name]} -> {new[name]}")
    return found


@router.get("/metrics/{key}/baseline")
def preview_baseline(
    key: str,
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    period: Annotated[list[PeriodName] | None, Query(max_length=120, description="Periods")] = None,
    count: Annotated[int | None, Query(ge=1, le=120, description="Or so many periods")] = None,
    last: Annotated[str | None, Query(max_length=40, description="... up to this one")] = None,
    method: Annotated[
        Literal["pooled", "mean_of_periods", "median_of_periods"],
        Query(description="How several become one"),
    ] = "pooled",
    where: Annotated[str | None, Query(max_length=8_000, description="A FILTER as JSON")] = None,
) -> BaselineFigure:
    """Look at a baseline without freezing it."""
    if not period and not (count and last):
        raise invalid("query:period", "Say `period`, or `count` and `last`.", "missing")
    with reader.view() as view:
        periods = queries.baseline_periods(view, period or (), count, last)
        return queries.baseline(
            view, key, periods, method,
            where=parse_filter(where), where_json=parse_json(where) if where else None,
        )  # fmt: skip
