"""The outermost layer: traces, counters, access log, size limit and security headers."""

from __future__ import annotations

import time
from functools import lru_cache

from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import NOT_PARSABLE
from shared.language import current_language, negotiate
from shared.telemetry import REQUEST_SECONDS, REQUESTS, begin_trace, log
from shared.web.client import NEIGHBOURS_SECONDS, waiting_until
from shared.web.problems import problem_response

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
]
# An answer depends on these for all, also where it is too small to be compressed.
_VARIES = (b"vary", b"accept-encoding, accept-language")
STREAMED_PATH = "/v1/events"
_DOCS_PATHS = ("/docs", "/redoc")
_QUIET = ("/livez", "/readyz", "/metrics")


class Edge:
    """ASGI middleware around a service; never reads a body, only counts it."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, unlimited: tuple[str, ...] = ()) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        begin_trace(headers.get(b"traceparent", b"").decode("latin-1"))
        language = negotiate(headers.get(b"accept-language", b"").decode("latin-1"))
        current_language.set(language)
        waiting_until.set(time.monotonic() + NEIGHBOURS_SECONDS)
        scope.setdefault("state", {})["max_body_bytes"] = self.max_body_bytes
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = _HEADERS[:2] if scope["path"].startswith(_DOCS_PATHS) else _HEADERS
                spoken = (b"content-language", language.encode())
                message["headers"] = [*message["headers"], *extra, spoken, _VARIES]
            await send(message)

        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope.get("query_string", b""):
            detail = "An address holds no NUL character."
            refusal = problem_response(Request(scope), NOT_PARSABLE, detail)
            await refusal(scope, receive, answer)
            return
        try:
            await self.app(scope, self._counted(scope, headers, receive), answer)
        finally:
            _account(scope, status, time.perf_counter() - started)

    def _counted(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        # A stream is read piece by piece, so its length does not matter; its route says so.
        streams = headers.get(b"content-type", b"").startswith(b"application/x-ndjson")
        if streams and scope["path"] == STREAMED_PATH:
            return receive
        declared = headers.get(b"content-length", b"0")
        too_large = declared.isdigit() and int(declared) > self.max_body_bytes
        received = 0

        async def counted() -> Message:
            nonlocal received
            if too_large:
                raise HTTPException(413, f"At most {self.max_body_bytes} bytes at once.")
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_body_bytes:
                raise HTTPException(413, f"At most {self.max_body_bytes} bytes at once.")
            return message

        return counted


class Compressing(GZipMiddleware):
    """Compresses for those who ask for it, and does not stand in the way of the others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", ())
        asked = [value for name, value in headers if name == b"accept-encoding"]
        handle = super().__call__ if any(b"gzip" in value for value in asked) else self.app
        await handle(scope, receive, send)


def _account(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"]
    answered, took = _counters(method, route, status)
    answered.inc()
    took.observe(seconds)
    if route not in _QUIET:
        # The route's template, not the path: addresses may carry a webhook's secret token.
        log("access").info(
            "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1)
        )


@lru_cache(maxsize=4_096)
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Kept, since finding them by their labels takes longer than counting."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)
