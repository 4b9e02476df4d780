"""What a scorecard shows first: the goals that need somebody's attention most."""

from __future__ import annotations

from collections.abc import Iterable

from services.goals.domain.goal import Goal

_URGENCY = ("off_track", "no_data", "stale", "at_risk", "not_started", "on_track", "reached")
_PRIORITY = ("must", "should", "could", "later")
HORIZONS = ("short", "medium", "long")


def needs_attention(found: Iterable[tuple[Goal, str]]) -> list[str]:
    """The ids of goals that are not on their way, those that need it most first.

    By status, then priority, then the day they are due; goals that are judged or given up, on
    track or reached are left out.
    """
    open_ones = [
        (goal, status)
        for goal, status in found
        if goal.state in ("draft", "committed") and status not in ("on_track", "reached")
    ]
    ordered = sorted(
        open_ones,
        key=lambda one: (
            _URGENCY.index(one[1]), _PRIORITY.index(one[0].body.priority), one[0].due,
            one[0].goal_id,
        ),
    )  # fmt: skip
    return [goal.goal_id for goal, _ in ordered]
