"""Monte Carlo over the uncertain inputs of a case, seeded: what the worth is likely to be.

Each uncertain input has a stream of random numbers of its own (PCG64, seeded by the seed and the
input's address), so that the same seed gives the same figures whatever else is uncertain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.valuation.domain.assumptions import Assumption, assumptions
from services.valuation.domain.case import Case
from services.valuation.domain.figures import ZERO
from services.valuation.domain.lines import BenefitLine, Distribution
from services.valuation.domain.measured import Measured
from services.valuation.domain.schedule import MONTHS
from services.valuation.domain.valuation import Valuing, parsed, value
from shared.expression import Application, Name, Number, Term

Floats = npt.NDArray[np.float64]
# So many draws at a time stay in the processor's cache and bound the memory.
_CHUNK = 8_192
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_BINS = 40


@dataclass(frozen=True)
class Simulated:
    """The distribution of the planned net present value."""

    draws: int
    mean: float
    sd: float
    p_positive: float
    quantiles: dict[float, float]
    paid_back: list[float]
    histogram: list[tuple[float, float, int]]
    shares: dict[str, float]


def simulate(
    case: Case, measured: Measured, spread: Mapping[str, Distribution], *,
    draws: int, seed: int, included: Collection[str] = (),
) -> Simulated:  # fmt: skip
    """Draw the uncertain assumptions and compute the planned case for each draw.

    `spread` gives distributions by address, besides those of the inputs themselves; for a curve or
    an amount of costs it is one of factors. A variance share is the squared correlation of an input
    with the result; what they do not add up to is owed to inputs acting together. `paid_back` is,
    per place of the axis, the share of draws whose cumulative flow is not negative from there on.
    """
    model = Model(case, measured, included, spread)
    drawn = {one.address: draw(model.spread[one.address], one.address, seed, draws)
             for one in model.uncertain}  # fmt: skip
    npv, paid = np.empty(draws), np.zeros(model.places)
    for start in range(0, draws, _CHUNK):
        part = slice(start, min(start + _CHUNK, draws))
        net = model.net({address: values[part] for address, values in drawn.items()})
        npv[part] = net @ model.discount
        reached = np.logical_and.accumulate(np.cumsum(net, axis=1)[:, ::-1] >= 0, axis=1)
        paid += np.count_nonzero(reached[:, ::-1], axis=0)
    return _summary(npv, paid / draws, drawn)


def draw(spread: Distribution, address: str, seed: int, draws: int) -> Floats:
    """Random figures of one distribution."""
    digest = hashlib.sha256(address.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 16, 4)]
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
    low, mode, high = (float(x or 0) for x in (spread.low, spread.mode, spread.high))
    mean, sd = float(spread.mean or 0), float(spread.sd or 0)
    match spread.kind:
        case "triangular":
            return random.triangular(low, mode, high, draws) if low < high else _still(low, draws)
        case "pert":
            if low == high:
                return _still(low, draws)
            rise, fall = 1 + 4 * (mode - low) / (high - low), 1 + 4 * (high - mode) / (high - low)
            return low + (high - low) * random.beta(rise, fall, draws)
        case "uniform":
            return random.uniform(low, high, draws)
        case "normal":
            return random.normal(mean, sd, draws)
        case "lognormal":
            wide = np.log1p((sd / mean) ** 2)
            return random.lognormal(np.log(mean) - wide / 2, np.sqrt(wide), draws)
        case _:
            values = np.array([float(v) for v in spread.values or []])
            weights = np.array(
                [float(w) for w in spread.weights] if spread.weights else [1.0] * len(values)
            )
            at = np.searchsorted(np.cumsum(weights / weights.sum()), random.random(draws), "right")
            return np.asarray(values[np.minimum(at, len(values) - 1)])


def _still(figure: float, draws: int) -> Floats:
    return np.full(draws, figure)


class Model:
    """A planned case as arrays: (draws, 1) for what is drawn, (1, periods) for curves."""

    def __init__(
        self, case: Case, measured: Measured, included: Collection[str],
        spread: Mapping[str, Distribution],
    ) -> None:  # fmt: skip
        self._work = Valuing(case, measured, included)
        self._case = case
        known = assumptions(case)
        own = {
            one.address: one.input.distribution
            for one in known
            if one.input is not None and one.input.distribution is not None
        }
        self.spread: dict[str, Distribution] = {**own, **spread}
        self.uncertain: list[Assumption] = [a for a in known if a.address in self.spread]
        plan = value(case, measured, included).plan
        counted = {line.line_id for line in plan.lines if line.left_out is None}
        self._benefits = [b for b in case.benefits if b.benefit_id in counted]
        self.places = len(self._work.slots)
        exact = case.body.convention == "exact_dates"
        self.discount = np.array([float(f) for f in self._work.frame.places])
        self.months = MONTHS[case.body.grain]
        self._costs = {c.cost_id: self._cost_array(c.cost_id, exact) for c in case.costs}
        self._fixed = self._fixed_net()

    def _cost_array(self, identity: str, exact: bool) -> Floats:
        line = next(c for c in self._case.costs if c.cost_id == identity)
        amounts = [ZERO] * self.places
        for flow in self._work.planned_cost(line):
            # A dated flow is moved to the end of its period at the same present value.
            factor = self._work.frame.factor(flow) / self._work.frame.places[flow.slot]
            amounts[flow.slot] += flow.amount * (factor if exact else 1)
        return np.array([[float(a) for a in amounts]])

    def _fixed_net(self) -> Floats:
        """What no draw moves: computed once."""
        total = np.zeros((1, self.places))
        for identity, amounts in self._costs.items():
            if not self._is_drawn(f"costs/{identity}/"):
                total -= amounts
        for line in self._benefits:
            if not self._is_drawn(f"benefits/{line.benefit_id}/"):
                exact = [float(a or 0) for a in self._work.planned_benefit(line)]
                total += np.array([exact])
        return total

    def _is_drawn(self, prefix: str) -> bool:
        return any(one.address.startswith(prefix) for one in self.uncertain)

    def net(self, drawn: Mapping[str, Floats]) -> Floats:
        """Net flows per draw and place of the axis."""
        draws = len(next(iter(drawn.values()))) if drawn else 1
        total = np.repeat(self._fixed, draws, axis=0)
        for cost in self._case.costs:
            here = f"costs/{cost.cost_id}"
            if not self._is_drawn(f"{here}/"):
                continue
            moved = _column(drawn.get(f"{here}/amount"), 1.0)
            risk = drawn.get(f"{here}/risk")
            if risk is not None:
                moved = moved * (1 + _column(risk, 0.0)) / (1 + float(cost.risk))
            total -= self._costs[cost.cost_id] * moved
        for line in self._benefits:
            if self._is_drawn(f"benefits/{line.benefit_id}/"):
                total[:, 1:] += self._benefit(line, drawn)
        return total

    def _benefit(self, line: BenefitLine, drawn: Mapping[str, Floats]) -> Floats:
        here, periods = f"benefits/{line.benefit_id}", self.places - 1
        inputs = {}
        for name in line.inputs:
            plan, random = line.plan_of(name), drawn.get(f"{here}/inputs/{name}")
            if plan.curve is not None:
                stated = [float(plan.stated(i) or 0) for i in range(periods)]
                inputs[name] = np.array([stated]) * _column(random, 1.0)
            else:
                inputs[name] = _column(random, float(plan.stated(0) or 0))
            if (rates := self._work.exchanged(plan).rates) is not None:
                inputs[name] = inputs[name] * np.array([[float(r or 0) for r in rates[1:]]])
        gained = _evaluated(parsed(line.formula), inputs)
        knob = _column(drawn.get(f"{here}/capture"), float(line.capture))
        knob = knob * _column(drawn.get(f"{here}/attribution"), float(self._work.share(line)))
        knob = knob * (1 - _column(drawn.get(f"{here}/risk"), float(self._work.risk(line))))
        knob = knob * (float(line.overlap.share) if line.overlap else 1.0)
        last = len(line.adoption) - 1
        ramp = np.array([[float(line.adoption[min(i, last)]) for i in range(periods)]])
        if f"{here}/adoption" in drawn:
            ramp = np.minimum(1.0, ramp * _column(drawn[f"{here}/adoption"], 1.0))
        return np.asarray((gained * (-knob if line.negative else knob)) * ramp)


def _column(values: Floats | None, otherwise: float) -> Floats:
    return np.full((1, 1), otherwise) if values is None else values[:, np.newaxis]


def _evaluated(term: Term, inputs: Mapping[str, Floats]) -> Floats:
    """A formula over arrays; what is divided by zero counts as nothing."""
    match term:
        case Number(value=number):
            return np.full((1, 1), float(number))
        case Name(name=name):
            return inputs[name]
        case Application(function=function, arguments=arguments):
            found = [_evaluated(argument, inputs) for argument in arguments]
            if function == "abs":
                return np.abs(found[0])
            joined = found[0]
            for other in found[1:]:
                joined = (
                    np.minimum(joined, other) if function == "min" else np.maximum(joined, other)
                )
            return joined
        case _:
            left, right = _evaluated(term.left, inputs), _evaluated(term.right, inputs)
    if term.operator == "/":
        return np.divide(left, right, out=np.zeros(np.broadcast_shapes(left.shape, right.shape)),
                         where=right != 0)  # fmt: skip
    if term.operator == "*":
        return left * right
    return left + right if term.operator == "+" else left - right


def _summary(npv: Floats, paid: Floats, drawn: Mapping[str, Floats]) -> Simulated:
    centred = npv - npv.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    quantiles = np.quantile(npv, QUANTILES)
    counts, edges = np.histogram(npv, bins=_BINS) if spread else (np.array([len(npv)]), npv[:2])
    if not spread:
        edges = np.array([npv[0], npv[0]])
    return Simulated(
        draws=len(npv), mean=figure(npv.mean()), sd=figure(spread),
        p_positive=float(np.count_nonzero(npv > 0)) / len(npv),
        quantiles={q: figure(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        paid_back=[float(share) for share in paid],
        histogram=[
            (figure(edges[n]), figure(edges[n + 1]), int(count)) for n, count in enumerate(counts)
        ],
        shares={a: _share(values, centred, spread) for a, values in drawn.items()},
    )  # fmt: skip


def _share(values: Floats, centred: Floats, spread: float) -> float:
    own = values - values.mean()
    width = float(np.sqrt(np.mean(own**2)))
    if not width or not spread:
        return 0.0
    return figure((float(np.mean(own * centred)) / (width * spread)) ** 2)


def figure(number: float) -> float:
    """Ten significant digits: what machines that add in another order still agree on."""
    return float(f"{float(number):.10g}")
