"""The grammar of metric definitions, and what can be found wrong with one before any data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from services.metrics.domain.filters import Filter, fields_of
from services.metrics.domain.types import EventType
from shared.errors import Fault
from shared.ids import did_you_mean

EventNames = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    Field(min_length=1, max_length=20, description="Types of the events that count"),
]
FieldSum = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^[A-Za-z_][\w.]*(\s*\+\s*[A-Za-z_][\w.]*)*$",
        description="A field of the event's data, or a sum of fields: `talk + hold + after_call`",
        examples=["amount"],
    ),
]
FieldName = Annotated[str, Field(max_length=200, pattern=r"^[$A-Za-z_][\w.]*$")]
Quantile = Annotated[float, Field(gt=0, lt=1, description="Quantile, 0.5 for the median")]
# Kinds whose absence is a true zero once the sources have begun to send.
ADDITIVE_KINDS = ("count", "sum", "distinct", "state")


class _Closed(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True
    )


class Simple(_Closed):
    """A figure over the events of a period."""

    kind: Literal["count", "sum", "average", "min", "max", "percentile", "distinct", "latest"] = (
        Field(description="What is made of the events")
    )
    events: EventNames
    field: FieldSum | None = Field(None, description="What is summed, averaged, counted distinct")
    q: Quantile | None = None
    where: Filter | None = Field(None, description="Which of the events count")
    per_subject: Literal["all", "last_in_period"] = Field(
        "all", description="`last_in_period`: only each subject's last event in the period"
    )
    undone_by: list[str] = Field(
        default_factory=list, max_length=20, description="Types that take a subject out again"
    )
    carry_forward: bool = Field(False, description="`latest`: a value stays until the next one")

    @model_validator(mode="after")
    def _fits_kind(self) -> Simple:
        if self.kind == "count" and self.field is not None:
            raise ValueError("`count` counts events and takes no field; use `sum` or `distinct`")
        if self.kind not in ("count", "distinct") and self.field is None:
            raise ValueError(f"`{self.kind}` needs the field that it is about")
        if (self.kind == "percentile") != (self.q is not None):
            raise ValueError("`q` belongs to `percentile`, which needs it")
        if self.undone_by and self.per_subject == "all":
            raise ValueError("`undone_by` needs `per_subject: last_in_period`")
        if self.carry_forward and self.kind != "latest":
            raise ValueError("`carry_forward` belongs to `latest`")
        return self


class State(_Closed):
    """A figure over things as they stand at the end of a period."""

    kind: Literal["state"]
    events: EventNames
    where: Filter | None = Field(
        None, description="Over the folded fields and `$type`, the last type"
    )
    statistic: Literal["count", "sum", "average"] = Field(
        "count", description="What is made of them"
    )
    field: FieldSum | None = Field(None, description="What is summed or averaged")

    @model_validator(mode="after")
    def _fits_statistic(self) -> State:
        if (self.statistic == "count") != (self.field is None):
            raise ValueError("`sum` and `average` need a field, `count` takes none")
        return self


class Step(_Closed):
    """Events that begin or end something."""

    events: EventNames
    where: Filter | None = Field(None, description="Which of the events count")


class JoinFields(_Closed):
    """Join the two steps by fields instead of by subject."""

    from_: FieldName = Field(alias="from", description="Field of the first step")
    to: FieldName = Field(description="Field of the second step")


class Duration(_Closed):
    """Time from one step to another, counted in the period in which it ends."""

    kind: Literal["duration"]
    from_: Step = Field(alias="from", description="The beginning")
    to: Step = Field(description="The end")
    join: Literal["subject"] | JoinFields = Field(
        "subject", description="What ties the two together"
    )
    which: Literal["first", "last", "each"] = Field(
        "first",
        description="`first`: the first end of each; `last`: the last end in the period; "
        "`each`: every end, from the last beginning before it",
    )
    clock: Literal["elapsed", "calendar_days"] = Field(
        "elapsed", description="Seconds, or whole local days"
    )
    statistic: Literal["average", "median", "percentile"] = Field(
        "average", description="Of the times"
    )
    q: Quantile | None = None

    @model_validator(mode="after")
    def _fits_statistic(self) -> Duration:
        if (self.statistic == "percentile") != (self.q is not None):
            raise ValueError("`q` belongs to the statistic `percentile`, which needs it")
        return self


class MetricRef(_Closed):
    """Another metric as a part of this one."""

    metric: str = Field(max_length=64, description="Key of the metric")


def _part_kind(value: Any) -> str:
    kind = getattr(value, "kind", None) or (value.get("kind") if isinstance(value, dict) else None)
    if kind is None:
        return "metric"
    return str(kind) if kind in ("state", "duration", "ratio") else "simple"


Part = Annotated[
    Annotated[Simple, Tag("simple")]
    | Annotated[State, Tag("state")]
    | Annotated[Duration, Tag("duration")]
    | Annotated[MetricRef, Tag("metric")],
    Discriminator(_part_kind),
]


class Ratio(_Closed):
    """One figure over another, pooled over the period."""

    kind: Literal["ratio"]
    numerator: Part = Field(description="Above the line")
    denominator: Part = Field(description="Below the line")


Definition = Annotated[
    Annotated[Simple, Tag("simple")]
    | Annotated[State, Tag("state")]
    | Annotated[Duration, Tag("duration")]
    | Annotated[Ratio, Tag("ratio")],
    Discriminator(_part_kind),
]
Leaf = Simple | State | Duration


def parts_of(definition: Definition) -> list[tuple[str, Leaf | MetricRef]]:
    """The parts of a definition with their JSON pointers."""
    if isinstance(definition, Ratio):
        return [("/numerator", definition.numerator), ("/denominator", definition.denominator)]
    return [("", definition)]


def events_of(leaf: Leaf) -> list[str]:
    """The event types that a leaf reads."""
    match leaf:
        case Simple():
            return [*leaf.events, *leaf.undone_by]
        case State():
            return list(leaf.events)
        case Duration():
            return [*leaf.from_.events, *leaf.to.events]


def summands(field: str) -> list[str]:
    return [part.strip() for part in field.split("+")]


def faults_in(
    definition: Definition,
    types: Mapping[str, EventType],
    metrics: Mapping[str, Definition],
    dimensions: list[str],
) -> Iterator[Fault]:
    """What can't work: unknown event types and metrics, sums of fields that are no numbers."""
    for pointer, part in parts_of(definition):
        if isinstance(part, MetricRef):
            yield from _reference_faults(pointer, part, metrics)
            continue
        for where, name in _named_events(part):
            if name not in types:
                detail = f"{name!r} is no known event type.{did_you_mean(name, types)}"
                yield Fault(f"/definition{pointer}{where}", detail, "unknown_event_type")
        yield from _field_faults(pointer, part, types)
    for index, name in enumerate(dimensions):
        if not re.fullmatch(r"[$A-Za-z_][\w.]*", name):
            yield Fault(f"/dimensions/{index}", f"{name!r} is no field name.", "dimension")


