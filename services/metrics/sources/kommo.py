"""amoCRM / Kommo: forms of leads, answered at once; a status of 142 is won and 143 is lost."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotAuthentic,
    NotReadable,
    Secrets,
    Translation,
    demand_key,
    epoch_ms,
    equal,
    garbled,
    pairs_of,
)
from services.metrics.sources.opportunities import CrmMapping, Outcome

STAGES: dict[str, Outcome] = {"142": "won", "143": "lost"}
_KEY = re.compile(r"leads\[(\w+)\]\[(\w+)\]\[(\w+)\]")
_FIELD = re.compile(r"leads\[(\w+)\]\[(\w+)\]\[custom_fields\]\[(\w+)\]\[(id|values)\](.*)")
_ACTIONS = ("add", "update", "status", "responsible", "restore", "delete")


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """Nothing is signed: the secret address, a key in it where set, and the account's id."""
    demand_key(delivery, secrets)
    if mapping.account:
        try:
            given = dict(pairs_of(delivery.body)).get("account[id]", "")
        except NotReadable as error:
            raise NotAuthentic(str(error)) from error
        if not equal(mapping.account, given):
            raise NotAuthentic("The delivery is another account's.")


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """One snapshot per lead and action; what is said twice is said once."""
    pairs, translation = pairs_of(delivery.body), Translation()
    account = dict(pairs).get("account[id]", "")
    for (action, _), fields in _leads(pairs).items():
        if action not in _ACTIONS:
            translation.ignored += 1
            continue
        try:
            of = account or fields.get("account_id", "")
            _lead(action, of, fields, translation, mapping, delivery.received_at)
        except GARBLED as error:
            translation.faults.append(garbled({action: fields}, error))
    if not translation.observations and not translation.faults:
        translation.ignored += 1
    return translation


def _leads(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """The fields of each lead by action and number; keys that collide keep their own place."""
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    names: dict[tuple[str, str, str], str] = {}
    for key, value in pairs:
        plain, own = _KEY.fullmatch(key), _FIELD.fullmatch(key)
        if plain:
            found[plain[1], plain[2]][plain[3]] = value
        elif own and own[4] == "id":
            names[own[1], own[2], own[3]] = value
        elif own and (own[1], own[2], own[3]) in names:
            name = f"custom_fields.{names[own[1], own[2], own[3]]}"
            found[own[1], own[2]].setdefault(name, value)
    return found


def _lead(
    action: str, account: str, fields: dict[str, str], translation: Translation,
    mapping: CrmMapping, received_at: datetime,
) -> None:  # fmt: skip
    record = f"{account}/deal/{fields['id']}"
    when = fields.get("last_modified") or fields.get("updated_at")
    if action == "delete":
        # A deletion tells little more than the id.
        at = epoch_ms(int(when) * 1000) if when else received_at
        translation.observe(record, at, {"deleted": True})
        return
    created = action == "add"
    if created:
        when = fields.get("created_at") or fields.get("date_create") or when
    said = {
        "snapshot": True,
        "born": True if created else None,
        "restored": True if action == "restore" else None,
        "stage": fields.get("status_id"),
        "from_stage": fields.get("old_status_id"),
        "same_stage": True if action in ("update", "responsible") else None,
        "amount": fields.get("price") or ("" if created else None),
        "owner": fields.get("responsible_user_id"),
        "pipeline": fields.get("pipeline_id"),
        **mapping.own_fields(fields),
    }
    translation.observe(record, epoch_ms(int(when or "") * 1000), said)
