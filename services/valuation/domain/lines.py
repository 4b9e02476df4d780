"""The lines of a case: what it costs, and the rules that turn a metric's change into money."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from babel.numbers import is_currency
from pydantic import BaseModel, ConfigDict, PlainSerializer

Exact = Annotated[
    Decimal, PlainSerializer(lambda d: format(d, "f"), return_type=str, when_used="json")
]
Audience = Literal["customer", "prospect", "stakeholder", "business"]
Evidence = Literal["verified", "conditional", "unverified"]
Status = Literal["planned", "emerging", "realised", "at_risk", "withdrawn"]
# Categories whose money nobody sees in a till: shown apart, and by default not in the headline.
APART = ("soft_time", "unverified")


class Value(BaseModel):
    """A frozen value that knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Distribution(Value):
    """How an uncertain figure is spread.

    `triangular` and `pert` have low, mode and high; `uniform` low and high; `normal` mean and sd;
    `lognormal` mean and sd of the figure itself; `discrete` and `history` values and weights.
    """

    kind: Literal[
        "triangular", "pert", "uniform", "normal", "lognormal", "discrete", "history"
    ]  # fmt: skip
    low: Exact | None = None
    mode: Exact | None = None
    high: Exact | None = None
    mean: Exact | None = None
    sd: Exact | None = None
    values: list[Exact] | None = None
    weights: list[Exact] | None = None
    metric: str | None = None
    periods: list[str] | None = None

    @property
    def expected(self) -> Decimal:
        """Its mean: what a single figure stands for."""
        match self.kind:
            case "triangular":
                return (self._low + self._mode + self._high) / 3
            case "pert":
                return (self._low + 4 * self._mode + self._high) / 6
            case "uniform":
                return (self._low + self._high) / 2
            case "normal" | "lognormal":
                assert self.mean is not None, "the API demands a mean"
                return self.mean
            case _:
                values = self.values or [Decimal(0)]
                weights = self.weights or [Decimal(1)] * len(values)
                total = sum(w * v for w, v in zip(weights, values, strict=True))
                return total / sum(weights, Decimal(0))

    @property
    def _low(self) -> Decimal:
        return self.low or Decimal(0)

    @property
    def _mode(self) -> Decimal:
        return self.mode or Decimal(0)

    @property
    def _high(self) -> Decimal:
        return self.high or Decimal(0)


class MetricChange(Value):
    """A metric's change against a frozen baseline; with the sense `fall`, how far it fell."""

    metric: str
    baseline_id: str
    where: dict[str, Any] | None = None
    sense: Literal["rise", "fall"] = "rise"


class MetricValue(Value):
    """A metric's value per period."""

    key: str
    where: dict[str, Any] | None = None


class Driver(NamedTuple):
    """A metric, of certain events or of all, whose figure becomes money."""

    metric: str
    where: dict[str, Any] | None


class Input(Value):
    """A named input: exactly one of its sources."""

    metric_change: MetricChange | None = None
    metric: MetricValue | None = None
    curve: list[Exact] | None = None
    value: Exact | None = None
    distribution: Distribution | None = None
    unit: str | None = None

    @property
    def is_measured(self) -> bool:
        return self.metric_change is not None or self.metric is not None

    @property
    def key(self) -> str | None:
        """The metric that it reads, if any."""
        if self.metric_change is not None:
            return self.metric_change.metric
        return self.metric.key if self.metric is not None else None

    def stated(self, index: int) -> Decimal | None:
        """The figure stated for the period of that index; a curve's last one holds on."""
        if self.curve is not None:
            return self.curve[min(index, len(self.curve) - 1)]
        if self.distribution is not None:
            return self.distribution.expected
        return self.value


class Once(Value):
    """A cost that falls due once."""

    on: date
    amount: Exact


class Recurring(Value):
    """A cost that comes back."""

    from_: date
    to: date
    every: Literal["P1M", "P3M", "P1Y"]
    amount: Exact
    indexation: Exact = Decimal(0)


class CostLine(Value):
    """A cost, by one of four plans."""

    cost_id: str
    name: str
    category: str
    amounts: list[Exact] | None = None
    once: Once | None = None
    recurring: Recurring | None = None
    formula: str | None = None
    inputs: dict[str, Input] = {}
    currency: str | None = None
    risk: Exact = Decimal(0)
    phase: str | None = None
    # What a scenario multiplies the whole plan with.
    factor: Exact = Decimal(1)


class Attribution(Value):
    """The share that is due to this initiative, and why; `goal`: what its owner acknowledged."""

    share: Exact
    reason: str
    source: Literal["stated", "goal"] = "stated"


class Counted(Value):
    """The unit in which people would count what a benefit needs to pay for the case."""

    what: str
    formula: str


class Ramp(Value):
    """How adoption was stated; what follows of it stands in the line's `adoption`."""

    shape: Literal["table", "linear", "s_curve"]
    periods: int | None = None
    delay: int = 0


class Profile(Value):
    """What people should know of a benefit besides its money."""

    unit: str | None = None
    beneficiary: str | None = None
    owner: str | None = None
    kpi: str | None = None
    baseline: str | None = None
    source: str | None = None
    measured_how: str | None = None
    measured_every: str | None = None
    depends_on: list[str] = []
    review_dates: list[date] = []


class Overlap(Value):
    """Benefits that claim the same movement, and which part of it this one claims."""

    group: str
    share: Exact


class BenefitLine(Value):
    """A rule that turns a metric's change into money."""

    benefit_id: str
    name: str
    category: str
    audience: Audience
    template: str | None
    formula: str
    inputs: dict[str, Input]
    planned: dict[str, Input]
    adoption: list[Exact]
    ramp: Ramp | None = None
    capture: Exact
    attribution: Attribution
    risk: Exact
    risk_source: Literal["stated", "obstacles"] = "stated"
    goal_id: str | None
    evidence: Evidence
    phase: str | None = None
    negative: bool = False
    status: Status = "planned"
    posts: Literal["none", "released", "not_released"] = "none"
    counts: Counted | None = None
    overlap: Overlap | None = None
    profile: Profile = Profile()

    @property
    def apart(self) -> str | None:
        """Why its money stands outside the headline, if it does."""
        if self.evidence == "unverified":
            return "unverified"
        soft = self.category == "soft_time" or self.posts == "not_released"
        return "soft_time" if soft else None

    @property
    def movements(self) -> list[MetricChange]:
        """The metric changes that it turns into money."""
        return [i.metric_change for i in self.inputs.values() if i.metric_change is not None]

    @property
    def drivers(self) -> list[Driver]:
        """What it makes money of: changes of metrics, or where it has none, their values."""
        found = [Driver(change.metric, change.where) for change in self.movements]
        if found or "change" in self.inputs:
            return found
        # A price is no movement; a number of things that happened is.
        counted = [i for i in self.inputs.values() if i.metric is not None and not _is_price(i)]
        return [Driver(i.metric.key, i.metric.where) for i in counted if i.metric is not None]

    def plan_of(self, name: str) -> Input:
        """What is planned for an input; a stated input is its own plan."""
        return self.planned.get(name, self.inputs[name])


def _is_price(source: Input) -> bool:
    return (source.unit or "").startswith("money") or bool(currencies(source.unit))


def money_inputs(inputs: Mapping[str, Input]) -> set[str]:
    """The currencies in which inputs are stated, by their units."""
    return {found for i in inputs.values() for found in currencies(i.unit)}


def currencies(unit: str | None) -> set[str]:
    """The currencies in a unit as people write it."""
    return {word for word in re.findall(r"\b[A-Z]{3}\b", unit or "") if is_currency(word)}
