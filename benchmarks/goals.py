"""Goals: the scorecard against its parts, lists that stay as fast, folding a long stream."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from benchmarks.machine import row, timed
from services.goals.commands.goals import draft_goal, start_initiative
from services.goals.domain.goal import (
    BaselineSpec,
    Goal,
    GoalBody,
    GoalCheckedIn,
    GoalDrafted,
    Target,
    evolve,
)
from services.goals.queries.states import goal_list
from shared.events import payload_of
from shared.ids import new_id
from shared.ledger import Ledger, new_event
from tests.goals.test_scorecard import BASE, SHARE, quarter
from tests.support.house import Databases, House, Key, open_house

GOALS, LISTED, CHUNK, STREAM = 50, 10_000, 500, 1_000
TIMES = 15


def bench_goals(databases: Databases) -> None:
    """The rows of `quality.md` that are the goals service's."""
    with open_house(databases) as house:
        key = house.key()
        _scorecard(databases.kind, key)
        other = house.key()
        _lists(databases.kind, house, other)
        _folding(databases.kind, house, other)


def _scorecard(kind: str, key: Key) -> None:
    """A scorecard of fifty goals against one goal and one replay of the same fifty questions."""
    key.post("metrics", "/v1/metrics", {
        "key": "win-rate", "name": "Win rate", "unit": "ratio", "definition": SHARE,
        "dimensions": ["owner"], "direction": "up",
    })  # fmt: skip
    initiative = key.post("goals", "/v1/initiatives", {"name": "CRM"})["id"]
    questions: list[dict[str, Any]] = []
    made = ""
    for n in range(GOALS):
        for name in (*BASE, "2026-Q3"):
            key.events(*quarter(name, 3 + n % 5, 5, f"o{n}"))
        where = {"field": "owner", "op": "eq", "value": f"o{n}"}
        made = key.post("goals", "/v1/goals", {
            "initiative_id": initiative, "title": f"Goal {n}", "metric": "win-rate",
            "where": where, "baseline": {"periods": BASE}, "target": {"value": 0.6},
            "target_period": "2027-Q4", "business_owner": "Ann",
        })["id"]  # fmt: skip
        key.post("goals", f"/v1/goals/{made}/commit", {})
        questions.append({"metric": "win-rate", "period": ["2026-Q3", "2026-Q4"], "where": where,
                          "version": 1})  # fmt: skip

    def parts() -> None:
        key.get("goals", f"/v1/goals/{made}")
        key.post("metrics", "/v1/replay", {"questions": questions})

    def whole() -> None:
        card = key.get("goals", f"/v1/initiatives/{initiative}/scorecard")
        assert card["states"] == {"committed": GOALS}

    for work in (parts, whole):
        work()
    peer, ours = timed(parts, TIMES), timed(whole, TIMES)
    row(f"{kind}, scorecard of {GOALS} goals", f"{ours * 1e3:.1f} ms", f"{peer * 1e3:.1f} ms",
        ours / peer, "at most 1.3")  # fmt: skip


def _body(initiative: str, number: int) -> GoalBody:
    return GoalBody(
        initiative_id=initiative, title=f"Goal {number}", metric="win-rate",
        baseline=BaselineSpec(periods=BASE), target=Target(value=Decimal("0.6")),
        target_period="2027-Q4", measured_over="quarter", business_owner="Ann",
        audience="business", indicator="lagging", nature="value", due=date(2027, 12, 31),
    )  # fmt: skip


def _lists(kind: str, house: House, key: Key) -> None:
    """The last page of ten thousand goals against the first."""
    ledger: Ledger = house.ledgers["goals"]
    with ledger.transaction(key.tenant_id, actor="bench") as transaction:
        initiative = start_initiative(transaction, _initiative()).initiative_id
    for start in range(0, LISTED, CHUNK):
        with ledger.transaction(key.tenant_id, actor="bench") as transaction:
            transaction.append([
                new_event(
                    GoalDrafted(goal_id=identity, body=_body(initiative, start + number)),
                    source="/goals", stream=f"goal/{identity}", revision=1,
                    subject=f"goal/{identity}", occurred_at=transaction.known_at,
                )
                for number, identity in enumerate(new_id() for _ in range(CHUNK))
            ])  # fmt: skip
    with ledger.view(key.tenant_id) as view:
        ids = [goal.goal_id for goal in goal_list(view, None, "", LISTED)]
        after = ids[-51]

    def page(start: str) -> None:
        with ledger.view(key.tenant_id) as view:
            assert len(goal_list(view, None, start, 50)) == 50

    first, last = timed(lambda: page(""), TIMES), timed(lambda: page(after), TIMES)
    row(f"{kind}, last page of {LISTED:,} goals", f"{last * 1e3:.1f} ms", f"{first * 1e3:.1f} ms",
        last / first, "about 1")  # fmt: skip


def _initiative() -> dict[str, Any]:
    return {
        "name": "CRM", "description": "", "system_kind": "crm", "sponsor": None,
        "business_owner": None, "project_owner": None, "currency": "EUR", "go_live": None,
        "phases": [], "success_rule": {"rule": "beyond_noise", "goals": "must"},
        "retrospective": False,
    }  # fmt: skip


def _folding(kind: str, house: House, key: Key) -> None:
    """A goal of a thousand stored events, decoded and folded, against twenty milliseconds."""
    ledger: Ledger = house.ledgers["goals"]
    with ledger.transaction(key.tenant_id, actor="bench") as transaction:
        initiative = start_initiative(transaction, _initiative()).initiative_id
        goal = draft_goal(transaction, _body(initiative, 0))
        said = [
            GoalCheckedIn(by="Ann", at=transaction.known_at, confidence=Decimal(n % 10) / 10,
                          comment="As every day")
            for n in range(STREAM - 1)
        ]  # fmt: skip
        transaction.record(f"goal/{goal.goal_id}", goal.revision, said)

    with ledger.view(key.tenant_id) as view:
        stored = view.stream(f"goal/{goal.goal_id}")

    def fold() -> None:
        state: Goal | None = None
        for event in stored:
            state = evolve(state, payload_of(event))  # type: ignore[arg-type]
        assert state is not None
        assert state.revision == STREAM

    took = timed(fold, TIMES)
    row(f"{kind}, folding a goal of {STREAM:,} events", f"{took * 1e3:.1f} ms", "20.0 ms",
        took / 0.02, "at most 1")  # fmt: skip
