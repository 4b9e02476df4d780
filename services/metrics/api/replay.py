"""Replay: a metric's figures for any past period, as known at any moment, and what is behind."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Response
from pydantic import Field, ValidationError

from services.metrics.api.metrics import MetricDraft
from services.metrics.commands.definitions import check_definition
from services.metrics.commands.intake import Intake
from services.metrics.domain.facts import MetricDefined
from services.metrics.domain.filters import Filter
from services.metrics.queries.definitions import FILTER, Metric
from services.metrics.queries.figures import (
    Asked,
    Span,
    answer,
    events_behind,
    periods_of,
    reading,
    replay,
)
from services.metrics.queries.quality import Quality, quality
from services.metrics.queries.restatement import (
    Change,
    Restatement,
    restatement,
    timeline,
    view_at,
)
from services.metrics.replay.answer import Replay
from services.metrics.replay.cells import Cells
from services.metrics.replay.plan import MAX_GROUPS
from shared.chain import parse_json
from shared.clock import format_instant, to_micros
from shared.closed import faults_of
from shared.errors import INVALID, Refusal, invalid
from shared.periods import Grain
from shared.web.feed import FeedEvent, exact_json, feed_event
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Known, PeriodName, Problem, Wire

router = make_router("replay")
# Microseconds up to the year 5138; no event lies beyond.
MAX_CURSOR = 10**17
MAX_QUESTIONS = 200
ShownBackfill = Annotated[
    str | None,
    Query(max_length=36, description="Show the effect of an open backfill before it counts"),
]


class SpanAsked(Wire):
    """Which periods are asked for: some by name, or all of a grain between two days."""

    period: list[PeriodName] = Field(
        default_factory=list, max_length=1_000, description="Periods by name"
    )
    start: date | None = Field(None, alias="from", description="First day")
    end: date | None = Field(None, alias="to", description="Day after the last")
    grain: Grain | None = Field(None, description="Split into periods of this grain")

    def span(self) -> Span:
        return Span(tuple(self.period), self.start, self.end, self.grain)


class ReplayQuestion(SpanAsked):
    """One question of many."""

    metric: str = Field(max_length=64, description="Key of the metric", examples=["win-rate"])
    version: int | None = Field(None, ge=1, le=1_000_000, description="Another version")
    group_by: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=10, description="Dimensions"
    )
    where: Filter | None = Field(None, description="A filter besides the metric's own")
    group_limit: int = Field(
        MAX_GROUPS, ge=1, le=10_000, description="Groups shown; the rest is `other`"
    )

    def asked(self) -> Asked:
        return Asked(self.span(), self.version, self.group_by, self.where, self.group_limit)


class ReplayQuestions(Wire):
    """Many questions, answered from one basis."""

    questions: list[ReplayQuestion] = Field(
        min_length=1, max_length=MAX_QUESTIONS, description="What is asked"
    )


class ReplayAnswer(Wire):
    """The answer to one question of many, or the problem with it."""

    replay: Replay | None = Field(description="The figures; null where the question has a problem")
    problem: Problem | None = Field(description="What is wrong with the question; else null")


class ReplayAnswers(Known):
    """Answers in the order of the questions, all as known at the same basis."""

    answers: list[ReplayAnswer] = Field(description="One answer per question")


class Preview(SpanAsked):
    """A definition to be tried without saving it."""

    metric: MetricDraft = Field(description="The definition, as it would be saved")
    group_by: list[Annotated[str, Field(max_length=200)]] = Field(
        default_factory=list, max_length=10, description="Dimensions"
    )
    where: Filter | None = Field(None, description="A filter besides the metric's own")
    group_limit: int = Field(
        MAX_GROUPS, ge=1, le=10_000, description="Groups shown; the rest is `other`"
    )


@router.get("/metrics/{key}/values")
def replay_metric(
    key: str,
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    period: Annotated[
        list[PeriodName] | None,
        Query(description="A period by name; may be repeated", max_length=1_000),
    ] = None,
    start: Annotated[date | None, Query(alias="from", description="First day")] = None,
    end: Annotated[date | None, Query(alias="to", description="Day after the last")] = None,
    grain: Annotated[Grain | None, Query(description="Split into periods of this grain")] = None,
    group_by: Annotated[
        str | None, Query(max_length=500, description="Dimensions, separated by commas")
    ] = None,
    where: Annotated[
        str | None,
        Query(max_length=8_000, description="A FILTER as JSON, besides the metric's own"),
    ] = None,
    version: Annotated[int | None, Query(ge=1, le=1_000_000, description="Another version")] = None,
    group_limit: Annotated[
        int, Query(ge=1, le=10_000, description="Groups shown; the rest is `other`")
    ] = MAX_GROUPS,
    with_backfill: ShownBackfill = None,
) -> Replay:
    """Replay a metric for any past period, as it was known at any past moment.

    Ask for periods by name, or for all of a grain between two days. No value is null with a
    reason. The same `basis` gives the same answer for ever.
    """
    span = Span(tuple(period or ()), start, end, grain)
    names = [name.strip() for name in group_by.split(",")] if group_by else []
    asked = Asked(span, version, names, parse_filter(where), group_limit)
    with reader.view() as view:
        return replay(reading(view, shown=with_backfill), key, asked, Cells())


@router.post("/replay")
def replay_many(
    body: ReplayQuestions, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> ReplayAnswers:
    """Ask many questions at once, all answered from one basis.

    A question that can't be answered has its problem in its place; the others are answered.
    """
    with reader.view() as view:
        known, cells = reading(view), Cells()
        answers = []
        for question in body.questions:
            try:
                found = replay(known, question.metric, question.asked(), cells)
                answers.append(ReplayAnswer(replay=found, problem=None))
            except Refusal as refusal:
                told = refusal.within(f"/questions/{len(answers)}").document("/v1/replay")
                answers.append(ReplayAnswer(replay=None, problem=Problem.model_validate(told)))
        return ReplayAnswers(
            known_at=view.known_at, basis=view.basis.token, open=view.open, answers=answers
        )


@router.post("/metrics/preview")
def preview_metric(
    body: Preview, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> Replay:
    """Try a definition without saving it: refused as when it is saved, else its figures."""
    draft = body.metric
    told = draft.model_dump(mode="json", by_alias=True)
    stored = MetricDefined.model_validate({**told, "key": "preview", "version": 1})
    asked = Asked(body.span(), None, body.group_by, body.where, body.group_limit)
    with reader.view() as view:
        try:
            check_definition(view, "preview", draft.definition, draft.unit, draft.dimensions)
        except Refusal as refusal:
            raise refusal.within("/metric") from refusal
        try:
            return answer(reading(view), Metric(stored, draft.definition), asked)
        except Refusal as refusal:
            raise refusal.within("") from refusal


@router.get("/metrics/{key}/restatement", response_model_by_alias=True)
def explain_restatement(
    key: str,
    period: Annotated[PeriodName, Query(description="The period of the figure")],
    first: Annotated[str, Query(alias="from", max_length=200, description="Earlier basis or name")],
    last: Annotated[str, Query(alias="to", max_length=200, description="Later basis or name")],
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
) -> Restatement:
    """Split the change of a figure between two bases by its causes.

    The causes act in a fixed order: late events, backfills, retractions, restatements, cut-overs,
    exchange rates, the calendar, the definition. Each part is the difference of the rounded figures
    around its step, so that the parts add up exactly.
    """
    with reader.view() as view:
        earlier, later = view_at(view, first, "query:from"), view_at(view, last, "query:to")
        if earlier.position > later.position:
            raise invalid("query:from", "`from` must not lie after `to`.", "order")
        return restatement(view, key, period, earlier, later)


@router.get("/metrics/{key}/timeline", response_model=Page[Change])
def show_timeline(
    key: str,
    period: Annotated[PeriodName, Query(description="The period of the figure")],
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    where: Annotated[
        str | None, Query(max_length=8_000, description="A FILTER as JSON, such as one group's")
    ] = None,
) -> Page[Change]:
    """Show how one answer changed as knowledge came in.

    A page may hold fewer changes than its limit and still have a next one.
    """
    after = pages.after or 0
    if type(after) is not int or not 0 <= after < MAX_CURSOR:
        raise invalid("query:cursor", "This cursor was not made by this list.", "cursor")
    asked = Asked(Span([period]), where=parse_filter(where))
    with reader.view() as view:
        changes, further = timeline(view, key, asked, after, pages.limit)
        return Page(
            items=changes,
            next_cursor=None if further is None else pages.link(further),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/metrics/{key}/quality")
def check_quality(
    key: str,
    period: Annotated[PeriodName, Query(description="The period to look at")],
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
) -> Quality:
    """Hold a metric's guidelines against what really arrived."""
    counters = reader.runtime.parts["intake"]
    assert isinstance(counters, Intake)
    counters.flush()
    with reader.view() as view:
        known = reading(view)
        return quality(known, key, periods_of(Span([period]), known.calendar)[0])


