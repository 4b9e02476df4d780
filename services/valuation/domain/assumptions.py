"""Assumptions of a case by address, so that scenarios, tornado and simulation can move them.

An address is `discount_rate`, `costs/ID/amount`, `costs/ID/risk`, `costs/ID/inputs/NAME`,
`benefits/ID/inputs/NAME`, `benefits/ID/adoption`, `.../capture`, `.../attribution` or `.../risk`.
A line is named by its id or its name. An amount of costs and an adoption are moved by a factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.valuation.domain.case import BASE, Case, CaseBody, Override
from services.valuation.domain.lines import BenefitLine, CostLine, Input
from shared.errors import invalid
from shared.ids import did_you_mean

_ONE = Decimal(1)
# Beyond these a yearly rate, or what a risk adds to a cost, makes no sense.
LEAST_RATE, MOST_RATE = Decimal("-0.5"), Decimal(10)
MOST_COST_RISK = Decimal(10)
_KNOBS = ("adoption", "capture", "attribution", "risk")
_SHARES = {"adoption", "capture", "attribution", "risk"}


@dataclass(frozen=True)
class Assumption:
    """An assumption with its address, its words, and its present figure.

    The figure is 1 where the assumption is moved by a factor (curves and amounts of costs).
    `input` is the stated input, for those that are inputs.
    """

    address: str
    label: str
    figure: Decimal
    relative: bool
    input: Input | None = None

    @property
    def bounds(self) -> tuple[Decimal | None, Decimal | None]:
        """Between which figures it makes sense."""
        if self.address == "discount_rate":
            return LEAST_RATE, MOST_RATE
        if self.address.startswith("costs/") and self.input is None:
            return Decimal(0), MOST_COST_RISK if self.address.endswith("/risk") else None
        if self.address.rpartition("/")[2] in _SHARES and self.input is None:
            return Decimal(0), _ONE if not self.relative else None
        return None, None


def assumptions(case: Case) -> list[Assumption]:
    """All assumptions of a case, in the order of its lines."""
    found = [Assumption("discount_rate", "discount_rate", case.body.discount_rate, False)]
    for cost in case.costs:
        here = f"costs/{cost.cost_id}"
        found.append(Assumption(f"{here}/amount", cost.name, _ONE, True))
        if cost.risk:
            found.append(Assumption(f"{here}/risk", f"{cost.name}: risk", cost.risk, False))
        found += [_of_input(here, cost.name, name, i) for name, i in cost.inputs.items()]
    for line in case.benefits:
        found += _of_benefit(line)
    return found


def _of_benefit(line: BenefitLine) -> list[Assumption]:
    here = f"benefits/{line.benefit_id}"
    found = [_of_input(here, line.name, name, line.plan_of(name)) for name in line.inputs]
    if line.adoption != [_ONE]:
        found.append(Assumption(f"{here}/adoption", f"{line.name}: adoption", _ONE, True))
    stated = {"capture": line.capture, "attribution": line.attribution.share, "risk": line.risk}
    for name, figure in stated.items():
        if name != "risk" or line.risk_source == "stated":
            found.append(Assumption(f"{here}/{name}", f"{line.name}: {name}", figure, False))
    return found


def _of_input(here: str, line: str, name: str, plan: Input) -> Assumption:
    relative = plan.curve is not None
    figure = _ONE if relative else plan.stated(0) or Decimal(0)
    return Assumption(f"{here}/inputs/{name}", f"{line}: {name}", figure, relative, plan)


def by_identity(case: Case, of: str) -> str:
    """An address that names its line by the id, which stays when the line is named otherwise."""
    named = {f"costs/{c.name}/": f"costs/{c.cost_id}/" for c in case.costs}
    named |= {f"benefits/{b.name}/": f"benefits/{b.benefit_id}/" for b in case.benefits}
    held = [name for name in named if of.startswith(name)]
    # One line's name may begin another's.
    name = max(held, key=len, default="")
    return named.get(name, "") + of.removeprefix(name)


def standing(case: Case, overrides: Sequence[Override]) -> list[Override]:
    """The overrides whose lines are still there; of a line that was withdrawn nothing moves."""
    lines = {f"costs/{c.cost_id}/" for c in case.costs}
    lines |= {f"benefits/{b.benefit_id}/" for b in case.benefits}
    return [
        one
        for one in overrides
        if "/" not in one.of or by_identity(case, one.of).startswith(tuple(lines))
    ]


def in_scenario(case: Case, key: str, shares: Mapping[str, Decimal]) -> Case:
    """The case in one of its scenarios, with the shares that goals acknowledge."""
    stated = with_shares(case, shares)
    if key == BASE:
        return stated
    return overridden(stated, standing(stated, stated.scenario(key).overrides))


def with_shares(case: Case, shares: Mapping[str, Decimal]) -> Case:
    """The case with the shares that its goals' owners acknowledge, where it goes by them."""
    benefits = []
    for line in case.benefits:
        share = shares.get(line.goal_id or "")
        if line.attribution.source == "goal" and share is not None:
            stated = line.attribution.model_copy(update={"share": share})
            line = line.model_copy(update={"attribution": stated})
        benefits.append(line)
    return case.model_copy(update={"benefits": benefits})


def overridden(case: Case, overrides: Sequence[Override]) -> Case:
    """The case as it would be under other assumptions; refuses with 422 what makes no sense."""
    for place, override in enumerate(overrides):
        case = _apply(case, override, f"/overrides/{place}")
    return case


