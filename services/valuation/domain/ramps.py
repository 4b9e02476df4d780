"""How adoption rises to its full effect: tables, straight lines and S-curves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

from services.valuation.domain.finance import PRECISION
from services.valuation.domain.lines import Ramp

# How steep the S is: at the middle of each period of the ramp, 1 / (1 + e^-STEEPNESS(2x - 1)).
_STEEPNESS = 5
_PLACES = Decimal("0.000001")


def adoption(ramp: Ramp, table: Sequence[Decimal] | None) -> list[Decimal]:
    """The share of the full effect per period; the last one holds on.

    A linear ramp over n periods gives 1/n, 2/n, ... 1. An S-curve is the logistic one over the
    same span, scaled so that it begins at 0 and ends at 1. Before both lie the periods of delay.
    """
    if table is not None:
        return [Decimal(0)] * ramp.delay + list(table)
    assert ramp.periods is not None, "the API demands the periods of a ramp"
    with localcontext(PRECISION):
        shares = [Decimal(n) / ramp.periods for n in range(1, ramp.periods + 1)]
        if ramp.shape == "s_curve":
            shares = [_logistic(share) for share in shares]
        return [Decimal(0)] * ramp.delay + [share.quantize(_PLACES) for share in shares]


def _logistic(share: Decimal) -> Decimal:
    low, high = _sigmoid(Decimal(0)), _sigmoid(Decimal(1))
    return (_sigmoid(share) - low) / (high - low)


def _sigmoid(share: Decimal) -> Decimal:
    return 1 / (1 + (-_STEEPNESS * (2 * share - 1)).exp())