def parse_filter(text: str | None) -> Filter | None:
    """A filter from a query parameter."""
    if text is None:
        return None
    try:
        value = parse_json(text)
        return FILTER.validate_python(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid("query:where", f"This is no JSON: {error}", "json") from error
    except ValidationError as error:
        faults = faults_of(error, value, "query:where")
        raise INVALID.refusal(f"This is no filter: {faults[0].detail}", faults) from error


@router.get("/metrics/{key}/events", response_model=Page[FeedEvent])
def list_metric_events(
    key: str,
    period: Annotated[PeriodName, Query(description="The period to look into")],
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    response: Response,
    where: Annotated[
        str | None, Query(max_length=8_000, description="A FILTER as JSON, such as one group's")
    ] = None,
    with_backfill: ShownBackfill = None,
) -> Response:
    """Drill down to the very events that a metric's figure in a period is made of."""
    after = pages.after or [0, 0]
    if not (
        isinstance(after, list)
        and len(after) == 2
        and all(isinstance(n, int) and abs(n) < MAX_CURSOR for n in after)
    ):
        raise invalid("query:cursor", "This cursor was not made by this list.", "cursor")
    asked = Asked(Span([period]), where=parse_filter(where))
    with reader.view() as view:
        known = reading(view, shown=with_backfill)
        rows = events_behind(known, key, asked, (after[0], after[1]), pages.limit + 1)
        content: dict[str, Any] = {
            "items": [feed_event(event) for event in rows[: pages.limit]],
            "next_cursor": pages.next_cursor(
                rows, lambda e: [to_micros(e.occurred_at), e.position]
            ),
            "known_at": format_instant(view.known_at),
            "basis": view.basis.token,
            "open": view.open,
        }
    found = exact_json(content)
    found.headers.update(response.headers)
    return found
