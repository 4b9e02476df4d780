"""What can be found wrong with a definition's expressions and units before any data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.metrics.domain.definition import (
    Conversion,
    Cumulative,
    Derived,
    Duration,
    InlineInput,
    MetricRef,
    Node,
    Ratio,
    Simple,
    State,
    TimeInState,
    children_of,
    summands,
)
from services.metrics.domain.units import (
    LONG_TIMES,
    MONEY_FIELDS,
    PLAIN,
    TIME_NAMES,
    Unit,
    UnitError,
    parse_unit,
    seconds_in,
    unit_of,
)
from shared.errors import Fault
from shared.expression import FormulaError, names_in, never_works, parse
from shared.ids import did_you_mean

Metrics = Mapping[str, tuple[Node, str]]


def unit_faults(node: Node, unit: str, metrics: Metrics) -> Iterator[Fault]:
    """Faults of the expressions in a definition, and of the unit that its figures are said in."""
    yield from _own_unit_faults(node, unit, metrics)
    yield from _expression_faults("/definition", node, unit, metrics)


def _own_unit_faults(node: Node, unit: str, metrics: Metrics) -> Iterator[Fault]:
    match node:
        case Duration() | TimeInState(statistic="sum" | "average" | "median"):
            yield from _time_faults(unit)
        case Cumulative() | Ratio() | Simple() | State() | Conversion() | TimeInState():
            found, stated = _unit_of(node, metrics, unit), parse_unit(unit)
            # A unit that is neither money nor time names what is counted, in the user's own words.
            if found is not None and stated.powers and not found.fits(stated):
                yield Fault("/unit", f"The figures are {found}, not {unit!r}.", "units")


def _time_faults(unit: str) -> Iterator[Fault]:
    if unit in LONG_TIMES:
        yield Fault("/unit", f"{unit!r} have no fixed length; take days, h, min or s.", "units")
    elif seconds_in(unit) is None:
        near = did_you_mean(unit, TIME_NAMES) or " Take days, h, min or s."
        yield Fault("/unit", f"{unit!r} is no unit of time.{near}", "units")


def _expression_faults(place: str, node: Node, unit: str, metrics: Metrics) -> Iterator[Fault]:
    if isinstance(node, Derived):
        try:
            term = parse(node.expression)
            names = names_in(term)
        except FormulaError as error:
            yield Fault(f"{place}/expression", str(error), "expression")
            return
        if never_works(term):
            yield Fault(f"{place}/expression", "The expression divides by 0.", "expression")
            return
        for name in sorted(names - set(node.inputs)):
            detail = f"{name!r} is no input.{did_you_mean(name, node.inputs)}"
            yield Fault(f"{place}/expression", detail, "unknown_input")
        for name in sorted(set(node.inputs) - names):
            detail = f"The expression does not use {name!r}."
            yield Fault(f"{place}/inputs/{name}", detail, "unused_input")
        if names == set(node.inputs):
            yield from _result_faults(place, node, unit, metrics)
    for pointer, child in children_of(node):
        yield from _expression_faults(place + pointer, child, "", metrics)


def _result_faults(place: str, node: Derived, declared: str, metrics: Metrics) -> Iterator[Fault]:
    try:
        found = _unit_of(node, metrics)
    except UnitError as error:
        yield Fault(f"{place}/expression", str(error), "units")
        return
    stated = parse_unit(declared)
    # A plain number may be a number of periods, such as the months until a cost is paid back.
    counts_periods = found == PLAIN and not stated.has_money
    if declared and found is not None and not found.fits(stated) and not counts_periods:
        detail = f"The expression gives {found}, but the metric's unit is {declared!r}."
        yield Fault("/unit", detail, "units")


def _unit_of(node: Node, metrics: Metrics, said_in: str = "") -> Unit | None:
    """The unit that a node's figures have; None where it can't be told.

    Times of a definition of its own are said in any unit of time that its metric has.
    """
    match node:
        case MetricRef():
            named = metrics.get(node.metric)
            return parse_unit(named[1]) if named else None
        case Derived():
            inputs = {
                name: _unit_of(
                    given.definition if isinstance(given, InlineInput)
                    else MetricRef(metric=given.metric),
                    metrics,
                )
                for name, given in node.inputs.items()
            }  # fmt: skip
            return unit_of(parse(node.expression), inputs)
        case Cumulative():
            return _unit_of(node.of, metrics, said_in)
        case Ratio():
            above, below = _unit_of(node.numerator, metrics), _unit_of(node.denominator, metrics)
            return None if above is None or below is None else above.times(below, -1)
        case Conversion():
            return PLAIN
        case TimeInState(statistic="share_of_total"):
            return PLAIN
        case Duration(clock="calendar_days") if seconds_in(said_in) is None:
            return parse_unit("days")
        case Duration() | TimeInState():
            return parse_unit(said_in if seconds_in(said_in) else "s")
        case Simple(kind="count" | "distinct") | State(statistic="count"):
            return PLAIN
        case Simple(field=field) | State(field=field):
            money = field is not None and not MONEY_FIELDS.isdisjoint(summands(field))
            return parse_unit("money") if money else None
