"""Asking metrics: definitions that are tried without saving, and what they give."""

from __future__ import annotations

from typing import Any

from tests.support.house import Key


def answer(
    key: Key, definition: dict[str, Any], *periods: str, unit: str = "count", **more: Any
) -> Any:
    """What a definition gives, tried without saving it."""
    metric = {"name": "Tried", "unit": unit, "definition": definition, **more.pop("metric", {})}
    body = {"metric": metric, "period": list(periods), **more}
    return key.post("metrics", "/v1/metrics/preview", body)


def shown(
    key: Key, definition: dict[str, Any], *periods: str, unit: str = "count", **more: Any
) -> list[Any]:
    found = answer(key, definition, *periods, unit=unit, **more)["values"]
    return [v["value"] if v["reason"] is None else v["reason"] for v in found]
