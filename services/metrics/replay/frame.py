"""What a fold works with: events as rows, the periods asked for, groups and exact figures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from msgspec import Struct

from services.metrics.domain.filters import lookup
from shared.periods import ONE_DAY, Calendar, Period

DIGEST_MODULUS = 1 << 256


Group = tuple[str, ...]


NO_VALUE = "(none)"
# Under these names a view of fields holds the event itself and, for a standing thing, until when.
ROW, UNTIL = "\x00row", "\x00until"


class Row(Struct, frozen=True):
    """One counting event, as the fold sees it."""

    position: int
    name: str
    subject: str | None
    source: str
    occurred_at: datetime
    occurred_on: date | None
    leaf: bytes
    fields: Mapping[str, Any]
    # When it occurred; a day without time begins at its midnight in the organisation's zone.
    moment: datetime
    # Where its fact was told of first, if that was in an earlier version.
    first: int = 0
    # Where a day without time stands among what happened on it, if that is not at its beginning.
    placed: datetime | None = None

    @property
    def rank(self) -> int:
        """Its place among what happened at one instant: where its fact was told of first."""
        return self.first or self.position

    @property
    def order(self) -> tuple[datetime, int]:
        return (self.placed or self.moment, self.rank)


@dataclass(slots=True)
class Figure:
    """An exact figure of one group in one period.

    `value` is None with a `reason` where there is none; `numerator` and `denominator` are its
    exact parts where it has such. `pending` says that a window was still open, so that the figure
    can change without any late event.
    """

    value: Fraction | None = None
    numerator: Fraction | None = None
    denominator: Fraction | None = None
    n: int = 0
    digest: int = 0
    currencies: frozenset[str] = frozenset()
    reason: str | None = None
    pending: bool = False


@dataclass(slots=True)
class Figures:
    """Figures per group, one for each period, and those of a group in which nothing happened."""

    groups: dict[Group, list[Figure]]
    empty: list[Figure]

    def of(self, group: Group) -> list[Figure]:
        return self.groups.get(group, self.empty)


@dataclass(frozen=True)
class Frame:
    """The periods asked for, in order, in a calendar; events are given to those without overlap.

    A merged frame takes all of them as one, the first.
    """

    periods: Sequence[Period]
    calendar: Calendar
    merged: bool = False

    @cached_property
    def disjoint(self) -> bool:
        """Whether no two of the periods overlap, so that each event lies in one at most."""
        return all(a.end <= b.start for a, b in pairwise(self.periods))

    @cached_property
    def starts(self) -> list[datetime]:
        return [self.calendar.instant(p.start) for p in self.periods]

    @cached_property
    def ends(self) -> list[datetime]:
        return [self.calendar.instant(p.end) for p in self.periods]

    @cached_property
    def start_days(self) -> list[date]:
        return [p.start for p in self.periods]

    def index_of(self, row: Row) -> int | None:
        """The period in which an event lies; dates are compared with dates."""
        if row.occurred_on is not None:
            index = bisect_right(self.start_days, row.occurred_on) - 1
            inside = index >= 0 and row.occurred_on < self.periods[index].end
        else:
            index = bisect_right(self.starts, row.occurred_at) - 1
            inside = index >= 0 and row.occurred_at < self.ends[index]
        if not inside:
            return None
        return 0 if self.merged else index

    def is_before_end(self, row: Row, index: int) -> bool:
        if row.occurred_on is not None:
            return row.occurred_on < self.periods[index].end
        return row.occurred_at < self.ends[index]

    def first_ending_after(self, row: Row) -> int:
        """The first period at whose end the event has happened (their number if there is none)."""
        if row.occurred_on is not None:
            return bisect_right([p.end for p in self.periods], row.occurred_on)
        return bisect_right(self.ends, row.occurred_at)

    def day_of(self, row: Row) -> date:
        return row.occurred_on or self.calendar.day_of(row.occurred_at)

    def dawn(self, moment: datetime) -> datetime:
        """The beginning of the local day of a moment."""
        return self.calendar.instant(self.calendar.day_of(moment))

    def dusk(self, moment: datetime) -> datetime:
        """The end of the local day of a moment, which is the beginning of the next one."""
        return self.calendar.instant(self.calendar.day_of(moment) + ONE_DAY)

    def precedes(self, one: Row, other: Row) -> bool:
        """Whether an event was not after another; a day without time is compared by its date."""
        if one.occurred_on is None and other.occurred_on is None:
            return one.occurred_at <= other.occurred_at
        return self.day_of(one) <= self.day_of(other)


Grouping = Callable[[Mapping[str, Any]], Group]


def view_of(row: Row) -> dict[str, Any]:
    """An event's fields with its own attributes beside them, for filters and groups."""
    return {
        **row.fields, "$type": row.name, "$subject": row.subject, "$source": row.source, ROW: row,
    }  # fmt: skip


def grouping(names: Sequence[str]) -> Grouping:
    """Groups events by the values of some fields."""
    if not names:
        return lambda fields: ()

    def group_of(fields: Mapping[str, Any]) -> Group:
        values = (lookup(fields, name) for name in names)
        return tuple(NO_VALUE if v is None or v == "" else shown(v) for v in values)

    return group_of


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        value
        if isinstance(value, str)
        else format(value, "f")
        if isinstance(value, Decimal)
        else str(value)
    )
