"""A case computed: planned, realised and outlook, each by its own formula."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

from services.valuation.domain.case import Case
from services.valuation.domain.figures import ZERO, Figures, Frame, Line, figures
from services.valuation.domain.finance import PRECISION
from services.valuation.domain.guards import note_weaknesses, overlapping
from services.valuation.domain.lines import BenefitLine, CostLine, Input, currencies
from services.valuation.domain.measured import Measured, combined
from services.valuation.domain.schedule import (
    MOST,
    Flow,
    Slot,
    planned_flows,
    reaches_beyond,
    slots_of,
)
from shared.expression import FormulaError, Term, columns, evaluate, parse

# A figure for every period, or one per period; None where it is not known.
Column = Decimal | list[Decimal | None] | None
Finding = tuple[str, dict[str, Any]]


@lru_cache(maxsize=2_000)
def parsed(formula: str) -> Term:
    """The tree of a formula that was checked when it was saved."""
    return parse(formula)


@dataclass
class Valued:
    """The three valuations of a case, and what was noticed on the way."""

    plan: Figures
    realised: Figures
    outlook: Figures
    frame: Frame
    elapsed: int
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Valuing:
    """A case under valuation: its axis, what was measured, and what is noticed.

    `included` names what stands apart by default and shall count: `soft_time`, `unverified`.
    """

    case: Case
    measured: Measured
    included: Collection[str] = ()
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = slots_of(self.case.body)
        self.frame = Frame(self.case.body, self.slots, self.measured.go_live)
        self.periods = len(self.slots) - 1
        # What was measured for another axis, as between two valuations, is fitted to this one.
        self.elapsed = min(self.measured.elapsed, self.periods)
        self.rates = {
            currency: [*found[: len(self.slots)], *found[-1:] * (len(self.slots) - len(found))]
            for currency, found in self.measured.rates.items()
        }

    def note(self, code: str, **params: Any) -> None:
        """Keep a finding, once."""
        if (code, params) not in self.findings:
            self.findings.append((code, params))

    # --- costs

    def planned_cost(self, line: CostLine) -> list[Flow]:
        """A cost as planned; nothing where its currency's rate is not known."""
        rates = None
        if line.currency not in (None, self.case.body.currency):
            rates = self.rates.get(str(line.currency), [None] * len(self.slots))
        on_days = self.measured.day_rates.get(line.currency or "")
        flows = planned_flows(line, self.slots, rates, self.rates, on_days)
        if flows is None:
            self.note("cost_unknown", cost=line.name)
            return []
        if reaches_beyond(line, self.slots):
            self.note("cost_outside", cost=line.name)
        return flows

    def actual_cost(self, line: CostLine, planned: Sequence[Flow]) -> list[Flow]:
        """What was booked replaces the plan of its item and period; the day is the place's last."""
        booked: dict[int, Decimal] = {}
        for name in (line.cost_id, line.name):
            for place, amount in self.measured.actuals.get(name, {}).items():
                if place < len(self.slots):
                    booked[place] = booked.get(place, ZERO) + amount
        if 0 in booked and not any(flow.slot == 0 for flow in planned) and self.periods:
            # What is booked on the first day belongs to its period where nothing was due before.
            booked[1] = booked.get(1, ZERO) + booked.pop(0)
        kept = [flow for flow in planned if flow.slot not in booked]
        return kept + [Flow(at, self.slots[at].end, amount) for at, amount in booked.items()]

    def cost_line(self, line: CostLine, flows: list[Flow], variance: Decimal | None) -> Line:
        """A cost as a line of the result."""
        amounts: list[Decimal | None] = [ZERO] * len(self.slots)
        for flow in flows:
            amounts[flow.slot] = (amounts[flow.slot] or ZERO) + flow.amount
        return Line(
            line.cost_id, line.name, "cost", line.category, line.phase, None, amounts,
            self.slots, flows, None, variance,
        )  # fmt: skip

    # --- benefits

    def share(self, line: BenefitLine) -> Decimal:
        """The share due to this initiative: as stated, or as its goal's owner acknowledged it."""
        if line.attribution.source == "goal" and line.goal_id is not None:
            acknowledged = self.measured.shares.get(line.goal_id)
            if acknowledged is not None:
                return acknowledged
            self.note("share_unknown", benefit=line.name)
        return line.attribution.share

    def risk(self, line: BenefitLine) -> Decimal:
        """The risk of a line: as stated, or from the open obstacles of its goal."""
        if line.risk_source == "obstacles":
            open_ones = self.measured.obstacles.get(line.goal_id or "", [])
            return combined(obstacle.left for obstacle in open_ones)
        return line.risk

    def knobs(self, line: BenefitLine) -> Decimal:
        """What planned and realised money are both multiplied with."""
        split = line.overlap.share if line.overlap is not None else Decimal(1)
        sign = -1 if line.negative else 1
        return sign * split * line.capture * self.share(line)

    def planned_benefit(self, line: BenefitLine) -> list[Decimal | None]:
        """model(expected change) x adoption x capture x attribution x (1 - risk)."""
        knobs = self.knobs(line) * (1 - self.risk(line))
        model = self._modelled(line, {n: self.stated(line.plan_of(n)) for n in line.inputs})
        ramp = [share * knobs for share in line.adoption[: self.periods]]
        ramp += [ramp[-1]] * (self.periods - len(ramp))
        return [ZERO, *(None if m is None else m * r for m, r in zip(model, ramp, strict=True))]

    def realised_benefit(self, line: BenefitLine) -> list[Decimal | None]:
        """model(measured change) x capture x attribution; adoption and risk are in it already."""
        if not any(source.is_measured for source in line.inputs.values()):
            self.note("not_measured", benefit=line.name)
            return [ZERO, *[None] * self.periods]
        elapsed, seen = self.elapsed, self.measured.inputs.get(line.benefit_id, {})
        found = {
            name: self._seen(seen.get(name, [])) if source.is_measured else self.stated(source)
            for name, source in line.inputs.items()
        }
        gaps = {n: c for n, c in found.items() if isinstance(c, list) and None in c[:elapsed]}
        for index in range(elapsed if gaps else 0):
            missing = sorted(name for name, column in gaps.items() if column[index] is None)
            if missing:
                period = self.slots[index + 1].name
                self.note(
                    "input_missing", benefit=line.name, inputs=", ".join(missing), period=period
                )
        model, knobs = self._modelled(line, found, elapsed), self.knobs(line)
        amounts = [None if m is None else m * knobs for m in model]
        return [ZERO, *amounts, *[None] * (self.periods - elapsed)]

    def _seen(self, figures_: Sequence[Decimal | None]) -> list[Decimal | None]:
        """Measured figures of the periods that are over; what was not asked for is not known."""
        kept = list(figures_[: self.elapsed])
        return kept + [None] * (self.elapsed - len(kept))

    def stated(self, source: Input) -> Column:
        """A stated input in the case's currency: one figure, or one per period."""
        foreign = self._foreign(source)
        if source.curve is None and not foreign:
            return source.stated(0)
        curve = source.curve or [source.stated(0) or ZERO]
        figures_: list[Decimal | None] = [*curve[: self.periods]]
        figures_ += [figures_[-1]] * (self.periods - len(figures_))
        if not foreign:
            return figures_
        rates = self.rates[foreign.pop()][1:]
        if None in rates:
            self.note("rate_unknown", unit=source.unit)
        return [
            None if f is None or r is None else f * r for f, r in zip(figures_, rates, strict=False)
        ]

    def _foreign(self, source: Input) -> set[str]:
        """The currency that an input is stated in, where it is not the case's."""
        if not self.rates or not source.unit:
            return set()
        return currencies(source.unit) & self.rates.keys()

    def _modelled(
        self, line: BenefitLine, found: Mapping[str, Column], length: int | None = None
    ) -> list[Decimal | None]:
        """The formula for each period; None where an input is not known or it divides by zero."""
        many = self.periods if length is None else length
        if any(column is None for column in found.values()):
            return [None] * many
        gaps = [c for c in found.values() if isinstance(c, list) and None in c]
        at = [i for i in range(many) if not any(c[i] is None for c in gaps)]
        rows: dict[str, Decimal | list[Decimal]] = {}
        for name, column in found.items():
            if isinstance(column, list):
                rows[name] = [x for i in at if (x := column[i]) is not None]
            elif column is not None:
                rows[name] = column
        if not at:
            return [None] * many
        values: list[Decimal | None] = [None] * many
        for index, figure in zip(at, self._rows(line, rows, len(at)), strict=True):
            values[index] = figure
        return values

    def _rows(
        self, line: BenefitLine, rows: Mapping[str, Decimal | list[Decimal]], many: int
    ) -> Sequence[Decimal | None]:
        term = parsed(line.formula)
        try:
            found_ = columns(term, rows, many)
            if max(map(abs, found_)) <= MOST:
                return found_
            self.note("too_large", benefit=line.name)
            return [None] * many
        except FormulaError as error:
            self.note("not_computable", benefit=line.name, why=str(error))
        found: list[Decimal | None] = []
        for place in range(many):
            row = {n: c[place] if isinstance(c, list) else c for n, c in rows.items()}
            try:
                found.append(evaluate(term, row, Decimal))
            except FormulaError:
                found.append(None)
        return found

    def benefit_line(
        self, line: BenefitLine, amounts: list[Decimal | None], unsplit: Collection[str]
    ) -> Line:
        """A benefit as a line of the result, due on the last day of each period."""
        return Line(
            line.benefit_id, line.name, "benefit", line.category, line.phase, line.audience,
            amounts, self.slots, None, self._left_out(line, unsplit),
        )  # fmt: skip

    def _left_out(self, line: BenefitLine, unsplit: Collection[str]) -> str | None:
        if line.status == "withdrawn" or line.category == "non_financial":
            return "withdrawn" if line.status == "withdrawn" else "non_financial"
        if line.benefit_id in unsplit:
            return "overlap"
        return line.apart if line.apart not in self.included else None


