"""The only door to other services: bounded waiting, clear refusals, the caller's credential."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import httpx
import stamina
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.chain import parse_json
from shared.errors import CONFLICT, FORBIDDEN, REGISTRY, UNAVAILABLE, Fault, ProblemType, Refusal
from shared.language import current_language
from shared.telemetry import current_trace

CONNECT_SECONDS = 2.0
READ_SECONDS = 20.0
# The longest that all neighbours together may keep whoever asked us waiting.
NEIGHBOURS_SECONDS = 30.0
# The longest that somebody else's whole answer may take.
ANSWER_SECONDS = 60.0
# So many wait for one neighbour at a time; more would take the threads that need none.
MAX_AT_ONCE, TURN_SECONDS = 12, 1.0
ATTEMPTS = 3
RETRY_WITHIN_SECONDS = 6.0
MAX_ANSWER_BYTES = 50_000_000
RETRY_AFTER_SECONDS = 60
MAX_RETRY_AFTER_SECONDS = 3_600
_Shape = TypeVar("_Shape", bound=BaseModel)
# Until when, on the monotonic clock, the request that is being answered may wait for others.
waiting_until: ContextVar[float | None] = ContextVar("waiting_until", default=None)


class Reads(BaseModel):
    """The fields of a neighbour's answer that we read; what else it sends is its own affair."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Free(BaseModel):
    """An answer of which nothing is demanded."""

    model_config = ConfigDict(extra="allow", frozen=True)


class _NotReached(Exception):
    """Nothing came back, so that asking again can't do harm."""


