"""Routers that read JSON strictly: exact decimals, no NaN, no broken text, bounded depth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import cached_property
from inspect import iscoroutinefunction, signature
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from shared.chain import parse_json
from shared.errors import invalid
from shared.ids import did_you_mean

MAX_DEPTH = 64


class StrictRequest(Request):
    """A request whose JSON keeps every decimal as written."""

    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route that hands strict requests on."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Nearly all routes are told apart by it, without their patterns.
        if not scope.get("root_path") and not scope["path"].startswith(self._fixed):
            return Match.NONE, {}
        return super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._plain is None or not self._plain.fits(scope):
            await super().handle(scope, receive, send)
            return
        response = await self._plain.answer(StrictRequest(scope, receive))
        await response(scope, receive, send)

    @cached_property
    def _plain(self) -> PlainCall | None:
        return PlainCall.of(self)

    @cached_property
    def _fixed(self) -> str:
        """What stands before the first parameter of the path."""
        return self.path_format.partition("{")[0]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = _query_names(self.dependant)
        # A vendor signs whatever stands in the address that it was given.
        any_query = bool((self.openapi_extra or {}).get("x-any-query"))

        async def strict(request: Request) -> Response:
            for name in () if any_query else request.query_params.keys() - known:
                detail = f"There is no parameter {name!r} here.{did_you_mean(name, known)}"
                raise invalid(f"query:{name}", detail, "unknown_parameter")
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


@dataclass(frozen=True, slots=True)
class PlainCall:
    """An endpoint that needs but the request and its caller, for requests that bring no more.

    Nearly all events are pushed like this. FastAPI would take longer to find that there is nothing
    to convert than storing one takes.
    """

    endpoint: Callable[..., Coroutine[Any, Any, Response]]
    caller: Callable[[Request], Coroutine[Any, Any, Any]]
    methods: Collection[str]
    headers: frozenset[bytes]

    @classmethod
    def of(cls, route: APIRoute) -> PlainCall | None:
        """None where the endpoint, or what finds its caller, needs more or can't be awaited."""
        own = route.dependant
        if [inner.name for inner in own.dependencies] != ["caller"]:
            return None
        (who,) = own.dependencies
        if who.dependencies or any(
            part.body_params or part.cookie_params or part.path_params for part in (own, who)
        ):
            return None
        found = who.call
        if found is None or not iscoroutinefunction(type(found).__call__):
            return None
        if not iscoroutinefunction(route.endpoint):
            return None
        if _needed(route.endpoint) != {"request", "caller"} or _needed(found) != {"request"}:
            return None
        asked = {field.alias for part in (own, who) for field in part.header_params}
        headers = frozenset(name.lower().encode() for name in asked)
        return cls(route.endpoint, found, route.methods or (), headers)

    def fits(self, scope: Scope) -> bool:
        """Whether a request brings none of the parameters that could be left out."""
        return (
            not scope["query_string"]
            and scope["method"] in self.methods
            and self.headers.isdisjoint([name for name, _ in scope["headers"]])
        )

    async def answer(self, request: Request) -> Response:
        return await self.endpoint(request=request, caller=await self.caller(request))


def _needed(call: Callable[..., Any]) -> set[str]:
    found = signature(call).parameters.values()
    return {parameter.name for parameter in found if parameter.default is parameter.empty}


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_query_names(inner) for inner in dependant.dependencies))


def router(tag: str) -> APIRouter:
    """A router of `/v1` whose operations stand under one tag."""
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=StrictRoute,
        generate_unique_id_function=_operation_id,
    )


def _operation_id(route: APIRoute) -> str:
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Put a router's routes among those of an application as they are.

    An included router is searched once to find that it has the route, and again to take it.
    """
    app.router.routes.extend(router.routes)


def strict_json(body: bytes) -> Any:
    """Parse a body, or refuse it with 400 and the place where it breaks."""
    try:
        value = parse_json(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not well-formed JSON: {error}") from error
    fault = unstorable(value, body)
    if fault is not None:
        raise HTTPException(400, f"The body {fault}.")
    return value


def unstorable(value: Any, text: bytes) -> str | None:
    """Why what was parsed from a text can't be stored (too deep, NUL in a text), or None."""
    if isinstance(value, dict | list) and _too_deep(value, 1):
        return f"is nested more than {MAX_DEPTH} levels deep"
    # A NUL can only come from its escape, since the parser refuses a bare one; looking for that
    # first spares the walk through every text of a large batch.
    if b"\\u0000" in text and _has_nul(value):
        return "has a NUL character in a text"
    return None


def _too_deep(value: dict[str, Any] | list[Any], depth: int) -> bool:
    if depth > MAX_DEPTH:
        return True
    for inner in value.values() if isinstance(value, dict) else value:
        if inner.__class__ in (dict, list) and _too_deep(inner, depth + 1):
            return True
    return False


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_has_nul, value))