def _reference_faults(
    pointer: str, part: MetricRef, metrics: Mapping[str, Definition]
) -> Iterator[Fault]:
    if part.metric not in metrics:
        detail = f"There is no metric {part.metric!r}.{did_you_mean(part.metric, metrics)}"
        yield Fault(f"/definition{pointer}/metric", detail, "unknown_metric")
    elif isinstance(metrics[part.metric], Ratio):
        detail = f"{part.metric!r} is a ratio; a part is a count, sum, state or duration."
        yield Fault(f"/definition{pointer}/metric", detail, "ratio_as_part")


def _named_events(leaf: Leaf) -> Iterator[tuple[str, str]]:
    match leaf:
        case Simple():
            yield from ((f"/events/{i}", n) for i, n in enumerate(leaf.events))
            yield from ((f"/undone_by/{i}", n) for i, n in enumerate(leaf.undone_by))
        case State():
            yield from ((f"/events/{i}", n) for i, n in enumerate(leaf.events))
        case Duration():
            yield from ((f"/from/events/{i}", n) for i, n in enumerate(leaf.from_.events))
            yield from ((f"/to/events/{i}", n) for i, n in enumerate(leaf.to.events))


def _field_faults(pointer: str, leaf: Leaf, types: Mapping[str, EventType]) -> Iterator[Fault]:
    if isinstance(leaf, Duration):
        return
    kinds = [types[name] for name in leaf.events if name in types]
    numeric = isinstance(leaf, State) or leaf.kind not in ("distinct", "latest")
    for name in summands(leaf.field) if leaf.field else []:
        declared = [k.fields[name] for k in kinds if name in k.fields]
        if any(d.personal for d in declared):
            detail = f"{name!r} is personal and can't be counted, summed or grouped."
            yield Fault(f"/definition{pointer}/field", detail, "personal_field")
        elif numeric and any(d.kind not in ("number", "integer") for d in declared):
            detail = f"{name!r} is no number in {kinds[0].name}."
            yield Fault(f"/definition{pointer}/field", detail, "not_a_number")
    for name in fields_of(leaf.where):
        if any(name in k.fields and k.fields[name].personal for k in kinds):
            detail = f"{name!r} is personal and can't be filtered by."
            yield Fault(f"/definition{pointer}/where", detail, "personal_field")
