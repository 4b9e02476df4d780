"""Metrics: their definitions, and their figures for any past period."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, Query, Response
from pydantic import Field, TypeAdapter, ValidationError

from services.metrics.commands.definitions import define_metric, retire_metric
from services.metrics.domain.definition import Definition
from services.metrics.domain.facts import MetricDefined
from services.metrics.domain.filters import Filter
from services.metrics.queries import definitions as queries
from services.metrics.queries.definitions import Metric as Found
from services.metrics.queries.figures import Span, events_behind, replay
from services.metrics.replay.answer import Replay
from services.metrics.replay.plan import MAX_GROUPS
from shared.chain import parse_json
from shared.clock import format_instant, to_micros
from shared.errors import INVALID, Fault, invalid
from shared.ledger import Transaction
from shared.periods import Grain
from shared.web.feed import FeedEvent, exact_json, feed_event
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Key, Known, Name, PeriodName, Prose, Reason, Wire

router = make_router("metrics")
# Microseconds up to the year 5138; no event lies beyond.
MAX_CURSOR = 10**17
_FILTER: TypeAdapter[Filter] = TypeAdapter(Filter)


class Guidelines(Wire):
    """How a metric is to be measured, and who sees to it."""

    how: Prose | None = Field(None, description="How it is computed, in words")
    sources: list[Name] = Field(
        default_factory=list, max_length=50, description="Where data come from"
    )
    cadence: Literal["daily", "weekly", "monthly", "quarterly", "yearly"] | None = Field(
        None, description="How often data arrive"
    )
    responsible: Name | None = Field(None, description="Who sees to it")
    helpers: list[Name] = Field(default_factory=list, max_length=50, description="Who helps")


class MetricDraft(Wire):
    """A definition to be tried or saved."""

    name: Name = Field(description="Name for people", examples=["Win rate"])
    description: Prose = Field("", description="What it tells")
    unit: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="ratio, count, days, s, money, a currency code, ...", examples=["ratio"]
    )
    direction: Literal["up", "down", "band", "none"] = Field("up", description="What is good")
    indicator: Literal["leading", "lagging"] = Field("lagging", description="Warning or result")
    nature: Literal["value", "usage", "operational"] = Field(
        "value", description="`usage` is never worth; `operational` only through a benefit"
    )
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="Whose value it is"
    )
    dimensions: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=50, description="Fields to group by"
    )
    settles_after: Annotated[int, Field(strict=True, ge=0, le=3_650)] = Field(
        0, description="Days after a period's end until its data are complete"
    )
    guidelines: Guidelines = Field(default_factory=Guidelines, description="How it is measured")
    definition: Definition = Field(
        description="How a number is made from events",
        examples=[
            {
                "kind": "ratio",
                "numerator": {
                    "kind": "count",
                    "events": ["crm.opportunity.closed"],
                    "where": {"field": "outcome", "op": "eq", "value": "won"},
                },
                "denominator": {"kind": "count", "events": ["crm.opportunity.closed"]},
            }
        ],
    )
    reason: Prose = Field("", description="Why it is defined, or changed, like this")


class NewMetric(MetricDraft):
    """A metric to be defined, or a new version of one."""

    key: Key = Field(description="Readable key", examples=["win-rate"])


class Metric(NewMetric):
    """A version of a metric."""

    version: int = Field(ge=1, description="1, 2, ...; each change is a new one")
    retired: bool = Field(description="True once it left the lists")


class MetricAnswer(Known):
    """A metric as known at a basis."""

    metric: Metric = Field(description="The version in force")
    defined_later: bool = Field(description="True when none was in force yet; this is the first")


class MetricVersions(Known):
    """All versions of a metric, oldest first."""

    items: list[Metric] = Field(description="Versions")


class Retire(Wire):
    """Why a metric is retired."""

    reason: Reason = Field(description="Why it leaves the lists")


def shown(body: MetricDefined, retired: bool = False) -> Metric:
    return Metric.model_validate({**body.model_dump(), "retired": retired})


def _stored(body: NewMetric) -> dict[str, Any]:
    return body.model_dump(mode="json", by_alias=True)


@router.post("/metrics", status_code=201, response_model=Metric)
def define_metric_version(
    body: NewMetric, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Define a metric, or a new version of it.

    Past versions stay, and answers about earlier knowledge use the version that was in force then.
    The same definition again changes nothing and answers the present version. `If-Match` may name
    the version that the change is based on.
    """

    def work(transaction: Transaction) -> Answer:
        if caller.request.headers.get("if-match"):
            past = queries.versions(transaction, body.key)
            caller.demand_revision(past[-1].body.version if past else 0)
        saved = define_metric(transaction, _stored(body), None)
        return Answer(shown(saved), 201, saved.version, f"/v1/metrics/{saved.key}")

    return caller.command(work)