def value(case: Case, measured: Measured, included: Collection[str] = ()) -> Valued:
    """Compute a case from its lines and what was measured."""
    with localcontext(PRECISION):
        work = Valuing(case, measured, included)
        unsplit = overlapping(case, measured, included)
        length, reached = len(work.slots), work.elapsed + 1
        planned_costs = {c.cost_id: work.planned_cost(c) for c in case.costs}
        planned = {b.benefit_id: work.planned_benefit(b) for b in case.benefits}
        realised = {b.benefit_id: work.realised_benefit(b) for b in case.benefits}
        expected = {
            b: [r if r is not None else p for r, p in zip(realised[b], planned[b], strict=True)]
            for b in planned
        }
        actual = {c.cost_id: work.actual_cost(c, planned_costs[c.cost_id]) for c in case.costs}
        variances = {
            c: _until(actual[c], reached) - _until(planned_costs[c], reached) for c in actual
        }

        def series(
            costs: Mapping[str, list[Flow]], gains: Mapping[str, list[Decimal | None]], upto: int
        ) -> Figures:
            told = costs is actual
            lines = [
                work.cost_line(c, costs[c.cost_id], variances[c.cost_id] if told else None)
                for c in case.costs
            ] + [work.benefit_line(b, gains[b.benefit_id], unsplit) for b in case.benefits]
            return figures(lines, work.frame, upto)

        plan = series(planned_costs, planned, length)
        done = series(actual, realised, reached)
        outlook = series(actual, expected, length)
        note_weaknesses(work.note, case, measured, plan, unsplit)
    return Valued(plan, done, outlook, work.frame, work.elapsed, work.findings)


def _until(flows: Sequence[Flow], reached: int) -> Decimal:
    return sum((flow.amount for flow in flows if flow.slot < reached), ZERO)


def elapsed_on(slots: Sequence[Slot], today: date) -> int:
    """The number of periods that are over on a day."""
    return sum(slot.end <= today for slot in slots[1:])
