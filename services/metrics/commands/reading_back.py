"""Reading a source back: what a delivery only named, and what was lost on the way."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.metrics.commands.credentials import Vault
from services.metrics.commands.deliveries import append_translation, delivery_of
from services.metrics.connectors import bitrix24 as portal_of
from services.metrics.queries.definitions import source as find_source
from services.metrics.sources import bitrix24
from services.metrics.sources.delivery import NotReadable, Translation
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.tables import deliveries
from shared.errors import CONFLICT, Refusal
from shared.ledger import Ledger
from shared.web.client import Outside


class ReadsBack:
    """Reads what sources keep; `private` lets it reach addresses of our own network."""

    def __init__(self, ledger: Ledger, vault: Vault, *, private: bool) -> None:
        self._ledger, self._vault, self._private = ledger, vault, private

    def answer_for(self, tenant_id: UUID, delivery_id: str) -> Any:
        """What the vendor says of the record that a delivery names; None where nothing is needed.

        Raises `NotReadable` where it can't be read: the delivery is kept, and tried again.
        """
        with self._ledger.view(tenant_id) as view:
            row = view.connection.execute(
                select(deliveries).where(
                    deliveries.c.tenant_id == tenant_id, deliveries.c.delivery_id == delivery_id
                )
            ).one_or_none()
            if row is None:
                return None
            described, _ = find_source(view, row.source)
            if described.kind != "bitrix24":
                return None
            kind, action, identity = bitrix24.named(delivery_of(row))
            if kind != "deal" or action == "delete":
                return None
            address = self._vault.address(view.connection, tenant_id, row.source)
        if address is None:
            raise NotReadable(
                f"Only the id {identity} was sent; give the source a `rest_url` to read it back."
            )
        portal = Outside(address, private=self._private)
        try:
            return portal_of.read_deal(portal, identity)
        except Refusal as refusal:
            raise NotReadable(f"{NOT_YET}: {refusal.detail}") from refusal
        finally:
            portal.close()

    def reconcile(self, tenant_id: UUID, key: str, since: datetime, actor: str) -> tuple[int, int]:
        """Read all that changed since a moment; records looked at, and facts that were missing."""
        with self._ledger.view(tenant_id) as view:
            described, _ = find_source(view, key)
            address = self._vault.address(view.connection, tenant_id, key)
        if described.kind != "bitrix24" or address is None:
            raise CONFLICT.refusal("Only Bitrix24 sources with a `rest_url` are read back yet.")
        portal = Outside(address, private=self._private)
        mapping, translation = CrmMapping.model_validate(described.mapping), Translation()
        seen = 0
        try:
            for item in portal_of.changed_deals(portal, since):
                bitrix24.observe_deal(translation, item, since, mapping, f"/sources/{key}")
                seen += 1
        except (KeyError, TypeError, NotReadable) as error:
            raise CONFLICT.refusal(f"The portal's answer can't be read: {error}.") from error
        finally:
            portal.close()
        with self._ledger.transaction(tenant_id, actor=actor) as transaction:
            return seen, append_translation(transaction, described, translation)


# How the detail of a delivery begins that is worth another try.
NOT_YET = "Not read back yet"
