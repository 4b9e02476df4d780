"""What operations see: structured logs, counters for Prometheus, and the trace that ties them."""

from __future__ import annotations

import logging
import re
import secrets
import sys
from contextvars import ContextVar
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge, Histogram

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

REQUESTS = Counter("worthwhile_requests", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "worthwhile_request_seconds", "Time to answer a request", ["method", "route"]
)
EVENTS_APPENDED = Counter("worthwhile_events_appended", "Events stored in the ledger")
FOLLOWER_POSITION = Gauge(
    "worthwhile_follower_position", "Position that a follower has read up to", ["follower"]
)


@dataclass(frozen=True, slots=True)
class Trace:
    """A W3C trace context: which request this work belongs to."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def header(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def begin_trace(traceparent: str | None) -> Trace:
    """Go on with the caller's trace, or begin a new one."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    fresh = secrets.token_hex(24)
    trace_id = match[1] if match and int(match[1], 16) else fresh[:32]
    trace = Trace(trace_id, fresh[32:], match[3] if match else "01")
    current_trace.set(trace)
    return trace


def set_up_logging(service: str, level: str) -> None:
    """JSON lines on standard error; no body, header or credential is ever logged."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)


def log(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
