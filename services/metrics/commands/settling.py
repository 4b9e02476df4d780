"""Settling: the events that bring a source's records up to all that was ever observed of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, exists, insert, or_, select

from services.metrics.domain.cloudevents import (
    FIRST_MOMENT,
    MAX_FUTURE,
    Rejected,
    read_cloudevent,
)
from services.metrics.domain.facts import RecordObserved, Retracted, SourceDescribed
from services.metrics.projections.counting import closed_backfills
from services.metrics.queries.definitions import source as find_source
from services.metrics.queries.definitions import types
from services.metrics.queries.seen import stream_of
from services.metrics.sources.delivery import Fact, Observation, Translation
from services.metrics.sources.opportunities import missing
from services.metrics.sources.records import Record, data_of, fold_record
from services.metrics.sources.vendors import crm_mapping, vendor_of
from services.metrics.tables import quarantine
from shared.chain import canonical_json
from shared.clock import to_micros
from shared.errors import Fault
from shared.events import Event, NewEvent
from shared.ids import new_id
from shared.ledger import Transaction, new_event
from shared.ledger.tables import events


@dataclass
class Settling:
    """Brings some records of a source up to what is known of them, within a transaction.

    With an open backfill all that it finds is said there: it counts when that is closed.
    """

    transaction: Transaction
    described: SourceDescribed
    names: Sequence[str]
    backfill: str | None = None
    _counting: set[str] = field(init=False)
    _past: dict[str, list[Event]] = field(init=False)

    def __post_init__(self) -> None:
        streams = [stream_of(self.described.key, name) for name in self.names]
        self._past = self.transaction.streams(streams)
        self._counting = closed_backfills(self.transaction)
        if self.backfill is not None:
            self._counting.add(self.backfill)

    def record(self, name: str) -> Record:
        """A record as it is known here."""
        return fold_record(self._past[stream_of(self.described.key, name)], self._counting)

    def missing(self, name: str, told: Sequence[Observation]) -> list[Observation]:
        """Of how a record stands in its system, what is not known of it here."""
        mapping = crm_mapping(self.described.kind, self.described.mapping)
        stages = vendor_of(self.described.kind).stages
        return missing(name, told, self.record(name).observed, mapping, stages)

    def settle(
        self, name: str, said: Sequence[Observation], translation: Translation
    ) -> list[NewEvent]:
        """The events that a record's stream lacks, now that something more is said of it."""
        known = self.record(name)
        fresh = [o for o in dict.fromkeys(said) if o not in known.observed]
        if said and not fresh:
            translation.known += 1
            return []
        mapping = crm_mapping(self.described.kind, self.described.mapping)
        settle = vendor_of(self.described.kind).settle
        assert settle is not None, "kinds that observe records settle them"
        facts = {f.event_id: f for f in settle(name, {*known.observed, *fresh}, mapping)}
        writing = _Stream(self, stream_of(self.described.key, name), known.revision)
        if fresh:
            writing.observed(name, fresh)
        for identity, fact in facts.items():
            data, faults = data_of(fact)
            translation.faults += [(identity, fault) for fault in faults]
            before = known.standing.get(identity)
            if before is None or before.data != data:
                writing.fact(fact, data, known.versions.get(identity, 0))
        for identity in known.standing.keys() - facts.keys():
            writing.gone(identity)
        return writing.new


@dataclass
class _Stream:
    """New events at the end of a record's stream."""

    settling: Settling
    stream: str
    revision: int
    new: list[NewEvent] = field(default_factory=list)

    def _own(self, payload: RecordObserved | Retracted) -> None:
        self.revision += 1
        self.new.append(
            new_event(
                payload, source="/metrics", stream=self.stream, revision=self.revision,
                subject=f"/sources/{self.settling.described.key}",
                occurred_at=self.settling.transaction.known_at, backfill=self.settling.backfill,
            )
        )  # fmt: skip

    def observed(self, record: str, fresh: Iterable[Observation]) -> None:
        said = [{"property": o.property, "value": o.value, "at": to_micros(o.at)} for o in fresh]
        self._own(RecordObserved(record=record, observations=said))

    def gone(self, identity: str) -> None:
        source = f"/sources/{self.settling.described.key}"
        reason = "no longer follows from the record"
        self._own(Retracted(source=source, event_id=identity, reason=reason))

    def fact(self, fact: Fact, data: str, version: int) -> None:
        self.revision += 1
        self.new.append(
            NewEvent(
                source=f"/sources/{self.settling.described.key}",
                event_id=fact.event_id,
                sequence=str(version) if version else "",
                name=fact.name,
                subject=fact.subject,
                occurred_at=fact.occurred_at,
                stream=self.stream,
                revision=self.revision,
                data=data,
                backfill=self.settling.backfill,
            )
        )


