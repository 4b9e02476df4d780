"""Frozen valuations: kept with every input, computed once more, and what moved between two."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field

from services.valuation import commands
from services.valuation.api.asking import Seen, seen
from services.valuation.api.valuations import ValuationBasis, valuation_of
from services.valuation.domain.assumptions import in_scenario
from services.valuation.domain.bridge import ORDER, Known, bridge
from services.valuation.domain.case import BASE
from services.valuation.domain.frozen import (
    Frozen,
    FrozenValuation,
    comparable,
    differences,
    digest_of,
)
from services.valuation.queries import records
from shared.errors import invalid
from shared.language import in_language
from shared.ledger import Transaction
from shared.money import Amount
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Wire
from shared.words import Id, Name, Reason

router = make_router("valuations")
MAX_DIFFERENCES = 100


class NewFrozen(Wire):
    """A valuation to be kept."""

    case_id: Id = Field(description="The case")
    name: Name = Field(description="What it is kept as", examples=["Board, 2025-Q3"])
    reason: Reason = Field(description="Why it is kept")
    scenario: Annotated[str, Field(max_length=64)] = Field(BASE, description="Scenario")
    include: Annotated[list[Literal["soft_time", "unverified"]], Field(max_length=2)] = Field(
        default_factory=list, description="What stands apart and shall count all the same"
    )
    known_at: InstantField | None = Field(None, description="As known then; default: now")


class FrozenShown(Wire):
    """A valuation as it was kept."""

    id: Id = Field(description="Id")
    case_id: Id = Field(description="The case")
    name: str = Field(description="What it is kept as")
    reason: str = Field(description="Why it was kept")
    scenario: str = Field(description="Scenario")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    digest: str = Field(description="SHA-256 over inputs and answer")
    inputs: dict[str, Any] = Field(
        description="What goals and metrics said: figures with their proofs, baselines, booked "
        "costs, rates, shares and obstacles"
    )
    valuation: dict[str, Any] = Field(description="The answer as it was given: a `Valuation`")


class Difference(Wire):
    """Where a valuation comes out otherwise."""

    pointer: str = Field(description="JSON pointer into the valuation or its inputs")
    before: Any = Field(description="As it was kept")
    after: Any = Field(description="As it comes out now")


class Verified(Wire):
    """A kept valuation, computed once more from the three ledgers."""

    id: Id = Field(description="Id of the valuation")
    identical: bool = Field(description="Whether every figure came out again")
    digest: str = Field(description="The digest that it was kept with")
    digest_now: str = Field(description="The digest that comes out now")
    differences: list[Difference] = Field(description="What differs, at most 100")


class BridgeStep(Wire):
    """One cause, and what it changed."""

    cause: str = Field(description=f"One of {', '.join(ORDER)}, applied in this order")
    about: str | None = Field(description="Of a metric: its key")
    change: Amount = Field(description="What it changed")
    npv: Amount = Field(description="The net present value after it")


class Bridge(Wire):
    """What moved the net present value; the changes add up to the difference exactly."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    of: Literal["plan", "realised", "outlook"] = Field(description="Which of the three")
    order: list[str] = Field(description="The order in which causes are applied")
    before: Amount = Field(description="Net present value of the first")
    steps: list[BridgeStep] = Field(description="Cause by cause")
    after: Amount = Field(description="Net present value of the second")


@router.post("/valuations", status_code=201, response_model=FrozenShown)
def freeze_valuation(
    body: NewFrozen, caller: Annotated[Caller, Depends(writes("valuation:write"))]
) -> Response:
    """Keep a valuation with every input, proof and digest, as known now or at a past moment."""
    if (stored := caller.replayed()) is not None:
        return stored
    if body.known_at is not None and body.known_at > caller.runtime.clock.now():
        raise invalid("/known_at", "Nothing is known of the future yet.", "future")
    known_at = body.known_at or caller.runtime.clock.now()
    with caller.runtime.ledger.view(caller.tenant_id, known_at=known_at) as view:
        known = Seen(caller, view, body.case_id, past=True, scenario=body.scenario)
    frozen = _frozen(known, body)

    def work(transaction: Transaction) -> Answer:
        kept = commands.freeze(transaction, frozen)
        return Answer(_shown(kept), 201, kept.revision, f"/v1/valuations/{kept.record_id}")

    return caller.command(work)


def _frozen(known: Seen, body: NewFrozen) -> Frozen:
    with in_language("en"):
        # Asked once to learn the bases, it is computed from these, so that it comes out again.
        known.measured  # noqa: B018
        answer = valuation_of(known, body.include).model_dump(mode="json")
    return Frozen(
        case_id=body.case_id, scenario=body.scenario, included=list(body.include), name=body.name,
        reason=body.reason, known_at=known.known_at, basis=known.bases, case=known.stated,
        measured=known.measured, risk_table=known.table, answer=answer,
        digest=digest_of(known.stated, known.measured, answer),
    )  # fmt: skip


