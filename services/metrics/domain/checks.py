"""What can be found wrong with a definition before any data: names, fields, cycles, units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.metrics.domain.definition import (
    Conversion,
    Derived,
    Duration,
    Leaf,
    MetricRef,
    Node,
    Ratio,
    Simple,
    State,
    children_of,
    own_events,
    steps_of,
    summands,
    walk,
)
from services.metrics.domain.filters import (
    Filter,
    Step,
    ThenFilter,
    comparisons_in,
    fields_of,
    join_fields,
    related_in,
    step_of,
)
from services.metrics.domain.types import EventType, FieldType
from services.metrics.domain.unit_checks import unit_faults
from shared.errors import Fault
from shared.ids import did_you_mean

# What filters and groups see of an event beside its fields.
OWN_ATTRIBUTES = ("$type", "$subject", "$source")
MAX_PARTS = 100
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Known:
    """What definitions may refer to: event types, other metrics, and fields that were ever sent.

    `sent_fields` gives the fields that the last events of these types carried, declared or not;
    `ever_sent` says of one field whether any event of them did.
    """

    types: Mapping[str, EventType]
    metrics: Mapping[str, tuple[Node, str]]
    sent_fields: Callable[[frozenset[str]], frozenset[str]] = lambda names: frozenset()
    ever_sent: Callable[[frozenset[str], str], bool] = lambda names, field: False


def faults_in(
    key: str, node: Node, unit: str, dimensions: list[str], known: Known
) -> Iterator[Fault]:
    """Every fault of a definition, with a pointer and the mend."""
    parts = list(walk(node))
    if len(parts) > MAX_PARTS:
        yield Fault("/definition", f"A definition has at most {MAX_PARTS} parts.", "too_many")
        return
    for pointer, part in parts:
        place = f"/definition{pointer}"
        if isinstance(part, MetricRef):
            yield from _reference_faults(place, part, key, known)
        else:
            yield from _leaf_faults(place, part, known)
    yield from composition_faults(node, unit, known)
    yield from _dimension_faults(dimensions, parts, known)


def composition_faults(node: Node, unit: str, known: Known) -> Iterator[Fault]:
    """What is wrong with how a definition is made of other metrics."""
    yield from _quotient_faults("/definition", node, known)
    yield from unit_faults(node, unit, known.metrics)


def _dimension_faults(
    dimensions: list[str], parts: list[tuple[str, Leaf | MetricRef]], known: Known
) -> Iterator[Fault]:
    names = [name for _, part in parts if not isinstance(part, MetricRef)
             for name in own_events(part)]  # fmt: skip
    for index, name in enumerate(dimensions):
        if not re.fullmatch(r"[$A-Za-z_][\w.]*", name):
            yield Fault(f"/dimensions/{index}", f"{name!r} is no field name.", "dimension")
        elif any(name in known.types[n].personal for n in names if n in known.types):
            detail = f"{name!r} is personal and can't be counted, summed or grouped."
            yield Fault(f"/dimensions/{index}", detail, "personal_field")


def _reference_faults(place: str, part: MetricRef, key: str, known: Known) -> Iterator[Fault]:
    if part.metric != key and part.metric not in known.metrics:
        detail = f"There is no metric {part.metric!r}.{did_you_mean(part.metric, known.metrics)}"
        yield Fault(f"{place}/metric", detail, "unknown_metric")
        return
    path = _path_to(key, part.metric, known, set())
    depth = 0 if path else _depth(part.metric, known, {}) + _height(key, known, set())
    if depth >= MAX_DEPTH:
        detail = f"Metrics are made of others at most {MAX_DEPTH} levels deep."
        yield Fault(f"{place}/metric", detail, "too_deep")
    if path is not None:
        detail = f"{' -> '.join([key, *path])} is a circle: a metric can't be made of itself."
        yield Fault(f"{place}/metric", detail, "cycle")


def _depth(metric: str, known: Known, seen: dict[str, int]) -> int:
    """How many levels of other metrics a metric rests on, itself included."""
    if metric not in seen and metric in known.metrics:
        seen[metric] = MAX_DEPTH  # Stands while its parts are looked at; circles are refused.
        below = [
            _depth(part.metric, known, seen)
            for _, part in walk(known.metrics[metric][0])
            if isinstance(part, MetricRef)
        ]
        seen[metric] = 1 + max(below, default=0)
    return seen.get(metric, 0)


def _height(metric: str, known: Known, seen: set[str]) -> int:
    """How many levels of other metrics rest on a metric."""
    if metric in seen:
        return 0
    seen.add(metric)
    on_it = [
        key for key, (node, _) in known.metrics.items()
        if any(part == MetricRef(metric=metric) for _, part in walk(node))
    ]  # fmt: skip
    return max((1 + _height(key, known, seen) for key in on_it), default=0)


def _path_to(key: str, metric: str, known: Known, seen: set[str]) -> list[str] | None:
    """How a metric leads back to `key`, or None where it does not."""
    if metric == key:
        return [key]
    if metric in seen or metric not in known.metrics:
        return None
    seen.add(metric)
    for _, part in walk(known.metrics[metric][0]):
        if isinstance(part, MetricRef):
            rest = _path_to(key, part.metric, known, seen)
            if rest is not None:
                return [metric, *rest]
    return None


def _is_quotient(node: Node, known: Known, depth: int = 0) -> bool:
    if isinstance(node, MetricRef):
        named = known.metrics.get(node.metric)
        return named is not None and depth < MAX_PARTS and _is_quotient(named[0], known, depth + 1)
    return isinstance(node, Ratio | Derived) or (
        isinstance(node, Conversion) and node.as_ == "rate"
    )


def _quotient_faults(place: str, node: Node, known: Known) -> Iterator[Fault]:
    """A ratio is pooled from counts and sums; a ratio of ratios has nothing to pool."""
    for pointer, child in children_of(node):
        if isinstance(node, Ratio) and _is_quotient(child, known):
            name = repr(child.metric) if isinstance(child, MetricRef) else "This part"
            at = "/metric" if isinstance(child, MetricRef) else "/kind"
            detail = (
                f"{name} is a ratio; a part is a count, sum, state or duration. Use kind `derived` "
                "to compute with ratios."
            )
            yield Fault(f"{place}{pointer}{at}", detail, "ratio_as_part")
        yield from _quotient_faults(place + pointer, child, known)


def _leaf_faults(place: str, leaf: Leaf, known: Known) -> Iterator[Fault]:
    if isinstance(leaf, Simple | State):
        yield from _type_faults(f"{place}/events", leaf.events, known)
        if isinstance(leaf, Simple):
            yield from _type_faults(f"{place}/undone_by", leaf.undone_by, known)
        yield from _field_faults(place, leaf, known)
        yield from filter_faults(f"{place}/where", leaf.where, own_events(leaf), known)
        for related in related_in(leaf.where) if isinstance(leaf, State) else []:
            if isinstance(related, ThenFilter):
                detail = "A state knows nothing of what comes after it; use `had`."
                yield Fault(f"{place}/where", detail, "then_in_state")
        return
    for pointer, step in steps_of(leaf):
        yield from _step_faults(place + pointer, step, known)
    if isinstance(leaf, Duration | Conversion):
        pairs = zip(steps_of(leaf), join_fields(leaf.join), strict=True)
        for (pointer, step), name in pairs:
            side = pointer.strip("/")
            yield from field_faults(f"{place}/join/{side}", {name}, step.events, known)


def _step_faults(place: str, step: Step, known: Known) -> Iterator[Fault]:
    yield from _type_faults(f"{place}/events", step.events, known)
    yield from filter_faults(f"{place}/where", step.where, step.events, known)


def _type_faults(place: str, names: list[str], known: Known) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known.types:
            detail = f"{name!r} is no known event type.{did_you_mean(name, known.types)}"
            yield Fault(f"{place}/{index}", detail, "unknown_event_type")


def filter_faults(
    place: str, where: Filter | None, names: list[str], known: Known
) -> Iterator[Fault]:
    """What a filter asks that no event of these types can be: fields, values, other events."""
    yield from field_faults(place, fields_of(where), names, known)
    yield from _value_faults(place, where, names, known)
    for related in related_in(where):
        step = step_of(related)
        yield from _value_faults(place, step.where, step.events, known)
        side = "had" if not isinstance(related, ThenFilter) else "then"
        yield from _type_faults(f"{place}/{side}/events", step.events, known)
        yield from field_faults(
            f"{place}/{side}", {join_fields(related.by)[1], *fields_of(step.where)}, step.events,
            known,
        )  # fmt: skip


def field_faults(place: str, fields: set[str], names: list[str], known: Known) -> Iterator[Fault]:
    """Fields that no event of these types has, and personal ones, which nothing may look at."""
    kinds = [known.types[name] for name in names if name in known.types]
    if len(kinds) < len(names):
        return
    for name in sorted(fields):
        first = name.split(".")[0]
        if any(name in kind.personal for kind in kinds):
            detail = f"{name!r} is personal and can't be filtered or joined by."
            yield Fault(place, detail, "personal_field")
        elif name.startswith("$"):
            if name not in OWN_ATTRIBUTES:
                detail = f"{name!r} is none of {', '.join(OWN_ATTRIBUTES)}."
                yield Fault(place, detail, "unknown_field")
        elif not any(first in kind.fields for kind in kinds):
            yield from _unknown_field(place, name, kinds, known)


def _value_faults(
    place: str, where: Filter | None, names: list[str], known: Known
) -> Iterator[Fault]:
    """Values that a field never has: a filter for them would keep nothing, or everything."""
    for one in comparisons_in(where):
        if one.op in ("exists", "contains"):
            continue
        kinds = [known.types[name] for name in names if name in known.types]
        declared = [kind.fields[one.field] for kind in kinds if one.field in kind.fields]
        values = one.value if isinstance(one.value, list) else [one.value]
        if declared and len(kinds) == len(names):
            yield from _kind_faults(place, one.field, values, declared)
        if one.op not in ("eq", "ne", "in"):
            continue
        choices = {choice for field in declared for choice in field.choices}
        if one.field == "$type":
            choices = set(names)
        elif not all(field.choices for field in declared):
            continue
        for value in values:
            if choices and value is not None and value not in choices:
                detail = f"{one.field!r} is never {value!r}.{did_you_mean(str(value), choices)}"
                yield Fault(place, detail, "unknown_value")


def _kind_faults(
    place: str, name: str, values: list[Any], declared: list[FieldType]
) -> Iterator[Fault]:
    """Values of another kind than all declarations of a field: they would equal none."""
    for value in values:
        if value is None:
            continue
        number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if all(field.numeric for field in declared) and not number:
            detail = f"{name!r} is a number; compare it with one, not with {value!r}."
            yield Fault(place, detail, "not_a_number")
        elif all(field.kind == "boolean" for field in declared) and not isinstance(value, bool):
            yield Fault(place, f"{name!r} is true or false, never {value!r}.", "not_a_boolean")


def _unknown_field(place: str, name: str, kinds: list[EventType], known: Known) -> Iterator[Fault]:
    names, first = frozenset(kind.name for kind in kinds), name.split(".")[0]
    sent = known.sent_fields(names)
    if first in sent or known.ever_sent(names, first):
        return
    declared = sorted({field for kind in kinds for field in kind.fields} | sent)
    detail = (
        f"{' and '.join(sorted(k.name for k in kinds))} has no field {name!r}, and no event with "
        f"it was ever sent.{did_you_mean(name, declared)}"
    )
    yield Fault(place, detail, "unknown_field")


def _field_faults(place: str, leaf: Simple | State, known: Known) -> Iterator[Fault]:
    kinds = [known.types[name] for name in leaf.events if name in known.types]
    numeric = isinstance(leaf, State) or leaf.kind != "distinct"
    for name in summands(leaf.field) if leaf.field else []:
        declared = [kind.fields[name] for kind in kinds if name in kind.fields]
        if any(d.personal for d in declared):
            detail = f"{name!r} is personal and can't be counted, summed or grouped."
            yield Fault(f"{place}/field", detail, "personal_field")
        elif numeric and not all(d.numeric for d in declared):
            detail = f"{name!r} is no number in {kinds[0].name}."
            yield Fault(f"{place}/field", detail, "not_a_number")
        elif not declared and len(kinds) == len(leaf.events):
            yield from _unknown_field(f"{place}/field", name, kinds, known)
