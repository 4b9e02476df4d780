"""Stored events decode for ever: one sample per name and schema number, never edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.events import decode, registered
from tests.contracts.snapshots import event_schemas

SAMPLES = Path(__file__).parent / "samples"


def test_every_event_of_ours_has_a_stored_sample() -> None:
    event_schemas()
    names = {f"{name}.{number}" for name, number in registered() if not name.startswith("test.")}
    assert names == {path.stem for path in SAMPLES.glob("*.json")}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_a_stored_sample_still_decodes(path: Path) -> None:
    event_schemas()
    name, _, number = path.stem.rpartition(".")
    stored = json.loads(path.read_text())
    payload = decode(name, int(number), stored)
    assert _holds(json.loads(payload.model_dump_json()), stored)


def _holds(read: Any, stored: Any) -> bool:
    """Whether all that was stored is read; fields that came later may stand beside it."""
    if isinstance(stored, dict):
        return isinstance(read, dict) and all(
            name in read and _holds(read[name], value) for name, value in stored.items()
        )
    if isinstance(stored, list):
        same = isinstance(read, list) and len(read) == len(stored)
        return same and all(_holds(*pair) for pair in zip(read, stored, strict=True))
    return bool(read == stored)
