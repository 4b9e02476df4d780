"""Wire shapes of the inputs of formulas: where a figure comes from."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.money import DecimalString
from shared.web.wire import FilterBody, Key, PeriodName, Wire
from shared.words import Id

MAX_PERIODS = 120
Share = Annotated[DecimalString, Field(ge=0, le=1)]
RateBody = Annotated[DecimalString, Field(ge=Decimal("-0.5"), le=10)]
Figures = Annotated[list[DecimalString], Field(min_length=1, max_length=500)]


class MetricChangeBody(Wire):
    """A metric's change against a frozen baseline."""

    metric: Key = Field(description="Key of the metric")
    baseline_id: Id = Field(description="The baseline, in metrics")
    sense: Literal["rise", "fall"] | None = Field(
        None, description="Which change counts; default: as the template has it, or rise"
    )


class MetricBody(Wire):
    """A metric's value per period."""

    key: Key = Field(description="Key of the metric")
    where: FilterBody | None = Field(None, description="A FILTER, besides the metric's own")


class DistributionBody(Wire):
    """How an uncertain figure is spread; where one figure is needed, its mean stands."""

    kind: Literal[
        "triangular", "pert", "uniform", "normal", "lognormal", "discrete", "history"
    ] = Field(description="Shape")  # fmt: skip
    low: DecimalString | None = Field(None, description="triangular, pert, uniform: the least")
    mode: DecimalString | None = Field(None, description="triangular, pert: the likeliest")
    high: DecimalString | None = Field(None, description="triangular, pert, uniform: the most")
    mean: DecimalString | None = Field(None, description="normal, lognormal: the mean")
    sd: Annotated[DecimalString, Field(ge=0)] | None = Field(
        None, description="normal, lognormal: standard deviation of the figure itself"
    )
    values: Figures | None = Field(None, description="discrete: the figures")
    weights: (
        Annotated[list[Annotated[DecimalString, Field(ge=0)]], Field(max_length=500)] | None
    ) = Field(None, description="discrete: a weight each; default: all alike")
    metric: Key | None = Field(None, description="history: the metric")
    periods: Annotated[list[PeriodName], Field(min_length=2, max_length=200)] | None = Field(
        None, description="history: the periods whose values are drawn"
    )

    @model_validator(mode="after")
    def _whole(self) -> DistributionBody:
        needs = {
            "triangular": ("low", "mode", "high"), "pert": ("low", "mode", "high"),
            "uniform": ("low", "high"), "normal": ("mean", "sd"), "lognormal": ("mean", "sd"),
            "discrete": ("values",), "history": ("metric", "periods"),
        }[self.kind]  # fmt: skip
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a {self.kind} distribution needs {', '.join(needs)}")
        if self.kind == "history" and (self.values is not None or self.weights is not None):
            raise ValueError("the values of a history are read from its metric")
        ends = [x for x in (self.low, self.mode, self.high) if x is not None]
        if ends != sorted(ends):
            raise ValueError("low, mode and high must be in this order")
        if self.kind == "lognormal" and (self.mean or Decimal(0)) <= 0:
            raise ValueError("the mean of a lognormal figure is above 0")
        if self.weights is not None and len(self.weights) != len(self.values or []):
            raise ValueError("there is one weight for each value")
        if self.weights is not None and not sum(self.weights):
            raise ValueError("some weight must be above 0")
        return self


class InputBody(Wire):
    """A named input: exactly one of the five sources."""

    metric_change: MetricChangeBody | None = Field(None, description="Change against a baseline")
    metric: MetricBody | None = Field(None, description="A metric's value")
    curve: (
        Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS + 1)] | None
    ) = Field(None, description="A figure per period; the last one holds on")
    value: DecimalString | None = Field(None, description="A constant")
    distribution: DistributionBody | None = Field(None, description="An uncertain figure")
    unit: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Unit of the figures, such as ratio, h, EUR or EUR/h"
    )

    @model_validator(mode="after")
    def _one_source(self) -> InputBody:
        given = (self.metric_change, self.metric, self.curve, self.value, self.distribution)
        if sum(g is not None for g in given) != 1:
            raise ValueError(
                "name exactly one of metric_change, metric, curve, value and distribution"
            )
        return self
