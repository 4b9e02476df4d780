"""Reading a source back: what a delivery only named, what was lost, and what was long before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.metrics.commands.credentials import REST_ADDRESS, REST_KEY, Vault
from services.metrics.commands.deliveries import NOT_YET, delivery_of
from services.metrics.connectors.kinds import CONNECTORS
from services.metrics.connectors.reading import Connector, Mark, Part
from services.metrics.domain.facts import SourceDescribed
from services.metrics.queries.definitions import source as find_source
from services.metrics.sources.delivery import GARBLED, NotReadable
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.vendors import crm_mapping
from services.metrics.tables import deliveries
from shared.errors import CONFLICT, Refusal
from shared.ledger import Ledger, View
from shared.web.client import Outside

# Their deliveries only name a record, so that the vendor has to be asked for it.
ASKED_BACK = frozenset(kind for kind, one in CONNECTORS.items() if one.read is not None)


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
        connector = CONNECTORS.get(described.kind)
        identity = None if connector is None else connector.named(delivery_of(row))
        if connector is None or connector.read is None or identity is None:
            return None
        try:
            with self._connected(tenant_id, described, connector) as outside:
                return connector.read(outside, identity)
        except Refusal as refusal:
            # Whatever is wrong may be mended: a vendor that sends once is asked until it is.
            raise NotReadable(f"{NOT_YET} ({identity}): {refusal.detail}") from refusal

    def demand_connector(self, view: View, key: str) -> tuple[SourceDescribed, Connector]:
        """A source and how it is read back; refuses where it can't be."""
        described, _ = find_source(view, key)
        connector = CONNECTORS.get(described.kind)
        if connector is None:
            raise CONFLICT.refusal(f"Sources of kind {described.kind!r} can't be read back.")
        missing = "rest_url" if connector.address is None else "rest_key"
        if not self.has_access(view, described):
            raise CONFLICT.refusal(f"Give the source {key!r} a `{missing}` to read it back.")
        return described, connector

    def has_access(self, view: View, described: SourceDescribed) -> bool:
        """Whether somebody gave what a source is read back with: its address, or the key to it."""
        connector = CONNECTORS.get(described.kind)
        if connector is None:
            return False
        slot = REST_ADDRESS if connector.address is None else REST_KEY
        found = self._vault.open_one(view.connection, view.tenant_id, described.key, slot)
        return found is not None

    def changed(self, tenant_id: UUID, key: str, since: datetime, mark: Mark) -> Part:
        """The next part of all that changed since a moment; refuses where it can't be read."""
        return self._part(
            tenant_id, key, lambda connector, outside, mapping, source: connector.changed(
                outside, since, mark, mapping, source
            )
        )  # fmt: skip

    def history(self, tenant_id: UUID, key: str, mark: Mark) -> Part:
        """The next part of the history that the vendor keeps; refuses where it keeps none."""

        def ask(connector: Connector, outside: Outside, mapping: CrmMapping, source: str) -> Part:
            if connector.history is None:
                raise CONFLICT.refusal("This kind of source keeps no history that can be loaded.")
            return connector.history(outside, mark, mapping, source)

        return self._part(tenant_id, key, ask)

    def _part(
        self, tenant_id: UUID, key: str,
        ask: Callable[[Connector, Outside, CrmMapping, str], Part],
    ) -> Part:  # fmt: skip
        with self._ledger.view(tenant_id) as view:
            described, connector = self.demand_connector(view, key)
        mapping = crm_mapping(described.kind, described.mapping)
        with self._connected(tenant_id, described, connector) as outside:
            try:
                return ask(connector, outside, mapping, f"/sources/{key}")
            except GARBLED as error:
                raise CONFLICT.refusal(
                    f"The answer of {key!r} lacks or garbles {error}; nothing was taken from it."
                ) from error

    @contextmanager
    def _connected(
        self, tenant_id: UUID, described: SourceDescribed, connector: Connector
    ) -> Iterator[Outside]:
        with self._ledger.view(tenant_id) as view:
            address = self._address(view, described.key) or connector.address
            key = self._vault.open_one(view.connection, tenant_id, described.key, REST_KEY)
        if address is None:
            raise CONFLICT.refusal("only its id was sent; give the source a `rest_url`.")
        outside = Outside(address, private=self._private)
        try:
            connector.sign_in(outside, key)
            yield outside
        finally:
            outside.close()

    def _address(self, view: View, key: str) -> str | None:
        return self._vault.open_one(view.connection, view.tenant_id, key, REST_ADDRESS)
