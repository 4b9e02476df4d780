"""The plan around an initiative: V2MOM, stakeholders, and what is told to whom."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.goals.domain.statement import StatementBody, kind
from shared.events import Payload
from shared.words import Id, Name, Prose

Said = Annotated[str, StringConstraints(min_length=1, max_length=4_000, strip_whitespace=True)]
Degree = Literal["low", "medium", "high"]


class Method(Payload):
    """Something that is done to get there."""

    text: Said = Field(description="What is done")
    owner: Name | None = Field(None, description="Who does it")
    due: date | None = Field(None, description="Until when")
    done: bool = Field(False, description="Whether it is done")


class V2mom(StatementBody):
    """Vision, values, methods, obstacles and measures of an initiative in a period.

    Its measures are the goals whose `measure_of` names it.
    """

    period: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="The period that it is written for; each has its own", examples=["FY2026"]
    )
    vision: Said = Field(description="What is to become true")
    values: list[Said] = Field(
        max_length=20, description="What matters most in getting there, the first the most"
    )
    methods: list[Method] = Field(
        default_factory=list, max_length=50, description="What is done, the most important first"
    )
    obstacles: list[Id] = Field(
        default_factory=list, max_length=50, description="Factors that stand in the way"
    )
    aligns_to: Id | None = Field(None, description="V2MOM above, of any initiative; no circles")


class Stakeholder(StatementBody):
    """A person or a group that the initiative concerns."""

    name: Name = Field(description="Who")
    group: bool = Field(False, description="Whether it is a group of people")
    side: Literal["own", "vendor", "partner"] = Field("own", description="Whose people they are")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="As which audience it reaches them"
    )
    interest: Degree = Field("medium", description="How much it concerns them")
    influence: Degree = Field("medium", description="How much depends on them")
    concern: Prose = Field("", description="What they want of it, or fear")
    contact: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Where to reach them"
    )


class Communication(StatementBody):
    """Something that is told to somebody: a line of the communication plan."""

    text: Said = Field(description="What is told")
    to: list[Id] = Field(min_length=1, max_length=100, description="Stakeholders it is told to")
    by: Name = Field(description="Who tells it")
    on: date = Field(description="When")
    benefit: Said = Field(description="What those who are told have of it")
    told_on: date | None = Field(None, description="When it was told; null before that")


V2MOM = kind("v2mom", V2mom)
STAKEHOLDER = kind("stakeholder", Stakeholder)
COMMUNICATION = kind("communication", Communication)
