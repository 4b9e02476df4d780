"""What in a new OpenAPI document would break a client of the old one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def breaks(old: Document, new: Document) -> Iterator[str]:
    """Each removed operation, property or enum value, and each newly required input."""
    for path, operations in old["paths"].items():
        for method, operation in operations.items():
            where = f"{method.upper()} {path}"
            present = new["paths"].get(path, {}).get(method)
            if present is None:
                yield f"{where} is gone"
            elif present["operationId"] != operation["operationId"]:
                yield f"{where} has another operationId"
            else:
                yield from _parameter_breaks(where, operation, present)
    for name, schema in old["components"]["schemas"].items():
        present = new["components"]["schemas"].get(name)
        if present is None:
            yield f"the schema {name} is gone"
        else:
            yield from _schema_breaks(name, schema, present)


def _parameter_breaks(where: str, old: Document, new: Document) -> Iterator[str]:
    before = {(p["in"], p["name"]): p for p in old.get("parameters", [])}
    after = {(p["in"], p["name"]): p for p in new.get("parameters", [])}
    for key in before.keys() - after.keys():
        yield f"{where} lost the parameter {key[1]}"
    for key, parameter in after.items():
        was_required = before.get(key, {}).get("required", False)
        if parameter.get("required", False) and not was_required:
            yield f"{where} now demands the parameter {key[1]}"


def _schema_breaks(where: str, old: Document, new: Document) -> Iterator[str]:
    for value in old.get("enum", []):
        if value not in new.get("enum", []):
            yield f"{where} lost the value {value!r}"
    for name, schema in old.get("properties", {}).items():
        present = new.get("properties", {}).get(name)
        if present is None:
            yield f"{where} lost the property {name}"
        else:
            if "type" in schema and "type" in present and schema["type"] != present["type"]:
                yield f"{where}.{name} has another type"
            yield from _schema_breaks(f"{where}.{name}", schema, present)
    if where.partition(".")[0].startswith(("New", "GoalDraft", "Commit", "Amend")):
        for name in set(new.get("required", [])) - set(old.get("required", [])):
            yield f"{where} now demands {name}"
