"""Wire shapes of costs and benefits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from services.valuation.api.inputs import MAX_PERIODS, InputBody, RateBody, Share
from services.valuation.domain.lines import BenefitLine, CostLine
from services.valuation.domain.templates import TEMPLATES
from shared.money import Currency, DecimalString, bounded
from shared.web.wire import Wire
from shared.words import Id, Name, Prose, Reason

Category = Literal[
    "licence", "hardware", "implementation", "training", "maintenance", "upgrade",
    "internal_labour", "integration", "migration", "support", "change_management",
    "productivity_dip", "other",
]  # fmt: skip
BenefitCategory = Literal[
    "cashable", "cost_avoidance", "revenue", "working_capital", "soft_time", "non_financial"
]
TemplateKey = Literal[
    "rate-uplift", "order-value", "revenue", "time-saved", "cost-reduction", "deflection",
    "retention", "acquisition", "rescued-deals", "upsell", "cross-sell", "cash-flow",
    "legacy-retired", "expected-loss", "satisfaction-to-retention", "avoided-cost", "dis-benefit",
]  # fmt: skip
Formula = Annotated[str, Field(min_length=1, max_length=500)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


class _Priced(Wire):
    """An amount, or a quantity at a unit price."""

    amount: DecimalString | None = Field(None, description="How much")
    quantity: DecimalString | None = Field(None, description="Or how many")
    unit_price: DecimalString | None = Field(None, description="Price of one")

    @model_validator(mode="after")
    def _one_price(self) -> _Priced:
        priced = self.quantity is not None and self.unit_price is not None
        half = (self.quantity is None) != (self.unit_price is None)
        if half or (self.amount is None) != priced:
            raise ValueError("name either `amount`, or `quantity` and `unit_price`")
        bounded(self.total)
        return self

    @property
    def total(self) -> Decimal:
        """What it comes to."""
        if self.amount is not None:
            return self.amount
        assert self.quantity is not None, "what has no amount has a quantity"
        assert self.unit_price is not None, "what has a quantity has a price"
        return self.quantity * self.unit_price


class OnceBody(_Priced):
    """A cost that falls due once."""

    on: date = Field(description="When")


class RecurringBody(_Priced):
    """A cost that comes back."""

    from_: date = Field(alias="from", description="First time")
    to: date = Field(description="Not after (exclusive)")
    every: Literal["P1M", "P3M", "P1Y"] = Field(description="How often")
    indexation: RateBody = Field(Decimal(0), description="Yearly rise as a fraction")

    @model_validator(mode="after")
    def _in_order(self) -> RecurringBody:
        if self.from_ >= self.to:
            raise ValueError("`from` must lie before `to`")
        return self


class NewCost(Wire):
    """A cost, by exactly one of four plans."""

    name: Name = Field(description="Name; booked costs find their line by it")
    category: Category = Field(description="Kind of cost", examples=["licence"])
    amounts: (
        Annotated[list[DecimalString], Field(min_length=1, max_length=MAX_PERIODS + 1)] | None
    ) = Field(None, description="The first is initial, then one per period")
    once: OnceBody | None = Field(None, description="Or once")
    recurring: RecurringBody | None = Field(None, description="Or again and again")
    formula: Formula | None = Field(
        None,
        description="Or a formula over the inputs, for the start and each period",
        examples=["users * price * 12"],
    )
    inputs: Annotated[dict[str, InputBody], Field(max_length=20)] = Field(
        default_factory=dict,
        description="Of a formula; the first figure of a curve is that of the start",
    )
    currency: Currency | None = Field(
        None, description="Where it is not the case's; a rate must have been recorded"
    )
    risk: Annotated[DecimalString, Field(ge=0, le=10)] = Field(
        Decimal(0), description="Upward adjustment as a fraction"
    )
    phase: Name | None = Field(None, description="Phase of the initiative")

    @model_validator(mode="after")
    def _one_plan(self) -> NewCost:
        plans = (self.amounts, self.once, self.recurring, self.formula)
        if sum(p is not None for p in plans) != 1:
            raise ValueError("name exactly one of amounts, once, recurring and formula")
        if self.inputs and self.formula is None:
            raise ValueError("inputs belong to a formula")
        return self


class AdoptionBody(Wire):
    """How the effect ramps up to its full extent."""

    curve: Annotated[list[Share], Field(min_length=1, max_length=MAX_PERIODS)] | None = Field(
        None, description="Share of full effect per period; the last one holds on"
    )
    shape: Literal["table", "linear", "s_curve"] = Field(
        "table", description="`linear` and `s_curve` rise to 1 over `periods`"
    )
    periods: Annotated[int, Field(strict=True, ge=1, le=MAX_PERIODS)] | None = Field(
        None, description="Periods until the full effect"
    )
    delay: Annotated[int, Field(strict=True, ge=0, le=MAX_PERIODS)] = Field(
        0, description="Periods before anything is seen"
    )

    @model_validator(mode="after")
    def _one_shape(self) -> AdoptionBody:
        if (self.shape == "table") != (self.curve is not None):
            raise ValueError("a table has a `curve`; linear and s_curve have `periods`")
        if (self.shape == "table") == (self.periods is not None):
            raise ValueError("a table has a `curve`; linear and s_curve have `periods`")
        return self


class AttributionBody(Wire):
    """The share that is due to this initiative."""

    share: Share | None = Field(None, description="From 0 to 1; null with `goal`: as acknowledged")
    reason: Reason = Field(description="Why this share")
    source: Literal["stated", "goal"] = Field(
        "stated", description="`goal`: the share that the goal's owner has acknowledged"
    )

    @model_validator(mode="after")
    def _stated(self) -> AttributionBody:
        if self.share is None and self.source == "stated":
            raise ValueError("a stated attribution has a share")
        return self


class CountedBody(Wire):
    """The unit in which people would count what it takes to pay for the case."""

    what: Words = Field(description="What is counted", examples=["rescued deals"])
    formula: Formula = Field(description="How many per period", examples=["change * volume"])


class OverlapBody(Wire):
    """Benefits that claim one movement, and the part of it that this one claims."""

    group: Words = Field(description="Name that they share")
    share: Share = Field(description="Part of the movement; in a group at most 1 in all")


class ProfileBody(Wire):
    """What people should know of a benefit besides its money."""

    unit: Words | None = Field(None, description="Unit of what changes")
    beneficiary: Name | None = Field(None, description="Who has it")
    owner: Name | None = Field(None, description="Who answers for it")
    kpi: Words | None = Field(None, description="Figure that shows it")
    baseline: Words | None = Field(None, description="What it starts from, in words")
    source: Words | None = Field(None, description="Where the figure comes from")
    measured_how: Prose | None = Field(None, description="How it is measured")
    measured_every: Words | None = Field(None, description="How often it is measured")
    depends_on: Annotated[list[Name], Field(max_length=50)] = Field(
        default_factory=list, description="What must be there first"
    )
    review_dates: Annotated[list[date], Field(max_length=100)] = Field(
        default_factory=list, description="When it is looked at again"
    )


class NewBenefit(Wire):
    """A rule that turns a metric's change into money."""

    name: Name = Field(description="Name, with a word of change", examples=["More deals won"])
    category: BenefitCategory = Field(description="What kind of money it is")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        "business", description="Whose value it is"
    )
    template: TemplateKey | None = Field(
        None, description="A usual rule: `GET /v1/benefit-templates` has their formulas"
    )
    formula: Formula | None = Field(
        None,
        description="Or a formula over the inputs, with + - * / ( )",
        examples=["change * volume * value * margin"],
    )
    inputs: Annotated[dict[str, InputBody], Field(min_length=1, max_length=20)] = Field(
        description="What the formula's names stand for"
    )
    planned: Annotated[dict[str, InputBody], Field(max_length=20)] = Field(
        default_factory=dict, description="The plan for every input that is measured"
    )
    adoption: AdoptionBody | None = Field(None, description="Ramp of the plan; default: at once")
    capture: Share = Field(Decimal(1), description="Share of the effect that is really used")
    attribution: AttributionBody | None = Field(None, description="Share due to this initiative")
    risk: Share = Field(Decimal(0), description="Downward adjustment of the plan")
    risk_source: Literal["stated", "obstacles"] = Field(
        "stated", description="`obstacles`: from the open obstacles of its goal"
    )
    goal_id: Id | None = Field(None, description="The goal that promises it")
    evidence: Literal["verified", "conditional", "unverified"] = Field(
        "conditional",
        description="How sure the rule is; where it is not stated, as the template has it",
    )
    phase: Name | None = Field(None, description="Phase of the initiative")
    negative: bool | None = Field(
        None, description="True for a dis-benefit: its money counts against the case"
    )
    status: Literal["planned", "emerging", "realised", "at_risk", "withdrawn"] = Field(
        "planned", description="Where it stands"
    )
    posts: Literal["none", "released", "not_released"] = Field(
        "none", description="Whether it is posts that are saved, and whether they were released"
    )
    counts: CountedBody | None = Field(None, description="Unit for its break-even")
    overlap: OverlapBody | None = Field(None, description="Part of a movement claimed by several")
    profile: ProfileBody = Field(
        default_factory=ProfileBody, description="What else is known of it"
    )

    @model_validator(mode="after")
    def _one_rule(self) -> NewBenefit:
        if (self.template is None) == (self.formula is None):
            raise ValueError("name either `template` or `formula`")
        if self.risk_source == "obstacles" and self.goal_id is None:
            raise ValueError("obstacles are those of a goal; name `goal_id`")
        acknowledged = self.attribution is not None and self.attribution.source == "goal"
        if acknowledged and self.goal_id is None:
            raise ValueError("a share that a goal acknowledges needs `goal_id`")
        return self


