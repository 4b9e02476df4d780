"""What speeds an initiative up or holds it back, what is done about it, and what is learnt."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from services.goals.domain.plan import Said
from services.goals.domain.statement import StatementBody, kind
from shared.events import Payload
from shared.words import Id, Name

Category = Literal[
    "person", "team", "pain_point", "quick_win", "external_expertise",
    "fear", "scepticism", "not_understanding", "migration", "integration", "sponsorship",
    "data_quality", "training", "other",
]  # fmt: skip
Obstacle = Literal[
    "fear", "scepticism", "not_understanding", "migration", "integration", "sponsorship",
    "data_quality", "training", "other",
]  # fmt: skip
ACCELERATORS = ("person", "team", "pain_point", "quick_win", "external_expertise")
Degree = Annotated[int, Field(ge=1, le=5)]


class Mitigation(Payload):
    """Something that makes an obstacle smaller."""

    kind: Literal[
        "training", "change_consultants", "integration_service", "external_expertise",
        "communication", "support",
    ] = Field(description="What kind of help it is")  # fmt: skip
    text: Said = Field(description="What is done")
    owner: Name | None = Field(None, description="Who does it")
    due: date | None = Field(None, description="Until when")
    done: bool = Field(False, description="Whether it is done")
    cost_line: Name | None = Field(None, description="Cost line of the valuation that carries it")
    likelihood_after: Degree | None = Field(None, description="Likelihood that is left, 1 to 5")
    impact_after: Degree | None = Field(None, description="Impact that is left, 1 to 5")


class Factor(StatementBody):
    """An accelerator or an obstacle."""

    kind: Literal["accelerator", "obstacle"] = Field(description="Helps, or holds back")
    category: Category = Field(
        description="Accelerators: person, team, pain_point, quick_win, external_expertise; "
        "obstacles: resistance (fear, scepticism, not_understanding), migration, integration, "
        "sponsorship, data_quality, training, other"
    )
    text: Said = Field(description="What it is")
    unit: Name | None = Field(None, description="Where: an organisational unit")
    brings: list[Literal["information", "influence", "knowledge"]] = Field(
        default_factory=list, max_length=3, description="What an accelerator brings"
    )
    goals: list[Id] = Field(default_factory=list, max_length=50, description="Goals it affects")
    likelihood: Degree | None = Field(None, description="1 hardly ... 5 almost surely")
    impact: Degree | None = Field(None, description="1 hardly felt ... 5 the goal is lost")
    owner: Name | None = Field(None, description="Who looks after it")
    due: date | None = Field(None, description="Until when")
    status: Literal["open", "handled", "closed"] = Field("open", description="Where it stands")
    response: Literal["remove", "go_round", "mitigate", "accept"] | None = Field(
        None, description="What is done about an obstacle"
    )
    mitigations: list[Mitigation] = Field(
        default_factory=list, max_length=20, description="What makes it smaller"
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Factor:
        if (self.category in ACCELERATORS) != (self.kind == "accelerator"):
            raise ValueError(f"{self.category!r} is no category of an {self.kind}")
        if self.kind == "accelerator" and (self.response or self.mitigations):
            raise ValueError("`response` and `mitigations` are for obstacles")
        if self.kind == "obstacle" and self.brings:
            raise ValueError("`brings` is for accelerators")
        return self


def planned(factor: Factor) -> bool:
    """Whether somebody owns it and it is said what is done about it."""
    mitigated = factor.response != "mitigate" or bool(factor.mitigations)
    return factor.owner is not None and factor.response is not None and mitigated


def exposure(factor: Factor) -> int | None:
    """Likelihood times impact, 1 to 25; None where either is not stated."""
    if factor.likelihood is None or factor.impact is None:
        return None
    return factor.likelihood * factor.impact


def exposure_after(factor: Factor) -> int | None:
    """What is left once all mitigations are done: the least that any of them leaves of each."""
    if factor.likelihood is None or factor.impact is None:
        return None
    left = [m.likelihood_after for m in factor.mitigations if m.likelihood_after]
    felt = [m.impact_after for m in factor.mitigations if m.impact_after]
    return min([factor.likelihood, *left]) * min([factor.impact, *felt])


class Spread(Payload):
    """A lesson that was carried elsewhere."""

    to: Name = Field(description="A phase or an organisational unit")
    by: str = Field(description="Who carried it there")
    on: date = Field(description="When")


class LessonStated(StatementBody):
    """What a quick win or a review has taught."""

    text: Said = Field(description="What was learnt")
    evidence: Said = Field(description="What shows it")
    applies_to: list[Name] = Field(
        default_factory=list, max_length=50, description="Phases or units where it applies next"
    )
    factor: Id | None = Field(None, description="The factor that it comes from")
    review: Id | None = Field(None, description="The review that it comes from")


class Lesson(LessonStated):
    """A lesson, and where it was spread to."""

    spread: list[Spread] = Field(default_factory=list, description="Where it was carried")


class PremortemAnswer(StatementBody):
    """What was answered to a prompt of the pre-mortem: an obstacle, or why there is none."""

    prompt: Obstacle = Field(description="The usual obstacle that was asked about")
    factor: Id | None = Field(None, description="The obstacle that was found")
    dismissed: Said | None = Field(None, description="Why it is none here")

    @model_validator(mode="after")
    def _one_of_both(self) -> PremortemAnswer:
        if (self.factor is None) == (self.dismissed is None):
            raise ValueError("name either the `factor` that was found, or why it is `dismissed`")
        return self


FACTOR = kind("factor", Factor)
LESSON = kind("lesson", Lesson)
PREMORTEM = kind("premortem", PremortemAnswer)
