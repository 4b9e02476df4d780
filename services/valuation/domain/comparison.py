"""Cases held against each other, and the best set of them within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

MAX_SETS = 200_000


@dataclass(frozen=True)
class Candidate:
    """A case with its worth and what it takes of the budget."""

    case_id: str
    npv: Decimal
    budget: Decimal


def best_set(
    candidates: Sequence[Candidate], groups: Mapping[str, str], budget: Decimal
) -> list[str] | None:
    """The set with the highest worth that the budget allows, of each group at most one.

    Exact: every set is tried. None where there are too many sets to try. Of sets that are worth
    the same, the cheapest is taken.
    """
    grouped: dict[str, list[Candidate]] = {}
    for one in candidates:
        grouped.setdefault(groups.get(one.case_id, one.case_id), []).append(one)
    many = 1
    for members in grouped.values():
        many *= len(members) + 1
    if many > MAX_SETS:
        return None
    choices = [[None, *members] for members in grouped.values()]
    best: tuple[Decimal, Decimal, list[str]] = (Decimal(0), Decimal(0), [])
    for choice in product(*choices):
        taken = [one for one in choice if one is not None]
        spent = sum((one.budget for one in taken), Decimal(0))
        if spent > budget:
            continue
        worth = sum((one.npv for one in taken), Decimal(0))
        if (worth, -spent) > (best[0], -best[1]):
            best = (worth, spent, [one.case_id for one in taken])
    return best[2]
