"""The kinds of sources that can be read back."""

from __future__ import annotations

from services.metrics.connectors import bitrix24, hubspot, pipedrive, salesforce, superoffice
from services.metrics.connectors.reading import Connector

CONNECTORS: dict[str, Connector] = {
    "bitrix24": bitrix24.CONNECTOR,
    "hubspot": hubspot.CONNECTOR,
    "pipedrive": pipedrive.CONNECTOR,
    "salesforce-events": salesforce.CONNECTOR,
    "salesforce-outbound": salesforce.CONNECTOR,
    "superoffice": superoffice.CONNECTOR,
}
