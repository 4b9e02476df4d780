"""Identifiers: UUIDv7 made by the server, and readable keys chosen by people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NewType
from uuid import UUID

import uuid_utils.compat

TenantId = NewType("TenantId", UUID)

KEY_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"


def new_id() -> str:
    """A time-ordered identifier that no one else has made."""
    return str(uuid_utils.compat.uuid7())


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most like a mistyped one, best first."""
    return difflib.get_close_matches(name, list(known), n=limit, cutoff=0.5)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the nearest known names, or nothing where none is near."""
    names = nearest(name, known)
    return f" Did you mean {' or '.join(repr(n) for n in names)}?" if names else ""
