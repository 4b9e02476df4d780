"""Wire shapes of a roadmap."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from shared.web.wire import Known, Wire


class Bar(Wire):
    """Something on the time axis: a span, or a day where both ends are the same."""

    kind: Literal["phase", "go_live", "goal", "milestone", "method"] = Field(
        description="What it is"
    )
    id: str | None = Field(description="Of goals and V2MOMs (of methods): the id")
    title: str = Field(description="What it is called")
    area: str | None = Field(description="Digital area or unit")
    phase: str | None = Field(description="Phase of the initiative")
    begins: date = Field(description="First day")
    ends: date = Field(description="Last day")
    state: str | None = Field(description="Of goals: draft, committed, ...; of others whether done")


class Roadmap(Known):
    """Areas, phases, goals, milestones, go-lives and methods on one time axis."""

    begins: date = Field(description="First day of the axis")
    ends: date = Field(description="Last day of the axis")
    bars: list[Bar] = Field(description="By area, phase and day")
