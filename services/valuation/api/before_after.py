"""Before and after: each indicator's baseline against what it is since the go-live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from services.valuation.api.asking import Seen, seen
from services.valuation.api.valuations import ValuationBasis
from services.valuation.clients.metrics import Asked, ReplayAnswerRead
from services.valuation.domain.comparing import DEFAULT_KEYS, Span, after_span, limits, ramp_up
from services.valuation.domain.lines import BenefitLine, MetricChange
from services.valuation.domain.valuation import value
from shared.money import Amount, round_money
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Figure, InstantField, Wire
from shared.words import Id

router = make_router("valuations")
Kpis = Annotated[
    list[str] | None,
    Query(
        alias="metric", max_length=20,
        description="Keys of metrics; default: those of the case's benefits, and CAC, CLTV, "
        "conversion and CSAT of the catalogue where they are installed",
    ),
]  # fmt: skip


class Side(Wire):
    """An indicator over some periods."""

    periods: list[str] = Field(description="The periods, oldest first")
    value: Figure | None = Field(
        description="Over all of them together, of what adds up the mean per period; null with a "
        "reason"
    )
    reason: str | None = Field(description="Why there is no value")
    n: int = Field(description="Events that it rests on")
    coverage: Figure | None = Field(description="Share of the promised slots that delivered")


class KpiChange(Wire):
    """An indicator before and after, since one phase's go-live."""

    metric: str = Field(description="Key of the metric")
    unit: str | None = Field(description="Its unit; null where it can't be asked")
    phase: str | None = Field(description="The phase whose go-live divides; null: the initiative's")
    go_live: str | None = Field(description="The day that divides; null where none is stated")
    before: Side = Field(description="The baseline")
    left_out: list[str] = Field(description="Periods of ramp-up, left out")
    after: Side = Field(description="Since then")
    change: Figure | None = Field(description="After less before")
    beyond_noise: bool | None = Field(
        description="Outside the natural limits of the baseline's periods; null below four"
    )
    share: Figure | None = Field(description="Share due to the initiative, by its benefits")
    money: Amount | None = Field(description="What its benefits have realised over these periods")


class BeforeAfter(Wire):
    """Every indicator before and after."""

    case_id: Id = Field(description="The case")
    currency: str = Field(description="Currency of every amount")
    known_at: InstantField = Field(description="The moment of knowledge")
    basis: ValuationBasis = Field(description="What it rests on")
    kpis: list[KpiChange] = Field(description="By metric and phase")


@router.get("/cases/{case_id}/before-after")
def show_before_after(
    case_id: str, reader: Annotated[Reader, Depends(reads("valuation:read"))], metric: Kpis = None
) -> BeforeAfter:
    """Show each indicator before and after the go-live, the share that is due, and its money."""
    return before_after_of(seen(reader, case_id), metric)


def before_after_of(known: Seen, metrics: list[str] | None) -> BeforeAfter:
    """A case's indicators before and after, as known."""
    comparing = _Comparing(known, metrics)
    return BeforeAfter(
        case_id=known.case.case_id, currency=known.case.body.currency, known_at=known.known_at,
        kpis=comparing.kpis(), basis=ValuationBasis.model_validate(known.bases),
    )  # fmt: skip


@dataclass(frozen=True)
class _Pair:
    """An indicator and a go-live that divides its periods."""

    key: str
    phase: str | None
    live: date | None
    span: Span
    line: BenefitLine | None

    @property
    def change(self) -> MetricChange | None:
        """The movement that its benefit turns into money."""
        moves = self.line.movements if self.line else []
        return next((c for c in moves if c.metric == self.key), None)


