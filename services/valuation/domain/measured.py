"""What the world says of a case: measured figures, booked costs, rates, shares and obstacles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from pydantic import Field

from services.valuation.domain.lines import Exact, Value


class Obstacle(Value):
    """An open obstacle of a goal, with the part of the benefit that it may cost.

    `chance` is likelihood times impact as fractions, `left` what the mitigations that are done
    leave of it, and `possible` what all of them would leave.
    """

    factor_id: str
    text: str
    chance: Exact
    left: Exact
    possible: Exact
    cost_lines: list[str] = Field(default_factory=list)


class Proof(Value):
    """A figure that an input was read from: what was asked, and what it was computed from."""

    metric: str
    version: int
    period: str
    value: Exact | None
    numerator: Exact | None = None
    denominator: Exact | None = None
    n: int = 0
    reason: str | None = None


class Baseline(Value):
    """A frozen baseline that a change is measured against.

    `per_period` is what it amounts to in a period as long as the case's; `scaled` says that this
    is another figure, so that limits of the baseline's own periods say nothing of it.
    """

    baseline_id: str
    metric: str
    version: int
    value: Exact | None
    basis: str
    periods: list[str] = Field(default_factory=list)
    n: int = 0
    lower: Exact | None = None
    upper: Exact | None = None
    per_period: Exact | None = None
    scaled: bool = False


class Measured(Value):
    """Everything that a valuation takes from other services.

    `inputs[benefit][input][index]` is None where there is no figure; `actuals[item][place]` is
    there only where something was booked. `elapsed` is the number of periods that are over.
    `shares` are acknowledged shares and `obstacles` open obstacles, by goal. `rates[currency]` is
    what one unit was worth in the case's currency per place of the axis, `day_rates[currency]` the
    same on the days on which costs are paid.
    """

    inputs: dict[str, dict[str, list[Exact | None]]] = Field(default_factory=dict)
    actuals: dict[str, dict[int, Exact]] = Field(default_factory=dict)
    elapsed: int = 0
    shares: dict[str, Exact] = Field(default_factory=dict)
    obstacles: dict[str, list[Obstacle]] = Field(default_factory=dict)
    rates: dict[str, list[Exact | None]] = Field(default_factory=dict)
    day_rates: dict[str, dict[date, Exact | None]] = Field(default_factory=dict)
    go_live: date | None = None
    phases: dict[str, date | None] = Field(default_factory=dict)
    related: list[tuple[str, str]] = Field(default_factory=list)
    proofs: list[Proof] = Field(default_factory=list)
    baselines: list[Baseline] = Field(default_factory=list)
    findings: list[tuple[str, dict[str, str]]] = Field(default_factory=list)


def combined(chances: Iterable[Decimal]) -> Decimal:
    """The risk of a line from the chances of its obstacles: 1 - product(1 - p x i)."""
    kept = Decimal(1)
    for one in chances:
        kept *= 1 - one
    return 1 - kept
