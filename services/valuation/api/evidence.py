"""The very events that a benefit's metrics are made of: what a claim can be checked against."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Response
from pydantic import Field

from services.valuation.api.asking import Seen, seen
from services.valuation.api.valuations import ValuationBasis
from services.valuation.clients.metrics import EventRead
from services.valuation.domain.lines import BenefitLine, Driver
from services.valuation.domain.schedule import slots_of
from shared.chain import canonical_json
from shared.errors import NOT_FOUND
from shared.web.feed import exact_json
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import InstantField, Wire
from shared.words import Id

router = make_router("valuations")
# The first so many events of each metric are told; the rest stand at the metric's events.
MAX_EVENTS = 500


class EvidenceEvent(Wire):
    """An event that a figure is made of, such as a deal that was rescued."""

    id: str = Field(description="Id of the event at its source")
    source: str = Field(description="Who told it")
    type: str = Field(description="Type of the event")
    subject: str | None = Field(description="The thing that it is about")
    time: InstantField = Field(description="When it occurred")
    occurredon: date | None = Field(description="The date, where only a date is known")
    data: dict[str, Any] = Field(description="What it says")


class Evidence(Wire):
    """The events behind one metric of a benefit."""

    metric: str = Field(description="Key of the metric")
    where: dict[str, Any] | None = Field(description="Filter besides the metric's own")
    period: str | None = Field(description="The case's periods that are over; null before any is")
    events: list[EvidenceEvent] = Field(
        max_length=MAX_EVENTS, description="In order of occurrence, the first 500"
    )
    more: bool = Field(description="Whether there are more than these")


class BenefitEvidence(Wire):
    """What a benefit's realised money rests on."""

    case_id: Id = Field(description="The case")
    benefit_id: Id = Field(description="The benefit")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    evidence: list[Evidence] = Field(description="By metric that drives it")


@router.get("/cases/{case_id}/benefits/{line_id}/evidence", response_model=BenefitEvidence)
def show_evidence(
    case_id: str,
    line_id: str,
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    response: Response,
) -> Response:
    """List the very events that a benefit's metrics count in the periods that are over."""
    known = seen(reader, case_id)
    line = next((b for b in known.stated.benefits if b.benefit_id == line_id), None)
    if line is None:
        raise NOT_FOUND.refusal(f"The case has no benefit {line_id!r}.")
    found = [_evidence(known, driver) for driver in _drivers(line)]
    answer = BenefitEvidence(
        case_id=case_id, benefit_id=line_id, known_at=known.known_at, evidence=found,
        basis=ValuationBasis.model_validate(known.bases),
    )  # fmt: skip
    exact = exact_json(answer.model_dump())
    exact.headers.update(response.headers)
    return exact


def _drivers(line: BenefitLine) -> list[Driver]:
    values = (i.metric for i in line.inputs.values() if i.metric is not None)
    every = [*line.drivers, *(Driver(value.key, value.where) for value in values)]
    return [one for n, one in enumerate(every) if one not in every[:n]]


def _evidence(known: Seen, driver: Driver) -> Evidence:
    over = slots_of(known.stated.body)[1 : known.measured.elapsed + 1]
    told: dict[str, Any] = {"metric": driver.metric, "where": driver.where}
    if not over:
        return Evidence(**told, period=None, events=[], more=False)
    period = f"{over[0].start}..{over[-1].end}"
    asked = {
        "period": period, "limit": MAX_EVENTS,
        "where": canonical_json(driver.where) if driver.where else None,
        **known.world.known(known.world.metrics_basis),
    }  # fmt: skip
    page = known.world.metrics.events(known.world.credential, driver.metric, asked)
    events = [_shown(event) for event in page.items]
    return Evidence(**told, period=period, events=events, more=page.next_cursor is not None)


def _shown(event: EventRead) -> EvidenceEvent:
    return EvidenceEvent.model_validate(event.model_dump())
