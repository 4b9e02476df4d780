"""Webhooks: authenticated on raw bytes, kept as they came, translated the same in any order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import Key

SECRET = "a-secret-of-the-app"
URL = "https://ingest.example.com/webhooks/hubspot"
STAGES = {
    "pipelines": {"default": {"contractsent": "open", "closedwon": "won", "closedlost": "lost"}}
}
WHSEC = "whsec_" + base64.b64encode(b"thirty-two-bytes-of-a-shared-key").decode()
# What the manifests' facts are called here.
FACTS = {
    "opportunity_created": "crm.opportunity.opened",
    "opportunity_stage_changed": "crm.opportunity.stage_changed",
    "opportunity_amount_changed": "crm.opportunity.changed",
    "opportunity_currency_changed": "crm.opportunity.changed",
    "opportunity_closed": "crm.opportunity.closed",
    "lead_created": "crm.lead.created",
    "order_placed": "commerce.order.placed",
    "marketing_spend": "marketing.spend.recorded",
    "survey_response": "survey.response.received",
}


def source(key: Key, kind: str, secrets: list[str], **more: Any) -> str:
    body = {"key": kind, "kind": kind, "secrets": secrets, **more}
    path: str = key.post("metrics", "/v1/sources", body)["webhook_path"]
    return path


def sign_v3(body: bytes, timestamp: str, secret: str = SECRET, url: str = URL) -> str:
    message = b"POST" + url.encode() + body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest()).decode()


def hubspot(key: Key, path: str, items: Any, **headers: str) -> Any:
    body, timestamp = json.dumps(items).encode(), str(int(time.time() * 1000))
    signed = {
        "x-hubspot-signature-v3": sign_v3(body, timestamp),
        "x-hubspot-request-timestamp": timestamp,
        "content-type": "application/json",
        **headers,
    }
    return key.send("POST", "metrics", path, content=body, headers=signed)


def standard(key: Key, path: str, identity: str, body: Any, secret: str = WHSEC) -> Any:
    content, timestamp = json.dumps(body).encode(), str(int(time.time()))
    signed = f"{identity}.{timestamp}.".encode() + content
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    headers = {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1a,AAAA v1,{signature}",
        "content-type": "application/json",
    }
    return key.send("POST", "metrics", path, content=content, headers=headers)


def translated(key: Key, deliveries: int) -> list[dict[str, Any]]:
    """The facts, once so many deliveries are no longer waiting."""
    deadline = time.monotonic() + 20
    while True:
        items = key.get("metrics", "/v1/deliveries", limit=500)["items"]
        if len(items) >= deliveries and all(d["state"] != "received" for d in items):
            return facts(key)
        assert time.monotonic() < deadline, items
        time.sleep(0.05)


def facts(key: Key) -> list[dict[str, Any]]:
    """All facts of sources in the feed; restated ones appear with each version."""
    items = key.get("metrics", "/v1/feed")["items"]
    return [e for e in items if e["source"].startswith("/sources/")]


def deal(identity: int, at: int, **changes: str) -> list[dict[str, Any]]:
    """HubSpot's notifications of property changes at one moment."""
    return [
        {
            "eventId": 1, "subscriptionId": 1, "portalId": 7, "appId": 1, "occurredAt": at,
            "subscriptionType": "deal.propertyChange", "attemptNumber": 0, "objectId": identity,
            "propertyName": name, "propertyValue": value,
        }
        for name, value in changes.items()
    ]  # fmt: skip


def created(identity: int, at: int) -> dict[str, Any]:
    made = deal(identity, at, x="x")[0]
    del made["propertyName"], made["propertyValue"]
    return {**made, "subscriptionType": "deal.creation", "changeFlag": "CREATED"}


T0 = 1_740_000_000_000
STORY = [
    created(1, T0),
    *deal(1, T0, dealstage="appointmentscheduled", amount="100", deal_currency_code="EUR"),
    *deal(1, T0 + 1000, dealstage="contractsent"),
    *deal(1, T0 + 2000, dealstage="closedwon", amount="120.50"),
    *deal(1, T0 + 3000, dealstage="contractsent"),
    *deal(1, T0 + 4000, dealstage="closedlost"),
]


