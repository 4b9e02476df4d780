"""The voices behind the figures: recorded feedback with its texts, and the questions to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field
from sqlalchemy import and_, or_, select

from services.metrics.replay.frame import Frame
from services.metrics.replay.knowledge import within
from services.metrics.replay.raw import Reading
from shared.chain import parse_json
from shared.clock import from_micros, to_micros
from shared.events import Event
from shared.ledger import read_event
from shared.ledger.rows import personal_values
from shared.ledger.tables import events
from shared.periods import Period
from shared.web.wire import InstantField, Wire

FEEDBACK = "feedback.recorded"
_CHUNK = 500
_QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "customer": (
        "How well did we solve what you came for?",
        "What was harder than it should have been?",
        "Would you recommend us, and why?",
    ),
    "prospect": (
        "What made you talk to us?",
        "What keeps you from deciding?",
        "What would you expect of us in the first three months?",
    ),
    "stakeholder": (
        "What has become easier since the system is there?",
        "What do you still do outside of it, and why?",
        "Which of our goals does it help, and which does it not?",
    ),
}


class Voice(Wire):
    """Something that a person said."""

    id: str = Field(description="Its id")
    at: InstantField = Field(description="When it was said")
    position: int = Field(ge=1, description="Where in the ledger it stands")
    audience: str | None = Field(None, description="Who speaks")
    group: str | None = Field(None, description="Which of them")
    kind: str | None = Field(None, description="What it is")
    channel: str | None = Field(None, description="Where it was said")
    text: str | None = Field(None, description="What was said; null where it was erased")
    themes: list[str] = Field(default_factory=list, description="Themes")
    sentiment: str | None = Field(None, description="As somebody judged it")
    judged_by: str | None = Field(None, description="Who judged the sentiment")
    question: str | None = Field(None, description="The question that it answers")
    customer: str | None = Field(None, description="Whose voice it is")
    about: str | None = Field(None, description="What it is about")
    stars: float | None = Field(None, description="Stars of a review")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which voices are asked for."""

    audience: str | None = None
    theme: str | None = None
    kind: str | None = None
    period: Period | None = None


def question_sets() -> Mapping[str, tuple[str, ...]]:
    """The questions to begin with, per audience."""
    return _QUESTIONS


def voices(known: Reading, asked: Asked, after: tuple[int, int], limit: int) -> list[Voice]:
    """The voices that count at a reading, in order of time; `after` is the last one before."""
    found: list[Voice] = []
    while len(found) < limit:
        rows = _rows(known, asked, after)
        texts = personal_values(
            known.view.connection, known.view.tenant_id, [event.position for event in rows]
        )
        for event in rows:
            data = parse_json(event.data)
            if _is_asked(data, asked):
                told = {name: data[name] for name in Voice.model_fields.keys() & data.keys()}
                told |= {"id": event.event_id, "at": event.occurred_at, "position": event.position}
                found.append(Voice(**told, text=texts.get(event.position, {}).get("text")))
            after = (to_micros(event.occurred_at), event.position)
        if len(rows) < _CHUNK:
            break
    return found[:limit]


def _rows(known: Reading, asked: Asked, after: tuple[int, int]) -> list[Event]:
    moment = from_micros(after[0])
    span = []
    if asked.period is not None:
        span = within(Frame([asked.period], known.calendar), from_start=True, to_end=True)
    later = or_(
        events.c.occurred_at > moment,
        and_(events.c.occurred_at == moment, events.c.position > after[1]),
    )
    rows = known.view.connection.execute(
        select(events)
        .where(*known.counting, events.c.name == FEEDBACK, *span, *([later] if any(after) else []))
        .order_by(events.c.occurred_at, events.c.position)
        .limit(_CHUNK)
    )
    return [read_event(row._mapping) for row in rows]


def _is_asked(data: Mapping[str, object], asked: Asked) -> bool:
    themes = data.get("themes")
    return (
        (asked.audience is None or data.get("audience") == asked.audience)
        and (asked.kind is None or data.get("kind") == asked.kind)
        and (asked.theme is None or (isinstance(themes, list) and asked.theme in themes))
    )
