"""What can be found wrong with a definition before any data: names, fields, cycles, units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.metrics.domain.definition import (
    Conversion,
    Cumulative,
    Derived,
    Duration,
    InlineInput,
    Leaf,
    MetricRef,
    Node,
    Ratio,
    Simple,
    State,
    TimeInState,
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
    fields_of,
    join_fields,
    related_in,
    step_of,
)
from services.metrics.domain.types import EventType
from services.metrics.domain.units import (
    LONG_TIMES,
    MONEY_FIELDS,
    PLAIN,
    Unit,
    UnitError,
    parse_unit,
    unit_of,
)
from shared.errors import Fault
from shared.expression import FormulaError, names_in, parse
from shared.ids import did_you_mean

MAX_PARTS = 100
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Known:
    """What definitions may refer to: event types, other metrics, and fields that were ever sent.

    `sent_fields` gives the fields that events of these types have carried, declared or not.
    """

    types: Mapping[str, EventType]
    metrics: Mapping[str, tuple[Node, str]]
    sent_fields: Callable[[frozenset[str]], frozenset[str]] = lambda names: frozenset()


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
    if isinstance(node, Duration | TimeInState) and unit in LONG_TIMES:
        yield Fault("/unit", f"{unit!r} have no fixed length; take days, h, min or s.", "units")
    yield from _quotient_faults("/definition", node, known)
    yield from _expression_faults("/definition", node, unit, known)
    yield from _dimension_faults(dimensions, parts, known)


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
    if path is None and _depth(part.metric, known, {}) >= MAX_DEPTH:
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
        yield from _filter_faults(f"{place}/where", leaf.where, own_events(leaf), known)
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
            yield from _named_faults(f"{place}/join/{side}", {name}, step.events, known)


def _step_faults(place: str, step: Step, known: Known) -> Iterator[Fault]:
    yield from _type_faults(f"{place}/events", step.events, known)
    yield from _filter_faults(f"{place}/where", step.where, step.events, known)


def _type_faults(place: str, names: list[str], known: Known) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name not in known.types:
            detail = f"{name!r} is no known event type.{did_you_mean(name, known.types)}"
            yield Fault(f"{place}/{index}", detail, "unknown_event_type")


def _filter_faults(
    place: str, where: Filter | None, names: list[str], known: Known
) -> Iterator[Fault]:
    yield from _named_faults(place, fields_of(where), names, known)
    for related in related_in(where):
        step = step_of(related)
        side = "had" if not isinstance(related, ThenFilter) else "then"
        yield from _type_faults(f"{place}/{side}/events", step.events, known)
        yield from _named_faults(
            f"{place}/{side}", {join_fields(related.by)[1], *fields_of(step.where)}, step.events,
            known,
        )  # fmt: skip


def _named_faults(place: str, fields: set[str], names: list[str], known: Known) -> Iterator[Fault]:
    """Fields that no event of these types has, and personal ones, which nothing may look at."""
    kinds = [known.types[name] for name in names if name in known.types]
    if len(kinds) < len(names):
        return
    for name in sorted(fields):
        first = name.split(".")[0]
        if any(name in kind.personal for kind in kinds):
            detail = f"{name!r} is personal and can't be filtered or joined by."
            yield Fault(place, detail, "personal_field")
        elif not name.startswith("$") and not any(first in kind.fields for kind in kinds):
            yield from _unknown_field(place, name, kinds, known)


def _unknown_field(place: str, name: str, kinds: list[EventType], known: Known) -> Iterator[Fault]:
    sent = known.sent_fields(frozenset(kind.name for kind in kinds))
    if name.split(".")[0] in sent:
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
        elif numeric and any(d.kind not in ("number", "integer") for d in declared):
            detail = f"{name!r} is no number in {kinds[0].name}."
            yield Fault(f"{place}/field", detail, "not_a_number")
        elif not declared and len(kinds) == len(leaf.events):
            yield from _unknown_field(f"{place}/field", name, kinds, known)


def _expression_faults(place: str, node: Node, unit: str, known: Known) -> Iterator[Fault]:
    if isinstance(node, Derived):
        try:
            names = names_in(parse(node.expression))
        except FormulaError as error:
            yield Fault(f"{place}/expression", str(error), "expression")
            return
        for name in sorted(names - set(node.inputs)):
            detail = f"{name!r} is no input.{did_you_mean(name, node.inputs)}"
            yield Fault(f"{place}/expression", detail, "unknown_input")
        for name in sorted(set(node.inputs) - names):
            detail = f"The expression does not use {name!r}."
            yield Fault(f"{place}/inputs/{name}", detail, "unused_input")
        if names == set(node.inputs):
            yield from _unit_faults(place, node, unit, known)
    for pointer, child in children_of(node):
        yield from _expression_faults(place + pointer, child, "", known)


def _unit_faults(place: str, node: Derived, declared: str, known: Known) -> Iterator[Fault]:
    try:
        found = _unit_of(node, known)
    except UnitError as error:
        yield Fault(f"{place}/expression", str(error), "units")
        return
    stated = parse_unit(declared)
    # A plain number may be a number of periods, such as the months until a cost is paid back.
    counts_periods = found == PLAIN and not stated.has_money
    if declared and found is not None and not found.fits(stated) and not counts_periods:
        detail = f"The expression gives {found}, but the metric's unit is {declared!r}."
        yield Fault("/unit", detail, "units")


def _unit_of(node: Node, known: Known) -> Unit | None:
    """The unit that a node's figures have; None where it can't be told."""
    match node:
        case MetricRef():
            named = known.metrics.get(node.metric)
            return parse_unit(named[1]) if named else None
        case Derived():
            inputs = {
                name: _unit_of(
                    given.definition if isinstance(given, InlineInput)
                    else MetricRef(metric=given.metric),
                    known,
                )
                for name, given in node.inputs.items()
            }  # fmt: skip
            return unit_of(parse(node.expression), inputs)
        case Cumulative():
            return _unit_of(node.of, known)
        case Ratio():
            above, below = _unit_of(node.numerator, known), _unit_of(node.denominator, known)
            return None if above is None or below is None else above.times(below, -1)
        case Conversion():
            return PLAIN
        case Duration(clock=clock):
            return parse_unit("days" if clock == "calendar_days" else "s")
        case TimeInState(statistic=statistic):
            return PLAIN if statistic == "share_of_total" else parse_unit("s")
        case Simple(kind="count" | "distinct") | State(statistic="count"):
            return PLAIN
        case Simple(field=field) | State(field=field):
            money = field is not None and not MONEY_FIELDS.isdisjoint(summands(field))
            return parse_unit("money") if money else None
