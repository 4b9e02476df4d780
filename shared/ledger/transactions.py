"""Views and transactions: how a ledger is read at one basis and extended under its lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, func, null, select
from sqlalchemy.exc import IntegrityError

from shared import chain
from shared.asking import Rows, ask_together
from shared.clock import MICROSECOND, Clock, from_micros
from shared.database import Database, insert_once
from shared.errors import CONFLICT, STALE, UNAVAILABLE, Fault
from shared.events import Event, NewEvent, Payload, event, name_of
from shared.ids import new_id
from shared.ledger.basis import Bases, Basis, named, told
from shared.ledger.ready import Family, Ready, joined, laid_out, ready
from shared.ledger.rows import LOOKUP_CHUNK, Identity, Outcome, insert_events, read_event
from shared.ledger.tables import events, heads, tenants

_Found = TypeVar("_Found")
MAX_CLOCK_SKEW = timedelta(seconds=60)
# Knowledge asked for at a moment can still grow until the clocks of all writers are past it.
CLOSED_AFTER = MAX_CLOCK_SKEW + timedelta(seconds=10)


@event("ledger.opened")
class LedgerOpened(Payload):
    """The first event of every ledger: which clock its recording times come from."""

    clock: Literal["system", "simulated"]


Projector = Callable[["Transaction", Sequence[Event]], None]
# What is wrong with new events of a batch, although their identity is new; see `Objector`.
Objecting = Callable[
    ["Transaction", Sequence[Event], Mapping[Family, Collection[str]]], Mapping[Identity, Fault]
]

# Statements that stay: making them anew takes as long as the database takes to answer them.
_HEAD = heads.c.tenant_id == bindparam("tenant")
_LOCKED = select(heads, null().label("now")).where(_HEAD).with_for_update()
_LOCKED_AND_TIMED = (
    select(heads, func.clock_timestamp().label("now")).where(_HEAD).with_for_update()
)


class View:
    """The ledger and its projections as known at one basis."""

    def __init__(
        self,
        connection: Connection,
        tenant_id: UUID,
        basis: Basis,
        known_at: datetime,
        open_: bool,
        beside: Sequence[Any] | None = None,
    ) -> None:
        # What the ledger's columns beside a basis said when this was opened; None if not asked.
        self.beside = beside
        self.connection = connection
        self.tenant_id = tenant_id
        self.basis = basis
        self.known_at = known_at
        self.open = open_
        self._looked_up: dict[str, Any] = {}

    def once(self, name: str, look_up: Callable[[], _Found]) -> _Found:
        """What stays the same for as long as this view is open, looked up when first asked for."""
        if name not in self._looked_up:
            self._looked_up[name] = look_up()
        found: _Found = self._looked_up[name]
        return found

    @property
    def position(self) -> int:
        return self.basis.position

    def stream(self, stream: str) -> list[Event]:
        """The events of one thing, oldest first, as known here."""
        return self.streams([stream])[stream]

    def streams(self, streams: Sequence[str]) -> dict[str, list[Event]]:
        """The events of each of many things, oldest first, as known here."""
        found: dict[str, list[Event]] = {stream: [] for stream in streams}
        for start in range(0, len(streams), LOOKUP_CHUNK):
            rows = self.connection.execute(
                select(events)
                .where(
                    events.c.tenant_id == self.tenant_id,
                    events.c.stream.in_(streams[start : start + LOOKUP_CHUNK]),
                    events.c.position <= self.position,
                )
                .order_by(events.c.stream, events.c.revision)
            )
            for row in rows:
                event = read_event(row._mapping)
                found[event.stream or ""].append(event)
        return found


def _beside(rows: Rows) -> Sequence[Any] | None:
    return next((row[3:] or None for row in rows), None)


class Transaction(View):
    """A view of the head that may also append; what it appends is visible in it at once."""

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        tenant_id: UUID,
        actor: str,
        correlation: str,
    ) -> None:
        self._ledger = ledger
        self.actor = actor
        self.correlation_id = correlation
        # Facts of the batch that is being projected of which it is not the only version.
        self.said_again: Collection[Family] = ()
        head, self._locked_at = ledger.lock_head(connection, tenant_id)
        super().__init__(connection, tenant_id, head, self._locked_at, True)

    def once(self, name: str, look_up: Callable[[], _Found]) -> _Found:
        """Looked up anew: what this transaction appended may have changed it."""
        return look_up()

    def append(self, new: Sequence[NewEvent]) -> list[Outcome]:
        """Append events in order, as one batch; one outcome for each.

        A repeated identity is a duplicate (same content) or a conflict (other content); neither
        is stored and neither hinders its neighbours. Refuses with `stale` where another writer
        took the revision that an event names.
        """
        return self.append_ready(self._ready(new)) if new else []

    def append_ready(self, batch: Ready) -> list[Outcome]:
        """Append a batch that was hashed and laid out before this lock was taken."""
        if self.position == 0:
            return self._append(joined([self._ready([self._opening()]), batch]))[1:]
        return self._append(batch)

    def _ready(self, new: Sequence[NewEvent]) -> Ready:
        return self._ledger.ready(new, actor=self.actor, correlation_id=self.correlation_id)

    def record(
        self,
        stream: str,
        revision: int,
        payloads: Sequence[Payload],
        *,
        subject: str | None = None,
        occurred_at: datetime | None = None,
    ) -> int:
        """Append our own events to a stream that stands at `revision`; its revision then."""
        self.append(
            [
                new_event(
                    payload,
                    source=self._ledger.source,
                    stream=stream,
                    revision=number,
                    subject=subject or stream,
                    occurred_at=occurred_at or self.known_at,
                )
                for number, payload in enumerate(payloads, revision + 1)
            ]
        )
        return revision + len(payloads)

    def _append(self, batch: Ready) -> list[Outcome]:
        recorded_at = self._recorded_at()
        try:
            inserted = insert_events(
                self.connection, self.tenant_id, batch, self.basis, recorded_at,
                partial(self._ledger.object_to, self),
            )  # fmt: skip
        except IntegrityError as error:
            raise STALE.refusal("Someone else changed this meanwhile; read it again.") from error
        if inserted.events:
            self.basis = inserted.basis
            self.known_at = recorded_at
            self.said_again = inserted.said_again
            self._ledger.project(self, inserted.events)
        return inserted.outcomes

    def _recorded_at(self) -> datetime:
        """When the next batch is recorded: at the time under the lock, after the batch before."""
        before = self.basis.recorded_at
        return self._locked_at if before is None else max(self._locked_at, before + MICROSECOND)

    def _opening(self) -> NewEvent:
        clock = "simulated" if self._ledger.simulated else "system"
        return NewEvent(
            source="/ledger",
            event_id="opened",
            name="ledger.opened",
            occurred_at=self._ledger.clock.now(),
            data=chain.canonical_json({"clock": clock}),
            stream="ledger",
            revision=1,
        )


def nothing_is_wrong(
    transaction: Transaction, fresh: Sequence[Event], versions: Mapping[Family, Collection[str]]
) -> Mapping[Identity, Fault]:
    """Of a service whose facts never contradict each other."""
    return {}


class Ledger:
    """The ledgers of all tenants of one service."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        projector: Projector,
        *,
        source: str,
        simulated: bool = False,
        beside: Sequence[ColumnElement[Any]] = (),
        object_to: Objecting = nothing_is_wrong,
    ) -> None:
        # What every view needs is asked with its basis: columns about a `tenant`.
        self._bases = Bases(beside)
        self.source = source
        self.database = database
        self.clock = clock
        self.project = projector
        self.object_to = object_to
        self.simulated = simulated

    def ready(self, new: Sequence[NewEvent], *, actor: str = "", correlation_id: str = "") -> Ready:
        """A batch hashed and laid out for this ledger's database; needs no lock."""
        pack = self.database.is_postgresql
        return ready(new, pack=pack, actor=actor, correlation_id=correlation_id)

    def laid_out(self, events: list[Event]) -> Ready:
        """Hashed events laid out for this ledger's database; needs no lock."""
        return laid_out(events, pack=self.database.is_postgresql)

    @contextmanager
    def view(
        self,
        tenant_id: UUID,
        *,
        known_at: datetime | None = None,
        basis: str | None = None,
    ) -> Iterator[View]:
        """The ledger as known at a moment, at a basis token, or (neither given) now."""
        with self.database.read(tenant_id) as connection:
            yield self.view_in(connection, tenant_id, known_at=known_at, basis=basis)

    def view_in(
        self,
        connection: Connection,
        tenant_id: UUID,
        *,
        known_at: datetime | None = None,
        basis: str | None = None,
    ) -> View:
        now = self.clock.now()
        if basis is not None:
            (rows,) = ask_together(connection, [self._bases.of_token(tenant_id, basis)])
            found = named(basis, rows)
            moment = found.recorded_at or from_micros(0)
            return View(connection, tenant_id, found, moment, False, _beside(rows))
        if known_at is not None and now - known_at > CLOSED_AFTER:
            (rows,) = ask_together(connection, [self._bases.of_moment(tenant_id, known_at)])
            return View(connection, tenant_id, told(rows), known_at, False, _beside(rows))
        then = [self._bases.of_moment(tenant_id, known_at)] if known_at else []
        last, *rest = ask_together(connection, [self._bases.of_head(tenant_id), *then])
        head = told(last)
        present = max(now, head.recorded_at) if head.recorded_at else now
        if known_at is None or known_at > present:
            # Without a moment the head is meant, whatever clocks say; the future is not known yet.
            return View(connection, tenant_id, head, present, True, _beside(last))
        found = told(rest[0])
        is_open = known_at != found.recorded_at and head.position <= found.position
        return View(connection, tenant_id, found, known_at, is_open, _beside(rest[0]))

    @contextmanager
    def transaction(
        self, tenant_id: UUID, *, actor: str = "", correlation_id: str = ""
    ) -> Iterator[Transaction]:
        """Lock the head of the tenant's ledger, and commit when the block ends."""
        with self.database.write(tenant_id) as connection:
            yield Transaction(self, connection, tenant_id, actor, correlation_id)

    def lock_head(self, connection: Connection, tenant_id: UUID) -> tuple[Basis, datetime]:
        """Lock the tenant's head row, made on first use; its basis and the time under the lock."""
        # Read with the row, and again if that changed while it was waited for; whoever waited in
        # vain has a time that lies as far back as the wait was long, which `CLOSED_AFTER` covers.
        locked = _LOCKED_AND_TIMED if self.database.is_postgresql else _LOCKED
        asked = {"tenant": tenant_id}
        row = connection.execute(locked, asked).one_or_none()
        if row is None:
            self._make_head(connection, tenant_id)
            row = connection.execute(locked, asked).one()
        if row.simulated != self.simulated:
            raise CONFLICT.refusal(
                "This ledger's time is simulated; start the services with --simulate."
                if row.simulated
                else "This ledger's time is real; it can't be extended under a simulated clock."
            )
        basis = Basis(row.position, row.chain, row.recorded_at if row.position else None)
        return basis, self._agreed(row.now)

    def _make_head(self, connection: Connection, tenant_id: UUID) -> None:
        insert_once(
            connection,
            tenants,
            {
                "tenant_id": tenant_id,
                "key": str(tenant_id),
                "created_at": self.clock.now(),
            },
        )
        insert_once(
            connection,
            heads,
            {
                "tenant_id": tenant_id,
                "position": 0,
                "recorded_at": from_micros(0),
                "chain": chain.EMPTY_CHAIN,
                "simulated": self.simulated,
            },
        )

    def _agreed(self, database_now: datetime | None) -> datetime:
        """The time under the lock; refuses where the database's clock and ours are apart."""
        now = self.clock.now()
        if self.simulated or database_now is None:
            return now
        if abs(database_now - now) > MAX_CLOCK_SKEW:
            raise UNAVAILABLE.refusal(
                "The clocks of the database and of this service differ by more than "
                f"{MAX_CLOCK_SKEW.seconds} s; nothing is recorded until they agree.",
                headers={"Retry-After": "30"},
            )
        return database_now


def new_event(payload: Payload, **fields: object) -> NewEvent:
    """One of our own events from its payload; identity is a new UUIDv7 unless given."""
    name, schema_number = name_of(payload)
    return NewEvent(
        **{"event_id": new_id(), **fields},  # type: ignore[arg-type]
        name=name,
        schema_number=schema_number,
        data=chain.canonical_json(payload.model_dump(mode="json")),
    )
