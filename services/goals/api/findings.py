"""`GET /v1/initiatives/{id}/findings`: what an initiative should look at."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends
from pydantic import Field

from services.goals.api.progress import asked_as
from services.goals.api.progress_shapes import ProgressBasis
from services.goals.domain.findings import Known, Watched, find, sponsorship
from services.goals.queries.watching import complete, figures_of, known_of
from shared.errors import Refusal
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Figure, InstantField, Text, Wire
from shared.words import Id

router = make_router("initiatives")


class FindingShown(Wire):
    """Something to look at."""

    code: str = Field(description="Stable name of the finding")
    severity: Literal["info", "warning", "serious"] = Field(description="How grave it is")
    said: Text = Field(description="The evidence, and what to do")
    goals: list[Id] = Field(description="Goals that it is about")


class WatchedShown(Wire):
    """A figure that usual failures show in first."""

    failure: Literal["adoption", "training", "bypass", "sponsorship", "data_integrity"] = Field(
        description="Which of the usual failures it warns of"
    )
    metric: str | None = Field(description="Key of the metric; null: from the reviews")
    last: Figure | None = Field(description="In the last whole quarter; of sponsorship: attended")
    before: Figure | None = Field(description="In the quarter before; of sponsorship: held")
    reason: str | None = Field(description="Why there is no figure")


class Findings(Wire):
    """What an initiative should look at, the gravest first."""

    items: list[FindingShown] = Field(description="Findings")
    watched: list[WatchedShown] = Field(
        description="Adoption, sponsorship, work outside the system, training: as far as measured"
    )
    complete: bool = Field(
        description="False while metrics does not answer: what rests on figures is missing then"
    )
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ProgressBasis = Field(description="What it rests on")


@router.get("/initiatives/{initiative_id}/findings")
def show_findings(
    initiative_id: str, reader: Annotated[Reader, Depends(reads("goals:read"))]
) -> Findings:
    """Show what an initiative should look at: focus, balance, owners, obstacles, sponsor, use."""
    with reader.view() as view:
        told = known_of(view, initiative_id)
        moment, token = view.known_at, view.basis.token
    try:
        figures = figures_of(asked_as(reader, moment), told, moment)
    except Refusal as refusal:
        if refusal.problem.status != 503:
            raise
        figures = None
    known = complete(told, figures, moment)
    return Findings(
        items=[
            FindingShown(
                code=one.code, severity=one.severity, said=Text(**one.said), goals=list(one.goals)
            )
            for one in find(known)
        ],
        watched=_watched(known),
        complete=figures is not None,
        known_at=moment,
        basis=ProgressBasis(goals=token, metrics=figures.basis if figures else None),
    )


def _watched(known: Known) -> list[WatchedShown]:
    def shown(failure: str, one: Watched) -> WatchedShown:
        return WatchedShown.model_validate(
            {"failure": failure, "metric": one.key, "last": one.last, "before": one.before,
             "reason": one.reason}
        )  # fmt: skip

    found = [shown("adoption", one) for one in known.usage]
    found += [shown("training", one) for one in known.training]
    found += [shown("bypass", one) for one in known.bypass]
    found += [shown("data_integrity", one) for one in known.integrity]
    attended = sponsorship(known)
    if attended is not None:
        there, held = attended
        found.append(WatchedShown.model_validate(
            {"failure": "sponsorship", "metric": None, "last": there, "before": held,
             "reason": None}
        ))  # fmt: skip
    return found
