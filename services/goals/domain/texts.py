"""The words that people read: one English sentence per code, with its figures filled in."""

from __future__ import annotations

from typing import Any

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
    "bring.",
    "other_causes": "Others move this too: {causes}. The share expected from the initiative is "
    "acknowledged with the commitment.",
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
}


def text(code: str, **params: Any) -> dict[str, Any]:
    """A sentence with its code and figures."""
    return {"code": code, "params": params, "text": CATALOGUE[code].format(**params)}
