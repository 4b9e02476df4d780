"""Every kind of source over HTTP: answered its way, kept as it came, never upset by rubbish."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from services.metrics.commands.deliveries import forget_bodies
from services.metrics.sources.vendors import VENDORS
from tests.metrics.test_webhooks import translated
from tests.support.asking import shown
from tests.support.house import Key

SECRET = "whsec_" + base64.b64encode(b"thirty-two-bytes-of-a-shared-key").decode()
URL = "https://ingest.example.com/hooks"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(8))
    + "]><x>&i;</x>"
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
SOAP = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
    "<OrganizationId>00D7Q000004KpXzUAK</OrganizationId><SessionId>do-not-keep</SessionId>"
    '<Notification><Id>04l</Id><sObject xmlns:s="urn:sobject.enterprise.soap.sforce.com" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="s:Opportunity">'
    "<s:Id>0067Q00000Ku4bR</s:Id><s:Amount>12.50</s:Amount><s:IsClosed>true</s:IsClosed>"
    "<s:CurrencyIsoCode>EUR</s:CurrencyIsoCode>"
    "<s:IsWon>true</s:IsWon><s:LastModifiedDate>2026-03-17T10:15:31.000Z</s:LastModifiedDate>"
    "</sObject></Notification></notifications></e:Body></e:Envelope>"
)
RUBBISH: list[bytes] = [
    b"", b"{}", b"[]", b"null", b"[[]]", b"[null, 1, {}]", b"not json", b"\xff\xfe\x00",
    b"{" * 1_000, b"[" * 1_000 + b"]" * 1_000, b"9" * 100_000,
    b"a=1&a=2&a[b]=3&a[b][c]=4", b"%ff=%ff",
    b'{"meta": 1}', b'{"detail": {"ChangeEventHeader": {}}}', b'{"Event": "sale.sold"}',
    b'{"type": "zen:event-type:ticket.created"}', b'{"InputParameters": [1]}',
    b'{"ContactId": 7, "DisconnectTimestamp": {}}', b'{"participants": 3, "conversationEnd": "x"}',
    b"leads[status][0][id]=1&leads[status][0][last_modified]=99999999999999999999",
    b"event=ONCRMDEALUPDATE&data[FIELDS][ID]=1", BOMB.encode(), OUTSIDE.encode(),
    b"<a><b></a>", b'{"a": "\\u0000"}', b'[{"specversion": "1.0", "type": {"a": 1}}]',
]  # fmt: skip


def connect(key: Key, kind: str, **more: Any) -> str:
    secrets = [SECRET] if VENDORS[kind].signed else []
    body = {"key": kind, "kind": kind, "secrets": secrets, "public_url": URL, **more}
    path: str = key.post("metrics", "/v1/sources", body)["webhook_path"]
    return path


def signed(kind: str, body: bytes) -> dict[str, str]:
    """The headers by which a vendor proves a body."""

    def digest(message: bytes, how: str = "sha256", secret: bytes = SECRET.encode()) -> str:
        return base64.b64encode(hmac.new(secret, message, how).digest()).decode()

    now = time.time()
    match kind:
        case "hubspot":
            stamp = str(int(now * 1000))
            return {"x-hubspot-signature-v3": digest(b"POST" + URL.encode() + body
                                                     + stamp.encode()),
                    "x-hubspot-request-timestamp": stamp}  # fmt: skip
        case "superoffice":
            return {"x-superoffice-signature": digest(body)}
        case "zendesk":
            stamp = datetime.now(UTC).isoformat()
            return {"x-zendesk-webhook-signature-timestamp": stamp,
                    "x-zendesk-webhook-signature": digest(stamp.encode() + body)}  # fmt: skip
        case "twilio":
            query = f"?bodySHA256={hashlib.sha256(body).hexdigest()}"
            return {"x-twilio-signature": digest((URL + query).encode(), "sha1"),
                    "content-type": "application/json"}  # fmt: skip
        case "standard-webhooks":
            stamp = str(int(now))
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            message = f"m{now}.{stamp}.".encode() + body
            return {"webhook-id": f"m{now}", "webhook-timestamp": stamp,
                    "webhook-signature": "v1," + digest(message, secret=key)}  # fmt: skip
        case "cloudevents":
            return {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
        case "bitrix24" | "kommo":
            return {"content-type": "application/x-www-form-urlencoded"}
        case _:
            return {"content-type": "application/json"}


def send(key: Key, kind: str, path: str, body: bytes, **headers: str) -> Any:
    if kind == "twilio":
        path += f"?bodySHA256={hashlib.sha256(body).hexdigest()}"
    if kind == "bitrix24":
        body += b"&" + urlencode({"auth[application_token]": SECRET}).encode()
    return key.send(
        "POST", "metrics", path, content=body, headers={**signed(kind, body), **headers}
    )


@pytest.mark.parametrize("kind", sorted(VENDORS))
def test_rubbish_is_kept_or_refused_and_upsets_nothing(key: Key, kind: str) -> None:
    """Each is answered at once; what is kept waits with its reason, and no fact comes of it."""
    path, kept = connect(key, kind), 0
    for body in RUBBISH:
        answer = send(key, kind, path, body)
        assert answer.status_code in (200, 401), (kind, body[:40], answer.text)
        kept += answer.status_code == 200
    facts = translated(key, kept)
    assert [f for f in facts if f["type"].startswith("crm.opportunity")] == []
    for found in key.get("metrics", "/v1/deliveries", limit=500)["items"]:
        assert found["state"] in ("quarantined", "translated")
        assert "We failed" not in found["detail"], found
    again = send(key, kind, path, json.dumps([]).encode())
    assert again.status_code in (200, 401)


@pytest.mark.parametrize("kind", sorted(k for k in VENDORS if VENDORS[k].signed))
def test_what_is_not_signed_is_refused_and_not_kept(key: Key, kind: str) -> None:
    path = connect(key, kind)
    assert key.send("POST", "metrics", path, content=b"[]").status_code == 401
    assert key.get("metrics", "/v1/deliveries")["items"] == []


def test_salesforce_is_answered_with_its_acknowledgement(key: Key) -> None:
    path = connect(key, "salesforce-outbound", mapping={"account": "00D7Q000004KpXz"})
    answer = send(key, "salesforce-outbound", path, SOAP.encode())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert "<Ack>true</Ack>" in answer.text
    (fact,) = translated(key, 1)
    assert fact["subject"] == "opportunity/deal/0067Q00000Ku4bRQAR"
    assert (fact["data"]["outcome"], fact["data"]["amount"]) == ("won", 12.5)
    other = SOAP.replace("00D7Q000004KpXzUAK", "00D000000000001AAA")
    assert send(key, "salesforce-outbound", path, other.encode()).status_code == 401


def test_a_sender_of_cloudevents_asks_first_and_only_its_own_address_agrees(key: Key) -> None:
    path = connect(key, "cloudevents")
    asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
    agreed = key.send("OPTIONS", "metrics", path, headers=asked)
    assert agreed.headers["WebHook-Allowed-Origin"] == "eventemitter.example.com"
    assert agreed.headers["WebHook-Allowed-Rate"] == "*"
    assert "POST" in agreed.headers["Allow"]
    for elsewhere in ("/v1/webhooks/unknown", connect(key, "pipedrive")):
        refused = key.send("OPTIONS", "metrics", elsewhere, headers=asked)
        assert "WebHook-Allowed-Origin" not in refused.headers


def test_a_registration_test_is_answered_and_not_kept(key: Key) -> None:
    path = connect(key, "superoffice")
    answer = send(key, "superoffice", path, b'{"Event": "test"}', **{"x-superoffice-event": "test"})
    assert (answer.status_code, answer.json()["delivery_id"]) == (200, None)
    assert key.get("metrics", "/v1/deliveries")["items"] == []


def test_custom_fields_ride_along_where_the_mapping_names_them(key: Key) -> None:
    path = connect(key, "pipedrive", mapping={"fields": {"custom_fields.region": "region"}})
    now = {"id": 1, "status": "won", "value": 10, "currency": "EUR", "stage_id": 2,
           "won_time": "2026-03-24T15:40:02Z", "custom_fields": {"region": "north"}}  # fmt: skip
    body = {"data": now, "previous": {"status": "open"},
            "meta": {"action": "change", "entity": "deal", "company_id": "7",
                     "timestamp": "2026-03-24T15:40:03.000Z"}}  # fmt: skip
    assert send(key, "pipedrive", path, json.dumps(body).encode()).status_code == 200
    (fact,) = translated(key, 1)
    assert fact["data"]["region"] == "north"


def test_a_mapping_is_mended_with_eyes_open(key: Key) -> None:
    """Stages nobody mapped are seen, the mended mapping is tried, and then all is settled again."""
    path = connect(key, "pipedrive")

    def moved(number: int, stage: int, day: int) -> bytes:
        now = {"id": number, "status": None, "value": 10, "currency": "EUR", "stage_id": stage,
               "pipeline_id": 3, "stage_change_time": f"2026-03-{day:02}T10:00:00Z"}  # fmt: skip
        meta = {"action": "change", "entity": "deal", "company_id": "7",
                "timestamp": f"2026-03-{day:02}T10:00:01.000Z"}  # fmt: skip
        return json.dumps({"data": now, "previous": {"stage_id": 1}, "meta": meta}).encode()

    for body in (moved(1, 8, 10), moved(1, 9, 12), moved(2, 9, 14)):
        assert send(key, "pipedrive", path, body).status_code == 200
    before = translated(key, 3)
    assert {f["type"] for f in before} == {"crm.opportunity.stage_changed"}
    seen = key.get("metrics", "/v1/sources/pipedrive/seen")
    assert seen["deliveries"] == {"translated": 3}
    assert [
        (s["pipeline"], s["stage"], s["deals"], s["outcome"], s["mapped"]) for s in seen["stages"]
    ] == [("3", "8", 1, "open", False), ("3", "9", 2, "open", False)]
    mended = {"pipelines": {"3": {"8": "open", "9": "won"}}}
    tried = key.post("metrics", "/v1/sources/pipedrive/mapping-preview", {"mapping": mended})
    assert (tried["records"], tried["unchanged"], tried["added"], tried["gone"]) == (2, 1, 2, 2)
    assert "closed: " in str(tried["examples"][0]["after"])
    refused = key.send("POST", "metrics", "/v1/sources/pipedrive/mapping-preview",
                       json={"mapping": {"pipelines": {"3": {"9": "wonn"}}}})  # fmt: skip
    assert refused.status_code == 422
    key.send("PATCH", "metrics", "/v1/sources/pipedrive",
             json={"mapping": mended, "reason": "Stage 9 is the last"})  # fmt: skip
    won = {"kind": "count", "events": ["crm.opportunity.closed"]}
    moves = {"kind": "count", "events": ["crm.opportunity.stage_changed"]}
    key.post("metrics", "/v1/metrics", {"key": "won-deals", "name": "Won deals", "unit": "count",
             "definition": won})  # fmt: skip
    because = {"reason": "The mapping was mended"}
    settled = key.job("/v1/sources/pipedrive/settle", because)["result"]
    assert settled["changed"] == 4
    backfill = f"/v1/backfills/{settled['backfill']}"
    effect = key.get("metrics", f"{backfill}/effect")
    assert [(c["metric"], c["period"], c["before"], c["after"]) for c in effect["changed"]] == [
        ("won-deals", "2026-Q1", 0, 2)]  # fmt: skip
    assert (shown(key, won, "2026-03"), shown(key, moves, "2026-03")) == ([0], [3])
    # What arrives before it is closed is settled by the new mapping at once: won, and reopened.
    assert send(key, "pipedrive", path, moved(2, 8, 20)).status_code == 200
    translated(key, 4)
    assert (shown(key, won, "2026-03"), shown(key, moves, "2026-03")) == ([1], [3])
    key.post("metrics", f"{backfill}/close", because)
    assert (shown(key, won, "2026-03"), shown(key, moves, "2026-03")) == ([2], [2])
    again = key.job("/v1/sources/pipedrive/settle", because)["result"]
    assert again == {"changed": 0, "backfill": None}
    key.post("metrics", f"{backfill}/revert", because)
    assert (shown(key, won, "2026-03"), shown(key, moves, "2026-03")) == ([1], [3])


def test_a_delivery_can_be_looked_at_until_its_body_is_forgotten(key: Key) -> None:
    path = connect(key, "salesforce-outbound")
    assert send(key, "salesforce-outbound", path, SOAP.encode()).status_code == 200
    translated(key, 1)
    (listed,) = key.get("metrics", "/v1/deliveries")["items"]
    shown_one = key.get("metrics", f"/v1/deliveries/{listed['id']}")
    assert "0067Q00000Ku4bR" in shown_one["body"]
    assert "do-not-keep" not in shown_one["body"]
    reader = key.house.key(None, "metrics:read")
    assert reader.send("GET", "metrics", f"/v1/deliveries/{listed['id']}").status_code == 403
    ledger = key.house.ledgers["metrics"]
    assert forget_bodies(ledger, key.tenant_id, 1) == 0
    assert forget_bodies(ledger, key.tenant_id, -1) == 1
    assert key.get("metrics", f"/v1/deliveries/{listed['id']}")["body"] is None
    assert key.post("metrics", f"/v1/deliveries/{listed['id']}/retry")["state"] == "translated"


def test_a_closing_that_was_missed_is_told_by_the_deal_itself(key: Key) -> None:
    """The deal's amount is edited a week after it was won, and that is all that reaches us."""
    path = connect(key, "pipedrive")
    now = {"id": 1, "status": "won", "value": 10, "currency": "EUR", "stage_id": 2,
           "won_time": "2026-03-24T15:40:02Z", "update_time": "2026-03-31T08:00:00Z"}  # fmt: skip
    meta = {"action": "change", "entity": "deal", "company_id": "7",
            "timestamp": "2026-03-31T08:00:01.000Z"}  # fmt: skip
    body = {"data": now, "previous": {"value": 12}, "meta": meta}
    assert send(key, "pipedrive", path, json.dumps(body).encode()).status_code == 200
    (fact,) = translated(key, 1)
    assert (fact["type"], fact["time"]) == ("crm.opportunity.closed", "2026-03-24T15:40:02Z")


