"""Starting points: what organisations that begin in the same place state at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.goals.domain.factor import Obstacle
from services.goals.domain.goal import Aim
from services.goals.domain.initiative import Priority, SystemKind


@dataclass(frozen=True)
class StartingGoal:
    """A goal from the catalogue: which metric, by how many percent, for which aim."""

    metric: str
    change_percent: Decimal
    priority: Priority = "should"
    aim: Aim = "quick_use"


@dataclass(frozen=True)
class StartingPoint:
    """A place to begin: what it is in words is in the texts, under its key."""

    key: str
    system_kind: SystemKind
    aims: Sequence[Aim]
    areas: Sequence[str]
    goals: Sequence[StartingGoal]
    obstacles: Sequence[Obstacle]
    sources: Sequence[str]


_D = Decimal
_ALL: tuple[Aim, ...] = ("control", "quick_use", "automation")

STARTING_POINTS = {
    point.key: point
    for point in (
        StartingPoint(
            "crm_without_joy", "crm", ("quick_use", "automation"), ("Sales", "Service"),
            (
                StartingGoal("win-rate", _D(10), "must"),
                StartingGoal("sales-cycle", _D(-15)),
                StartingGoal("closed-without-activity", _D(-50), "could", "control"),
                StartingGoal("data-completeness", _D(20), "should", "control"),
            ),
            ("scepticism", "data_quality", "training"),
            ("salesforce", "hubspot", "dynamics", "pipedrive", "bitrix24", "superoffice"),
        ),
        StartingPoint(
            "excel", "crm", _ALL, ("Sales",),
            (
                StartingGoal("win-rate", _D(10), "must"),
                StartingGoal("lead-response-time", _D(-30)),
                StartingGoal("new-customers", _D(10), "must"),
                StartingGoal("interaction-capture", _D(50), "could", "control"),
            ),
            ("fear", "not_understanding", "migration", "training"),
            ("csv", "xlsx"),
        ),
        StartingPoint(
            "outgrown_crm", "crm", ("quick_use", "automation"), ("Sales", "Marketing", "Service"),
            (
                StartingGoal("sales-velocity", _D(15), "must"),
                StartingGoal("stage-conversion", _D(10)),
                StartingGoal("fcr", _D(10)),
                StartingGoal("automation-share", _D(25), "could", "automation"),
            ),
            ("migration", "integration", "sponsorship"),
            ("salesforce", "hubspot", "dynamics", "pipedrive", "bitrix24", "superoffice"),
        ),
        StartingPoint(
            "vendor_gone", "crm", ("control", "quick_use"), ("Sales", "Service"),
            (
                StartingGoal("win-rate", _D(5), "must"),
                StartingGoal("churn-logo", _D(-10), "must"),
                StartingGoal("duplicate-rate", _D(-50), "should", "control"),
            ),
            ("migration", "integration", "fear", "training"),
            ("csv", "xlsx", "salesforce", "hubspot"),
        ),
        StartingPoint(
            "e_commerce", "e_commerce", ("quick_use", "automation"), ("Shop", "Customer service"),
            (
                StartingGoal("aov", _D(10), "must"),
                StartingGoal("conversion-rate", _D(10), "must"),
                StartingGoal("cart-abandonment", _D(-10)),
                StartingGoal("repeat-rate", _D(10), "should", "automation"),
            ),
            ("integration", "migration", "not_understanding"),
            ("cloudevents", "csv"),
        ),
    )
}  # fmt: skip
