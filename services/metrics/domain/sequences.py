"""How the versions of a fact are ordered by the `sequence` that their sender gave them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction

from shared.clock import to_micros

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(\.\d{1,30})?([Zz]|[+-]\d\d:?\d\d)?"
)


def sequence_order(sequence: str) -> tuple[int, Fraction, str]:
    """How versions of a fact are ordered: none, then numbers, then moments, then other texts.

    Moments are RFC 3339, and of UTC where they name no zone.
    """
    if sequence == "":
        return (0, Fraction(0), "")
    if _NUMBER.fullmatch(sequence):
        return (1, Fraction(sequence), "")
    moment = _moment(sequence)
    if moment is not None:
        return (2, moment, sequence)
    return (3, Fraction(0), sequence)


def _moment(text: str) -> Fraction | None:
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    zone = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{time}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Fraction(to_micros(whole), 1_000_000) + Fraction(f"0{fraction or ''}")