class _Comparing:
    """The indicators of a case and what metrics says of them, asked together."""

    def __init__(self, known: Seen, metrics: list[str] | None) -> None:
        self._known, self._demanded = known, metrics or []
        self._frozen = {b.baseline_id: b for b in known.measured.baselines}
        self._valued = value(known.case, known.measured)
        self._pairs = self._paired()
        asked = [question for pair in self._pairs for question in self._questions(pair)]
        self._answers = iter(known.world.replay(asked))

    def _paired(self) -> list[_Pair]:
        measured, case = self._known.measured, self._known.case
        own: dict[str, BenefitLine] = {}
        left_out = {x.line_id for x in self._valued.realised.lines if x.left_out is not None}
        # What counts in the totals speaks for its indicator; what does not, only where none does.
        for benefit in sorted(case.benefits, key=lambda b: b.benefit_id in left_out):
            for move in benefit.movements:
                own.setdefault(move.metric, benefit)
        lives = {None: measured.go_live} | {n: d for n, d in measured.phases.items() if d}
        found = []
        for key in dict.fromkeys(self._demanded or [*own, *DEFAULT_KEYS]):
            line = own.get(key)
            phases = [line.phase] if line and line.phase in lives else list(lives)
            for phase in phases:
                ramp, today = ramp_up(line) if line else 0, self._known.known_at.date()
                span = after_span(case.body, lives[phase], ramp, today)
                found.append(_Pair(key, phase, lives[phase], span, line))
        return found

    def _questions(self, pair: _Pair) -> list[Asked]:
        """What is asked of an indicator: its periods before, unless a baseline has them, and after.

        Like is compared with like: the filter and version that a baseline was frozen with.
        """
        change, version = pair.change, None
        if change is not None:
            version = self._frozen[change.baseline_id].version
        where = change.where if change else None
        before = [] if change else [pair.span.before, (pair.span.before_whole,)]
        after = [(pair.span.after_whole,)] if pair.span.after_whole else []
        return [Asked(pair.key, periods, where, version) for periods in (*before, *after)]

    def kpis(self) -> list[KpiChange]:
        """Every indicator; of those by default only what is installed."""
        found = []
        for pair in self._pairs:
            told = [next(self._answers) for _ in self._questions(pair)]
            there = all(answer.replay is not None for answer in told)
            if there or pair.line is not None or pair.key in self._demanded:
                found.append(self._kpi(pair, told))
        return found

    def _kpi(self, pair: _Pair, told: list[ReplayAnswerRead]) -> KpiChange:
        before, ends = self._before(pair, told)
        after = Side(periods=[], value=None, reason="no_period_after", n=0, coverage=None)
        if pair.span.after_whole is not None:
            after = _side(list(pair.span.after), told[-1])
        both = before.value is not None and after.value is not None
        return KpiChange(
            metric=pair.key, phase=pair.phase, before=before, after=after,
            unit=next((t.replay.unit for t in told if t.replay), None),
            go_live=pair.live.isoformat() if pair.live else None, left_out=list(pair.span.ramp),
            change=after.value - before.value if both else None,  # type: ignore[operator]
            beyond_noise=not ends[0] <= after.value <= ends[1]
            if ends and after.value is not None
            else None,
            share=pair.line.attribution.share if pair.line else None, money=self._money(pair),
        )  # fmt: skip

    def _before(
        self, pair: _Pair, told: list[ReplayAnswerRead]
    ) -> tuple[Side, tuple[Decimal, Decimal] | None]:
        """The baseline, and the natural limits of its periods."""
        if pair.change is None:
            singles = [v.value for v in told[0].replay.values] if told[0].replay else []
            ends = limits([v for v in singles if v is not None])
            return _side(list(pair.span.before), told[1]), ends
        frozen = self._frozen[pair.change.baseline_id]
        side = Side(
            periods=frozen.periods, value=frozen.per_period, n=frozen.n, coverage=None,
            reason=None if frozen.value is not None else "unmeasurable",
        )  # fmt: skip
        if frozen.lower is None or frozen.upper is None or frozen.scaled:
            return side, None
        return side, (frozen.lower, frozen.upper)

    def _money(self, pair: _Pair) -> Decimal | None:
        """What the benefits that rest on this change have realised in the periods after."""
        case = self._known.case
        ids = {b.benefit_id for b in case.benefits if pair.key in {c.metric for c in b.movements}}
        if not ids:
            return None
        slots = self._valued.frame.slots
        after = [slot.index for slot in slots if slot.name in pair.span.after]
        if not after:
            return None
        counted = [line for line in self._valued.realised.lines if line.left_out is None]
        lines = [line for line in counted if line.line_id in ids]
        amounts = [line.amounts[index] or Decimal(0) for line in lines for index in after]
        return round_money(sum(amounts, Decimal(0)), case.body.currency)


def _side(periods: list[str], answer: ReplayAnswerRead) -> Side:
    if answer.replay is None:
        return Side(periods=periods, value=None, reason="unknown_metric", n=0, coverage=None)
    (found,) = answer.replay.values
    value_ = found.value
    if value_ is not None and answer.replay.additive:
        value_ /= len(periods)
    return Side(
        periods=periods, value=value_, reason=found.reason, n=found.n,
        coverage=found.coverage.share,
    )  # fmt: skip
