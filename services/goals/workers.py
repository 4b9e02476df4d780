"""What the goals service does without a request: following the metrics ledger."""

from __future__ import annotations

from uuid import UUID

from services.goals.commands.goals import note_redefined_metric
from services.goals.settings import GoalsSettings
from shared.follow import Follower
from shared.ledger import Ledger
from shared.web.client import Peer
from shared.workers import Task, Workers

PAUSE_SECONDS = 2.0


def create_workers(settings: GoalsSettings, ledger: Ledger, metrics: Peer) -> Workers:
    """One follower, for every tenant that a service key is configured for."""
    follower = Follower("goals.metrics", metrics, ledger, note_redefined_metric)
    keys = {UUID(tenant): key for tenant, key in settings.service_keys.items()}

    def step() -> bool:
        more = [follower.step(tenant, key.get_secret_value()) for tenant, key in keys.items()]
        return any(more)

    return Workers(ledger.database, [Task("goals.follow-metrics", step, PAUSE_SECONDS)])
