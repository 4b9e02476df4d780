"""The events that benchmarks push: closings of deals, spread over six years."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.chain import canonical_json
from shared.events import NewEvent

START = datetime(2019, 1, 1, tzinfo=UTC)
SPAN_SECONDS = 6 * 365 * 86_400
REGIONS = ("north", "south", "east", "west")


def facts(count: int, seed: int = 1) -> Iterator[tuple[str, datetime, dict[str, Any]]]:
    """Id, moment and data of so many closings, the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        moment = START + timedelta(seconds=chance.randrange(SPAN_SECONDS))
        data = {
            "outcome": "won" if chance.random() < 0.3 else "lost",
            "amount": chance.randrange(100, 100_000),
            "currency": "EUR",
            "region": chance.choice(REGIONS),
        }
        yield f"{seed}/{number}", moment, data


def cloudevents(count: int, seed: int) -> list[dict[str, Any]]:
    return [
        {
            "specversion": "1.0",
            "type": "crm.opportunity.closed",
            "source": "/bench",
            "id": identity,
            "subject": f"deal/{identity}",
            "time": moment.isoformat(),
            "data": data,
        }
        for identity, moment, data in facts(count, seed)
    ]


def new_events(count: int, seed: int) -> list[NewEvent]:
    return [
        NewEvent(
            source="/bench",
            event_id=identity,
            name="crm.opportunity.closed",
            subject=f"deal/{identity}",
            occurred_at=moment,
            data=canonical_json(data),
        )
        for identity, moment, data in facts(count, seed)
    ]


def ordered_events(count: int, batch: int, seed: int = 5) -> Iterator[list[NewEvent]]:
    """Batches of closings in the order in which they happened, one in fifty of them late."""
    chance = random.Random(seed)
    late: list[NewEvent] = []
    step = timedelta(seconds=SPAN_SECONDS / count)
    for start in range(0, count, batch):
        new: list[NewEvent] = []
        for number in range(start, min(start + batch, count)):
            data = {
                "outcome": "won" if chance.random() < 0.3 else "lost",
                "amount": chance.randrange(100, 100_000),
                "currency": "EUR",
                "region": chance.choice(REGIONS),
            }
            event = NewEvent(
                source="/bench",
                event_id=f"o{number}",
                name="crm.opportunity.closed",
                subject=f"deal/{chance.randrange(count)}",
                occurred_at=START + step * number,
                data=canonical_json(data),
            )
            (late if chance.random() < 0.02 else new).append(event)
        if len(late) > batch // 10 or start + batch >= count:
            new, late = [*new, *late], []
        yield new
