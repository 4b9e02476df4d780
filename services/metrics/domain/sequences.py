"""How the versions of a fact are ordered by the `sequence` that their sender gave them."""

from __future__ import annotations


def sequence_order(sequence: str) -> tuple[int, int, str]:
    """How versions of a fact are ordered: none, then whole numbers, then texts."""
    if sequence == "":
        return (0, 0, "")
    if sequence.isdecimal() and len(sequence) <= 30:
        return (1, int(sequence), "")
    return (2, 0, sequence)
