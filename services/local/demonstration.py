"""Playing the company's three years through the public HTTP APIs, on simulated time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.local.story import GO_LIVE, SOURCE, TEST_DEAL, events_by_week
from shared.errors import Refusal
from shared.web.client import Free, Peer

LAST_MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
BASELINE = ["2023-Q2", "2023-Q3", "2023-Q4", "2024-Q1"]
CLOSED = {"kind": "count", "events": ["crm.opportunity.closed"]}
WON = {**CLOSED, "where": {"field": "outcome", "op": "eq", "value": "won"}}
GUIDELINES = {
    "how": "Counted from the CRM's closings, by closing date",
    "sources": ["CRM"],
    "cadence": "weekly",
    "responsible": "Head of sales operations",
    "helpers": ["CRM administrator"],
}
METRICS: list[dict[str, Any]] = [
    {
        "key": "win-rate",
        "name": "Win rate",
        "unit": "ratio",
        "dimensions": ["region"],
        "definition": {"kind": "ratio", "numerator": WON, "denominator": CLOSED},
    },
    {"key": "deals-closed", "name": "Deals closed", "unit": "count", "definition": CLOSED},
    {
        "key": "average-deal-size",
        "name": "Average deal size",
        "unit": "EUR",
        "definition": {**WON, "kind": "average", "field": "amount"},
    },
    {
        "key": "sales-cycle",
        "name": "Sales cycle, won deals",
        "unit": "days",
        "direction": "down",
        "definition": {
            "kind": "duration",
            "from": {"events": ["crm.opportunity.opened"]},
            "to": {"events": ["crm.opportunity.closed"], "where": WON["where"]},
            "clock": "calendar_days",
            "statistic": "median",
        },
    },
    {
        "key": "handling-time",
        "name": "Average handling time",
        "unit": "s",
        "direction": "down",
        "nature": "operational",
        "definition": {
            "kind": "average",
            "events": ["contact.call.completed"],
            "field": "talk + hold + after_call",
        },
    },
]


class Demonstration:
    """The story, told to the three services."""

    def __init__(self, addresses: dict[str, str], key: str) -> None:
        self.key = key
        self.peers = {name: Peer(name, url) for name, url in addresses.items()}
        self._found: dict[str, str] = {}

    def load(self, console: Console) -> dict[str, str]:
        """Live through the three years; the ids of what was made."""
        story = events_by_week()
        plans: list[tuple[date, Callable[[], None]]] = [
            (date(2023, 3, 27), self._take_back_the_test),
            (date(2024, 4, 15), self._commit_the_goal),
            (date(2024, 6, 10), self._open_the_case),
            (date(2024, 7, 8), self._book_the_implementation),
            (date(2025, 4, 14), self._amend_the_goal),
        ]
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("Living through three years", total=len(story))
            self._move_clocks(datetime(2023, 1, 2, 6, tzinfo=UTC))
            self._define()
            previous: list[dict[str, Any]] = []
            for monday, events in story.items():
                self._move_clocks(
                    datetime(monday.year, monday.month, monday.day, tzinfo=UTC) + timedelta(days=7)
                )
                # Systems send again what they are not sure about; it counts once all the same.
                self._push([*previous[-5:], *events])
                while plans and plans[0][0] <= monday:
                    plans.pop(0)[1]()
                previous = events
                progress.update(task, advance=1)
        self.arrive()
        return self._found

    def arrive(self) -> None:
        """Let the present be the story's last day, or what somebody has moved it to since."""
        with contextlib.suppress(Refusal):
            self._move_clocks(LAST_MOMENT)

    def ask(self, service: str, path: str, **params: Any) -> dict[str, Any]:
        """An answer of a service as it came."""
        return self.peers[service].get(path, Free, self.key, params).model_dump()

    def _post(self, service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.peers[service].post(path, Free, self.key, body).model_dump()

    def _move_clocks(self, moment: datetime) -> None:
        for service in self.peers:
            self._post(service, "/v1/dev/clock", {"now": moment.isoformat()})

    def _push(self, events: list[dict[str, Any]]) -> None:
        for start in range(0, len(events), 500):
            self.peers["metrics"].post_list("/v1/events", self.key, events[start : start + 500])

    def _define(self) -> None:
        body = {"zone": "Europe/Berlin", "currency": "EUR", "reason": "Head office is in Hamburg"}
        self.peers["metrics"].put("/v1/calendar", Free, self.key, body)
        for metric in METRICS:
            self._post("metrics", "/v1/metrics", {"guidelines": GUIDELINES, **metric})

    def _take_back_the_test(self) -> None:
        for kind in ("opened", "closed"):
            body = {
                "source": SOURCE,
                "event_id": f"{TEST_DEAL}/{kind}",
                "reason": "A test, no deal",
            }
            self._post("metrics", "/v1/retractions", body)

    def _commit_the_goal(self) -> None:
        initiative = self._post(
            "goals",
            "/v1/initiatives",
            {
                "name": "CRM roll-out",
                "description": "One place for every customer, used by all of sales and service",
                "system_kind": "crm",
                "sponsor": "Managing director",
                "business_owner": "Head of sales",
                "project_owner": "Head of IT",
                "currency": "EUR",
                "go_live": GO_LIVE.isoformat(),
                "success_rule": {"rule": "beyond_noise", "goals": "must"},
            },
        )
        goal = self._post(
            "goals",
            "/v1/goals",
            {
                "initiative_id": initiative["id"],
                "title": "Win more than one deal in three",
                "metric": "win-rate",
                "baseline": {"periods": BASELINE, "method": "pooled"},
                "target": {"value": 0.36},
                "target_period": "2025-Q4",
                "business_owner": "Head of sales",
                "milestones": [{"period": "2025-Q1", "value": 0.31}],
                "other_causes": [{"cause": "New price list", "share": 0.2}],
            },
        )
        committed = self._post("goals", f"/v1/goals/{goal['id']}/commit", {})
        self._found |= {"initiative": initiative["id"], "goal": goal["id"]}
        self._found["baseline"] = committed["commitment"]["baseline"]["id"]

    def _open_the_case(self) -> None:
        case = self._post(
            "valuation",
            "/v1/cases",
            {
                "initiative_id": self._found["initiative"],
                "name": "CRM roll-out over three years",
                "currency": "EUR",
                "start": GO_LIVE.isoformat(),
                "grain": "quarter",
                "periods": 12,
                "discount_rate": "0.08",
            },
        )
        self._found["case"] = case["id"]
        path = f"/v1/cases/{case['id']}"
        self._post("valuation", f"{path}/costs", {
            "name": "Licences", "category": "licence",
            "recurring": {
                "from": "2024-07-01", "to": "2027-07-01", "every": "P1M", "amount": "4800",
            },
        })  # fmt: skip
        self._post("valuation", f"{path}/costs", {
            "name": "Implementation", "category": "implementation",
            "once": {"on": "2024-07-01", "amount": "85000"}, "risk": "0.10",
        })  # fmt: skip
        self._post("valuation", f"{path}/costs", {
            "name": "Training", "category": "training",
            "once": {"on": "2024-09-15", "amount": "18000"},
        })  # fmt: skip
        self._add_the_benefit(path)

    def _add_the_benefit(self, path: str) -> None:
        change = {"metric": "win-rate", "baseline_id": self._found["baseline"]}
        self._post("valuation", f"{path}/benefits", {
            "name": "More deals won",
            "category": "revenue",
            "audience": "business",
            "template": "rate-uplift",
            "inputs": {
                "change": {"metric_change": change},
                "volume": {"metric": {"key": "deals-closed"}},
                "value": {"metric": {"key": "average-deal-size"}},
                "margin": {"value": "0.38"},
            },
            "planned": {
                "change": {"value": "0.08"},
                "volume": {"value": "400"},
                "value": {"value": "3600", "unit": "EUR"},
            },
            "adoption": {"curve": ["0.1", "0.3", "0.6", "0.8", "1"]},
            "attribution": {"share": "0.8", "reason": "The new price list is given a fifth"},
            "risk": "0.10",
            "goal_id": self._found["goal"],
            "evidence": "conditional",
        })  # fmt: skip

    def _book_the_implementation(self) -> None:
        self._post("valuation", f"/v1/cases/{self._found['case']}/actuals", {
            "item": "Implementation", "amount": "91250.00", "on": "2024-07-01",
            "reference": "INV-2024-0701", "category": "implementation",
        })  # fmt: skip

    def _amend_the_goal(self) -> None:
        body = {"target": {"value": 0.35}, "reason": "Two sales posts stay open until autumn"}
        self._post("goals", f"/v1/goals/{self._found['goal']}/amend", body)
