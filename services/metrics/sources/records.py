"""A record of a source as its stream tells it: what was observed, and which facts stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from services.metrics.domain.facts import RecordObserved, Retracted
from services.metrics.domain.types import CANONICAL, check_data
from services.metrics.sources.delivery import Fact, Observation
from shared.chain import canonical_json, parse_json
from shared.clock import from_micros
from shared.errors import Fault
from shared.events import Event


@dataclass
class Record:
    """All observations, the facts that stand by id, and how often each was said.

    `revision` is the stream's last; a fact that the door took first leaves a gap in them.
    """

    observed: set[Observation] = field(default_factory=set)
    standing: dict[str, Event] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    revision: int = 0


def fold_record(past: Iterable[Event], counting: Collection[str] = ()) -> Record:
    """A record from its stream, oldest event first; of backfills only those that count."""
    record = Record()
    for event in past:
        record.revision = max(record.revision, event.revision or 0)
        fact = event.name not in ("source.record_observed", "ledger.retracted")
        if fact:
            # A version is taken for good, whether its backfill counts or not.
            record.versions[event.event_id] = record.versions.get(event.event_id, 0) + 1
        if event.backfill is not None and event.backfill not in counting:
            continue
        if fact:
            record.standing[event.event_id] = event
        elif event.name == "ledger.retracted":
            gone = Retracted.model_validate(parse_json(event.data)).event_id or ""
            record.standing.pop(gone, None)
        else:
            record.observed |= _observed(event)
    return record


def _observed(event: Event) -> set[Observation]:
    payload = RecordObserved.model_validate(parse_json(event.data))
    return {
        Observation(payload.record, o["property"], o["value"], from_micros(int(o["at"])))
        for o in payload.observations
    }


def data_of(fact: Fact) -> tuple[str, list[Fault]]:
    """A fact's data as it is kept, and what of it is not valid (an amount of twenty digits).

    What is not valid is left out and told; the fact holds.
    """
    checked, faults = check_data(CANONICAL[fact.name], fact.data)
    return canonical_json(checked), faults
