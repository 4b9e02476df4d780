"""The grammar of metric definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from services.metrics.domain.filters import (
    EventNames,
    Filter,
    JoinFields,
    Step,
    related_in,
    step_of,
)
from services.metrics.domain.windows import DaysText, OffsetText, WindowText
from shared.closed import Closed

FieldSum = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^[A-Za-z_][\w.]*(\s*\+\s*[A-Za-z_][\w.]*)*$",
        description="A field of the event's data, or a sum of fields: `talk + hold + after_call`",
        examples=["amount"],
    ),
]
Quantile = Annotated[float, Field(gt=0, lt=1, description="Quantile, 0.5 for the median")]
Join = Annotated[
    Literal["subject"] | JoinFields, Field(description="What ties the two steps together")
]
MAX_INPUTS = 20


class _Closed(Closed):
    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


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
        if self.kind == "distinct" and self.field is not None and len(summands(self.field)) > 1:
            raise ValueError("`distinct` counts the values of one field")
        if self.kind not in ("count", "distinct") and self.field is None:
            raise ValueError(f"`{self.kind}` needs the field that it is about")
        if (self.kind == "percentile") != (self.q is not None):
            raise ValueError("`q` belongs to `percentile`, which needs it")
        if self.undone_by and self.per_subject == "all":
            raise ValueError("`undone_by` needs `per_subject: last_in_period`")
        if self.carry_forward and (self.kind != "latest" or self.per_subject != "all"):
            raise ValueError("`carry_forward` belongs to `latest`, and knows no `per_subject`")
        return self


class State(_Closed):
    """A figure over things as they stand at the end of a period."""

    kind: Literal["state"] = Field(description="Says which shape this is")
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


class Conversion(_Closed):
    """Of those who took one step in the period, those who took another within a window."""

    kind: Literal["conversion"] = Field(description="Says which shape this is")
    from_: Step = Field(alias="from", description="The step that makes the cohort")
    to: Step = Field(description="The step that converts")
    within: WindowText | None = Field(None, description="At most this long after the first step")
    join: Join = "subject"
    as_: Literal["rate", "count"] = Field(
        "rate", alias="as", description="The converted share, or their number"
    )


class Duration(_Closed):
    """Time from one step to another, counted in the period in which it ends."""

    kind: Literal["duration"] = Field(description="Says which shape this is")
    from_: Step = Field(alias="from", description="The beginning")
    to: Step = Field(description="The end")
    join: Join = "subject"
    which: Literal["first", "last", "each"] = Field(
        "first",
        description="`first`: the first end of each; `last`: the last end in the period; "
        "`each`: every end, from the last beginning before it",
    )
    clock: Literal["elapsed", "calendar_days", "business"] = Field(
        "elapsed", description="Elapsed time, whole local days, or time within business hours"
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


class TimeInState(_Closed):
    """How long subjects were in a state, counted per subject where they left it in the period."""

    kind: Literal["time_in_state"] = Field(description="Says which shape this is")
    enter: Step = Field(description="Events by which a subject enters the state")
    leave: Step = Field(description="Events by which it leaves")
    done: Step | None = Field(
        None,
        description="Count only subjects that took this step, where they first took it, with all "
        "their visits; without it a subject counts in each period in which it left",
    )
    statistic: Literal["sum", "average", "median", "share_of_total"] = Field(
        "average",
        description="Of the subjects' times; `share_of_total`: pooled, over the time from each "
        "subject's first event of these types to its leaving or being done",
    )


class Cumulative(_Closed):
    """A figure over a window that ends with the period."""

    kind: Literal["cumulative"] = Field(description="Says which shape this is")
    of: Part = Field(description="What is accumulated")
    window: TrailingWindow | ToDateWindow | SinceWindow = Field(description="How far back")


class TrailingWindow(_Closed):
    """The last so many days or months of each period's end."""

    trailing: DaysText


class ToDateWindow(_Closed):
    """From the beginning of the running year, quarter or month."""

    to_date: Literal["year", "quarter", "month", "fiscal_year", "fiscal_quarter"] = Field(
        description="What has begun"
    )


class SinceWindow(_Closed):
    """From the first event on."""

    since: Literal["start"] = Field(description="The beginning of the data")


class MetricRef(_Closed):
    """Another metric as a part of this one."""

    metric: str = Field(max_length=64, description="Key of the metric")


class Ratio(_Closed):
    """One figure over another, pooled over the period."""

    kind: Literal["ratio"] = Field(description="Says which shape this is")
    numerator: Part = Field(description="Above the line")
    denominator: Part = Field(description="Below the line")


class MetricInput(_Closed):
    """Another metric as an input of an expression."""

    metric: str = Field(max_length=64, description="Key of the metric")
    offset: OffsetText | None = Field(None, description="Shift by whole periods")


