"""What people say: recorded as facts with personal texts, and given back to those who ask."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field

from services.metrics.domain.cloudevents import Rejected, read_cloudevent
from services.metrics.queries.definitions import types
from services.metrics.queries.feedback import Asked, Voice, question_sets, voices
from services.metrics.queries.figures import Span, periods_of, reading
from shared.clock import to_micros
from shared.errors import CONFLICT, INVALID, invalid
from shared.ids import new_id
from shared.ledger import Transaction
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Known, PeriodName, Wire

router = make_router("feedback")
Audience = Literal["customer", "prospect", "stakeholder"]
Short = Annotated[str, Field(min_length=1, max_length=200)]


class NewFeedback(Wire):
    """Something that a person said."""

    id: str | None = Field(
        None, min_length=1, max_length=200, description="Its id, so that it is recorded once"
    )
    audience: Audience = Field(description="Who speaks")
    group: Short | None = Field(
        None, description="Which of them", examples=["employee", "investor", "partner"]
    )
    kind: Literal["conversation", "review", "answer", "comment", "complaint"] = Field(
        "comment", description="What it is"
    )
    channel: Short | None = Field(None, description="Where it was said")
    text: str = Field(min_length=1, max_length=10_000, description="What was said; personal")
    themes: list[Short] = Field(default_factory=list, max_length=20, description="Themes")
    sentiment: Literal["positive", "neutral", "negative"] | None = Field(
        None, description="As somebody judged it; never guessed"
    )
    judged_by: Short | None = Field(None, description="Who judged the sentiment")
    question: Short | None = Field(None, description="The question that it answers")
    customer: Short | None = Field(None, description="Whose voice it is, by id")
    about: Short | None = Field(None, description="What it is about")
    stars: int | None = Field(None, ge=1, le=5, description="Stars of a review")
    at: InstantField | None = Field(None, description="When it was said; default: now")


class QuestionSet(Wire):
    """Questions that an audience is usually asked."""

    audience: str = Field(description="Who is asked")
    questions: list[str] = Field(description="The questions, in order")


class QuestionSets(Known):
    """The questions per audience."""

    items: list[QuestionSet] = Field(description="One set per audience")


@router.post("/feedback", status_code=201, response_model=Voice)
def record_feedback(
    body: NewFeedback, caller: Annotated[Caller, Depends(writes("events:write"))]
) -> Response:
    """Record what a person said.

    It becomes a fact `feedback.recorded` that metrics can count; its text is personal and is kept
    beside the ledger. A sentiment needs to say who judged it.
    """
    if (body.sentiment is None) != (body.judged_by is None):
        raise invalid("/judged_by", "`sentiment` and `judged_by` belong together.", "missing")

    def work(transaction: Transaction) -> Answer:
        at = (body.at or transaction.known_at).astimezone(UTC)
        data = body.model_dump(mode="json", exclude={"id", "at"}, exclude_none=True)
        item = {
            "specversion": "1.0", "type": "feedback.recorded", "source": "/feedback",
            "id": body.id or new_id(), "time": at.isoformat(),
            "data": {name: value for name, value in data.items() if value != []},
        }  # fmt: skip
        event = read_cloudevent(
            item, types(transaction), transaction.known_at, actor=caller.principal.actor
        )
        if isinstance(event, Rejected):
            raise INVALID.refusal(event.faults[0].detail, event.faults)
        (outcome,) = transaction.append([event])
        if outcome.status == "conflict":
            raise CONFLICT.refusal(f"Something else was recorded as {body.id!r}.")
        told = {**data, "themes": body.themes, "id": event.event_id}
        voice = Voice(**told, at=at, position=outcome.position)
        return Answer(voice, 201 if outcome.status == "accepted" else 200)

    return caller.command(work)


@router.get("/feedback")
def list_feedback(
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    audience: Annotated[Audience | None, Query(description="Only from these")] = None,
    theme: Annotated[str | None, Query(max_length=200, description="Only about this")] = None,
    kind: Annotated[str | None, Query(max_length=40, description="Only of this kind")] = None,
    period: Annotated[PeriodName | None, Query(description="Only what was said in it")] = None,
) -> Page[Voice]:
    """Give the texts back, oldest first: what stands behind the figures, in people's own words."""
    after: Any = pages.after or [0, 0]
    numbers = isinstance(after, list) and all(type(number) is int for number in after)
    if not numbers or len(after) != 2:
        raise invalid("query:cursor", "This cursor was not made by this list.", "cursor")
    with reader.view() as view:
        known = reading(view)
        within = periods_of(Span([period]), known.calendar)[0] if period else None
        asked = Asked(audience, theme, kind, within)
        found = voices(known, asked, (after[0], after[1]), pages.limit + 1)
        return pages.page(view, found, lambda voice: [to_micros(voice.at), voice.position])


@router.get("/feedback/questions")
def list_feedback_questions(
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
) -> QuestionSets:
    """List the questions that each audience is usually asked, to begin with."""
    with reader.view() as view:
        return QuestionSets(
            items=[QuestionSet(audience=a, questions=list(q)) for a, q in question_sets().items()],
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )
