"""Settling what CRMs say of a deal into opportunity facts, whatever order it arrived in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.metrics.sources.delivery import Fact, Observation
from shared.clock import to_micros

Outcome = Literal["open", "won", "lost"]


class CrmMapping(BaseModel):
    """What a CRM's own names mean: stages per pipeline, home currency, what counts as a lead."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipelines: dict[str, dict[str, Outcome]] = Field(
        default_factory=dict, description="Pipeline -> stage -> open, won or lost"
    )
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="Home currency, where a deal names none"
    )
    lead: Literal["contact_created", "lifecycle_stage", "none"] = Field(
        "contact_created", description="What makes a contact a lead"
    )
    lead_stages: list[str] = Field(
        default_factory=lambda: ["lead"],
        description="With `lifecycle_stage`: the stages that count",
    )

    def outcome(
        self, pipeline: str | None, stage: str | None, default: Outcome = "open"
    ) -> Outcome:
        """What a stage means; in the deal's own pipeline first, then in any."""
        if stage is None:
            return "open"
        own = self.pipelines.get(pipeline or "", {})
        if stage in own:
            return own[stage]
        found = {stages[stage] for stages in self.pipelines.values() if stage in stages}
        return found.pop() if len(found) == 1 else default


@dataclass(slots=True)
class _Deal:
    fields: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "open"
    facts: list[Fact] = field(default_factory=list)


def settle(
    record: str,
    observations: Iterable[Observation],
    mapping: CrmMapping,
    defaults: dict[str, Outcome],
) -> list[Fact]:
    """The facts of one deal from all that was ever observed of it.

    A pure function of the set of observations: duplicates and any order of arrival give the same
    facts. `defaults` says what the vendor's standard stages mean.
    """
    ordered = sorted(set(observations), key=lambda o: (o.at, o.property, o.value))
    deal = _Deal()
    for moment, group in groupby(ordered, key=lambda o: o.at):
        _settle_moment(
            record, deal, moment, {o.property: o.value for o in group}, mapping, defaults
        )
    return deal.facts


def _settle_moment(
    record: str,
    deal: _Deal,
    moment: datetime,
    said: dict[str, str],
    mapping: CrmMapping,
    defaults: dict[str, Outcome],
) -> None:
    before = dict(deal.fields)
    _update(deal.fields, said, mapping)

    def fact(kind: str, **data: Any) -> None:
        identity = f"{record}/{kind}/{to_micros(moment)}"
        shown = {name: value for name, value in data.items() if value is not None}
        name = f"crm.opportunity.{kind}"
        deal.facts.append(Fact(identity, name, f"opportunity/{record}", moment, shown))

    standing = {name: deal.fields.get(name) for name in ("owner", "pipeline", "type")}
    worth = {name: deal.fields.get(name) for name in ("amount", "currency")}
    if "created" in said:
        fact("opened", stage=deal.fields.get("stage"), **standing, **worth)
    changed = {
        name: deal.fields.get(name)
        for name in ("amount", "currency", "owner", "pipeline")
        if name in said and deal.fields.get(name) != before.get(name)
    }
    if changed:
        fact("changed", **changed)
    stage = deal.fields.get("stage")
    if "stage" in said and stage != before.get("stage"):
        outcome = mapping.outcome(
            deal.fields.get("pipeline"), stage, defaults.get(stage or "", "open")
        )
        if outcome == "open":
            fact("stage_changed", stage=stage, from_stage=before.get("stage"), **standing)
        _move(deal, outcome, fact, stage=stage, **standing, **worth)
    if said.get("won") == "true" and deal.outcome == "open":
        _move(deal, "won", fact, stage=stage, **standing, **worth)
    if "deleted" in said:
        fact("deleted")


def _move(deal: _Deal, outcome: Outcome, fact: Any, **data: Any) -> None:
    if outcome == deal.outcome:
        return
    if outcome == "open":
        fact("reopened", stage=data["stage"])
    else:
        fact("closed", outcome=outcome, **data)
    deal.outcome = outcome


def _update(fields: dict[str, Any], said: dict[str, str], mapping: CrmMapping) -> None:
    for name, value in said.items():
        if name == "amount":
            fields["amount"] = _amount(value)
        elif name in ("stage", "currency", "owner", "pipeline", "type"):
            fields[name] = value or None
    if mapping.currency and not fields.get("currency"):
        fields["currency"] = mapping.currency


def _amount(text: str) -> Decimal | None:
    """An amount, or None: empty means unknown, never 0."""
    try:
        amount = Decimal(text.strip()) if text.strip() else None
        # Converted amounts come with a double's digits; six places are kept, half-even.
        return round(amount, 6) if amount is not None and amount.is_finite() else None
    except ArithmeticError:
        return None