def test_a_lead_that_changes_later_restates_its_beginning(key: Key) -> None:
    path = connect(key, "salesforce-outbound")

    def lead(channel: str, modified: str) -> bytes:
        fields = (f"<s:Id>00Q7Q00000LmNoP</s:Id><s:CreatedDate>2026-03-18T07:00:05.000Z"
                  f"</s:CreatedDate><s:LastModifiedDate>{modified}</s:LastModifiedDate>"
                  f"<s:LeadSource>{channel}</s:LeadSource>")  # fmt: skip
        begin, end = SOAP.index("<s:Id>"), SOAP.index("</sObject>")
        return (SOAP[:begin] + fields + SOAP[end:]).replace("Opportunity", "Lead").encode()

    for body in (lead("Web", "2026-03-18T07:00:05.000Z"), lead("Fair", "2026-03-20T07:00:05.000Z"),
                 lead("Web", "2026-03-18T07:00:05.000Z")):  # fmt: skip
        assert send(key, "salesforce-outbound", path, body).status_code == 200
    translated(key, 3)
    leads = {"kind": "count", "events": ["crm.lead.created"]}
    assert shown(key, leads, "2026-03") == [1]
    fair = {**leads, "where": {"field": "channel", "value": "Fair"}}
    assert shown(key, fair, "2026-03") == [1]
    assert key.get("metrics", "/v1/deliveries", state="quarantined")["items"] == []


def test_an_event_without_a_time_occurred_when_it_came(key: Key) -> None:
    path = connect(key, "cloudevents")
    item = {"specversion": "1.0", "id": "1", "source": "/x", "type": "a.b.lead.created"}
    assert send(key, "cloudevents", path, json.dumps(item).encode()).status_code == 200
    (fact,) = translated(key, 1)
    assert fact["time"][:10] == datetime.now(UTC).date().isoformat()
