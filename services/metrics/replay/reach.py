"""How far around its period a definition looks: to what came before it, and to what comes after."""

from __future__ import annotations

from services.metrics.domain.definition import (
    Conversion,
    Cumulative,
    Derived,
    Duration,
    Leaf,
    Node,
    Simple,
    State,
    TimeInState,
    children_of,
    filters_of,
)
from services.metrics.domain.filters import ThenFilter, related_in
from services.metrics.replay.tree import References, leaves_of, resolved


def folds_the_past(leaf: Leaf) -> bool:
    """Whether a leaf folds its own events from the beginning, not just those of the period."""
    match leaf:
        case Simple(carry_forward=carries):
            return carries
        case State() | Duration() | TimeInState():
            return True
        case _:
            return False


def looks_ahead(node: Node, references: References) -> bool:
    """Whether events after a period can change its figure."""
    if any(
        isinstance(leaf, Conversion)
        or any(
            isinstance(r, ThenFilter) for _, where in filters_of(leaf) for r in related_in(where)
        )
        for leaf in leaves_of(node, references)
    ):
        return True
    return any(
        offset.startswith("+") or offset[0].isdigit() for offset in _offsets(node, references)
    )


def looks_back(node: Node, references: References) -> bool:
    """Whether events before a period can change its figure."""
    if any(
        folds_the_past(leaf) or any(related_in(where) for _, where in filters_of(leaf))
        for leaf in leaves_of(node, references)
    ):
        return True
    return bool(_offsets(node, references)) or _accumulates(node, references)


def _offsets(node: Node, references: References) -> list[str]:
    node = resolved(node, references)
    own = [i.offset for i in node.inputs.values() if i.offset] if isinstance(node, Derived) else []
    return own + [found for _, child in children_of(node) for found in _offsets(child, references)]


def _accumulates(node: Node, references: References) -> bool:
    node = resolved(node, references)
    return isinstance(node, Cumulative) or any(
        _accumulates(child, references) for _, child in children_of(node)
    )