class InlineInput(_Closed):
    """A definition of its own as an input of an expression."""

    definition: Part = Field(description="What is computed")
    offset: OffsetText | None = Field(None, description="Shift by whole periods")


def _input_kind(value: Any) -> str:
    inline = "definition" in value if isinstance(value, dict) else hasattr(value, "definition")
    return "definition" if inline else "metric"


Input = Annotated[
    Annotated[MetricInput, Tag("metric")] | Annotated[InlineInput, Tag("definition")],
    Discriminator(_input_kind),
]


class Derived(_Closed):
    """An expression over other figures."""

    kind: Literal["derived"] = Field(description="Says which shape this is")
    expression: str = Field(
        min_length=1,
        max_length=500,
        description="Numbers, names of inputs, + - * / ( ), abs, min, max",
        examples=["(revenue - spend) / spend"],
    )
    inputs: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,63}$")], Input] = Field(
        min_length=1, max_length=MAX_INPUTS, description="What the names stand for"
    )


_PLURAL_KINDS = (
    "state", "duration", "time_in_state", "conversion", "cumulative", "ratio", "derived",
)  # fmt: skip


def _part_kind(value: Any) -> str:
    kind = getattr(value, "kind", None) or (value.get("kind") if isinstance(value, dict) else None)
    if kind is None:
        return "metric"
    return str(kind) if kind in _PLURAL_KINDS else "simple"


Part = Annotated[
    Annotated[Simple, Tag("simple")]
    | Annotated[State, Tag("state")]
    | Annotated[Duration, Tag("duration")]
    | Annotated[TimeInState, Tag("time_in_state")]
    | Annotated[Conversion, Tag("conversion")]
    | Annotated[Cumulative, Tag("cumulative")]
    | Annotated[MetricRef, Tag("metric")],
    Discriminator(_part_kind),
]
Definition = Annotated[
    Annotated[Simple, Tag("simple")]
    | Annotated[State, Tag("state")]
    | Annotated[Duration, Tag("duration")]
    | Annotated[TimeInState, Tag("time_in_state")]
    | Annotated[Conversion, Tag("conversion")]
    | Annotated[Cumulative, Tag("cumulative")]
    | Annotated[Ratio, Tag("ratio")]
    | Annotated[Derived, Tag("derived")],
    Discriminator(_part_kind),
]
for _model in (Cumulative, Ratio, InlineInput, Derived):
    _model.model_rebuild()
# What is folded from events; everything else is made of such.
Leaf = Simple | State | Duration | TimeInState | Conversion
Node = Leaf | Cumulative | Ratio | Derived | MetricRef


def children_of(node: Node) -> list[tuple[str, Node]]:
    """What a definition is made of, with JSON pointers; nothing for a leaf or a reference."""
    match node:
        case Ratio():
            return [("/numerator", node.numerator), ("/denominator", node.denominator)]
        case Cumulative():
            return [("/of", node.of)]
        case Derived():
            return [
                (f"/inputs/{name}", MetricRef(metric=given.metric))
                if isinstance(given, MetricInput)
                else (f"/inputs/{name}/definition", given.definition)
                for name, given in node.inputs.items()
            ]
        case _:
            return []


def walk(node: Node, pointer: str = "") -> Iterator[tuple[str, Leaf | MetricRef]]:
    """The leaves and references that a definition is made of in the end, with JSON pointers."""
    if isinstance(node, Simple | State | Duration | TimeInState | Conversion | MetricRef):
        yield pointer, node
    for place, child in children_of(node):
        yield from walk(child, pointer + place)


def steps_of(leaf: Leaf) -> list[tuple[str, Step]]:
    """The two steps of a leaf that has such, with their JSON pointers."""
    match leaf:
        case Duration() | Conversion():
            return [("/from", leaf.from_), ("/to", leaf.to)]
        case TimeInState():
            done = [("/done", leaf.done)] if leaf.done else []
            return [("/enter", leaf.enter), ("/leave", leaf.leave), *done]
        case _:
            return []


def filters_of(leaf: Leaf) -> list[tuple[str, Filter | None]]:
    """The filters of a leaf, with their JSON pointers."""
    if isinstance(leaf, Simple | State):
        return [("/where", leaf.where)]
    return [(f"{pointer}/where", step.where) for pointer, step in steps_of(leaf)]


def own_events(leaf: Leaf) -> list[str]:
    """The event types that a leaf folds."""
    if isinstance(leaf, Simple):
        return [*leaf.events, *leaf.undone_by]
    if isinstance(leaf, State):
        return list(leaf.events)
    return [name for _, step in steps_of(leaf) for name in step.events]


def events_of(leaf: Leaf) -> list[str]:
    """The event types that a leaf reads, those of its filters included."""
    related = [f for _, where in filters_of(leaf) for f in related_in(where)]
    return [*own_events(leaf), *(name for f in related for name in step_of(f).events)]


def summands(field: str) -> list[str]:
    return [part.strip() for part in field.split("+")]