def test_a_deals_story_becomes_opportunity_facts(key: Key) -> None:
    path = source(key, "hubspot", [SECRET], mapping=STAGES, public_url=URL)
    assert hubspot(key, path, STORY).status_code == 200
    found = [(e["type"].rpartition(".")[2], e["data"]) for e in translated(key, 1)]
    worth = {"amount": 100, "currency": "EUR"}
    assert found == [
        ("opened", {"stage": "appointmentscheduled", "amount": 100, "currency": "EUR"}),
        ("changed", {"amount": 100, "currency": "EUR"}),
        ("stage_changed", {"stage": "appointmentscheduled", **worth}),
        ("stage_changed", {"stage": "contractsent", "from_stage": "appointmentscheduled", **worth}),
        ("changed", {"amount": 120.5}),
        ("closed", {"outcome": "won", "stage": "closedwon", "amount": 120.5, "currency": "EUR"}),
        ("stage_changed", {"stage": "contractsent", "from_stage": "closedwon", **worth,
                           "amount": 120.5}),
        ("reopened", {"stage": "contractsent"}),
        ("closed", {"outcome": "lost", "stage": "closedlost", "amount": 120.5, "currency": "EUR"}),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_duplicated_and_reordered_deliveries_give_the_same_counting_facts(
    key: Key, seed: int
) -> None:
    path = source(key, "hubspot", [SECRET], mapping=STAGES, public_url=URL)
    chance = random.Random(seed)
    items = [*STORY, *chance.sample(STORY, 4)]
    chance.shuffle(items)
    pieces = [items[i : i + 2] for i in range(0, len(items), 2)]
    for piece in pieces:
        assert hubspot(key, path, piece).status_code == 200
    translated(key, len(pieces))
    body = {
        "key": "won", "name": "Won", "unit": "EUR",
        "definition": {"kind": "sum", "events": ["crm.opportunity.closed"], "field": "amount"},
    }  # fmt: skip
    key.post("metrics", "/v1/metrics", body)
    value = key.get("metrics", "/v1/metrics/won/values", period="2025-Q1")["values"][0]
    assert (value["numerator"], value["n"]) == ("241", 2)
    counting = key.get("metrics", "/v1/metrics/won/events", period="2025-Q1")["items"]
    assert [e["data"]["outcome"] for e in counting] == ["won", "lost"]


def test_a_signature_that_is_wrong_stale_or_missing_is_refused_and_nothing_is_kept(
    key: Key,
) -> None:
    path = source(key, "hubspot", [SECRET], public_url=URL)
    stale = str(int((time.time() - 600) * 1000))
    body = json.dumps(STORY).encode()
    refusals = [
        {"x-hubspot-signature-v3": "AAAA"},
        {"x-hubspot-request-timestamp": stale, "x-hubspot-signature-v3": sign_v3(body, stale)},
        {"x-hubspot-request-timestamp": "soon"},
    ]
    for headers in refusals:
        response = hubspot(key, path, STORY, **headers)
        assert response.status_code == 401
        assert response.json()["type"] == "/problems/unauthenticated"
    key.refused(401, "POST", "metrics", path, content=body)
    key.refused(404, "POST", "metrics", path[:-4] + "AAAA", content=body)
    assert key.get("metrics", "/v1/deliveries")["items"] == []


def test_what_is_not_understood_is_kept_and_retried_after_the_mapping_is_mended(key: Key) -> None:
    path = source(key, "standard-webhooks", [WHSEC])
    body = {"type": "visit.rated", "timestamp": "2025-03-17T10:00:00Z", "data": {"score": 5}}
    assert standard(key, path, "msg_1", body).status_code == 200
    assert translated(key, 1) == []
    kept = key.get("metrics", "/v1/deliveries", state="quarantined")["items"]
    assert "visit.rated" in kept[0]["detail"]
    mapping = {
        "events": [
            {
                "type": "survey.response.received",
                "when": {"field": "type", "op": "eq", "value": "visit.rated"},
                "id": "{webhook-id}",
                "time": {"column": "timestamp"},
                "data": {"score": "data.score", "kind": {"value": "csat"}},
            }
        ]
    }
    change = {"mapping": mapping, "reason": "Visits are rated now"}
    assert (
        key.send("PATCH", "metrics", "/v1/sources/standard-webhooks", json=change).status_code
        == 200
    )
    retried = key.post("metrics", f"/v1/deliveries/{kept[0]['id']}/retry")
    assert (retried["state"], retried["events"]) == ("translated", 1)
    assert facts(key)[0]["data"] == {"score": 5, "kind": "csat"}


def test_one_bad_notification_never_blocks_its_batch(key: Key) -> None:
    path = source(key, "hubspot", [SECRET], mapping=STAGES, public_url=URL)
    items: list[Any] = [
        created(1, T0),
        {"subscriptionType": "deal.creation"},
        "rubbish",
        *deal(1, T0, amount="5"),
    ]
    assert hubspot(key, path, items).status_code == 200
    assert [e["type"] for e in translated(key, 1)] == [
        "crm.opportunity.opened", "crm.opportunity.changed",
    ]  # fmt: skip
    assert len(key.get("metrics", "/v1/quarantine")["items"]) == 2


def test_two_secrets_are_valid_during_a_rotation_and_none_is_ever_shown(key: Key) -> None:
    other = "whsec_" + base64.b64encode(b"another-key-of-thirty-two-bytes!").decode()
    path = source(key, "standard-webhooks", [WHSEC])
    change = {"secrets": [other, WHSEC], "reason": "The yearly rotation"}
    response = key.send("PATCH", "metrics", "/v1/sources/standard-webhooks", json=change)
    assert other not in response.text
    order = {"type": "order.placed", "timestamp": "2025-03-17T10:00:00Z", "data": {"amount": "5"}}
    sent = [
        standard(key, path, f"m{i}", order, s).status_code for i, s in enumerate((other, WHSEC))
    ]
    assert sent == [200, 200]
    rotated = key.post("metrics", "/v1/sources/standard-webhooks/rotate-token")["webhook_path"]
    assert standard(key, path, "m3", order).status_code == 404
    assert standard(key, rotated, "m1", order).status_code == 200
    assert len(translated(key, 3)) == 2


def manifest(data_folder: Path, vendor: str) -> list[dict[str, Any]]:
    path = data_folder / "webhooks" / vendor / "manifest.json"
    items: list[dict[str, Any]] = json.loads(path.read_text())["items"]
    return items


@pytest.mark.parametrize("vendor", ["hubspot", "standard-webhooks"])
def test_every_published_sample_gives_the_facts_that_its_manifest_expects(
    key: Key, data_folder: Path, vendor: str
) -> None:
    """Method: each sample is signed again for now and sent as it stands; its facts are compared."""
    folder, items = data_folder / "webhooks" / vendor, manifest(data_folder, vendor)
    signing = items[0]["signing"]
    secrets = [signing["secret"]] if vendor == "hubspot" else items[1]["signing"]["secrets"]
    mapping = STAGES if vendor == "hubspot" else {}
    path = source(
        key, vendor, secrets, mapping=mapping, public_url=URL if vendor == "hubspot" else None
    )
    for item in items:
        body = (folder / item["file"]).read_bytes()
        headers = dict(item["headers"])
        if vendor == "hubspot":
            now = str(int(time.time() * 1000))
            headers["X-HubSpot-Request-Timestamp"] = now
            headers["X-HubSpot-Signature-v3"] = sign_v3(body, now, secrets[0])
            response = key.send("POST", "metrics", path, content=body, headers=headers)
        else:
            response = standard(key, path, headers["webhook-id"], json.loads(body), secrets[-1])
        assert response.status_code == 200, (item["file"], response.text)
    found = translated(key, len(items))
    wanted = itertools.chain.from_iterable(
        e if isinstance(e, list) else [e] for e in (item["expect"] for item in items)
    )
    for fact in wanted:
        if isinstance(fact, dict):
            assert any(_fits(event, fact) for event in found), (fact, found)


def _fits(event: dict[str, Any], fact: dict[str, Any]) -> bool:
    if event["type"] != FACTS[fact["fact"]]:
        return False
    at = fact.get("at", "").replace(".000Z", "Z").replace("0Z", "0Z")
    same_time = not at or event["time"].startswith(at.removesuffix("Z"))
    same_day = "day" not in fact or event["occurredon"] == fact["day"]
    known = event["data"] | {"id": (event["subject"] or "").rpartition("/")[2]}
    fields = ("outcome", "stage", "amount", "currency", "score", "id")
    return (
        same_time
        and same_day
        and all(
            str(known.get(f)).rstrip("0") == str(fact[f]).rstrip("0") for f in fields if f in fact
        )
    )


def test_the_published_signatures_verify_for_their_own_time(data_folder: Path) -> None:
    from datetime import timedelta

    from services.metrics.domain.mapping import Mapping
    from services.metrics.sources import hubspot as vendor
    from services.metrics.sources import standard_webhooks
    from services.metrics.sources.delivery import Delivery, NotAuthentic
    from services.metrics.sources.opportunities import CrmMapping
    from shared.clock import EPOCH

    for name, module in (("hubspot", vendor), ("standard-webhooks", standard_webhooks)):
        for item in manifest(data_folder, name):
            headers = {k.lower(): v for k, v in item["headers"].items()}
            signing = item["signing"]
            stamp = signing.get("timestamp_ms") or signing["timestamp"] * 1000
            body = (data_folder / "webhooks" / name / item["file"]).read_bytes()
            moment = EPOCH + timedelta(milliseconds=int(stamp))
            delivery = Delivery(signing.get("signed_url", ""), headers, body, moment)
            secrets = signing.get("secrets") or [signing["secret"]]
            mapping: Any = CrmMapping() if module is vendor else Mapping()
            module.authenticate(delivery, secrets, mapping)
            with pytest.raises(NotAuthentic):
                module.authenticate(
                    Delivery(delivery.url, headers, body, moment + timedelta(minutes=6)),
                    secrets, mapping,
                )  # fmt: skip
            for version in ("v1", "v2"):
                if headers.get("x-hubspot-signature-version") == version:
                    older = {k: v for k, v in headers.items() if "v3" not in k}
                    older_one = Delivery(delivery.url, older, body, moment)
                    vendor.authenticate(older_one, secrets, mapping)
