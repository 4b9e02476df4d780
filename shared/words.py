"""Texts that people write and that name things: bounded wherever they come in."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Prose = Annotated[str, StringConstraints(max_length=4_000)]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=1_000, strip_whitespace=True)]
Id = Annotated[str, StringConstraints(min_length=36, max_length=36)]