class Peer:
    """Another service, asked over HTTP on behalf of a caller."""

    def __init__(
        self, name: str, base_url: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.name = name
        self._turns = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._client = httpx.Client(
            base_url=base_url,
            transport=transport,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
        )

    def get(
        self, path: str, shape: type[_Shape], credential: str, params: dict[str, Any] | None = None
    ) -> _Shape:
        """GET a resource, trying again where the neighbour does not answer."""
        sent = {k: v for k, v in (params or {}).items() if v is not None}
        try:
            for attempt in stamina.retry_context(
                on=_NotReached, attempts=ATTEMPTS, timeout=RETRY_WITHIN_SECONDS, wait_max=1.0
            ):
                with attempt:
                    return self._send("GET", path, shape, credential, params=sent)
        except _NotReached as error:
            raise self._unavailable(str(error)) from error
        raise AssertionError("a retry context ends with an answer or an error")

    def post(self, path: str, shape: type[_Shape], credential: str, body: dict[str, Any]) -> _Shape:
        """POST a command once."""
        try:
            return self._send("POST", path, shape, credential, json=body)
        except _NotReached as error:
            raise self._unavailable(str(error)) from error

    def put(self, path: str, shape: type[_Shape], credential: str, body: dict[str, Any]) -> _Shape:
        """PUT a resource once."""
        try:
            return self._send("PUT", path, shape, credential, json=body)
        except _NotReached as error:
            raise self._unavailable(str(error)) from error

    def post_list(self, path: str, credential: str, items: list[dict[str, Any]]) -> Free:
        """POST a batch once."""
        try:
            return self._send("POST", path, Free, credential, json=items)
        except _NotReached as error:
            raise self._unavailable(str(error)) from error

    def is_ready(self) -> bool:
        """Whether the neighbour says that it can answer."""
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._client.close()

    def _send(
        self, method: str, path: str, shape: type[_Shape], credential: str, **content: Any
    ) -> _Shape:
        headers = {
            "Authorization": f"Bearer {credential}",
            "Accept": "application/json",
            # What the neighbour says in words is passed on to whoever asked us.
            "Accept-Language": current_language.get(),
        }
        trace = current_trace.get()
        if trace is not None:
            headers["traceparent"] = trace.header
        until = time.monotonic() + READ_SECONDS
        until = min(until, waiting_until.get() or until)
        left = until - time.monotonic()
        if left <= 0:
            raise self._unavailable("too slowly, or after others that were slow")
        timeout = httpx.Timeout(left, connect=min(CONNECT_SECONDS, left))
        if not self._turns.acquire(timeout=min(TURN_SECONDS, left)):
            raise self._unavailable("too many wait for it")
        try:
            with self._client.stream(
                method, path, headers=headers, timeout=timeout, **content
            ) as response:
                status, body = response.status_code, _body_of(response, until)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _NotReached(f"{type(error).__name__}") from error
        finally:
            self._turns.release()
        if status in (500, 502, 503, 504):
            raise _NotReached(f"status {status}")
        if status >= 400:
            raise self._refusal(status, body)
        return self._parsed(status, body, shape)

    def _parsed(self, status: int, body: bytes, shape: type[_Shape]) -> _Shape:
        if status >= 300:
            raise self._unavailable(f"an unexpected answer ({status})")
        try:
            return shape.model_validate(parse_json(body))
        except (ValueError, ValidationError) as error:
            raise self._unavailable("an answer that can't be read") from error

    def _refusal(self, status: int, body: bytes) -> Refusal:
        """The neighbour's problem, passed on as it is."""
        problem: Any = {}
        with contextlib.suppress(ValueError):
            problem = parse_json(body)
        if not isinstance(problem, dict) or "detail" not in problem:
            return self._unavailable(f"status {status} without a problem")
        kind = REGISTRY.get(str(problem.get("type", "")).rpartition("/")[2])
        if kind is None or kind.status != status:
            kind = ProblemType(
                str(problem.get("type", "")).rpartition("/")[2] or "refused",
                status,
                str(problem.get("title", "Refused")),
                "",
                "",
            )
        faults = [
            Fault(str(e.get("pointer", "")), str(e.get("detail", "")), str(e.get("code", "")))
            for e in problem.get("errors", [])
        ]
        return kind.refusal(f"{self.name}: {problem['detail']}", faults)

    def _unavailable(self, cause: str) -> Refusal:
        return UNAVAILABLE.refusal(
            f"The {self.name} service does not answer as it should ({cause}).",
            headers={"Retry-After": "5"},
        )


class Outside:
    """Somebody else's system, read over HTTPS with a key of ours in its address or headers.

    Only public addresses are asked unless `private` says otherwise, redirects are not followed, and
    of an answer no more is read than its bound: whoever may name an address here must not reach our
    own network with it. An address that resolves to another one between the check and the request
    is held by its certificate, since only HTTPS is spoken in public.
    """

    def __init__(self, base_url: str, *, private: bool = False) -> None:
        self._private = private
        self._url = httpx.URL(base_url if base_url.endswith("/") else base_url + "/")
        self._client = httpx.Client(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            headers={"Accept": "application/json"},
        )

    @property
    def path(self) -> str:
        """The path of the address itself."""
        return self._url.path

    def send_with(self, header: str, value: str) -> None:
        """Send a header from here on: the system's key."""
        self._client.headers[header] = value

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        """The JSON that an address answers with; refuses with 503 where it does not answer."""
        return self._asked("GET", path, params=params or None)

    def post(
        self, path: str, body: dict[str, Any] | None = None, *, form: dict[str, str] | None = None
    ) -> Any:
        """The JSON that a question with a body is answered with; it must change nothing there."""
        return self._asked("POST", path, json=body, data=form)

    def _asked(self, method: str, path: str, **content: Any) -> Any:
        url = self._url.join(path)
        if (url.scheme, url.host, url.port) != (self._url.scheme, self._url.host, self._url.port):
            raise UNAVAILABLE.refusal(f"{self._url.host} leads on to another place, {url.host}.")
        self._demand_public()
        try:
            for attempt in stamina.retry_context(
                on=_NotReached, attempts=ATTEMPTS, timeout=RETRY_WITHIN_SECONDS, wait_max=1.0
            ):
                with attempt:
                    return self._send(method, url, content)
        except _NotReached as error:
            raise UNAVAILABLE.refusal(
                f"{self._url.host} does not answer as it should ({error}).",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from error
        raise AssertionError("a retry context ends with an answer or an error")

    def _demand_public(self) -> None:
        if self._private:
            return
        if self._url.scheme != "https":
            raise FORBIDDEN.refusal(f"{self._url.host} is no public HTTPS address.")
        try:
            found = socket.getaddrinfo(self._url.host, None)
        except (OSError, UnicodeError) as error:
            raise UNAVAILABLE.refusal(
                f"{self._url.host} has no address that can be found.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from error
        if not _are_public(found):
            raise FORBIDDEN.refusal(
                f"{self._url.host} is no public HTTPS address; only such are read from."
            )

    def _send(self, method: str, url: httpx.URL, content: dict[str, Any]) -> Any:
        try:
            with self._client.stream(method, url, **content) as response:
                self._demand_answer(response)
                body = _body_of(response, time.monotonic() + ANSWER_SECONDS)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _NotReached(type(error).__name__) from error
        try:
            return parse_json(body)
        except ValueError as error:
            raise _NotReached("an answer that is no JSON") from error

    def _demand_answer(self, response: httpx.Response) -> None:
        if response.status_code == 200:
            return
        if response.status_code == 429:
            raise UNAVAILABLE.refusal(
                f"{self._url.host} takes no more requests for now.",
                headers={"Retry-After": _waiting_time(response)},
            )
        if response.status_code in (401, 403):
            raise CONFLICT.refusal(
                f"{self._url.host} does not accept our key ({response.status_code})."
            )
        if response.status_code < 500:
            raise CONFLICT.refusal(
                f"{self._url.host} refuses what we ask ({response.status_code}); is the address of "
                "its REST interface right?"
            )
        raise _NotReached(f"status {response.status_code}")

    def close(self) -> None:
        self._client.close()


def _body_of(response: httpx.Response, until: float) -> bytes:
    """A whole answer, read within a bound of bytes and until a moment of the monotonic clock."""
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES or time.monotonic() > until:
            raise _NotReached("an answer that is too large, or too slow")
    return b"".join(parts)


def _waiting_time(response: httpx.Response) -> str:
    """The seconds that a system wants us to wait, within bounds."""
    told = response.headers.get("retry-after") or response.headers.get("x-ratelimit-reset", "")
    seconds = int(told) if told.isdecimal() and len(told) < 6 else RETRY_AFTER_SECONDS
    return str(min(max(seconds, 1), MAX_RETRY_AFTER_SECONDS))


def is_address(text: str) -> bool:
    """Whether a text is an address that can be asked."""
    try:
        return bool(httpx.URL(text).host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        return False


def _are_public(found: Sequence[Any]) -> bool:
    return bool(found) and all(ipaddress.ip_address(entry[4][0]).is_global for entry in found)
