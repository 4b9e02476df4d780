"""Settling what CRMs say of a deal into opportunity facts, whatever order it arrived in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from services.metrics.domain.filters import lookup
from services.metrics.sources.delivery import Fact, Observation
from shared.clock import from_micros, to_micros
from shared.closed import Closed

Outcome = Literal["open", "won", "lost"]
# What is filled in by one act carries times that lie so close together.
MOMENTS = timedelta(seconds=5)
# ISO 4217's code where no currency is involved; no rate converts it.
NO_CURRENCY = "XXX"


class CrmMapping(Closed):
    """What a CRM's own names mean: stages per pipeline, currencies, fields, what is a lead."""

    model_config = ConfigDict(frozen=True)

    account: str | None = Field(
        None,
        max_length=200,
        description="Id of the organisation or account at the vendor; others' deliveries are "
        "refused",
    )
    pipelines: dict[str, dict[str, Outcome]] = Field(
        default_factory=dict, description="Pipeline -> stage -> open, won or lost"
    )
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="Home currency, where a deal names none"
    )
    currencies: dict[str, str] = Field(
        default_factory=dict, description="The vendor's id of a currency -> its ISO 4217 code"
    )
    fields: dict[str, Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]] = Field(
        default_factory=dict,
        max_length=50,
        description="Custom fields of a deal that its facts shall carry: the vendor's name -> "
        "ours; of `expected_close`, a date, every change is a fact, too",
    )
    lead: Literal["contact_created", "lifecycle_stage", "none"] = Field(
        "contact_created", description="What makes a contact a lead"
    )
    lead_stages: list[str] = Field(
        default_factory=lambda: ["lead"],
        description="With `lifecycle_stage`: the stages that count",
    )

    def currency_of(self, identity: Any) -> str | None:
        """The ISO code of a vendor's currency id; None where it says nothing of one.

        An id that the mapping does not name is some other currency: `NO_CURRENCY`.
        """
        if identity is None:
            return None
        if not self.currencies:
            return self.currency
        return self.currencies.get(str(identity), NO_CURRENCY)

    def own_fields(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The custom fields that a record carries, under their names here."""
        found = {f"field:{ours}": lookup(raw, theirs) for theirs, ours in self.fields.items()}
        return {name: v for name, v in found.items() if not isinstance(v, dict | list)}

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


EXPECTED_CLOSE = "field:expected_close"
_MILLISECONDS, _MOMENT = re.compile(r"\d{12,13}"), re.compile(r"\d{4}-\d\d-\d\d[T ]")
_KEPT = ("stage", "currency", "owner", "pipeline", "type", "account")


@dataclass(slots=True)
class _Deal:
    fields: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = "open"
    opened: bool = False
    deleted: bool = False
    says_status: bool = False
    # Whether its opening told that there was no amount yet, not only nothing of one.
    made_without_amount: bool = False
    # Whether the vendor says within moments that it was won; both are told one by one.
    soon_won: bool = False
    facts: list[Fact] = field(default_factory=list)


def settle(
    record: str,
    observations: Iterable[Observation],
    mapping: CrmMapping,
    defaults: Mapping[str, Outcome],
) -> list[Fact]:
    """The facts of one deal from all that was ever observed of it.

    A pure function of the set of observations: duplicates and any order of arrival give the same
    facts. `defaults` says what the vendor's standard stages mean.
    """
    return _folded(record, observations, mapping, defaults).facts


def _folded(
    record: str, observations: Iterable[Observation], mapping: CrmMapping,
    defaults: Mapping[str, Outcome],
) -> _Deal:  # fmt: skip
    ordered = sorted(set(observations), key=lambda o: (o.at, o.property, o.value))
    deal = _Deal()
    won = [o.at for o in ordered if (o.property, o.value) == ("won", "true")]
    for moment, group in groupby(ordered, key=lambda o: o.at):
        deal.soon_won = any(abs(at - moment) <= MOMENTS for at in won)
        _settle_moment(record, deal, moment, _said(group), mapping, defaults)
    return deal


def missing(
    record: str,
    told: Sequence[Observation],
    observed: Collection[Observation],
    mapping: CrmMapping,
    defaults: Mapping[str, Outcome],
) -> list[Observation]:
    """Of how a deal stands by its vendor, what is not known yet.

    A vendor's record and its webhooks date the same change some moments apart; what is known
    already is not told again at another time.
    """
    if not observed:
        return list(told)
    deal = _folded(record, observed, mapping, defaults)
    found: list[Observation] = []
    for _, group in groupby(sorted(told, key=lambda o: o.at), key=lambda o: o.at):
        said = list(group)
        new = [o for o in said if o.property not in _BESIDE and not _is_known(deal, o, mapping)]
        if new:
            found += [*new, *(o for o in said if o.property in _BESIDE)]
    return found


# What is said only beside something else.
_BESIDE = ("snapshot", "same_stage", "from_stage", "reason")


def _is_known(deal: _Deal, told: Observation, mapping: CrmMapping) -> bool:
    match told.property:
        case "status":
            return deal.outcome == told.value
        case "born" | "created":
            return deal.opened
        case "deleted":
            return deal.deleted
        case "amount":
            return deal.fields.get("amount") == _amount(told.value)
        case "currency_id":
            return deal.fields.get("currency") == mapping.currency_of(told.value)
        case name:
            return bool(deal.fields.get(name) == _as_kept(name, told.value))


def _said(group: Iterable[Observation]) -> dict[str, str]:
    """What was said at one moment; of several stages the one that the deal did not come from."""
    observations = list(group)
    said = {o.property: o.value for o in observations}
    stages = [o.value for o in observations if o.property == "stage"]
    left = [stage for stage in stages if stage != said.get("from_stage")]
    if len(stages) > 1 and left:
        said["stage"] = left[-1]
    return said


def _settle_moment(
    record: str,
    deal: _Deal,
    moment: datetime,
    said: dict[str, str],
    mapping: CrmMapping,
    defaults: Mapping[str, Outcome],
) -> None:
    before = dict(deal.fields)
    _update(deal.fields, said, mapping)

    def fact(kind: str, **data: Any) -> None:
        identity = f"{record}/{kind}/{to_micros(moment)}"
        shown = {name: value for name, value in data.items() if value is not None}
        name = f"crm.opportunity.{kind}"
        deal.facts.append(Fact(identity, name, f"opportunity/{record}", moment, shown))

    standing = {name: deal.fields.get(name) for name in ("owner", "pipeline", "type", "account")}
    standing |= {k[6:]: v for k, v in deal.fields.items() if k.startswith("field:")}
    worth = {name: deal.fields.get(name) for name in ("amount", "currency")}
    stage, born = deal.fields.get("stage"), "born" in said
    deal.says_status = deal.says_status or not said.keys().isdisjoint(("status", "won", "closed"))
    if deal.outcome != "open":
        _complete(deal, worth, corrected="amount" in said)
    if (born or "created" in said) and not deal.opened:
        deal.opened = True
        deal.made_without_amount = said.get("amount") == ""
        fact("opened", stage=stage, **standing, **worth)
    already = len(deal.facts)
    changed = _changed(deal.fields, before, said)
    # A closed deal stays closed, whatever is corrected of it later.
    if changed and not born and deal.outcome == "open" and not deal.deleted:
        fact("changed", **changed)
    outcome = _outcome(deal, before, said, mapping, defaults)
    stays_open = (outcome or deal.outcome) == "open"
    if stays_open and not born and _has_moved(before, said, stage):
        came_from = before.get("stage") or said.get("from_stage")
        fact("stage_changed", stage=stage, from_stage=came_from, **standing, **worth)
    if outcome is not None:
        _move(deal, outcome, fact, stage=stage, reason=said.get("reason"), **standing, **worth)
    sure = _said_besides(deal, said)
    if sure is not None:
        _move(deal, sure, fact, stage=stage, reason=said.get("reason"), **standing, **worth)
    newly = worth["amount"] if before.get("amount") is None else None
    if newly is not None and deal.made_without_amount and len(deal.facts) == already:
        _tell_amount(deal, newly, fact)
    _be_or_not(deal, said, stage, fact)


def _tell_amount(deal: _Deal, amount: Decimal, fact: Any) -> None:
    """Tell an amount that an open deal has from now on, where nothing else told it."""
    if deal.outcome == "open" and not deal.deleted:
        fact("changed", amount=amount)


def _be_or_not(deal: _Deal, said: Mapping[str, str], stage: str | None, fact: Any) -> None:
    """Whether the deal is there at all from now on."""
    if "deleted" in said and not deal.deleted:
        deal.deleted = True
        fact("deleted")
    elif "restored" in said and deal.deleted:
        deal.deleted = False
        if deal.outcome == "open":
            fact("reopened", stage=stage)


def _said_besides(deal: _Deal, said: Mapping[str, str]) -> Outcome | None:
    """What a vendor says of an outcome beside the stage, where it differs from what is known."""
    if said.get("won") == "true" and deal.outcome != "won":
        return "won"
    if said.get("unwon") == "true" and deal.outcome == "won":
        return "lost"
    if said.get("closed") == "true" and deal.outcome == "open" and not deal.soon_won:
        return "lost"
    if "false" in (said.get("closed"), said.get("won")) and deal.outcome == "won":
        return "open"
    if said.get("closed") == "false" and deal.outcome == "lost":
        return "open"
    return None


def _complete(deal: _Deal, worth: Mapping[str, Any], *, corrected: bool) -> None:
    """Say in its closing what a deal was worth, where that was told or corrected only later."""
    closing = max(n for n, f in enumerate(deal.facts) if f.name == "crm.opportunity.closed")
    found = deal.facts[closing]
    new = "amount" not in found.data or corrected
    if new and worth["amount"] is not None:
        told = {name: value for name, value in worth.items() if value is not None}
        deal.facts[closing] = replace(found, data={**found.data, **told})


def _changed(
    fields: Mapping[str, Any], before: Mapping[str, Any], said: Mapping[str, str]
) -> dict[str, Any]:
    """What became another; a snapshot says that of nothing that was not known before."""
    found = {
        name.removeprefix("field:"): fields.get(name)
        for name in ("amount", "currency", "owner", "pipeline", EXPECTED_CLOSE)
        if (name in said or f"{name}_id" in said)
        and fields.get(name) != before.get(name)
        and ("snapshot" not in said or before.get(name) is not None)
    }
    return found if any(value is not None for value in found.values()) else {}


def _has_moved(before: Mapping[str, Any], said: Mapping[str, str], stage: str | None) -> bool:
    if "stage" not in said or stage == before.get("stage"):
        return False
    # A lead's update may stand beside its move at the same moment, and knows of none.
    unmoved = "same_stage" in said and "from_stage" not in said
    return not unmoved or before.get("stage") is not None


def _outcome(
    deal: _Deal, before: Mapping[str, Any], said: Mapping[str, str], mapping: CrmMapping,
    defaults: Mapping[str, Outcome],
) -> Outcome | None:  # fmt: skip
    """What the deal is from here on: as the vendor says, else by its stage; None if unsaid."""
    stage = deal.fields.get("stage")
    status = said.get("status")
    if status in ("open", "won", "lost"):
        return status  # type: ignore[return-value]
    if "stage" in said and (stage != before.get("stage")):
        # Whoever says won and lost itself has not said it with a stage that means nothing here.
        unsaid: Outcome = deal.outcome if deal.says_status else "open"
        default = defaults.get(stage or "", unsaid)
        return mapping.outcome(deal.fields.get("pipeline"), stage, default)
    return None


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
        elif name == "currency_id":
            fields["currency"] = mapping.currency_of(value)
        elif name in _KEPT or name.startswith("field:"):
            fields[name] = _as_kept(name, value)
    if mapping.currency and not fields.get("currency"):
        fields["currency"] = mapping.currency


def _as_kept(name: str, value: str) -> str | None:
    """A value as facts carry it: of the expected closing its day, of a moment that of its text.

    What is no day is left for the check of the facts to find.
    """
    if name == EXPECTED_CLOSE and _MILLISECONDS.fullmatch(value):
        return from_micros(int(value) * 1_000).date().isoformat()
    if name == EXPECTED_CLOSE and _MOMENT.match(value):
        return value[:10]
    return value or None


def _amount(text: str) -> Decimal | None:
    """An amount, or None: empty means unknown, never 0."""
    try:
        amount = Decimal(text.strip()) if text.strip() else None
        # Converted amounts come with a double's digits; six places are kept, half-even.
        return round(amount, 6) if amount is not None and amount.is_finite() else None
    except ArithmeticError:
        return None