def append_translation(
    transaction: Transaction, described: SourceDescribed, translation: Translation,
    backfill: str | None = None, *, only_missing: bool = False,
) -> int:  # fmt: skip
    """Append the events that a translation gives, and keep what it can't; how many facts changed.

    With `only_missing`, what it says of records is how they stand now: only what differs from what
    is known of them is taken up.
    """
    new: list[NewEvent] = []
    kinds = types(transaction)
    for item in translation.items:
        event = read_cloudevent(item, kinds, transaction.known_at, backfill=backfill)
        if isinstance(event, Rejected):
            translation.faults += [(item, fault) for fault in event.faults]
        else:
            new.append(event)
    records: dict[str, list[Observation]] = defaultdict(list)
    latest = transaction.known_at + MAX_FUTURE
    for observation in translation.observations:
        if FIRST_MOMENT <= observation.at <= latest:
            records[observation.record].append(observation)
            continue
        told = {"record": observation.record, observation.property: observation.value}
        detail = f"{observation.at.isoformat()} is before 1900 or more than 24 h in the future."
        translation.faults.append((told, Fault("/time", detail, "future")))
    settling = Settling(transaction, described, list(records), backfill)
    for name, seen in records.items():
        said = settling.missing(name, seen) if only_missing else seen
        if said:
            new += settling.settle(name, said, translation)
    outcomes = transaction.append(new)
    translation.known += sum(o.status == "duplicate" for o in outcomes)
    for outcome, event in zip(outcomes, new, strict=True):
        if outcome.status == "conflict":
            detail = f"The event {event.event_id!r} is known with other content."
            fault = outcome.fault or Fault("/id", detail, "conflict")
            translation.faults.append((event.data, fault))
    for item, fault in translation.faults:
        keep_in_quarantine(transaction, f"/sources/{described.key}", "quarantined", item, [fault])
    return sum(
        outcome.status == "accepted" and event.name != "source.record_observed"
        for outcome, event in zip(outcomes, new, strict=True)
    )


def settle_again(
    transaction: Transaction, described: SourceDescribed, names: Sequence[str],
    backfill: str | None = None,
) -> int:  # fmt: skip
    """Bring records of a source up to its present mapping; how many facts changed."""
    translation = Translation()
    settling = Settling(transaction, described, names, backfill)
    new = [event for name in names for event in settling.settle(name, [], translation)]
    return sum(o.status == "accepted" for o in transaction.append(new))


def bring_up(transaction: Transaction, backfill_id: str, *, counts: bool) -> None:
    """Settle what was said beside a backfill once more, now that it counts, or no longer.

    What it was settled without may have come before it, too, in another backfill; once it counts no
    longer, only what came after it has relied on it.
    """
    other = events.alias("other")
    rows = transaction.connection.execute(
        select(events.c.stream)
        .where(
            events.c.tenant_id == transaction.tenant_id,
            events.c.backfill == backfill_id,
            events.c.stream.startswith("record/"),
            exists().where(
                other.c.tenant_id == events.c.tenant_id,
                other.c.stream == events.c.stream,
                or_(other.c.backfill.is_(None), other.c.backfill != backfill_id)
                if counts
                else and_(other.c.position > events.c.position, other.c.backfill.is_(None)),
            ),
        )
        .distinct()
    )
    by_source: dict[str, list[str]] = defaultdict(list)
    for stream in rows.scalars():
        _, key, name = stream.split("/", 2)
        by_source[key].append(name)
    for key, names in sorted(by_source.items()):
        described, _ = find_source(transaction, key)
        settle_again(transaction, described, sorted(names))


def keep_in_quarantine(
    transaction: Transaction, source: str, status: str, item: Any, faults: Iterable[Fault]
) -> None:
    """Keep what can't be a fact, with its reason, so that nothing sent is lost."""
    shown = [{"pointer": f.pointer, "detail": f.detail, "code": f.code} for f in faults]
    transaction.connection.execute(
        insert(quarantine).values(
            tenant_id=transaction.tenant_id,
            item_id=new_id(),
            at=transaction.known_at,
            source=source[:1_000],
            status=status,
            faults=canonical_json(shown),
            item=canonical_json(item),
        )
    )
