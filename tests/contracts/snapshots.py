"""Writes the committed contracts anew: OpenAPI documents, event schemas, routes without a scope."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from services.goals.app import SERVICE as GOALS
from services.goals.settings import GoalsSettings
from services.metrics.app import SERVICE as METRICS
from services.metrics.domain.types import CANONICAL, json_schema
from services.metrics.settings import MetricsSettings
from services.valuation.app import SERVICE as VALUATION
from services.valuation.settings import ValuationSettings
from shared.events import registered
from shared.web.assembly import openapi_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SERVICES = {
    "goals": (GOALS, GoalsSettings),
    "metrics": (METRICS, MetricsSettings),
    "valuation": (VALUATION, ValuationSettings),
}


@cache
def app_of(service: str) -> FastAPI:
    """A service's application over a database that is never opened."""
    found, settings_class = _SERVICES[service]
    settings = settings_class(database_url="sqlite:////nowhere/never-opened.db")
    from shared.clock import SystemClock
    from shared.database import Database
    from shared.ledger import Ledger

    database = Database(settings.database_url)
    ledger = Ledger(database, SystemClock(), found.project, source=f"/{service}")
    return found.create_app(settings, database, ledger)


def openapi(service: str) -> dict[str, Any]:
    return openapi_of(app_of(service))


def event_schemas() -> dict[str, dict[str, Any]]:
    """File name -> JSON Schema: what senders push, and what the services themselves say."""
    app_of("goals"), app_of("metrics"), app_of("valuation")
    found = {f"{kind.name}.{kind.schema_number}": json_schema(kind) for kind in CANONICAL.values()}
    for (name, number), shape in registered().items():
        if name.startswith("test."):
            continue  # Shapes that tests make up are no contract.
        found[f"{name}.{number}"] = shape.model_json_schema(mode="serialization")
    return found


def written(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    for service in _SERVICES:
        (DOCS / "openapi").mkdir(parents=True, exist_ok=True)
        (DOCS / "openapi" / f"{service}.json").write_text(written(openapi(service)))
    folder = DOCS / "events"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    for name, schema in event_schemas().items():
        (folder / f"{name}.json").write_text(written(schema))


if __name__ == "__main__":
    main()