@router.get("/valuations")
def list_valuations(
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    pages: Pages,
    case_id: Annotated[str | None, Query(max_length=36, description="Only of this case")] = None,
) -> Page[FrozenShown]:
    """List kept valuations, oldest first."""
    with reader.view() as view:
        rows = records.frozen_list(view, case_id, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda kept: kept.record_id, _shown)


@router.get("/valuations/{valuation_id}")
def get_valuation(
    valuation_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> FrozenShown:
    """Show a valuation as it was kept."""
    with reader.view() as view:
        return _shown(records.frozen(view, valuation_id))


@router.post("/valuations/{valuation_id}/verify")
def verify_valuation(
    valuation_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))]
) -> Verified:
    """Compute a kept valuation once more from the three ledgers, and say what differs."""
    with reader.view() as view:
        kept = records.frozen(view, valuation_id)
    frozen = kept.frozen
    basis = frozen.basis
    with reader.runtime.ledger.view(reader.tenant_id, basis=basis["valuation"]) as view:
        known = Seen(
            reader, view, frozen.case_id, past=True, scenario=frozen.scenario,
            goals_basis=basis["goals"], metrics_basis=basis["metrics"],
        )  # fmt: skip
    known.known_at = frozen.known_at
    with in_language("en"):
        answer = valuation_of(known, frozen.included).model_dump(mode="json")
    found = differences(frozen.answer, answer, "/valuation")
    found += differences(_inputs(frozen), comparable(known.measured), "/inputs")
    now = digest_of(known.stated, known.measured, answer)
    return Verified(
        id=valuation_id, identical=not found and now == frozen.digest, digest=frozen.digest,
        digest_now=now,
        differences=[
            Difference(pointer=pointer, before=before, after=after)
            for pointer, before, after in found[:MAX_DIFFERENCES]
        ],
    )  # fmt: skip


@router.get("/cases/{case_id}/bridge")
def bridge_valuations(
    case_id: str,
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    first: Annotated[
        str, Query(alias="from", max_length=64, description="A kept valuation, or a past moment")
    ],
    last: Annotated[
        str | None,
        Query(alias="to", max_length=64, description="Another; default: as known now"),
    ] = None,
    of: Annotated[
        Literal["plan", "realised", "outlook"], Query(description="Which of the three")
    ] = "outlook",
) -> Bridge:
    """Explain what moved the net present value between two valuations, cause by cause."""
    before = _known(reader, case_id, first, "from")
    after = _known(reader, case_id, last, "to") if last else _of(seen(reader, case_id))
    if before.case.body.currency != after.case.body.currency:
        raise invalid("query:to", "The two are in different currencies.", "currency")
    start, steps, end = bridge(before, after, of)
    return Bridge(
        case_id=case_id, currency=after.case.body.currency, of=of, order=list(ORDER), before=start,
        steps=[
            BridgeStep(cause=s.cause, about=s.about, change=s.change, npv=s.npv) for s in steps
        ],
        after=end,
    )  # fmt: skip


def _known(reader: Reader, case_id: str, named: str, parameter: str) -> Known:
    """A valuation by its id, or the case as known at a moment."""
    if len(named) == 36 and named.count("-") == 4:
        with reader.view() as view:
            frozen = records.frozen(view, named).frozen
        if frozen.case_id != case_id:
            raise invalid(f"query:{parameter}", "That valuation is of another case.", "other_case")
        case = in_scenario(frozen.case, frozen.scenario, frozen.measured.shares)
        return Known(case, frozen.measured, frozen.included)
    moment = _moment(named, parameter)
    with reader.runtime.ledger.view(reader.tenant_id, known_at=moment) as view:
        return _of(Seen(reader, view, case_id, past=True))


def _moment(named: str, parameter: str) -> Any:
    try:
        return _Moment.model_validate({"at": named}).at
    except ValueError as error:
        detail = f"{named!r} is neither the id of a kept valuation nor a moment (RFC 3339)."
        raise invalid(f"query:{parameter}", detail, "moment") from error


class _Moment(Wire):
    """A moment in a query."""

    at: InstantField


def _of(known: Seen) -> Known:
    return Known(known.case, known.measured)


def _inputs(frozen: Frozen) -> dict[str, Any]:
    return comparable(frozen.measured)


def _shown(kept: FrozenValuation) -> FrozenShown:
    frozen = kept.frozen
    return FrozenShown(
        id=kept.record_id, case_id=frozen.case_id, name=frozen.name, reason=frozen.reason,
        scenario=frozen.scenario, known_at=frozen.known_at,
        basis=ValuationBasis.model_validate(frozen.basis), digest=frozen.digest,
        inputs=_inputs(frozen), valuation=frozen.answer,
    )  # fmt: skip
