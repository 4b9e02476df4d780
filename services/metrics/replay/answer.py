"""The shapes of a replay's answer."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from shared.web.wire import InstantField, Known, PeriodName, Wire

# 2: time zones by recorded offsets, first facts that count, windows by calendar days.
# 3: what happened on one day, with and without a time, goes by position; windows of days hold all
#    of their last day for what knows only its date.
# 4: sequences that are moments or signed numbers are ordered as such; figures of money that stand
#    side by side are in one currency; pooled baselines of times, extremes and derived figures rest
#    on the events of all periods; offsets by months keep the day of the month; of one instant
#    facts go by where they were told of first, and what knows only its day by that, too.
SEMANTICS = 4


class Coverage(Wire):
    """How much of the promised cadence the sources delivered."""

    cadence: str | None = Field(description="What the guidelines promise; null when nothing")
    slots: int = Field(ge=0, description="Slots of the cadence in the period")
    delivered: int = Field(
        ge=0, description="Slots in which an event of the metric's types occurred"
    )
    share: float | None = Field(ge=0, le=1, description="delivered / slots; null without a cadence")
    gaps: list[str] = Field(max_length=100, description="The first slots without an event")


class Proof(Wire):
    """What a figure was computed from; equal digests mean the very same events."""

    metric: str = Field(description="Key of the metric")
    version: int = Field(ge=1, description="Version of its definition")
    events: int = Field(ge=0, description="Number of events that entered")
    digest: str = Field(description="Sum of the events' leaf hashes, hexadecimal")
    position: int = Field(ge=0, description="Position of the ledger")
    semantics: int = Field(ge=1, description="Number of the replay's rules")


class Value(Wire):
    """A metric's figure in one period (and group)."""

    period: PeriodName
    start: date = Field(description="First day")
    end: date = Field(description="Day after the last")
    value: float | None = Field(description="15 significant digits; null with a reason")
    reason: str | None = Field(
        description="Why there is no value: no_events, zero_denominator, before_first_event, "
        "before_source_history, not_yet_recorded, mixed_currencies (and no rate), missing_rate",
        examples=[None],
    )
    answered_from: InstantField | None = Field(
        None, description="With not_yet_recorded: the moment from which it is answered"
    )
    provisional: bool = Field(description="True while the period's data may still come in as usual")
    numerator: str | None = Field(description="Exact decimal; the sum or count above the line")
    denominator: str | None = Field(description="Exact decimal; what it is divided by")
    currency: str | None = Field(None, description="Currency of the figure, where it is money")
    n: int = Field(ge=0, description="Number of events (of the denominator, for a ratio)")
    coverage: Coverage
    group: dict[str, str] = Field(description="Values of the dimensions grouped by; empty without")
    rest: bool = Field(
        False, description="Whether these are all groups beyond the limit, shown as `other`"
    )
    proof: Proof


class Overlap(Wire):
    """Two sources that tell the same kind of fact over the same time."""

    event: str = Field(description="Type of the facts")
    sources: list[str] = Field(min_length=2, description="Who tells them")
    start: date = Field(description="First day that more than one of them tells of")
    end: date = Field(description="Day after the last")
    mend: str = Field(description="What settles it")


class Replay(Known):
    """A metric's figures as known at one basis."""

    metric: str = Field(description="Key of the metric", examples=["win-rate"])
    version: int = Field(ge=1, description="Version of the definition that was used")
    defined_later: bool = Field(description="True when no version was in force at `known_at` yet")
    unit: str = Field(description="Unit of the values", examples=["ratio"])
    additive: bool = Field(
        description="Whether the values of neighbouring periods add up to the value of both"
    )
    values: list[Value] = Field(description="In order of period, then group")
