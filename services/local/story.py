"""The demonstration's company: three years of sales and calls, made by a seeded simulation.

Nordwind sells pumps to other companies. In July 2024 it rolls out a CRM; its win rate rises over
the quarters that follow. As in life, some closings are entered weeks late, some batches are sent
twice, some amounts are corrected, and one test deal is taken back.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

SEED = 20_240_701
FIRST_DAY, LAST_DAY = date(2023, 1, 2), date(2025, 12, 28)
GO_LIVE = date(2024, 7, 1)
DEALS_A_WEEK, CALLS_A_WEEK = 32, 40
SOURCE, PHONES = "/nordwind/crm", "/nordwind/phones"
REGIONS = ("North", "South", "West")
# The win rate before, and what the roll-out adds once everybody works with it.
WIN_RATE, UPLIFT, RAMP_DAYS = 0.27, 0.09, 365
LATE_SHARE, CORRECTED_SHARE = 0.04, 0.02
TEST_DEAL = "deal/test-1"


@dataclass(frozen=True, slots=True)
class Sent:
    """An event and the day on which the company's systems send it."""

    day: date
    event: dict[str, Any]


def weeks() -> list[date]:
    """The Mondays of the story."""
    count = (LAST_DAY - FIRST_DAY).days // 7 + 1
    return [FIRST_DAY + timedelta(weeks=n) for n in range(count)]


def events_by_week() -> dict[date, list[dict[str, Any]]]:
    """What is sent in each week, in order of its sending; the same on every run."""
    sent = [*_deals(random.Random(SEED)), *_calls(random.Random(SEED + 1))]
    by_week: dict[date, list[Sent]] = defaultdict(list)
    for item in sent:
        by_week[item.day - timedelta(days=item.day.weekday())].append(item)
    return {
        monday: [i.event for i in sorted(by_week[monday], key=lambda i: (i.day, i.event["id"]))]
        for monday in weeks()
    }


def _deals(chance: random.Random) -> list[Sent]:
    sent = [
        Sent(date(2023, 3, 14), _event("crm.opportunity.opened", TEST_DEAL, date(2023, 3, 14), {}))
    ]
    closing = {"outcome": "won", "amount": 999_999, "currency": "EUR", "region": "North"}
    sent.append(
        Sent(
            date(2023, 3, 15),
            _event("crm.opportunity.closed", TEST_DEAL, date(2023, 3, 15), closing),
        )
    )
    number = 0
    for monday in weeks():
        for _ in range(DEALS_A_WEEK + chance.randint(-4, 4)):
            number += 1
            opened = monday + timedelta(days=chance.randint(0, 4))
            sent += _deal(chance, f"deal/{number:05}", opened)
    return sent


def _deal(chance: random.Random, subject: str, opened: date) -> list[Sent]:
    region = chance.choice(REGIONS)
    sent = [Sent(opened, _event("crm.opportunity.opened", subject, opened, {"region": region}))]
    closed = opened + timedelta(days=int(chance.triangular(10, 95, 40)))
    if closed > LAST_DAY:
        return sent
    won = chance.random() < win_rate_on(closed)
    amount = round(chance.lognormvariate(8.1, 0.45), 2)
    closing = {
        "outcome": "won" if won else "lost",
        "amount": amount,
        "currency": "EUR",
        "region": region,
    }
    delay = chance.randint(14, 45) if chance.random() < LATE_SHARE else chance.randint(0, 2)
    day = min(closed + timedelta(days=delay), LAST_DAY)
    sent.append(Sent(day, _event("crm.opportunity.closed", subject, closed, closing)))
    if won and chance.random() < CORRECTED_SHARE:
        corrected = {**closing, "amount": round(amount * chance.uniform(0.8, 0.98), 2)}
        later = min(day + timedelta(days=chance.randint(5, 30)), LAST_DAY)
        sent.append(
            Sent(
                later,
                {**_event("crm.opportunity.closed", subject, closed, corrected), "sequence": "1"},
            )
        )
    return sent


def win_rate_on(day: date) -> float:
    """The chance that a deal closed on a day is won."""
    since = (day - GO_LIVE).days
    return WIN_RATE + UPLIFT * min(1.0, max(0.0, since / RAMP_DAYS))


def _calls(chance: random.Random) -> list[Sent]:
    sent = []
    number = 0
    for monday in weeks():
        for _ in range(CALLS_A_WEEK + chance.randint(-6, 6)):
            number += 1
            day = monday + timedelta(days=chance.randint(0, 4))
            faster = 0.85 if day >= GO_LIVE else 1.0
            abandoned = chance.random() < 0.07
            call: dict[str, Any] = {
                "queue": "service",
                "direction": "inbound",
                "wait": chance.randint(3, 120),
                "abandoned": abandoned,
            }
            if not abandoned:
                call |= {
                    "talk": int(chance.triangular(60, 900, 240) * faster),
                    "hold": chance.randint(0, 60),
                    "after_call": int(chance.randint(20, 120) * faster),
                    "resolved": chance.random() < 0.72,
                }
            event = _event("contact.call.completed", f"call/{number:05}", day, call, PHONES)
            sent.append(Sent(day, event))
    return sent


def _event(
    name: str, subject: str, day: date, data: dict[str, Any], source: str = SOURCE
) -> dict[str, Any]:
    kind = name.rpartition(".")[2]
    hour = 8 + sum(subject.encode()) % 9
    moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return {
        "specversion": "1.0",
        "type": name,
        "source": source,
        "id": f"{subject}/{kind}",
        "subject": subject,
        "time": moment.isoformat().replace("+00:00", "Z"),
        "data": data,
    }
