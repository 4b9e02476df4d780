"""The words of findings: one English sentence per code, with its figures filled in."""

from __future__ import annotations

from typing import Any

CATALOGUE = {
    "no_costs": "The case has no costs; without them there is no return to speak of.",
    "no_benefits": "The case has no benefits yet.",
    "no_customer_benefit": "No benefit is for customers; look whether their value was forgotten.",
    "no_goal": "No goal stands behind {benefit}; nobody has promised it.",
    "unverified": "{benefit} is unverified.",
    "not_measured": "Nothing of {benefit} is measured; it can be planned, but never realised.",
    "input_missing": "{benefit} has no figure of {inputs} for {period}; the plan stands in the "
    "outlook.",
    "not_computable": "{benefit} can't be computed: {why}",
    "actuals_unknown": "Booked costs can't be told: {why}. The plan stands instead.",
    "unknown_item": "{amount} was booked on {item}, which is no cost of this case.",
}


def text(code: str, **params: Any) -> dict[str, Any]:
    """A sentence with its code and figures."""
    return {"code": code, "params": params, "text": CATALOGUE[code].format(**params)}
