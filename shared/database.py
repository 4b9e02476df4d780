"""One door to both databases: engines, column types, and the tenant's connection."""

from __future__ import annotations

import selectors
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DBAPIError,
    InvalidatePoolError,
    InvalidRequestError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.clock import from_micros, require_aware, to_micros
from shared.errors import UNAVAILABLE, Refusal

# A request that can't get its locks or its connection in this time is told so.
LOCK_TIMEOUT_SECONDS = 5
POOL_SIZE = 10
POOL_OVERFLOW = 10

# A connection that rested longer is asked whether it still stands; firewalls forget in silence.
RESTED_SECONDS = 60

_NEVER_BY_ITSELF = 1_000_000_000
# The log is taken over into the file every 32 MB, which many commits then share.
SQLITE_PRAGMAS = (
    "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY",
    "wal_autocheckpoint=8000",
)  # fmt: skip
# Cheap to make, where there is one; what every system has, where not.
_LOOK: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
Position = BigInteger().with_variant(Integer, "sqlite")


class Instant(TypeDecorator[datetime]):
    """An aware moment, stored as microseconds since 1970: equal and ordered alike everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(require_aware(value))

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Day(TypeDecorator[date]):
    """A date without time or zone, stored as its ISO text."""

    impl = String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        return None if value is None else date.fromisoformat(value)


Hash = LargeBinary(32)
JsonText = Text


class _Turns:
    """Lets the writers of this process go one after the other, in the order in which they came.

    SQLite has one writer at a time and lets others ask again and again, more rarely the longer they
    wait: whoever writes without pause would keep the rest out for seconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        mine = threading.Lock()
        with self._lock:
            if self._taken:
                mine.acquire()
                self._waiting.append(mine)
            self._taken = True
        if not mine.acquire(timeout=LOCK_TIMEOUT_SECONDS) and self._gives_up(mine):
            raise _busy("Too many writers are waiting for the database.")
        try:
            yield
        finally:
            with self._lock:
                self._taken = bool(self._waiting)
                if self._waiting:
                    self._waiting.popleft().release()

    def _gives_up(self, mine: threading.Lock) -> bool:
        """Whether a turn is still to come; one that came in the last moment is taken."""
        with self._lock:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True


class Database:
    """The database of one service; hands out connections that see one tenant only."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, prepares: bool = True) -> None:
        self.url = url
        self.engine = _engine(url, pool_size, prepares)
        self.is_postgresql = self.engine.dialect.name == "postgresql"
        self._turns = None if self.is_postgresql else _Turns()

    @contextmanager
    def read(self, tenant_id: UUID | None) -> Iterator[Connection]:
        """One consistent state of the database, for reading only."""
        with _translated(), self._connect() as connection:
            connection.execution_options(writes=False, tenant=tenant_id)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self, tenant_id: UUID | None, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction that commits when the block ends, and not before.

        One that need not be `durable` does not wait for the disk: if the database's machine fails,
        its last ones are lost as a whole, and nothing else is.
        """
        turn = self._turns.turn() if self._turns else nullcontext()
        with turn, _translated(), self._connect() as connection:
            connection.execution_options(writes=True, durable=durable, tenant=tenant_id)
            with connection.begin():
                yield connection

    def _connect(self) -> Connection:
        try:
            return self.engine.connect()
        except InvalidRequestError as error:
            # One after the other was lost before it could be used.
            raise _busy("The database ends its connections.") from error

    def close(self) -> None:
        self.engine.dispose()


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite address, or None for another database."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None


def _engine(url: str, pool_size: int, prepares: bool) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=LOCK_TIMEOUT_SECONDS,
            connect_args={"check_same_thread": False, "timeout": LOCK_TIMEOUT_SECONDS},
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=LOCK_TIMEOUT_SECONDS,
        # We send BEGIN ourselves, with all that a transaction starts with.
        isolation_level="AUTOCOMMIT",
        connect_args={
            # Just those that we say are prepared, however often others are sent.
            "prepare_threshold": _NEVER_BY_ITSELF if prepares else None,
            "connect_timeout": LOCK_TIMEOUT_SECONDS,
        },
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", _demand_alive)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _note_rest(connection: object, record: Any) -> None:
    record.info["rests_since"] = time.monotonic()


def _demand_alive(connection: psycopg.Connection[Any], record: Any, _: object) -> None:
    """Have the pool replace a connection that was lost while it rested.

    A server that ends tells so on the connection, which costs nothing to look at.
    """
    rested = time.monotonic() - record.info.get("rests_since", time.monotonic())
    try:
        with _LOOK() as look:
            look.register(connection, selectors.EVENT_READ)
            said = look.select(0)
        if said or rested > RESTED_SECONDS:
            connection.execute("")
    except psycopg.Error as error:
        raise InvalidatePoolError("the connection was lost while it rested") from error


def _begin_postgresql(connection: Connection) -> None:
    """Begin and enter the tenant in one message."""
    options = connection.get_execution_options()
    begin = "BEGIN"
    if "tenant" in options:
        mode = "READ COMMITTED" if options["writes"] else "REPEATABLE READ, READ ONLY"
        begin = (
            f"BEGIN ISOLATION LEVEL {mode};"
            f"SET LOCAL worthwhile.tenant = '{options['tenant'] or ''}';"
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"
        )
        if not options.get("durable", True):
            begin += ";SET LOCAL synchronous_commit = off"
    connection.exec_driver_sql(begin)


def _set_up_sqlite(connection: sqlite3.Connection, record: object) -> None:
    # We send BEGIN ourselves, so that a reader holds one snapshot and a writer locks at once.
    connection.isolation_level = None
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    writes = options.get("writes", False)
    if writes:
        waits = "FULL" if options["durable"] else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={waits}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn 'the database does not answer' into a refusal; our own mistakes stay what they are."""
    try:
        yield
    except PoolTimeoutError as error:
        raise _busy("All database connections are in use.") from error
    except OperationalError as error:
        raise _busy("The database is locked, full, read-only or does not answer.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _busy("The connection to the database was lost.") from error
        if isinstance(error.orig, InvalidSqlStatementName | DuplicatePreparedStatement):
            raise _busy(
                "A pooler before the database keeps no prepared statements; the service has to be "
                "set up with PREPARED_STATEMENTS=false."
            ) from error
        raise


def _busy(detail: str) -> Refusal:
    return UNAVAILABLE.refusal(detail, headers={"Retry-After": "1"})


def tenant_tables(metadata: MetaData) -> list[str]:
    """The tables whose rows belong to a tenant: all that have the column."""
    return [t.name for t in metadata.sorted_tables if "tenant_id" in t.columns]


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its key is there already; says whether it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return (
        connection.execute(dialect.insert(table).values(row).on_conflict_do_nothing()).rowcount > 0
    )


def upsert(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row, or change the one that has its primary key."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key.columns]
    connection.execute(
        dialect.insert(table)
        .values(row)
        .on_conflict_do_update(
            index_elements=keys, set_={k: v for k, v in row.items() if k not in keys}
        )
    )
