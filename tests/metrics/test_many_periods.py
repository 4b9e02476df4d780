"""Many periods in one question: the same figures and proofs as when each is asked alone."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.house import Key
from tests.support.samples import CLOSED, WON, closed, event

OPENED, CHANGED = "crm.opportunity.opened", "crm.opportunity.changed"
TYPES = [OPENED, CHANGED, "crm.opportunity.closed"]
OPEN = {"field": "$type", "op": "ne", "value": "crm.opportunity.closed"}
REVENUE = {**WON, "kind": "sum", "field": "amount"}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "open": {"kind": "state", "events": TYPES, "where": OPEN},
    "pipeline": {"kind": "state", "events": TYPES, "where": OPEN, "statistic": "sum",
                 "field": "amount"},
    "mean": {"kind": "state", "events": TYPES, "where": OPEN, "statistic": "average",
             "field": "amount"},
    "year": {"kind": "cumulative", "of": REVENUE, "window": {"to_date": "year"}},
    "trailing": {"kind": "cumulative", "of": CLOSED, "window": {"trailing": "P45D"}},
    "ever": {"kind": "cumulative", "of": REVENUE, "window": {"since": "start"}},
    "median": {"kind": "cumulative", "of": {**REVENUE, "kind": "percentile", "q": 0.5},
               "window": {"trailing": "P30D"}},
}  # fmt: skip


def history(key: Key, seed: int) -> None:
    """Forty deals that are opened, changed and closed in any order, in two currencies."""
    chance = random.Random(seed)
    told: list[dict[str, Any]] = []
    for number in range(40):
        subject, currency = f"deal/{number}", chance.choice(["EUR", "EUR", "USD"])
        for step in chance.sample(range(3), chance.randint(1, 3)):
            day = f"2024-{chance.randint(1, 3):02}-{chance.randint(1, 28):02}"
            when = day if chance.random() < 0.5 else f"{day}T{chance.randint(0, 23):02}:30:00Z"
            fields = {"amount": chance.randint(1, 99), "currency": currency,
                      "region": chance.choice(["n", "s"])}  # fmt: skip
            name = TYPES[step]
            identity = f"{number}/{step}"
            told.append(
                closed(identity, when, chance.choice(["won", "lost"]), _subject=subject, **fields)
                if step == 2
                else event(identity, name, when, _subject=subject, **fields)
            )
    key.events(*told)


@pytest.mark.parametrize("group_by", [None, "region"])
def test_many_periods_at_once_are_each_as_if_asked_alone(key: Key, group_by: str | None) -> None:
    history(key, 7)
    for name, definition in DEFINITIONS.items():
        body = {"key": name, "name": name, "unit": "count", "definition": definition}
        key.post("metrics", "/v1/metrics", {**body, "dimensions": ["region"]})
    grouped = {"group_by": group_by} if group_by else {}
    span = {"from": "2024-01-20", "to": "2024-04-10", "grain": "day"}
    for name in DEFINITIONS:
        path = f"/v1/metrics/{name}/values"
        together = key.get("metrics", path, **span, **grouped)
        for day in ("2024-01-20", "2024-02-11", "2024-03-31", "2024-04-09"):
            alone = key.get("metrics", path, period=day, basis=together["basis"], **grouped)
            mine = [v for v in together["values"] if v["period"] == day]
            assert _told(mine) == _told(alone["values"]), (name, day)


def _told(values: list[dict[str, Any]]) -> dict[Any, Any]:
    """By group; one that nothing stands in is told only where another period has it."""
    return {tuple(v["group"].items()): (v["value"], v["n"], v["currency"], v["proof"]["digest"])
            for v in values if v["n"]}  # fmt: skip
