"""Stating, restating and retiring what surrounds goals."""

from __future__ import annotations

from services.goals.domain.statement import BodyT, Kind, Statement
from services.goals.queries import records
from services.goals.queries.references import demand_sound
from services.goals.queries.states import initiative
from shared.errors import INVALID
from shared.ids import new_id
from shared.ledger import Transaction


def state(
    transaction: Transaction, made: Kind[BodyT], initiative_id: str, body: BodyT
) -> Statement[BodyT]:
    """State a thing of an initiative."""
    initiative(transaction, initiative_id)
    demand_sound(transaction, initiative_id, body)
    fact = made.stated(record_id=new_id(), initiative_id=initiative_id, body=body)
    transaction.record(f"{made.name}/{fact.record_id}", 0, [fact])
    return records.statement(transaction, made, fact.record_id)


def restate(
    transaction: Transaction, made: Kind[BodyT], before: Statement[BodyT], body: BodyT, reason: str
) -> Statement[BodyT]:
    """State it anew; refuses what changes nothing."""
    if body == before.body:
        raise INVALID.refusal("The change changes nothing.")
    demand_sound(transaction, before.initiative_id, body, before.record_id, before.body)
    fact = made.changed(body=body, reason=reason)
    transaction.record(f"{made.name}/{before.record_id}", before.revision, [fact])
    return records.statement(transaction, made, before.record_id)


def retire(
    transaction: Transaction, made: Kind[BodyT], before: Statement[BodyT], reason: str
) -> None:
    """Take it from the lists; its past stays readable."""
    fact = made.retired(reason=reason)
    transaction.record(f"{made.name}/{before.record_id}", before.revision, [fact])