def _apply(case: Case, override: Override, pointer: str) -> Case:
    parts = override.of.split("/")
    if override.curve is not None and "inputs" not in parts and parts[-1] != "adoption":
        detail = f"{override.of} is one figure; a curve is for inputs and adoption."
        raise invalid(f"{pointer}/curve", detail, "curve")
    if override.of == "discount_rate":
        rate = _moved(case.body.discount_rate, override)
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise invalid(pointer, f"A discount rate of {rate} makes no sense.", "outside")
        body: CaseBody = case.body.model_copy(update={"discount_rate": rate})
        return case.model_copy(update={"body": body})
    if len(parts) >= 3 and parts[0] == "costs":
        is_input = len(parts) >= 4 and parts[-2] == "inputs"
        name, what = "/".join(parts[1 : -2 if is_input else -1]), parts[-1]
        costs = [
            _cost(c, what, is_input, override, pointer) if name in (c.cost_id, c.name) else c
            for c in case.costs
        ]
        _demand_found(name, [c.name for c in case.costs], costs, case.costs, pointer)
        return case.model_copy(update={"costs": costs})
    if len(parts) >= 3 and parts[0] == "benefits":
        is_input = len(parts) >= 4 and parts[-2] == "inputs"
        name = "/".join(parts[1 : -2 if is_input else -1])
        benefits = [
            _benefit(b, parts[-1], is_input, override, pointer)
            if name in (b.benefit_id, b.name)
            else b
            for b in case.benefits
        ]
        _demand_found(name, [b.name for b in case.benefits], benefits, case.benefits, pointer)
        return case.model_copy(update={"benefits": benefits})
    detail = (
        f"{override.of!r} is no assumption; there are discount_rate, costs/... and benefits/..."
    )
    raise invalid(f"{pointer}/of", detail, "unknown_assumption")


def _demand_found(
    name: str, known: Iterable[str], new: Sequence[Any], old: Sequence[Any], pointer: str
) -> None:
    if all(a is b for a, b in zip(new, old, strict=True)):
        detail = f"The case has no line {name!r}.{did_you_mean(name, list(known))}"
        raise invalid(f"{pointer}/of", detail, "unknown_line")


def _moved(figure: Decimal, override: Override) -> Decimal:
    if override.value is not None:
        return override.value
    return figure * (override.factor if override.factor is not None else _ONE)


def _share(figure: Decimal, override: Override, pointer: str) -> Decimal:
    moved = _moved(figure, override)
    if not 0 <= moved <= 1:
        raise invalid(pointer, f"{override.of} would be {moved}; a share is from 0 to 1.", "share")
    return moved


def _cost(line: CostLine, what: str, is_input: bool, override: Override, pointer: str) -> CostLine:
    if is_input:
        _demand_input(line.name, what, line.inputs, pointer)
        before = line.inputs[what]
        changed = Input(unit=before.unit, **_restated(before, override))
        return line.model_copy(update={"inputs": {**line.inputs, what: changed}})
    if what == "risk":
        risk = _moved(line.risk, override)
        if not 0 <= risk <= MOST_COST_RISK:
            raise invalid(pointer, f"A risk of {risk} makes no sense; it is from 0 to 10.", "risk")
        return line.model_copy(update={"risk": risk})
    if what != "amount" or override.factor is None:
        detail = (
            "Of a cost, `risk` and `inputs/...` can be stated otherwise, and `amount` moved by a "
            "factor."
        )
        raise invalid(f"{pointer}/of", detail, "unknown_assumption")
    return line.model_copy(update={"factor": line.factor * override.factor})


def _benefit(
    line: BenefitLine, what: str, is_input: bool, override: Override, pointer: str
) -> BenefitLine:
    if is_input:
        return _with_input(line, what, override, pointer)
    if what == "adoption":
        if override.curve is not None:
            curve = override.curve
        else:
            curve = [min(_ONE, _moved(a, override)) for a in line.adoption]
        if any(not 0 <= share <= 1 for share in curve):
            raise invalid(pointer, "Adoption is a share from 0 to 1.", "share")
        return line.model_copy(update={"adoption": curve})
    if what in ("capture", "risk"):
        moved = _share(line.capture if what == "capture" else line.risk, override, pointer)
        source = {"risk_source": "stated"} if what == "risk" else {}
        return line.model_copy(update={what: moved, **source})
    if what == "attribution":
        share = _share(line.attribution.share, override, pointer)
        stated = line.attribution.model_copy(update={"share": share, "source": "stated"})
        return line.model_copy(update={"attribution": stated})
    detail = f"A benefit has inputs/..., {', '.join(_KNOBS)}; not {what!r}."
    raise invalid(f"{pointer}/of", detail, "unknown_assumption")


def _with_input(line: BenefitLine, name: str, override: Override, pointer: str) -> BenefitLine:
    _demand_input(line.name, name, line.inputs, pointer)
    before = line.plan_of(name)
    changed = Input(unit=before.unit, **_restated(before, override))
    # What is measured keeps its source; only its plan moves.
    where = "planned" if line.inputs[name].is_measured or name in line.planned else "inputs"
    return line.model_copy(update={where: {**getattr(line, where), name: changed}})


def _demand_input(line: str, name: str, inputs: Mapping[str, Input], pointer: str) -> None:
    if name not in inputs:
        detail = f"{line} has no input {name!r}.{did_you_mean(name, inputs)}"
        raise invalid(f"{pointer}/of", detail, "unknown_input")


def _restated(before: Input, override: Override) -> dict[str, Any]:
    if override.value is not None:
        return {"value": override.value}
    if override.curve is not None:
        return {"curve": override.curve}
    factor = override.factor if override.factor is not None else _ONE
    if before.curve is not None:
        return {"curve": [figure * factor for figure in before.curve]}
    return {"value": (before.stated(0) or Decimal(0)) * factor}