@router.get("/metrics")
def list_metrics(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[Metric]:
    """List the metrics in use."""
    with reader.view() as view:
        rows = queries.metrics(view, pages.text_after(), pages.limit + 1)
        return Page(
            items=[shown(found.body) for found in rows[: pages.limit]],
            next_cursor=pages.next_cursor(rows, lambda found: found.body.key),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/metrics/{key}")
def get_metric(
    key: str, response: Response, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> MetricAnswer:
    """Show a metric."""
    with reader.view() as view:
        found: Found = queries.metric(view, key)
        response.headers["ETag"] = f'"{found.body.version}"'
        return MetricAnswer(
            metric=shown(found.body, found.retired),
            defined_later=found.defined_later,
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.get("/metrics/{key}/versions")
def list_metric_versions(
    key: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> MetricVersions:
    """List every version of a metric."""
    with reader.view() as view:
        queries.metric(view, key)
        return MetricVersions(
            items=[shown(found.body) for found in queries.versions(view, key)],
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.post("/metrics/{key}/retire", response_model=Metric)
def retire_metric_key(
    key: str, body: Retire, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Retire a metric: it leaves the lists, its past stays readable."""

    def work(transaction: Transaction) -> Answer:
        retire_metric(transaction, key, body.reason)
        return Answer(shown(queries.metric(transaction, key).body, True))

    return caller.command(work)


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
) -> Replay:
    """Replay a metric for any past period, as it was known at any past moment.

    Ask for periods by name, or for all of a grain between two days. No value is null with a
    reason. The same `basis` gives the same answer for ever.
    """
    span = Span(tuple(period or ()), start, end, grain)
    names = [name.strip() for name in group_by.split(",")] if group_by else []
    with reader.view() as view:
        return replay(
            view, key, span, version=version, group_by=names,
            where=parse_filter(where), max_groups=group_limit,
        )  # fmt: skip


def parse_filter(text: str | None) -> Filter | None:
    """A filter from a query parameter."""
    if text is None:
        return None
    try:
        return _FILTER.validate_python(parse_json(text))
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid("query:where", f"This is no JSON: {error}", "json") from error
    except ValidationError as error:
        faults = [
            Fault("query:where" + "".join(f"/{p}" for p in e["loc"]), e["msg"], e["type"])
            for e in error.errors()
        ]
        raise INVALID.refusal(f"This is no filter: {faults[0].detail}", faults) from error


@router.get("/metrics/{key}/events", response_model=Page[FeedEvent])
def list_metric_events(
    key: str,
    period: Annotated[PeriodName, Query(description="The period to look into")],
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    response: Response,
) -> Response:
    """Drill down to the events of a metric's types that count in a period."""
    after = pages.after or [0, 0]
    if not (
        isinstance(after, list)
        and len(after) == 2
        and all(isinstance(n, int) and abs(n) < MAX_CURSOR for n in after)
    ):
        raise invalid("query:cursor", "This cursor was not made by this list.", "cursor")
    with reader.view() as view:
        rows = events_behind(view, key, period, (after[0], after[1]), pages.limit + 1)
        content = {
            "items": [feed_event(event) for event in rows[: pages.limit]],
            "next_cursor": pages.next_cursor(
                rows, lambda e: [to_micros(e.occurred_at), e.position]
            ),
            "known_at": format_instant(view.known_at),
            "basis": view.basis.token,
            "open": view.open,
        }
    answer = exact_json(content)
    answer.headers.update(response.headers)
    return answer
