"""Monte Carlo over the uncertain inputs of a case, seeded: what the worth is likely to be.

Each uncertain input has a stream of random numbers of its own (PCG64, seeded by the seed and the
input's address), so that the same seed gives the same figures whatever else is uncertain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.valuation.domain.assumptions import Assumption, assumptions
from services.valuation.domain.case import Case
from services.valuation.domain.figures import ZERO
from services.valuation.domain.lines import BenefitLine, CostLine, Distribution, currencies
from services.valuation.domain.measured import Measured
from services.valuation.domain.separable import ONE, Floats, Spread, evaluated
from services.valuation.domain.valuation import Valuing, parsed, value
from shared.errors import invalid

# So many draws at a time stay in the processor's cache and bound the memory.
_CHUNK = 4_096
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
    npv, paid = np.empty(draws), np.zeros(model.places + 1, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, draws, _CHUNK):
            part = slice(start, min(start + _CHUNK, draws))
            net = model.net({address: values[part] for address, values in drawn.items()})
            npv[part] = net @ model.discount
            paid += _paid_back(net)
    if not np.isfinite(npv).all() or not np.isfinite(np.square(npv / len(npv)).sum()):
        raise invalid("/uncertain", "What is drawn gives more than can be counted.", "too_large")
    return _summary(npv, np.cumsum(paid)[:-1] / draws, drawn)


def _paid_back(net: Floats) -> npt.NDArray[np.int64]:
    """How many draws have paid back for good from each place of the axis on, and how many never."""
    owing = np.cumsum(net, axis=1) < 0
    places = owing.shape[1]
    last = places - np.argmax(owing[:, ::-1], axis=1)
    last[~owing.any(axis=1)] = 0
    return np.bincount(last, minlength=places + 1)


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
        columns, rows = [np.ones((draws, 1))], [self._fixed]
        rest: list[Floats] = []
        for part in self._parts(drawn):
            if part.rest is None:
                columns.append(np.broadcast_to(part.column, (draws, 1)))
                rows.append(part.row)
            else:
                rest.append(part.rest)
        # What is drawn times what runs over time, for all lines in one product of matrices.
        total = np.hstack(columns) @ np.vstack(rows)
        for spread in rest:
            total += spread
        return total

    def _parts(self, drawn: Mapping[str, Floats]) -> Iterator[Spread]:
        """The flows of every line that is drawn, over all places of the axis."""
        for cost in self._case.costs:
            if self._is_drawn(f"costs/{cost.cost_id}/"):
                yield self._cost(cost, drawn)
        for line in self._benefits:
            if self._is_drawn(f"benefits/{line.benefit_id}/"):
                part = self._benefit(line, drawn)
                if part.rest is None:
                    flows = np.broadcast_to(part.row, (1, self.places - 1))
                    yield Spread(part.column, np.hstack([np.zeros((1, 1)), flows]))
                else:
                    yield Spread(ONE, ONE, np.pad(part.rest, ((0, 0), (1, 0))))

    def _cost(self, cost: CostLine, drawn: Mapping[str, Floats]) -> Spread:
        here = f"costs/{cost.cost_id}"
        moved = -_column(drawn.get(f"{here}/amount"), 1.0)
        risk = drawn.get(f"{here}/risk")
        if risk is not None:
            moved = moved * (1 + _column(risk, 0.0)) / (1 + float(cost.risk))
        if cost.formula is None or not self._is_drawn(f"{here}/inputs/"):
            return Spread(moved, self._costs[cost.cost_id])
        inputs = {}
        for name, source in cost.inputs.items():
            rates = self._rates(currencies(source.unit) - {cost.currency})
            random = drawn.get(f"{here}/inputs/{name}")
            if source.curve is not None:
                stated = [[float(source.stated(n) or 0) for n in range(self.places)]]
                inputs[name] = Spread(_column(random, 1.0), np.array(stated) * rates)
            else:
                inputs[name] = Spread(_column(random, float(source.stated(0) or 0)), rates)
        if not self._work.planned_cost(cost):
            return Spread(moved, np.zeros((1, self.places)))  # As in the plan: it is not known.
        own = self._rates({cost.currency} if cost.currency else set())
        raised = moved * float((1 + cost.risk) * cost.factor)
        found = evaluated(parsed(cost.formula), inputs).times(Spread(raised, own))
        if found.rest is not None:
            return found
        return Spread(found.column, np.broadcast_to(found.row, (1, self.places)))

    def _rates(self, found: Collection[str | None]) -> Floats:
        """What one unit of a foreign currency is worth at each place of the axis; else 1."""
        foreign = [self._work.rates[c] for c in found if c in self._work.rates]
        return np.array([[float(r or 0) for r in foreign[0]]]) if foreign else ONE

    def _benefit(self, line: BenefitLine, drawn: Mapping[str, Floats]) -> Spread:
        here, periods = f"benefits/{line.benefit_id}", self.places - 1
        inputs = {}
        for name in line.inputs:
            plan = line.plan_of(name)
            stated, random = self._work.stated(plan), drawn.get(f"{here}/inputs/{name}")
            if isinstance(stated, list) and plan.curve is None:
                # A single figure in another currency: its rates run over time.
                single = plan.stated(0) or 1
                rates = np.array([[float((x or 0) / single) for x in stated]])
                inputs[name] = Spread(_column(random, float(single)), rates)
            elif isinstance(stated, list):
                figures = np.array([[float(x or 0) for x in stated]])
                inputs[name] = Spread(_column(random, 1.0), figures)
            else:
                inputs[name] = Spread(_column(random, float(stated or 0)), ONE)
        knob = _held(drawn.get(f"{here}/capture"), float(line.capture))
        knob = knob * _held(drawn.get(f"{here}/attribution"), float(self._work.share(line)))
        knob = knob * (1 - _held(drawn.get(f"{here}/risk"), float(self._work.risk(line))))
        knob = knob * (float(line.overlap.share) if line.overlap else 1.0)
        gained = evaluated(parsed(line.formula), inputs)
        gained = gained.times(Spread(-knob if line.negative else knob, ONE))
        last = len(line.adoption) - 1
        ramp = np.array([[float(line.adoption[min(i, last)]) for i in range(periods)]])
        moved = drawn.get(f"{here}/adoption")
        if moved is None:
            found = gained.times(Spread(ONE, ramp))
        else:
            found = gained.times(Spread(ONE, ONE, np.clip(ramp * _column(moved, 1.0), 0.0, 1.0)))
        if found.rest is None:
            return found
        many = (found.rest.shape[0], periods)
        return Spread(ONE, ONE, np.broadcast_to(found.rest, many))


def _held(values: Floats | None, otherwise: float) -> Floats:
    """A knob that was drawn: a share is from 0 to 1, whatever its distribution says."""
    return np.clip(_column(values, otherwise), 0.0, 1.0)


def _column(values: Floats | None, otherwise: float) -> Floats:
    return np.full((1, 1), otherwise) if values is None else values[:, np.newaxis]


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
