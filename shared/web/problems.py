"""Every error as `application/problem+json`, and the pages that explain each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Template
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared import errors
from shared.closed import pointer_to, words_of
from shared.errors import Fault, ProblemType, Refusal
from shared.telemetry import current_trace, log
from shared.web.routes import add_routes

MEDIA_TYPE = "application/problem+json"
_BY_STATUS = {
    400: errors.NOT_PARSABLE, 401: errors.UNAUTHENTICATED, 403: errors.FORBIDDEN,
    404: errors.NOT_FOUND, 405: errors.METHOD_NOT_ALLOWED, 409: errors.CONFLICT,
    412: errors.STALE, 413: errors.TOO_LARGE, 415: errors.UNSUPPORTED_MEDIA_TYPE,
    422: errors.INVALID, 429: errors.TOO_MANY_REQUESTS, 503: errors.UNAVAILABLE,
}  # fmt: skip
_PAGE = Template(
    "<!doctype html><html lang=en><meta charset=utf-8>"
    "<meta name=viewport content='width=device-width'>"
    "<title>{{ p.title }}</title><style>body{font:1rem/1.5 sans-serif;max-width:40rem;"
    "margin:3rem auto;padding:0 1rem}</style><h1>{{ p.title }}</h1>"
    "<p><code>{{ p.slug }}</code>, status {{ p.status }}"
    "<h2>What it means</h2><p>{{ p.meaning }}<h2>How to mend it</h2><p>{{ p.mend }}</html>",
    autoescape=True,
)

router = APIRouter(include_in_schema=False)


@router.get("/problems/{slug}")
def problem_page(slug: str, request: Request) -> Response:
    kind = errors.REGISTRY.get(slug)
    if kind is None:
        raise errors.NOT_FOUND.refusal(f"There is no kind of problem named {slug!r}.")
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_PAGE.render(p=kind))
    return JSONResponse(
        {name: getattr(kind, name) for name in ("slug", "status", "title", "meaning", "mend")}
    )


def install(app: FastAPI) -> None:
    """Answer every exception with a problem."""
    add_routes(app, router)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _mistake)


def problem_response(
    request: Request,
    kind: ProblemType,
    detail: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    trace = current_trace.get()
    refusal = Refusal(kind, detail, faults)
    content = {
        **refusal.document(request.url.path[:500]),
        "trace_id": trace.trace_id if trace else None,
    }
    sent = dict(headers or {})
    if kind.status == 401:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="worthwhile"')
    if kind.status in (429, 503):
        sent.setdefault("Retry-After", "5")
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, kind.status, sent, MEDIA_TYPE)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem_response(request, error.problem, error.detail, error.errors, error.headers)


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = tuple(_fault(entry, error.body) for entry in error.errors())
    if any(f.code == "json_invalid" for f in faults):
        return problem_response(request, errors.NOT_PARSABLE, "The body is not well-formed JSON.")
    if "body" not in request.scope.get("state", {}) and _lacks_media_type(request):
        return problem_response(
            request, errors.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json."
        )
    first = f"{faults[0].pointer}: {faults[0].detail}" if faults else "The request is not valid."
    return problem_response(request, errors.INVALID, first, faults)


def _lacks_media_type(request: Request) -> bool:
    if request.method not in ("POST", "PUT", "PATCH"):
        return False
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    takes_form = media_type == "multipart/form-data"
    return not (media_type == "application/json" or media_type.endswith("+json") or takes_form)


def _fault(entry: Mapping[str, Any], body: Any) -> Fault:
    where, *path = entry["loc"]
    missing = entry["type"] == "missing"
    pointer = pointer_to(path, body, missing) if where == "body" else f"{where}:{path[-1]}"
    return Fault(pointer or "/", words_of(entry), str(entry["type"]))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _BY_STATUS.get(error.status_code, errors.NOT_PARSABLE)
    detail = str(error.detail) if error.detail else kind.meaning
    return problem_response(request, kind, detail, headers=error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Whoever asked is gone in mid-sentence; there is nobody to answer, and nothing is wrong."""
    return Response(status_code=400)


async def _mistake(request: Request, error: Exception) -> Response:
    # The route's template, not the path: addresses may carry a secret.
    route = getattr(request.scope.get("route"), "path", "unmatched")
    log("web").error("unexpected", exc_info=error, route=route)
    return problem_response(request, errors.INTERNAL, "Something went wrong on our side.")
