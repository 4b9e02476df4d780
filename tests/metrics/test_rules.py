"""The few rows that decide every answer and are kept in memory: no process sees what never was."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

from services.metrics.commands.history import set_cut_over
from services.metrics.replay.knowledge import Ground
from services.metrics.replay.rules import rules
from shared.ledger import View
from tests.support.house import House, Key
from tests.support.samples import closed


def test_a_cut_over_that_was_rolled_back_is_seen_by_nobody(house: House, key: Key) -> None:
    """Another takes the very position that it had."""
    key.events(closed("a", "2024-02-01T10:00:00Z", _source="/old"))
    ledger = house.ledgers["metrics"]

    def cut(reason: str, day: date) -> None:
        set_cut_over(transaction, "/old", "/new", day, [], reason)
        assert ground_of(transaction).cuts(transaction.position)[0].on == day

    with suppress(ZeroDivisionError), ledger.transaction(key.tenant_id) as transaction:
        cut("a mistake", date(2024, 1, 1))
        raise ZeroDivisionError
    with ledger.transaction(key.tenant_id) as transaction:
        cut("go-live", date(2024, 3, 1))
    with ledger.view(key.tenant_id) as view:
        (found,) = ground_of(view).cuts(view.position)
    assert found.on == date(2024, 3, 1)


def ground_of(view: View) -> Ground:
    return Ground.of(rules(view), view.tenant_id, view.position)
