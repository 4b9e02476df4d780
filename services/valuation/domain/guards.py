"""Guards of a case: what is claimed twice, by too many, or rests on weak evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any, Protocol

from services.valuation.domain.case import Case
from services.valuation.domain.figures import ZERO, Figures
from services.valuation.domain.lines import BenefitLine, Driver
from services.valuation.domain.measured import Measured
from services.valuation.domain.schedule import slots_of
from shared.chain import canonical_json

# From this share of the planned benefits on, a case is said to rest on saved posts.
_POSTS_SHARE = Decimal("0.5")


class Note(Protocol):
    """Keeps a finding."""

    def __call__(self, code: str, **params: Any) -> None: ...


def same_movement(a: Driver, b: Driver, related: Collection[tuple[str, str]] = ()) -> bool:
    """Whether two claims are of one movement: of one metric, or of a driver and its total.

    Parts of one metric are apart only where that can be seen: other values of one field.
    """
    if _apart(a.where, b.where):
        return False
    pair = (a.metric, b.metric)
    return a.metric == b.metric or pair in related or pair[::-1] in related


def _apart(a: dict[str, Any] | None, b: dict[str, Any] | None) -> bool:
    one, other = _values_of(a), _values_of(b)
    return any(one[field].isdisjoint(other[field]) for field in one.keys() & other.keys())


def _values_of(where: dict[str, Any] | None) -> dict[str, set[str]]:
    """The values to which a filter holds fields, where it plainly says so."""
    if not where:
        return {}
    found: dict[str, set[str]] = {}
    for part in where.get("all") or [where]:
        if "field" in part and part.get("op", "eq") in ("eq", "in"):
            said = part.get("value")
            values = said if isinstance(said, list) else [said]
            found.setdefault(part["field"], {canonical_json(value) for value in values})
        elif "all" in part:
            found = {**_values_of(part), **found}
    return found


def overlapping(case: Case, measured: Measured, included: Collection[str] = ()) -> dict[str, str]:
    """Benefits that claim a movement that an earlier one claims, with that one's name.

    Such are left out of the totals until both say which part of it they claim.
    """
    found: dict[str, str] = {}
    counted: list[tuple[BenefitLine, list[Driver]]] = []
    # What stands outside the totals anyway takes no movement from what stands in them.
    moving = [
        (line, line.drivers)
        for line in case.benefits
        if line.status != "withdrawn"
        and line.category != "non_financial"
        and (line.apart is None or line.apart in included)
    ]
    for line, moves in moving:
        other = next((b for b, theirs in counted if _twice(line, moves, b, theirs, measured)), None)
        if other is not None:
            found[line.benefit_id] = other.name
        elif moves:
            counted.append((line, moves))
    return found


def _twice(
    line: BenefitLine, moves: list[Driver],
    other: BenefitLine, theirs: list[Driver], measured: Measured,
) -> bool:  # fmt: skip
    """Whether two benefits claim one movement without having split it."""
    if line.overlap and other.overlap and line.overlap.group == other.overlap.group:
        return False
    return any(same_movement(a, b, measured.related) for a in moves for b in theirs)


def claimed(cases: Iterable[Case], driver: Driver, mine: Case) -> list[tuple[str, Decimal]]:
    """What other initiatives claim of the same movement in periods of this case.

    Of several cases of one initiative, which are its options, the largest claim counts.
    """
    first, last = slots_of(mine.body)[0].start, slots_of(mine.body)[-1].end
    claims: dict[str, Decimal] = {}
    for case in cases:
        slots = slots_of(case.body)
        other = case.body.initiative_id
        if other == mine.body.initiative_id or slots[-1].end <= first or last <= slots[0].start:
            continue
        for benefit in case.benefits:
            if benefit.status == "withdrawn":
                continue
            if any(same_movement(driver, theirs) for theirs in benefit.drivers):
                claims[other] = max(claims.get(other, ZERO), benefit.attribution.share)
    return sorted(claims.items())


def note_weaknesses(
    note: Note, case: Case, measured: Measured, plan: Figures, unsplit: dict[str, str]
) -> None:
    """Say what should be mended before anybody decides on the case."""
    if not case.costs:
        note("no_costs")
    if not case.benefits:
        note("no_benefits")
    elif not any(b.audience == "customer" for b in case.benefits):
        note("no_customer_benefit")
    for line in case.benefits:
        _note_benefit(note, line, measured, unsplit)
    phases = {c.phase for c in case.costs} | {b.phase for b in case.benefits}
    for name in sorted(filter(None, phases)):
        if measured.phases and name not in measured.phases:
            note("unknown_phase", phase=name)
    _note_posts(note, case, plan)
    for code, params in measured.findings:
        note(code, **params)


def _note_benefit(
    note: Note, line: BenefitLine, measured: Measured, unsplit: dict[str, str]
) -> None:
    name = line.name
    if line.goal_id is None:
        note("no_goal", benefit=name)
    if line.apart is not None:
        note(f"apart_{line.apart}", benefit=name)
    if line.benefit_id in unsplit:
        note("overlap", benefit=name, other=unsplit[line.benefit_id])
    acknowledged = measured.shares.get(line.goal_id or "")
    if acknowledged is not None and line.attribution.share > acknowledged:
        share = f"{line.attribution.share.normalize():f}"
        note("above_acknowledged", benefit=name, share=share,
             acknowledged=f"{acknowledged.normalize():f}")  # fmt: skip
    if any(i.unit in (None, "") for i in line.inputs.values()) and line.template is None:
        note("unit_unchecked", benefit=name)


def _note_posts(note: Note, case: Case, plan: Figures) -> None:
    posts = {b.benefit_id for b in case.benefits if b.posts != "none"}
    totals = {
        line.line_id: sum((a for a in line.amounts if a is not None and a > 0), ZERO)
        for line in plan.lines
        if line.kind == "benefit"
    }
    whole = sum(totals.values(), ZERO)
    resting = sum((amount for name, amount in totals.items() if name in posts), ZERO)
    if whole > 0 and resting / whole >= _POSTS_SHARE:
        note("rests_on_posts", share=f"{resting / whole:.2f}")
