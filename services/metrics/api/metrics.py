"""Metrics: their definitions and versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Response
from pydantic import Field

from services.metrics.commands.definitions import define_metric, retire_metric
from services.metrics.domain.definition import Definition
from services.metrics.domain.facts import MetricDefined
from services.metrics.queries import definitions as queries
from services.metrics.queries.definitions import Metric as Found
from shared.ledger import Transaction
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Key, Known, Wire
from shared.words import Name, Prose, Reason

router = make_router("metrics")


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
        return pages.page(view, rows, lambda found: found.body.key, lambda found: shown(found.body))


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
        caller.demand_revision(queries.metric(transaction, key).body.version)
        retire_metric(transaction, key, body.reason)
        return Answer(shown(queries.metric(transaction, key).body, True))

    return caller.command(work)
