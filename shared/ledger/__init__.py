"""The ledger: every fact of one service and tenant, once, in one order, never changed."""

from shared.ledger.basis import EMPTY_BASIS, Basis, find_basis
from shared.ledger.ready import Ready, hashed, joined
from shared.ledger.rows import Outcome, read_event
from shared.ledger.transactions import Ledger, Transaction, View, new_event

__all__ = [
    "EMPTY_BASIS",
    "Basis",
    "Ledger",
    "Outcome",
    "Ready",
    "Transaction",
    "View",
    "find_basis",
    "hashed",
    "joined",
    "new_event",
    "read_event",
]
