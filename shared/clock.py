"""Where time comes from: the system's clock, or a simulated one for development."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Gives the present as an aware UTC datetime."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SimulatedClock:
    """A clock that runs on from a moment that was set; it can only be set forward."""

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._anchor = require_aware(start)
        self._anchored_at = time.monotonic()

    def now(self) -> datetime:
        with self._lock:
            return self._anchor + timedelta(seconds=time.monotonic() - self._anchored_at)

    def move_to(self, moment: datetime) -> bool:
        """Set the clock forward; False, and nothing moves, when `moment` has passed already."""
        require_aware(moment)
        with self._lock:
            elapsed = timedelta(seconds=time.monotonic() - self._anchored_at)
            if moment < self._anchor + elapsed:
                return False
            self._anchor = moment.astimezone(UTC)
            self._anchored_at = time.monotonic()
            return True


def require_aware(moment: datetime) -> datetime:
    assert moment.tzinfo is not None, "moments carry their zone"
    return moment


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC: how moments are stored, the same in both databases."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def midnight_utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def format_instant(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`; fractions only where there are any."""
    text = moment.astimezone(UTC).isoformat(timespec="auto")
    return text.removesuffix("+00:00") + "Z"
