"""Salesforce Outbound Messages: SOAP in, the one acknowledgement that counts out."""

from __future__ import annotations

import re
from datetime import datetime

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from services.metrics.sources.delivery import (
    GARBLED,
    Delivery,
    NotReadable,
    Secrets,
    Translation,
    demand_key,
    garbled,
    moment_of,
)
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.salesforce import demand_organisation, observe_record

_OUT = "{http://soap.sforce.com/2005/09/outbound}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
MAX_NOTIFICATIONS = 1_000
ACK = b"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
 <soapenv:Body>
  <notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound">
   <Ack>true</Ack>
  </notificationsResponse>
 </soapenv:Body>
</soapenv:Envelope>
"""
_SESSION = re.compile(rb"(<(?:\w+:)?SessionId\b[^>]*>)[^<]*(</)")


def kept(body: bytes) -> bytes:
    """The body without the session that an administrator may have let ride along."""
    return _SESSION.sub(rb"\1\2", body)


def authenticate(delivery: Delivery, secrets: Secrets, mapping: CrmMapping) -> None:
    """There is no signature: the secret address, a key where one is set, the organisation's id."""
    demand_key(delivery, secrets)
    if mapping.account:
        found = re.search(rb"<(?:\w+:)?OrganizationId[^>]*>\s*(\w+)\s*<", delivery.body)
        demand_organisation(found[1].decode() if found else "", mapping)


def translate(delivery: Delivery, mapping: CrmMapping, source: str) -> Translation:
    """One record per notification; one that is not understood blocks no other."""
    try:
        root = fromstring(delivery.body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise NotReadable(f"The body is no plain XML: {error}") from error
    notifications = root.findall(f".//{_OUT}Notification")
    if not notifications or len(notifications) > MAX_NOTIFICATIONS:
        raise NotReadable("The message holds no notification, or far too many.")
    translation = Translation()
    for notification in notifications:
        try:
            record = notification.find(f"{_OUT}sObject")
            if record is None or not len(record):
                translation.ignored += 1  # The record was deleted meanwhile.
                continue
            fields = {child.tag.rpartition("}")[2]: (child.text or "") for child in record}
            kind = record.attrib.get(_TYPE, "").rpartition(":")[2]
            observe_record(
                translation, source, kind, fields["Id"], _present(fields), _moment(fields),
                mapping,
                created=fields.get("CreatedDate") == fields.get("LastModifiedDate", ""),
            )  # fmt: skip
        except GARBLED as error:
            identity = notification.findtext(f"{_OUT}Id") or ""
            translation.faults.append(garbled({"notification": identity}, error))
    return translation


def _present(fields: dict[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in fields.items() if value.strip()}


def _moment(fields: dict[str, str]) -> datetime:
    return moment_of(fields.get("LastModifiedDate") or fields["CreatedDate"])
