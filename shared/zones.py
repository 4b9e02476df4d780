"""Time zones as numbers: the offsets of a zone and the seconds at which they change."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (local wall time has no zone)
# Where calendars and zones can be relied on; nobody asks beyond.
FIRST_YEAR, LAST_YEAR = 1900, 2200

Transitions = tuple[tuple[int, int], ...]


def known_zone(name: str) -> bool:
    return name in available_timezones()


@lru_cache(maxsize=64)
def transitions_of(name: str) -> Transitions:
    """A zone's (UTC second, offset in seconds from then on), the first one valid before all."""
    zone = ZoneInfo(name)
    first = int((datetime(FIRST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    last = int((datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
    offset = _offset(zone, first)
    found = [(first, offset)]
    for second in range(first + _DAY, last, _DAY):
        if _offset(zone, second) == offset:
            continue
        moment = _first_change(zone, second - _DAY, second, offset)
        offset = _offset(zone, moment)
        found.append((moment, offset))
    return tuple(found)


def _offset(zone: ZoneInfo, second: int) -> int:
    shift = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert shift is not None, "a zone has an offset at every moment"
    return int(shift.total_seconds())


def _first_change(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """The first second after `low` at which the offset is another."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


class Zone:
    """Local time by recorded transitions, so that a newer zone database changes nothing."""

    def __init__(self, transitions: Transitions) -> None:
        self._seconds = [second for second, _ in transitions]
        self._offsets = [offset for _, offset in transitions]
        self.begun = _begun_days(transitions)

    def local(self, moment: datetime) -> datetime:
        """The wall time of a moment, without zone."""
        return moment.replace(tzinfo=None) + timedelta(seconds=self._offset_at(moment))

    def day_of(self, moment: datetime) -> date:
        """The local day; one that has begun goes on although clocks are set back before it."""
        second = (moment - _EPOCH) // timedelta(seconds=1)
        for begin, end, day in self.begun:
            if begin <= second < end:
                return date.fromordinal(day)
        return self.local(moment).date()

    def moment(self, local: datetime) -> datetime:
        """The first moment at which the wall shows `local`, or, where it is skipped, the leap."""
        wall = int((local - _NAIVE_EPOCH) // timedelta(seconds=1))
        rest = (local - _NAIVE_EPOCH) - timedelta(seconds=wall)
        place = max(bisect_right(self._seconds, wall - _DAY) - 1, 0)
        candidate = wall - self._offsets[place]
        while place + 1 < len(self._seconds) and candidate >= self._seconds[place + 1]:
            place += 1
            candidate = max(wall - self._offsets[place], self._seconds[place])
        return _EPOCH + timedelta(seconds=candidate) + rest

    def _offset_at(self, moment: datetime) -> int:
        second = (moment - _EPOCH) // timedelta(seconds=1)
        return self._offsets[max(bisect_right(self._seconds, second) - 1, 0)]


def _begun_days(transitions: Transitions) -> tuple[tuple[int, int, int], ...]:
    """From when until when (UTC seconds) clocks show the day before one that has begun already."""
    found = []
    for (_, offset), (second, new) in pairwise(transitions):
        # At midnight itself the new day has not been shown yet.
        day = (second + offset - 1) // _DAY
        if (second + new) // _DAY < day:
            found.append((second, day * _DAY - new, day + _EPOCH.toordinal()))
    return tuple(found)


@lru_cache(maxsize=256)
def zone_of(transitions: Transitions) -> Zone:
    return Zone(transitions)
