"""The value report of a case, as JSON, as a page and as charts on their own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from services.valuation.api.asking import Included, ScenarioKey, Seen, seen
from services.valuation.api.before_after import KpiChange, before_after_of
from services.valuation.api.drawing import png, svg
from services.valuation.api.figures import FiguresShown
from services.valuation.api.pages import report_page
from services.valuation.api.uncertainty import (
    Sensitivity,
    SimulationAsked,
    SimulationShown,
    sensitivity_of,
    simulation_of,
)
from services.valuation.api.valuations import Valuation, valuation_of
from services.valuation.clients.goals import ScoredGoal, V2momRead
from services.valuation.domain import charts
from services.valuation.domain.assumptions import assumptions
from services.valuation.domain.case import BASE
from services.valuation.domain.charts import NAMES, ChartName, Spec
from services.valuation.domain.measured import Baseline, Proof
from services.valuation.domain.texts import sentence
from shared.chain import canonical_json
from shared.clock import format_instant
from shared.errors import NOT_FOUND
from shared.language import current_language
from shared.web.routes import router as make_router
from shared.web.runtime import Reader, reads
from shared.web.wire import Wire

router = make_router("reports")
WIDEST = 12
_KEPT = 64
HTML = "text/html"


class ReportBaseline(Wire):
    """A frozen baseline that figures of the report are measured against."""

    id: str = Field(description="Id of the baseline, in metrics")
    metric: str = Field(description="Key of the metric")
    version: int = Field(description="Version of its definition")
    value: str | None = Field(description="Its value, exact")
    periods: list[str] = Field(description="Its periods")
    basis: str = Field(description="Basis that it was frozen from")


class ReportProof(Wire):
    """A measured figure, with what it was computed from."""

    metric: str = Field(description="Key of the metric")
    version: int = Field(description="Version of its definition")
    period: str = Field(description="The period")
    value: str | None = Field(description="The figure, exact")
    n: int = Field(description="Events that it rests on")
    reason: str | None = Field(description="Why there is none")


class ReportGoal(Wire):
    """A goal of the initiative and where it stands."""

    title: str = Field(description="What is to become true")
    status: str = Field(description="Where it stands")
    because: list[str] = Field(description="Why")


class ReportV2mom(Wire):
    """What the initiative is for."""

    period: str = Field(description="When it holds")
    vision: str = Field(description="What is to become true")
    values: list[str] = Field(description="What matters, ranked")
    methods: list[str] = Field(description="What is done, ranked")


class Report(Wire):
    """The value report of a case."""

    title: str = Field(description="Name of the case")
    initiative: str = Field(description="Name of the initiative")
    valuation: Valuation = Field(description="Headline, cash flow, cost of ownership, findings")
    v2mom: ReportV2mom | None = Field(description="What it is for; null where none was stated")
    goals: list[ReportGoal] = Field(description="The scorecard's goals")
    before_after: list[KpiChange] = Field(description="Indicators before and after")
    sensitivity: Sensitivity = Field(description="The widest swings")
    simulation: SimulationShown | None = Field(
        description="10,000 draws with seed 1; null where no input has a distribution"
    )
    baselines: list[ReportBaseline] = Field(description="What changes are measured against")
    proofs: list[ReportProof] = Field(description="What was measured, and from how much")


class _Kept:
    """Reports by what they rest on: what was computed once is not computed again."""

    def __init__(self) -> None:
        self._lock, self._found = Lock(), dict[str, Report]()

    def get(self, key: str, make: Callable[[], Report]) -> Report:
        with self._lock:
            found = self._found.get(key)
        if found is None:
            found = make()
            with self._lock:
                self._found[key] = found
                while len(self._found) > _KEPT:
                    del self._found[next(iter(self._found))]
        return found


_kept = _Kept()


@router.get("/cases/{case_id}/report", responses={200: {"content": {HTML: {}}}})
def show_report(
    case_id: str, request: Request, reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: ScenarioKey = BASE, include: Included = None,
    media: Annotated[
        Literal["json", "html"] | None,
        Query(alias="format", description="Or say it by `Accept`; default: json"),
    ] = None,
) -> Report:  # fmt: skip
    """Show the value report: as JSON, or as a page that prints and works without scripts.

    The page is answered for `format=html` or `Accept: text/html`, in the language that
    `Accept-Language` likes best of English, Swedish, French and Russian.
    """
    known = seen(reader, case_id, scenario)
    report = _report(reader, known, list(include or ()))
    if media == "html" or (media is None and HTML in request.headers.get("accept", "")):
        return report_page(report, drawn(report), current_language.get())  # type: ignore[return-value]
    return report


@router.get("/cases/{case_id}/charts/{name}", response_model=None)
def draw_chart(
    case_id: str, name: ChartName, request: Request,
    reader: Annotated[Reader, Depends(reads("valuation:read"))],
    scenario: ScenarioKey = BASE, include: Included = None,
    media: Annotated[
        Literal["vega", "svg", "png"] | None,
        Query(alias="format", description="Or say it by `Accept`; default: vega"),
    ] = None,
) -> Response:  # fmt: skip
    """Draw a chart of a case: as Vega-Lite specification, SVG or PNG."""
    known = seen(reader, case_id, scenario)
    spec = specs(_report(reader, known, list(include or ()))).get(name)
    if spec is None:
        raise NOT_FOUND.refusal(f"The case has no {name}: none of its inputs has a distribution.")
    accepted = request.headers.get("accept", "")
    if media == "svg" or (media is None and "image/svg+xml" in accepted):
        return Response(svg(spec, current_language.get()), media_type="image/svg+xml")
    if media == "png" or (media is None and "image/png" in accepted):
        return Response(png(spec, current_language.get()), media_type="image/png")
    return Response(canonical_json(spec), media_type="application/json")


def _report(reader: Reader, known: Seen, included: list[str]) -> Report:
    """The report, computed once per basis of the three ledgers, language and question."""
    known.measured  # noqa: B018 - asked first, since it settles the bases
    resting: dict[str, Any] = {
        "tenant": str(reader.tenant_id), "bases": known.bases, "case": known.case.case_id,
        "scenario": known.scenario, "included": included, "language": current_language.get(),
        "day": known.known_at.date().isoformat(),
    }  # fmt: skip
    report = _kept.get(canonical_json(resting), lambda: _made(known, included))
    valuation = report.valuation.model_copy(update={"known_at": known.known_at})
    return report.model_copy(update={"valuation": valuation})


def _made(known: Seen, included: list[str]) -> Report:
    world, case = known.world, known.case
    initiative_id = case.body.initiative_id
    at = world.known(world.goals_basis)
    uncertain = any(a.input and a.input.distribution for a in assumptions(case))
    sensitivity = sensitivity_of(known, included)
    return Report.model_construct(
        title=case.body.name,
        initiative=world.goals.initiative(world.credential, initiative_id, at).initiative.name,
        valuation=valuation_of(known, included),
        v2mom=_v2mom(world.goals.v2moms(world.credential, initiative_id, at)),
        goals=[
            _goal(one)
            for one in world.goals.scorecard(
                world.credential,
                initiative_id,
                {"known_at": format_instant(known.known_at)},
                world.metrics_basis,
            )
        ],
        before_after=before_after_of(known, None).kpis,
        sensitivity=sensitivity.model_copy(update={"swings": sensitivity.swings[:WIDEST]}),
        simulation=simulation_of(known, SimulationAsked(), {}, included) if uncertain else None,
        baselines=[_baseline(one) for one in known.measured.baselines],
        proofs=[_proof(one) for one in known.measured.proofs],
    )


def _v2mom(found: list[V2momRead]) -> ReportV2mom | None:
    if not found:
        return None
    last = found[-1]
    return ReportV2mom(
        period=last.period, vision=last.vision, values=last.values,
        methods=[method.text for method in last.methods],
    )  # fmt: skip


def _goal(one: ScoredGoal) -> ReportGoal:
    return ReportGoal(
        title=one.goal.title, status=one.progress.status,
        because=[text.text for text in one.progress.because],
    )  # fmt: skip


def _baseline(one: Baseline) -> ReportBaseline:
    return ReportBaseline(
        id=one.baseline_id, metric=one.metric, version=one.version, periods=one.periods,
        value=None if one.value is None else format(one.value, "f"), basis=one.basis,
    )  # fmt: skip


def _proof(one: Proof) -> ReportProof:
    return ReportProof(
        metric=one.metric, version=one.version, period=one.period, n=one.n, reason=one.reason,
        value=None if one.value is None else format(one.value, "f"),
    )  # fmt: skip


def specs(report: Report) -> dict[ChartName, Spec]:
    """The charts of a report; the distribution only where inputs have one."""
    plan, outlook = report.valuation.plan, report.valuation.outlook
    currency = report.valuation.currency

    def words(code: str) -> str:
        return sentence(code, {})

    def rows(items: list[Any]) -> list[Spec]:
        return [item.model_dump() for item in items]

    def flows(found: FiguresShown) -> list[Spec]:
        """The cash flow, of which the first place is named in words."""
        first, *others = rows(found.cash_flow)
        return [{**first, "period": words("page_initial")}, *others]

    series = [("chart_plan", flows(plan)), ("chart_outlook", flows(outlook))]
    npv = float(report.sensitivity.npv)
    found: dict[ChartName, Spec] = {
        "cash-flow": charts.cash_flow(flows(outlook), currency, words),
        "cumulative": charts.cumulative(series, currency, words),
        "tornado": charts.tornado(rows(report.sensitivity.swings), npv, currency, words),
        "tco": charts.tco(rows(outlook.ownership.by_category), currency, words),
    }
    if report.simulation is not None:
        bins = rows(report.simulation.histogram)
        found["distribution"] = charts.distribution(bins, currency, words)
    return found


def drawn(report: Report) -> dict[str, str]:
    """The charts of a report as SVG, in the order of the page."""
    found = specs(report)
    return {name: svg(found[name], current_language.get()) for name in NAMES if name in found}
