"""Shapes that refuse what they do not know, and name the nearest key that they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.errors import Fault
from shared.ids import did_you_mean

_UNKNOWN = "extra_forbidden"
_UNNAMED = "Extra inputs are not permitted"


class Closed(BaseModel):
    """A shape without further keys: a slip of the pen is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _name_nearest(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            if all(one["type"] != _UNKNOWN for one in error.errors()):
                raise
            lines = [_line(cls, one) for one in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, lines) from None


def _line(shape: type[BaseModel], error: Any) -> InitErrorDetails:
    """An error of a shape as it was, or with the nearest keys where one is unknown."""
    kind: Any = error["type"]
    if kind == _UNKNOWN and error["msg"] != _UNNAMED:
        kind = PydanticCustomError(_UNKNOWN, error["msg"])  # A shape further in has named it.
    elif kind == _UNKNOWN and len(error["loc"]) == 1:
        known = [field.alias or name for name, field in shape.model_fields.items()]
        key = str(error["loc"][0])[:80]
        kind = PydanticCustomError(_UNKNOWN, f"There is no {key!r} here.{did_you_mean(key, known)}")
    line = InitErrorDetails(type=kind, loc=error["loc"], input=error["input"])
    if "ctx" in error:
        line["ctx"] = error["ctx"]
    return line


def faults_of(error: ValidationError, body: Any, prefix: str) -> list[Fault]:
    """What a shape finds wrong with a value that stands at a pointer."""
    return [
        Fault(
            prefix + pointer_to(one["loc"], body, one["type"] == "missing"),
            words_of(one),
            one["type"],
        )
        for one in error.errors(include_url=False)
    ]


def words_of(error: Mapping[str, Any]) -> str:
    """What a shape says of a value, in words for who sent it."""
    told = error.get("ctx") or {}
    if error["type"] == "union_tag_invalid":
        return f"{str(told['tag'])[:80]!r} is none of {told['expected_tags']}."
    if error["type"] == "union_tag_not_found":
        return "This does not say which kind it is, or holds nothing that tells."
    return str(error["msg"]).removeprefix("Value error, ")


def pointer_to(path: Sequence[Any], body: Any, missing: bool = False) -> str:
    """The JSON pointer of a place in a body; `path` may also name which shape was tried there."""
    _, keys = _walk(tuple(path), body, missing)
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def _walk(path: tuple[Any, ...], value: Any, missing: bool) -> tuple[int, tuple[Any, ...]]:
    """How many parts of a path are names of shapes, and the keys that the others are.

    A name may be a key, too; what leaves fewer parts over is meant.
    """
    if not path:
        return 0, ()
    if missing and len(path) == 1:
        return 0, path
    part, rest = path[0], path[1:]
    skipped, keys = _walk(rest, value, missing)
    skipped += 1
    inside = isinstance(value, list) and isinstance(part, int) and part < len(value)
    if inside or (isinstance(value, dict) and part in value):
        fewer, further = _walk(rest, value[part], missing)
        if fewer < skipped:
            return fewer, (part, *further)
    return skipped, keys