class Cost(NewCost):
    """A cost of a case."""

    id: str = Field(description="Id of the line")


class Benefit(NewBenefit):
    """A benefit of a case."""

    id: str = Field(description="Id of the line")


class BenefitTemplate(Wire):
    """A usual rule by which a change becomes money."""

    key: str = Field(description="Its key")
    formula: str = Field(description="What is computed per period")
    inputs: dict[str, str] = Field(description="The inputs and their units; `?` is not checked")
    what: str = Field(description="When it fits")
    sense: Literal["rise", "fall"] = Field(description="Which change of a metric is good")


class BenefitTemplates(Wire):
    """All usual rules."""

    items: list[BenefitTemplate] = Field(description="By key")


def templates() -> BenefitTemplates:
    """The usual rules as the API shows them."""
    found = [
        BenefitTemplate(
            key=key, formula=made.formula, inputs=dict(made.units), what=made.what, sense=made.sense
        )
        for key, made in sorted(TEMPLATES.items())
    ]
    return BenefitTemplates(items=found)


def shown_cost(line: CostLine) -> dict[str, Any]:
    """A cost as the API shows it."""
    body = line.model_dump()
    body["id"] = body.pop("cost_id")
    del body["factor"]
    if body["recurring"] is not None:
        body["recurring"]["from"] = body["recurring"].pop("from_")
    return body


def shown_benefit(line: BenefitLine) -> dict[str, Any]:
    """A benefit as the API shows it."""
    body = line.model_dump()
    body["id"] = body.pop("benefit_id")
    adoption, ramp = body.pop("adoption"), body.pop("ramp")
    stated = ramp is not None and ramp["shape"] != "table"
    body["adoption"] = {**(ramp or {}), "curve": None if stated else adoption}
    if body["adoption"].get("delay") and not stated:
        body["adoption"]["curve"] = adoption[body["adoption"]["delay"] :]
    for source in [*body["inputs"].values(), *body["planned"].values()]:
        spread = source["distribution"]
        if spread is not None and spread["kind"] == "history":
            # They were read from the metric, and are more exact than what can be stated.
            spread["values"] = None
        if source["metric_change"] is not None:
            # The filter is the baseline's own.
            del source["metric_change"]["where"]
    if body["template"] is not None:
        body["formula"] = None
    return body
