"""Who may call what: every route has a scope, or stands in the reviewed list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from shared.clock import SimulatedClock
from shared.service import SIMULATED_START
from shared.web.devclock import clock_router
from shared.web.runtime import Scoped, reads
from tests.contracts.snapshots import app_of, openapi
from tests.support.house import House

LISTED = Path(__file__).parent / "routes_without_scope.txt"
SERVICES = ["goals", "metrics", "valuation"]


def routes(service: str) -> Iterator[APIRoute]:
    for router in _routers(app_of(service).routes):
        if isinstance(router, APIRoute) and router.path.startswith("/v1"):
            yield router


def _routers(found: Any) -> Iterator[Any]:
    """All routes, also those that stand inside an included router."""
    for route in found:
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        if inner:
            yield from _routers(inner)
        else:
            yield route


def scope_of(route: APIRoute) -> str | None:
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Scoped):
            return dependency.call.scope
    return None


def test_every_route_has_a_scope_or_stands_in_the_reviewed_list() -> None:
    found = {
        f"{method} {route.path}"
        for service in SERVICES
        for route in routes(service)
        for method in route.methods or ()
        if scope_of(route) is None
    }
    clock = clock_router(SimulatedClock(SIMULATED_START))
    found |= {f"POST {route.path}" for route in clock.routes if isinstance(route, APIRoute)}
    assert found == {line.split(": ")[0] for line in LISTED.read_text().splitlines()}


@pytest.mark.parametrize("service", SERVICES)
def test_all_documented_operations_are_among_the_routes_that_were_checked(service: str) -> None:
    checked = {f"{m} {r.path}" for r in routes(service) for m in r.methods or ()}
    documented = {
        f"{method.upper()} {path}"
        for path, methods in openapi(service)["paths"].items()
        for method in methods
    }
    assert documented <= checked


def concrete(path: str) -> str:
    nobody = "01a20000-0000-7000-8000-00000000dead"
    for name in ("token", "key", "key_id", "goal_id", "initiative_id", "case_id", "line_id",
                 "baseline_id", "delivery_id", "import_id"):  # fmt: skip
        path = path.replace("{" + name + "}", nobody)
    return path


@pytest.mark.parametrize("service", SERVICES)
def test_without_a_credential_or_its_scope_nothing_is_answered(house: House, service: str) -> None:
    stranger = house.key(None, "events:write" if service != "metrics" else "goals:read")
    for route in routes(service):
        scope = scope_of(route)
        for method in (route.methods or ()) if scope else ():
            bare = house.clients[service].request(method, concrete(route.path))
            assert bare.status_code == 401, route.path
            assert "Bearer" in bare.headers["www-authenticate"]
            wrong = stranger.send(method, service, concrete(route.path))
            expected = 403 if not stranger_may(scope, service) else wrong.status_code
            assert wrong.status_code == expected, route.path


def stranger_may(scope: str | None, service: str) -> bool:
    return scope == ("events:write" if service != "metrics" else "goals:read")


def test_a_reading_dependency_demands_a_scope_that_exists() -> None:
    with pytest.raises(AssertionError, match="no scope"):
        reads("everything")
