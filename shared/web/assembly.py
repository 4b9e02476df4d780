"""Putting a service together: middleware, problems, health, documentation, feed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.clock import SimulatedClock
from shared.errors import Refusal
from shared.web import problems
from shared.web.devclock import clock_router
from shared.web.edge import Compressing, Edge
from shared.web.routes import add_routes
from shared.web.runtime import Runtime
from shared.web.wire import Problem

VERSION = "1.0"
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_PROBLEM_STATUSES = (
    "400",
    "401",
    "403",
    "404",
    "409",
    "412",
    "413",
    "415",
    "422",
    "428",
    "429",
    "500",
    "503",
)


def assemble(
    runtime: Runtime,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    lifespan: Lifespan,
) -> FastAPI:
    """The FastAPI application of a service."""
    app = FastAPI(
        title=title,
        version=VERSION,
        description=description,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        telemetry={"operation_spans": False},
        servers=[{"url": "/", "description": "This service"}],
        contact={"name": "Worthwhile"},
        license_info={"name": "Proprietary", "identifier": "LicenseRef-Worthwhile"},
    )
    app.state.runtime = runtime
    problems.install(app)
    for router in routers:
        add_routes(app, router)
    if isinstance(runtime.clock, SimulatedClock):
        add_routes(app, clock_router(runtime.clock))
    add_routes(app, _health(runtime))
    # The first level takes a fifth of the time of the last and gives all but as much.
    app.add_middleware(Compressing, minimum_size=1024, compresslevel=1)
    if runtime.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=runtime.settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["ETag", "Link", "Location", "Retry-After"],
        )
    app.add_middleware(Edge, max_body_bytes=runtime.settings.max_body_bytes)
    app.openapi = lambda: openapi_of(app)  # type: ignore[method-assign]
    return app


def _health(runtime: Runtime) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    def readyz() -> Response:
        found: dict[str, str] = {}
        for name, check in runtime.ready_checks.items():
            try:
                found[name] = check() or "ok"
            except Refusal as refusal:
                found[name] = refusal.detail
        ready = all(state == "ok" for state in found.values())
        return JSONResponse({"ready": ready, "checks": found}, 200 if ready else 503)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document, with problems, security and summaries made explicit."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=app.servers,
            contact=app.contact,
            license_info=app.license_info,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (`ww_...`)"}
        }
        tags: dict[str, None] = {}
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation)
                tags.update(dict.fromkeys(operation.get("tags", [])))
        document["tags"] = [{"name": t, "description": f"Operations on {t}"} for t in tags]
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    summary, _, rest = operation.get("description", "").partition("\n")
    operation["summary"] = summary.rstrip(".") or operation["operationId"]
    operation["description"] = re.sub(r"\s*\n\s*\n\s*", "\n\n", rest).strip() or summary
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in _PROBLEM_STATUSES:
        operation["responses"][status] = {"description": _DESCRIPTIONS[status], "content": content}
    if not operation.pop("x-open", False):
        operation["security"] = [{"bearer": []}]
    else:
        operation["security"] = []


_DESCRIPTIONS = {
    "400": "Not parsable", "401": "No valid credential", "403": "The scope is missing",
    "404": "Not in this tenant", "409": "Conflict of state", "412": "Stale If-Match",
    "413": "Too large", "415": "Media type not supported", "422": "Understood, but invalid",
    "428": "If-Match is missing",
    "429": "Too many requests; see Retry-After", "500": "A mistake of ours",
    "503": "A needed service or the database does not answer; see Retry-After",
}  # fmt: skip
