"""Routers that read JSON strictly: exact decimals, no NaN, no broken text, bounded depth."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute

from shared.chain import parse_json

MAX_DEPTH = 64


class StrictRequest(Request):
    """A request whose JSON keeps every decimal as written."""

    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route that hands strict requests on."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def router(tag: str) -> APIRouter:
    """A router of `/v1` whose operations stand under one tag."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=StrictRoute)


def strict_json(body: bytes) -> Any:
    """Parse a body, or refuse it with 400 and the place where it breaks."""
    try:
        value = parse_json(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not well-formed JSON: {error}") from error
    fault = unstorable(value)
    if fault is not None:
        raise HTTPException(400, f"The body {fault}.")
    return value


def unstorable(value: Any, depth: int = 0) -> str | None:
    """Why a parsed value can't be stored as it is (too deep, NUL in a text), or None."""
    if depth > MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} levels deep"
    if isinstance(value, str):
        return "has a NUL character in a text" if "\x00" in value else None
    if isinstance(value, dict):
        for key, inner in value.items():
            fault = unstorable(key) or unstorable(inner, depth + 1)
            if fault:
                return fault
    elif isinstance(value, list):
        for inner in value:
            fault = unstorable(inner, depth + 1)
            if fault:
                return fault
    return None
