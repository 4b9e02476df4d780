"""What a catalogue entry is, and the words in which entries are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Chosen = Mapping[str, Any]
CLOSED, OPENED = "crm.opportunity.closed", "crm.opportunity.opened"
STAGE, CHANGED = "crm.opportunity.stage_changed", "crm.opportunity.changed"
REOPENED, DELETED = "crm.opportunity.reopened", "crm.opportunity.deleted"
ACTIVITY, LEAD, QUALIFIED = "crm.activity.logged", "crm.lead.created", "crm.lead.qualified"
ACQUIRED, CHURNED = "crm.customer.acquired", "crm.customer.churned"
ORDER, SPEND, CALL = "commerce.order.placed", "marketing.spend.recorded", "contact.call.completed"
SUBSCRIPTION = "commerce.subscription.changed"


@dataclass(frozen=True)
class Option:
    """Where conventions compete: what may be chosen, and what is taken unless something is.

    `choices` are the values allowed; without them any value of the default's type is.
    """

    name: str
    default: Any
    meaning: str
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A standard metric that becomes an ordinary one when it is installed."""

    id: str
    name: str
    formula: str
    unit: str
    direction: Literal["up", "down", "band", "none"]
    indicator: Literal["leading", "lagging"]
    nature: Literal["value", "usage", "operational"]
    build: Callable[[Chosen], Json]
    group: str
    audience: Literal["customer", "prospect", "stakeholder", "business"] = "business"
    traps: str = ""
    convention: str = "Standard definition"
    options: tuple[Option, ...] = ()
    drives: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    unit_of: Callable[[Chosen], str] | None = None
    cadence: str = "monthly"

    def definition(self, chosen: Chosen) -> Json:
        """The definition with these choices (the defaults for what is not chosen)."""
        return self.build({**self.default_choices(), **chosen})

    def unit_with(self, chosen: Chosen) -> str:
        if self.unit_of is None:
            return self.unit
        return self.unit_of({**self.default_choices(), **chosen})

    def default_choices(self) -> Json:
        return {option.name: option.default for option in self.options}


def eq(name: str, value: Any) -> Json:
    return {"field": name, "op": "eq", "value": value}


def compare(name: str, op: str, value: Any) -> Json:
    return {"field": name, "op": op, "value": value}


def every(*parts: Json) -> Json:
    return {"all": list(parts)}


def no(part: Json) -> Json:
    return {"not": part}


def step(event: str | list[str], where: Json | None = None) -> Json:
    events = [event] if isinstance(event, str) else event
    return {"events": events, "where": where} if where else {"events": events}


def had(
    event: str | list[str], where: Json | None = None, by: Any = "subject", **more: Any
) -> Json:
    return {"had": step(event, where), "by": by, **more}


def then(event: str, where: Json | None = None, by: Any = "subject", **more: Any) -> Json:
    return {"then": step(event, where), "by": by, **more}


def count(event: str, where: Json | None = None) -> Json:
    return {"kind": "count", **step(event, where)}


def of(kind: str, event: str, name: str, where: Json | None = None, **more: Any) -> Json:
    return {"kind": kind, **step(event, where), "field": name, **more}


def total(event: str, name: str, where: Json | None = None) -> Json:
    return of("sum", event, name, where)


def distinct(event: str, name: str | None = None, where: Json | None = None) -> Json:
    found = {"kind": "distinct", **step(event, where)}
    return {**found, "field": name} if name else found


def last_of_each(part: Json) -> Json:
    """Of each deal its last closing in the period, unless it was opened again or deleted."""
    return {**part, "per_subject": "last_in_period", "undone_by": [REOPENED, DELETED]}


def ratio(numerator: Json, denominator: Json) -> Json:
    return {"kind": "ratio", "numerator": numerator, "denominator": denominator}


def state(events: list[str], where: Json | None = None, **more: Any) -> Json:
    found: Json = {"kind": "state", "events": events, **more}
    return {**found, "where": where} if where else found


def derived(expression: str, **inputs: Json) -> Json:
    """An expression over inline definitions; `before(...)` marks those of the period before."""
    given = {
        name: part if "definition" in part else {"definition": part}
        for name, part in inputs.items()
    }
    return {"kind": "derived", "expression": expression, "inputs": given}


def before(part: Json) -> Json:
    """A definition as it stood a period earlier."""
    return {"definition": part, "offset": "-1 period"}


def over(part: Json, **window: str) -> Json:
    return {"kind": "cumulative", "of": part, "window": window}


def observed(figure: str) -> Json:
    """The last observed figure of a name in the period, since no event carries its parts."""
    return of("latest", "metric.observed", "value", eq("figure", figure))


WON = eq("outcome", "won")
# Without changes, since one that comes after the closing does not open a deal again.
OPEN_DEALS = [OPENED, STAGE, REOPENED, CLOSED, DELETED]
IS_OPEN = no(compare("$type", "in", [CLOSED, DELETED]))
# Where a deal says in which stage it is: a deal is opened in its first one.
IN_STAGE = [OPENED, STAGE, REOPENED]
CLOSINGS = Option(
    "closings", "last", "Of a deal that was closed more than once in the period its last closing, "
    "and none where it was opened again or deleted; or each closing (in a cohort of created deals "
    "each counts)", ("last", "each"))  # fmt: skip
UNFED = "No canonical event carries its parts; it is fed as a figure with `metric.observed`."


def from_figure(
    id_: str, name: str, formula: str, unit: str, direction: Any, indicator: Any, nature: Any,
    group: str, **more: Any,
) -> Entry:  # fmt: skip
    """An entry that no canonical field can feed, and that says so."""
    traps = " ".join(filter(None, (more.pop("traps", ""), UNFED)))
    return Entry(id_, name, formula, unit, direction, indicator, nature,
                 lambda chosen: observed(id_), group, traps=traps, **more)  # fmt: skip
