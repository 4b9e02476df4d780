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
    "day_past": "The due date {due} is over already.",
    "day_ok": "It is due on {due}.",
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
    "opened": "{who} opened {name}.",
    "idea": "{who}: {words}",
    "voted": "{who} gave {count} points.",
    "themed": "{who} grouped {count} ideas under {name}.",
    "became_goals": "{who} made {count} goals of a theme.",
    "ended": "{who} closed the workshop.",
    "shared": "{who} made a link, valid until {until}.",
    "revoked": "{who} revoked the link.",
    "looked_at": "Somebody opened the page.",
    "finding_too_few_goals": "There are {count} active goals; state at least {fewest}, so that the "
    "worth does not hang on one figure.",
    "finding_too_many_goals": "There are {count} active goals; nobody keeps more than {most} in "
    "mind. Put some off to a later phase.",
    "finding_too_many_must": "{count} goals are musts ({titles}); choose {most}.",
    "finding_scope_grown": "There were {before} goals at the first commitment; {added} were added "
    "since: {titles}.",
    "finding_only_lagging": "All {count} goals are results; add one that warns early.",
    "finding_only_leading": "All {count} goals are early signs; add the result they lead to.",
    "finding_only_usage": "All {count} goals measure usage; state what it should bring.",
    "finding_audience_unheard": "Of {audience} no goal is measured, and nothing was heard this "
    "quarter; ask them.",
    "finding_aim_without_goal": "The aim ({aim}) has no goal; state one, or drop the aim.",
    "finding_no_owner": "These goals have no business owner: {titles}.",
    "finding_no_baseline": "These goals have no baseline yet: {titles}.",
    "finding_long_without_milestones": "These goals are due in more than a year and have no "
    "milestones: {titles}.",
    "finding_lowered_target": "These goals promise less than they did at first: {titles}.",
    "finding_obstacle_without_plan": "Nobody looks after this obstacle, or nothing is done about "
    "it: {obstacle}",
    "finding_review_overdue": "{name} was to meet by {due}.",
    "finding_sponsor_absent": "{sponsor} was at neither of the last two steering reviews ({days}).",
    "finding_guideline_broken": "Data of {metric} do not come in at the cadence that its "
    "guidelines promise; ask its responsible.",
    "finding_usage_falls": "Usage falls: {metric} went from {before} to {last} in a quarter.",
    "finding_bypass": "Work bypasses the system: {metric} says {share}.",
    "start_crm_without_joy": "A CRM is there, and the business is not content with it.",
    "start_excel": "We work in Excel.",
    "start_outgrown_crm": "We have outgrown our CRM.",
    "start_vendor_gone": "Our vendor has left the market.",
    "start_e_commerce": "A new e-commerce platform.",
    "page_all_goals": "All goals",
    "page_goals": "Goals",
    "page_goal": "Goal",
    "page_owner": "Owner",
    "page_status": "Status",
    "page_now": "Now",
    "page_target": "Target",
    "page_way": "Share of the way",
    "page_why": "Why",
    "page_no_goals": "There are no goals yet.",
    "page_drafts": "drafts",
    "page_attention": "What needs attention",
    "page_other": "Not stated",
    "page_retrospective": "This initiative was set up after the fact, from loaded history.",
    "page_known_at": "As known at {moment}; goals {goals}, metrics {metrics}.",
    "page_there": "There",
    "page_notes": "Notes",
    "page_feedback": "Feedback that was cited",
    "page_decisions": "Decisions",
    "page_because": "Because",
    "page_answer_by": "To be answered by {on}.",
    "page_answer": "Answer",
    "page_actions": "Actions",
    "page_done": "Done",
    "page_none": "None.",
    "page_roadmap": "Roadmap: {name}",
    "page_roadmap_help": "The red line is today.",
    "page_area": "Area",
    "page_phase": "Phase",
    "page_what": "What",
    "page_when": "When",
    "page_axis": "Time",
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
    "short": "within a quarter", "medium": "within a year", "long": "beyond a year",
    "must": "must", "should": "should", "could": "could", "later": "later",
    "control": "control of information", "quick_use": "quick use of information",
    "automation": "automation of work",
    "amend": "amended", "correct": "correction", "stop": "stopped", "continue": "continue",
    "remove_roadblock": "roadblock removed", "escalate": "escalated",
    "phase": "phase", "go_live": "go-live", "goal": "goal", "milestone": "milestone",
    "method": "method",
    "no_events": "nothing happened", "zero_denominator": "there is nothing to divide by",
    "before_first_event": "before the first record", "not_yet_recorded": "not recorded yet",
    "before_source_history": "before the history of the source", "no_baseline": "no baseline",
    "not_thought_of": "nobody thought of it", "no_instrument": "nothing measures it",
    "source_silent": "the source is silent", "no_history": "there is no history",
    "sponsor": "sponsor", "business_owner": "business owner",
    "technical_account_manager": "technical account manager",
    "value_consultant": "value consultant", "project_lead": "project lead", "user": "user",
    "other": "other",
}  # fmt: skip
_WORDED = (
    "direction", "first", "present", "nature", "audience", "status", "aim", "reason", "cause",
    "kind", "role",
)  # fmt: skip
_FOLDER = Path(__file__).parents[1] / "words"


def text(code: str, **params: Any) -> dict[str, Any]:
    """A sentence with its code and figures, in the language that is asked for."""
    return {"code": code, "params": params, "text": sentence(code, params)}


def sentence(code: str, params: dict[str, Any]) -> str:
    """The sentence of a code."""
    spoken = {
        name: word(value) if name in _WORDED and value in WORDS else value
        for name, value in params.items()
    }
    return _translated(CATALOGUE[code], code).format(**spoken)


def word(code: str) -> str:
    """A word that stands for a code, such as a status or a verdict; the code if there is none."""
    return _translated(WORDS[code], f"word:{code}") if code in WORDS else code.replace("_", " ")


def told_again(told: Any) -> Any:
    """What was kept with the reasons (`because`) in it, in the language that is asked for now."""
    if isinstance(told, list):
        return [told_again(one) for one in told]
    if not isinstance(told, dict):
        return told
    return {
        name: [_again(one) for one in inner]
        if name == "because" and isinstance(inner, list)
        else told_again(inner)
        for name, inner in told.items()
    }


def _again(said: dict[str, Any]) -> dict[str, Any]:
    """A text worded anew; as it was kept where its code has since lost or gained a figure."""
    try:
        return {**said, "text": sentence(said["code"], said["params"])}
    except KeyError:
        return said


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
