"""Mapping with eyes open: what a source has said so far, and what another mapping would change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby

from pydantic import Field
from sqlalchemy import ColumnElement, func, select

from services.metrics.domain.facts import SourceDescribed
from services.metrics.projections.counting import closed_backfills
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.records import Record, data_of, fold_record
from services.metrics.sources.vendors import crm_mapping, vendor_of
from services.metrics.tables import deliveries
from shared.chain import parse_json
from shared.ledger import View, read_event
from shared.ledger.tables import events
from shared.web.wire import InstantField, Wire

# A preview shows so many of the records that would change.
MAX_EXAMPLES = 20
_ALONG = ("currency", "currency_id", "owner", "type", "account")


class SeenStage(Wire):
    """A stage that deals were seen in."""

    pipeline: str | None = Field(description="Pipeline, where the vendor tells one")
    stage: str = Field(description="The vendor's name or id of it")
    deals: int = Field(ge=1, description="Deals that were ever in it")
    outcome: str = Field(description="What it means under the mapping: open, won or lost")
    mapped: bool = Field(description="Whether the mapping names it; else the vendor's default")


class Traffic(Wire):
    """What a source has sent."""

    last_delivery_at: InstantField | None = Field(description="When the last delivery came")
    deliveries: dict[str, int] = Field(description="Deliveries by state")
    stages: list[SeenStage] = Field(description="By pipeline, then stage")
    values: dict[str, list[str]] = Field(
        description="Values seen of currency, owner, type and account, the most frequent first"
    )


class ChangedRecord(Wire):
    """A record whose facts would be others."""

    record: str = Field(description="The record")
    before: list[str] = Field(description="Its facts as they stand")
    after: list[str] = Field(description="... and as they would be")


class MappingEffect(Wire):
    """What another mapping would do to all that a source has said."""

    records: int = Field(ge=0, description="Records looked at")
    unchanged: int = Field(ge=0, description="Facts that stay as they are")
    added: int = Field(ge=0, description="Facts that would be new")
    changed: int = Field(ge=0, description="Facts that would be restated")
    gone: int = Field(ge=0, description="Facts that would be retracted")
    examples: list[ChangedRecord] = Field(description="Some of the records that would change")


def traffic(view: View, described: SourceDescribed) -> Traffic:
    """What a source has sent, and the stages and values that were in it."""
    mine = (deliveries.c.tenant_id == view.tenant_id, deliveries.c.source == described.key)
    states = view.connection.execute(
        select(deliveries.c.state, func.count().label("times"))
        .where(*mine)
        .group_by(deliveries.c.state)
    )
    last: datetime | None = view.connection.execute(
        select(deliveries.c.received_at)
        .where(*mine)
        .order_by(deliveries.c.delivery_id.desc())
        .limit(1)
    ).scalar()
    stages: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    values: dict[str, Counter[str]] = {name: Counter() for name in _ALONG}
    for name, record in _records(view, described.key):
        pipeline = None
        for said in sorted(record.observed, key=lambda o: (o.at, o.property)):
            if said.property == "pipeline":
                pipeline = said.value or None
            elif said.property == "stage" and said.value:
                stages[pipeline, said.value].add(name)
            elif said.property in values and said.value:
                values[said.property][said.value] += 1
    return Traffic(
        last_delivery_at=last,
        deliveries={row.state: row.times for row in states},
        stages=_stages(stages, described),
        values={name: [v for v, _ in told.most_common(50)] for name, told in values.items()},
    )


def _stages(
    found: Mapping[tuple[str | None, str], set[str]], described: SourceDescribed
) -> list[SeenStage]:
    vendor = vendor_of(described.kind)
    if vendor.settle is None:
        return []
    mapping = crm_mapping(described.kind, described.mapping)
    defaults = vendor.stages
    return [
        SeenStage(
            pipeline=pipeline,
            stage=stage,
            deals=len(deals),
            outcome=mapping.outcome(pipeline, stage, defaults.get(stage, "open")),
            mapped=any(stage in stages for stages in mapping.pipelines.values()),
        )
        for (pipeline, stage), deals in sorted(found.items(), key=_by_name)
    ]


def _by_name(found: tuple[tuple[str | None, str], set[str]]) -> tuple[str, str]:
    (pipeline, stage), _ = found
    return pipeline or "", stage


def stream_of(key: str, record: str) -> str:
    """The stream of a source's record."""
    return f"record/{key}/{record}"


def _of_records(view: View, prefix: str) -> list[ColumnElement[bool]]:
    return [
        events.c.tenant_id == view.tenant_id,
        events.c.stream.startswith(prefix, autoescape=True),
        events.c.position <= view.position,
    ]


def _records(view: View, key: str) -> Iterator[tuple[str, Record]]:
    """Every record of a source with all that was observed of it and the facts that stand."""
    prefix = stream_of(key, "")
    rows = view.connection.execute(
        select(events)
        .where(*_of_records(view, prefix))
        .order_by(events.c.stream, events.c.revision)
    )
    told = (read_event(row._mapping) for row in rows)
    counting = closed_backfills(view)
    for stream, past in groupby(told, key=lambda event: event.stream or ""):
        yield stream.removeprefix(prefix), fold_record(past, counting)


def record_names(view: View, key: str, after: str, limit: int) -> list[str]:
    """The next records of a source, by name."""
    prefix = stream_of(key, "")
    rows = view.connection.execute(
        select(events.c.stream)
        .where(*_of_records(view, prefix), events.c.stream > stream_of(key, after))
        .distinct()
        .order_by(events.c.stream)
        .limit(limit)
    )
    return [stream.removeprefix(prefix) for stream in rows.scalars()]


def count_records(view: View, key: str) -> int:
    """How many records a source has told of."""
    told = func.count(events.c.stream.distinct())
    return view.connection.execute(
        select(told).where(*_of_records(view, stream_of(key, "")))
    ).scalar_one()


def effect(view: View, described: SourceDescribed, mapping: CrmMapping) -> MappingEffect:
    """What a mapping would make of all that a source ever said, beside what stands."""
    settle = vendor_of(described.kind).settle
    assert settle is not None, "only kinds that observe records are previewed"
    found = MappingEffect(records=0, unchanged=0, added=0, changed=0, gone=0, examples=[])
    for name, record in _records(view, described.key):
        found.records += 1
        facts = {fact.event_id: fact for fact in settle(name, record.observed, mapping)}
        after = {identity: data_of(fact)[0] for identity, fact in facts.items()}
        both = after.keys() & record.standing.keys()
        restated = [i for i in both if after[i] != record.standing[i].data]
        added, gone = after.keys() - both, record.standing.keys() - both
        found.unchanged += len(both) - len(restated)
        found.added, found.gone = found.added + len(added), found.gone + len(gone)
        found.changed += len(restated)
        if (restated or added or gone) and len(found.examples) < MAX_EXAMPLES:
            before = [_worded(i, e.data) for i, e in sorted(record.standing.items())]
            told = [_worded(i, data) for i, data in sorted(after.items())]
            found.examples.append(ChangedRecord(record=name, before=before, after=told))
    return found


def _worded(identity: str, data: str) -> str:
    said = ", ".join(f"{name} {value}" for name, value in sorted(parse_json(data).items()))
    return f"{identity.split('/')[-2]}: {said}"
