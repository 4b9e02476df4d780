"""What every connector is made of: a connection, and parts of what a vendor tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.metrics.sources.delivery import Delivery, Translation
from services.metrics.sources.opportunities import CrmMapping
from shared.web.client import Outside

# Where to go on, in the connector's own words; JSON, kept between parts and after a crash.
Mark = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Some records as their vendor tells them, and where to go on (None: that was all).

    `begins` is the moment from which on the vendor's history of these records is complete, where it
    does not reach back to their beginning. `standing` says that records are told as they stand, not
    change by change.
    """

    said: Translation
    records: int
    mark: Mark | None
    begins: datetime | None = None
    standing: bool = True


@dataclass(slots=True)
class Gathering:
    """A part in the making."""

    standing: bool = True
    said: Translation = field(default_factory=Translation)
    records: int = 0
    begins: datetime | None = None

    def history_begins(self, moment: datetime | None) -> None:
        """Take note that some record's history begins no earlier than a moment."""
        if moment is not None:
            self.begins = moment if self.begins is None else max(self.begins, moment)

    def part(self, mark: Mark | None) -> Part:
        return Part(self.said, self.records, mark, self.begins, self.standing)


@dataclass(frozen=True, slots=True)
class Turning:
    """How a list that is sorted by last change is paged while records in it go on changing.

    A record that is edited moves to the end, and by offset the one after a page's edge would be
    passed by. So each page asks for what changed since the last change on the page before, leaving
    out what was seen at that very moment; by offset only while one moment fills a page.
    """

    since: datetime
    offset: int
    seen: frozenset[str]

    @classmethod
    def of(cls, mark: Mark, since: datetime) -> Turning:
        begun = datetime.fromisoformat(mark["since"]) if "since" in mark else since
        return cls(begun, mark.get("offset", 0), frozenset(mark.get("seen", ())))

    def fresh(self, page: Sequence[Changing]) -> list[str]:
        """The ids of a page's records that were on no page before."""
        return [identity for identity, _ in page if identity not in self.seen]

    def onward(self, page: Sequence[Changing]) -> Mark:
        """The mark of the page that follows."""
        last = page[-1][1]
        if last > self.since:
            at_edge = [identity for identity, moment in page if moment == last]
            return {"since": last.isoformat(), "offset": 0, "seen": at_edge}
        seen = sorted({*self.seen, *(identity for identity, _ in page)})
        return {"since": last.isoformat(), "offset": self.offset + len(page), "seen": seen}


# A record's id and when it last changed.
Changing = tuple[str, datetime]
# Asks for the next part of all deals that changed since a moment, or of all history there is.
Changed = Callable[[Outside, datetime, Mark, CrmMapping, str], Part]
History = Callable[[Outside, Mark, CrmMapping, str], Part]


def _no_key(outside: Outside, key: str | None) -> None:
    """The address holds the key."""


@dataclass(frozen=True, slots=True)
class Connector:
    """How a kind of source is read back.

    `address` is where its REST interface is, where that is the same for everybody; `sign_in` gives
    a connection its key. `named` tells which record a delivery names without saying more of it, and
    `read` asks for that.
    """

    changed: Changed
    history: History | None = None
    address: str | None = None
    sign_in: Callable[[Outside, str | None], None] = _no_key
    named: Callable[[Delivery], str | None] = lambda delivery: None
    read: Callable[[Outside, str], Any] | None = None
