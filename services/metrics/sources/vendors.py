"""All kinds of sources: how each proves who it is, what it says, and how it wants its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import BaseModel

from services.metrics.domain.mapping import Mapping as EventMapping
from services.metrics.sources import (
    bitrix24,
    cloud_events,
    contact_records,
    dataverse,
    hubspot,
    kommo,
    pipedrive,
    salesforce,
    salesforce_events,
    salesforce_outbound,
    standard_webhooks,
    superoffice,
    twilio,
    zendesk,
)
from services.metrics.sources.delivery import Delivery, Fact, Observation, Secrets, Translation
from services.metrics.sources.opportunities import CrmMapping, Outcome, settle
from shared.errors import CONFLICT

Settle = Callable[[str, Iterable[Observation], CrmMapping], list[Fact]]


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of source. `signed` kinds need a secret; for others it is a further lock.

    `stages` is what the vendor's standard stages mean. `kept` leaves out of a body what must not be
    stored; `complete` reads a record that a delivery only named; `ignores` says which deliveries
    are only answered; `headers` are the prefixes of header names that are stored with a delivery.
    """

    authenticate: Callable[[Delivery, Secrets, Any], None]
    translate: Callable[[Delivery, Any, str], Translation]
    mapping: type[BaseModel] = CrmMapping
    settle: Settle | None = None
    stages: Mapping[str, Outcome] = field(default_factory=dict)
    signed: bool = False
    headers: tuple[str, ...] = ()
    kept: Callable[[bytes], bytes] = lambda body: body
    complete: Callable[[Delivery, Any, Any, str], Translation] | None = None
    ignores: Callable[[Delivery], bool] = lambda delivery: False
    answer: tuple[bytes, str] | None = None


def vendor_of(kind: str) -> Vendor:
    """How a kind of source sends; refuses where it sends no webhooks."""
    if kind not in VENDORS:
        raise CONFLICT.refusal(f"A source of kind {kind!r} takes files, not webhooks.")
    return VENDORS[kind]


def crm_mapping(kind: str, mapping: Mapping[str, Any]) -> CrmMapping:
    """What a CRM's own names mean, from a mapping in the shape of its kind."""
    found = vendor_of(kind).mapping.model_validate(mapping)
    assert isinstance(found, CrmMapping), "kinds that observe records have a CRM's mapping"
    return found


def _deals(defaults: Mapping[str, Outcome] | None = None) -> Settle:
    return partial(settle, defaults=dict(defaults or {}))


VENDORS: dict[str, Vendor] = {
    "hubspot": Vendor(
        hubspot.authenticate, hubspot.translate, settle=hubspot.settle, signed=True,
        stages=hubspot.STAGES,
        headers=("x-hubspot-",),
    ),
    "salesforce-outbound": Vendor(
        salesforce_outbound.authenticate, salesforce_outbound.translate,
        settle=_deals(salesforce.STAGES), stages=salesforce.STAGES,
        kept=salesforce_outbound.kept,
        answer=(salesforce_outbound.ACK, "text/xml; charset=utf-8"),
    ),
    "salesforce-events": Vendor(
        salesforce_events.authenticate, salesforce_events.translate,
        salesforce_events.EventsMapping,
        settle=_deals(salesforce.STAGES), stages=salesforce.STAGES,
    ),
    "dataverse": Vendor(
        dataverse.authenticate, dataverse.translate, settle=_deals(),
        headers=("x-ms-dynamics-",),
    ),
    "pipedrive": Vendor(pipedrive.authenticate, pipedrive.translate, settle=_deals()),
    "bitrix24": Vendor(
        bitrix24.authenticate, bitrix24.translate, settle=_deals(bitrix24.STAGES), signed=True,
        stages=bitrix24.STAGES,
        kept=bitrix24.kept, complete=bitrix24.complete,
    ),
    "kommo": Vendor(
        kommo.authenticate, kommo.translate, settle=_deals(kommo.STAGES), stages=kommo.STAGES
    ),
    "superoffice": Vendor(
        superoffice.authenticate, superoffice.translate, settle=_deals(), signed=True,
        headers=("x-superoffice-",), ignores=superoffice.is_test,
    ),
    "zendesk": Vendor(
        zendesk.authenticate, zendesk.translate, EventMapping, signed=True,
        headers=("x-zendesk-",),
    ),
    "amazon-connect": Vendor(
        contact_records.authenticate, contact_records.translate_connect, EventMapping
    ),
    "genesys": Vendor(
        contact_records.authenticate, contact_records.translate_genesys, EventMapping
    ),
    "twilio": Vendor(
        twilio.authenticate, twilio.translate, EventMapping, signed=True, headers=("x-twilio-",)
    ),
    "standard-webhooks": Vendor(
        standard_webhooks.authenticate, standard_webhooks.translate, EventMapping, signed=True,
        headers=("webhook-", "svix-"),
    ),
    "cloudevents": Vendor(
        cloud_events.authenticate, cloud_events.translate, EventMapping, signed=True,
        headers=("ce-",),
    ),
}  # fmt: skip
