"""The words that people read: one sentence per code and language, with its figures filled in.

The English sentences stand here. Those of other languages stand in `words/*.po` (gettext), each
under its code (`msgctxt`) and the English sentence (`msgid`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from shared.language import current_language

CATALOGUE = {
    "no_owner": "Name the business owner whose figure this is.",
    "total_without_driver": "{metric} is a total. Name what drives it (win rate, order value, "
    "churn, mix), and set the goal on that.",
    "no_value": "{metric} has no value for {period}: {reason}.",
    "baseline_established": "The baseline is {value} over {periods}.",
    "baseline_insufficient": "Not every period of the baseline has a value; take others, or load "
    "the missing data.",
    "baseline_unmeasurable": "The baseline can't be measured ({cause}). {mend}",
    "guideline_missing": "The guidelines of {metric} do not say: {missing}.",
    "beyond_history": "Each period must bring {required}; the metric never changed by more than "
    "{best} in a period. Set milestones, or a lower target.",
    "within_history": "Each period must bring {required}, which {share} of past periods did.",
    "too_little_history": "There are too few past periods to say whether this is attainable.",
    "impossible_value": "A {unit} can't be {target}.",
    "no_change": "The target equals the baseline; nothing would have to change.",
    "wrong_direction": "The target moves {metric} the wrong way (good is {direction}).",
    "usage_is_not_value": "{metric} measures usage. Usage is not value: state what it should "
    "bring, such as a better win rate, a shorter sales cycle or a higher order value.",
    "other_causes": "Others move this too: {causes}. {who} has acknowledged it.",
    "relevant": "The goal measures {nature} for {audience}.",
    "due_past": "The target period {period} is over already.",
    "due_ok": "The target period {period} ends on {due}.",
    "due_before_baseline": "The target period {period} does not come after the baseline.",
    "not_committed": "The goal is a draft; progress counts from its commitment.",
    "no_current_value": "There is no value for {period} yet ({reason}).",
    "target_reached": "{value} in {period} reaches the target of {target}.",
    "ahead": "{fraction} of the way is done, {expected} was expected by {period}.",
    "behind": "Only {fraction} of the way is done, {expected} was expected by {period}.",
    "wrong_way": "{value} in {period} is on the wrong side of the baseline of {baseline}.",
    "in_band": "{value} in {period} lies in the band.",
    "out_of_band": "{value} in {period} lies outside the band.",
    "drafted": "{who} drafted the goal: {metric} to {target} in {period}.",
    "redrafted": "{who} changed the draft: {metric} to {target} in {period}.",
    "committed": "{who} committed the goal: {baseline} -> {target} in {period}.",
    "committed_override": "{who} committed the goal although {letters} failed; {responsible} "
    "answers for it.",
    "amended": "{who} amended the commitment: {before} -> {after}.",
    "closed": "{who} closed the goal: {value}, {present} (against the first commitment: {first}).",
    "checked_in": "{who} is {confidence} sure that the goal will be reached.",
    "abandoned": "{who} abandoned the goal.",
    "metric_redefined": "{metric} was redefined (version {version}); the goal keeps its own "
    "version.",
    "drafted_delivery": "{who} drafted the goal, due {due}.",
    "redrafted_delivery": "{who} changed the draft, due {due}.",
    "committed_delivery": "{who} committed the goal: {promise}.",
    "measuring": "{who} committed the goal to be measured first, by {instrument} from {by} on.",
    "accepted": "{who} accepted the delivery of {on}: {present} (against the first commitment: "
    "{first}).",
    "step_done": "{who} recorded that {title} was done on {on}.",
    "acknowledged": "{who} acknowledged the other causes.",
    "no_acceptor": "Name who accepts the delivery.",
    "no_criteria": "Name the criteria by which it is accepted.",
    "criteria": "{acceptor} accepts it by {count} criteria.",
    "no_steps": "It is due in more than a quarter; name dated milestones on the way.",
    "steps_after_due": "The milestone {title} ({due}) lies after the due date.",
    "steps": "{count} milestones lead to it.",
    "budget_unwatched": "Name the metric of booked costs, so that the budget can be watched.",
    "budget_watched": "The budget is watched by {metric}.",
    "enables": "It enables {count} measured goals.",
    "serves_nothing": "It serves no parent, V2MOM or objective; say what it is for.",
    "serves": "It serves {what}.",
    "unplanned_obstacles": "Obstacles on it have no owner or no answer: {texts}.",
    "causes_open": "Others move this too: {causes}. The business owner has not acknowledged it.",
    "driver_named": "{metric} is moved by: {drivers}. Set goals on these, too.",
    "stale_data": "No data of {metric} came in at the promised cadence since {since}.",
    "measured_first": "It is measured first, by {instrument}, from {by} on.",
    "measured_late": "It was to be measured from {by} on, and still is not.",
    "long_without_milestones": "A long goal is judged by its milestones; name one a year at least.",
    "ambitious": "The end lies beyond all history, and each milestone within it: ambitious.",
    "steps_behind": "Overdue: {titles}.",
    "overdue": "It was due on {due}.",
    "over_budget": "{spent} of {budget} are spent.",
    "under_way": "{done} of {count} milestones are done; it is due on {due}.",
    "delivered_on": "It was delivered on {on}.",
    "spending_unknown": "What was spent is not known ({reason}).",
    "stated": "{who} stated it.",
    "changed": "{who} changed {changes}.",
    "retired": "{who} retired it.",
    "judged": "{who} judged the initiative: {present} (by the first promises: {first}).",
    "formed": "{who} formed {name}.",
    "joined": "{person} joined as {role}.",
    "left": "{person} left.",
    "held": "{who} kept the meeting of {on}; there were {attendance}.",
    "decided": "{who} recorded the decision ({kind}): {words}",
    "answered": "{who} answered what was escalated: {words}",
    "agreed": "{owner} agreed to this by {due}: {words}",
    "finished": "{who} recorded that it was done: {words}",
    "premortem_fear": "Who fears to lose by this: work, influence, or face?",
    "premortem_scepticism": "Who has seen such projects fail, and expects this one to?",
    "premortem_not_understanding": "Who does not understand why this is done?",
    "premortem_migration": "What of the old data can't be carried over, and who will miss it?",
    "premortem_integration": "Which system will not talk to the new one in time?",
    "premortem_sponsorship": "When did the sponsor last say in public why this matters?",
    "premortem_data_quality": "Which records are wrong, missing or there twice?",
    "premortem_training": "Who will not know on the first day how to do their work?",
    "premortem_other": "What else will have been the reason, when this has failed?",
}
# Words that stand in sentences; what people wrote is never looked up here.
WORDS = {
    "up": "up", "down": "down", "band": "within a band", "none": "neither way",
    "achieved": "achieved", "improved": "improved", "unchanged": "unchanged",
    "worsened": "worsened", "delivered": "delivered", "late": "late",
    "over_budget": "over budget", "late_and_over_budget": "late and over budget",
    "successful": "successful", "unsuccessful": "unsuccessful", "undecided": "undecided",
    "value": "value", "operational": "operations", "usage": "usage",
    "customer": "customers", "prospect": "prospects", "stakeholder": "stakeholders",
    "business": "the business",
    "not_started": "not started", "no_data": "no data", "stale": "stale",
    "on_track": "on track", "at_risk": "at risk", "off_track": "off track",
    "reached": "reached",
}  # fmt: skip
_WORDED = ("direction", "first", "present", "nature", "audience", "status")
_FOLDER = Path(__file__).parents[1] / "words"


def text(code: str, **params: Any) -> dict[str, Any]:
    """A sentence with its code and figures, in the language that is asked for."""
    return {"code": code, "params": params, "text": sentence(code, params)}


def sentence(code: str, params: dict[str, Any]) -> str:
    """The sentence of a code."""
    spoken = {
        name: word(value) if name in _WORDED and isinstance(value, str) else value
        for name, value in params.items()
    }
    return _translated(CATALOGUE[code], code).format(**spoken)


def word(code: str) -> str:
    """A word that stands for a code, such as a status or a verdict; the code if there is none."""
    return _translated(WORDS[code], f"word:{code}") if code in WORDS else code.replace("_", " ")


def told_again(told: Any) -> Any:
    """What was kept with its texts, in the language that is asked for now."""
    if isinstance(told, list):
        return [told_again(one) for one in told]
    if not isinstance(told, dict):
        return told
    if told.keys() == {"code", "params", "text"} and told["code"] in CATALOGUE:
        return {**told, "text": sentence(told["code"], told["params"])}
    return {name: told_again(one) for name, one in told.items()}


def _translated(english: str, context: str) -> str:
    language = current_language.get()
    if language == "en":
        return english
    found = catalogue(language).get(english, context)
    return str(found.string) if found is not None and found.string else english


@cache
def catalogue(language: str) -> Catalog:
    """The sentences of a language."""
    with (_FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)
