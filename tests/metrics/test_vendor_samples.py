"""Every vendor's real deliveries, as their manifests say: authentic, and the facts expected."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.metrics.domain.cloudevents import read_cloudevent
from services.metrics.domain.types import CANONICAL
from services.metrics.sources import bitrix24
from services.metrics.sources.delivery import (
    Delivery,
    Fact,
    NotAuthentic,
    NotReadable,
    Translation,
    moment_of,
)
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.vendors import VENDORS, Vendor
from shared.chain import parse_json
from shared.events import NewEvent

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "webhooks"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the vendors' samples are not here")
# The manifests' names of facts and vendors, as they are called here.
FACTS = {
    "opportunity_created": "crm.opportunity.opened",
    "opportunity_stage_changed": "crm.opportunity.stage_changed",
    "opportunity_closed": "crm.opportunity.closed",
    "lead_created": "crm.lead.created",
    "activity_logged": "crm.activity.logged",
    "call_completed": "contact.call.completed",
    "ticket_created": "contact.case.opened",
    "ticket_status_changed": "contact.case.changed",
    "survey_response": "survey.response.received",
}
KINDS = {"amocrm": "kommo", "salesforce-cdc": "salesforce-events"}
SECRETS = {
    "pipedrive": "ingest:given-pipedrive-pass", "bitrix24": "givenapplicationtokenabcdef012345",
    "cloudevents": "given-cloudevents-token", "dataverse": "given-dataverse-key",
    "salesforce-cdc": "given-eventbridge-key", "amazon-connect": "given-connect-key",
    "genesys": "given-genesys-key",
}  # fmt: skip
MAPPINGS: dict[str, dict[str, Any]] = {
    "amocrm": {"account": "31554433", "currency": "RUB"},
    "salesforce-outbound": {"account": "00D7Q000004KpXz"},
    "dataverse": {"account": "acmesales.crm4.dynamics.com",
                  "currencies": {"9d2b1f00-0000-4e00-8e00-0000000000e1": "EUR"}},
    "superoffice": {"account": "Cust26118"}, "pipedrive": {"account": "8120455"},
}  # fmt: skip
# These are held against their manifests elsewhere: with the mapping grammar, or over HTTP.
ELSEWHERE = ("hubspot", "standard-webhooks")
SAMPLES = [
    (folder.name, item)
    for folder in sorted(DATA.glob("*"))
    if (folder / "manifest.json").exists() and folder.name not in ELSEWHERE
    for item in json.loads((folder / "manifest.json").read_text())["items"]
    if item["kind"] == "request" and item["method"] == "POST"
]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def delivered(vendor: str, item: dict[str, Any], **changed: Any) -> Delivery:
    headers = {name.lower(): value for name, value in item["headers"].items()}
    signing = item.get("signing", {})
    stamp = signing.get("timestamp")
    now = moment_of(stamp) if isinstance(stamp, str) else NOW
    body = (DATA / vendor / item["file"]).read_bytes()
    made = {"url": item.get("url", ""), "headers": headers, "body": body, "received_at": now}
    return Delivery(**{**made, **changed})


def kind_of(vendor: str) -> tuple[Vendor, Any]:
    kind = VENDORS[KINDS.get(vendor, vendor)]
    return kind, kind.mapping.model_validate(MAPPINGS.get(vendor, {}))


def secrets_of(vendor: str, item: dict[str, Any]) -> list[str]:
    signing = item.get("signing", {})
    own = signing.get("secret") or signing.get("token") or SECRETS.get(vendor)
    return [own] if own else []


def facts_of(kind: Vendor, mapping: Any, translation: Translation) -> list[Fact]:
    """The facts that a translation gives, all of them valid events."""
    found = []
    for item in translation.items:
        event = read_cloudevent(item, CANONICAL, NOW)
        assert isinstance(event, NewEvent), event
        data = {**parse_json(event.data), **event.personal}
        found.append(Fact(event.event_id, event.name, event.subject or "", event.occurred_at, data))
    for record in {o.record for o in translation.observations}:
        assert kind.settle is not None
        found += kind.settle(
            record, [o for o in translation.observations if o.record == record], mapping
        )
    return found


def agrees(fact: Fact, expected: dict[str, Any]) -> bool:
    """Whether a fact is the one that a manifest expects, in every field that it names."""
    names = {"from": "from_stage", "queue_s": "wait", "talk_s": "talk", "hold_s": "hold",
             "acw_s": "after_call", "source": "channel", "type": "kind", "duration_s": "talk",
             "to": "status"}  # fmt: skip
    if fact.name != FACTS[expected["fact"]]:
        return False
    for name, value in expected.items():
        shown = fact.data.get(names.get(name, name))
        match name:
            case "fact" | "note" | "handle_s" | "ended" | "started" | "dedupe":
                continue
            case "id":
                same = str(value) in fact.subject or str(value) in fact.event_id
            case "ticket":
                same = str(value) in str(fact.data["about"])
            case "at":
                same = fact.occurred_at == moment_of(value)
            case "score":
                same = fact.data["rating"] == value
            case "type":
                same = shown == {"phonecall": "call"}.get(value, value)
            case "from" if expected["fact"] == "ticket_status_changed":
                continue
            case _ if isinstance(value, bool):
                same = shown is value
            case _ if isinstance(value, int | float) or name in ("amount",):
                same = shown is not None and Decimal(str(shown)) == Decimal(str(value))
            case _:
                same = str(shown).lower() == str(value).lower()
        if not same:
            return False
    return True


@pytest.mark.parametrize(("vendor", "item"), SAMPLES,
                         ids=[f"{v}-{i['file']}" for v, i in SAMPLES])  # fmt: skip
def test_a_sample_gives_the_facts_that_its_manifest_expects(
    vendor: str, item: dict[str, Any]
) -> None:
    kind, mapping = kind_of(vendor)
    delivery, secrets = delivered(vendor, item), secrets_of(vendor, item)
    kind.authenticate(delivery, secrets, mapping)
    if kind.signed:
        with pytest.raises(NotAuthentic):
            kind.authenticate(delivery, ["another-secret-altogether"], mapping)
    if kind.ignores(delivery):
        assert item["expect"] == ["no event"]
        return
    translation = translated(kind, mapping, vendor, delivery, item)
    found = facts_of(kind, mapping, translation)
    expected = item["expect"] if isinstance(item["expect"], list) else [item["expect"]]
    wanted = [one for one in expected if isinstance(one, dict)]
    for one in wanted:
        assert any(agrees(fact, one) for fact in found), (one, found)
    # What became another, and a case that is solved and so closed, follow from the same delivery.
    beside = ("crm.opportunity.changed", "contact.case.closed")
    counted = [f for f in found if f.name not in beside]
    if wanted:
        assert len(counted) == len(wanted), found


def translated(
    kind: Vendor, mapping: Any, vendor: str, delivery: Delivery, item: dict[str, Any]
) -> Translation:
    """What a delivery says; of Bitrix24's deals, what the portal answers when it is asked."""
    if vendor != "bitrix24" or bitrix24.named(delivery)[0] != "deal":
        return kind.translate(delivery, mapping, "/sources/x")
    with pytest.raises(NotReadable, match="read back"):
        kind.translate(delivery, mapping, "/sources/x")
    _, action, identity = bitrix24.named(delivery)
    (answer,) = (DATA / vendor).glob(f"api_*_{identity}.json")
    said = parse_json(answer.read_bytes())
    return bitrix24.read_deal(said, action == "add", mapping, "/sources/x")


def sample(vendor: str, name: str) -> tuple[Delivery, dict[str, Any]]:
    (item,) = [i for v, i in SAMPLES if v == vendor and i["file"].startswith(name)]
    return delivered(vendor, item), item


@pytest.mark.parametrize(("vendor", "name", "word"), [
    ("amocrm", "04", "stage_changed"), ("superoffice", "02", "opened"),
    ("superoffice", "03", "closed won"), ("superoffice", "04", "closed lost"),
    ("pipedrive", "06", "closed won"),
])  # fmt: skip
def test_what_a_manifest_says_in_words(vendor: str, name: str, word: str) -> None:
    kind, mapping = kind_of(vendor)
    delivery, _ = sample(vendor, name)
    facts = facts_of(kind, mapping, kind.translate(delivery, mapping, "/sources/x"))
    told = [f"{f.name.split('.')[-1]} {f.data.get('outcome', '')}".strip() for f in facts]
    assert told.count(word) == 1
    assert len(told) == 1, told


def test_the_batch_of_cloudevents_holds_a_win_and_a_call() -> None:
    kind, mapping = kind_of("cloudevents")
    delivery, _ = sample("cloudevents", "02")
    won, call = facts_of(kind, mapping, kind.translate(delivery, mapping, "/sources/x"))
    assert (won.subject, won.data["outcome"], won.data["amount"], won.data["currency"]) == (
        "opportunity/O-1", "won", Decimal("5250.5"), "EUR")  # fmt: skip
    assert (call.subject, call.data["talk"]) == ("call/C-1", 120)


def test_events_of_a_stream_are_taken_by_the_mapping() -> None:
    kind, _ = kind_of("twilio")
    delivery, _ = sample("twilio", "02")
    rule = {"type": "work.item.completed", "id": "{id}", "time": {"column": "time"},
            "when": {"field": "type", "op": "contains", "value": "reservation.completed"},
            "data": {"item": "data.payload.task_sid",
                     "team": "data.payload.worker_name"}}  # fmt: skip
    mapping = kind.mapping.model_validate({"events": [rule]})
    (fact,) = facts_of(kind, mapping, kind.translate(delivery, mapping, "/sources/x"))
    assert (fact.name, fact.data["team"]) == ("work.item.completed", "a.silva")


def test_credentials_that_ride_in_a_body_are_not_kept() -> None:
    delivery, _ = sample("bitrix24", "03")
    kept = bitrix24.kept(delivery.body)
    assert b"FAKE" not in kept
    assert b"application_token" not in kept
    assert bitrix24.named(Delivery("", {}, kept, NOW)) == ("deal", "update", "761")


def test_the_acknowledgement_is_the_one_that_salesforce_takes() -> None:
    answer = VENDORS["salesforce-outbound"].answer
    assert answer is not None
    expected = (DATA / "salesforce-outbound" / "ack_true.xml").read_bytes()
    assert b"".join(answer[0].split()) == b"".join(expected.split())


def test_another_organisations_messages_are_refused() -> None:
    kind = VENDORS["salesforce-outbound"]
    delivery, _ = sample("salesforce-outbound", "01")
    with pytest.raises(NotAuthentic):
        kind.authenticate(delivery, [], CrmMapping(account="00D000000000000AAA"))


def test_basic_authentication_takes_the_whole_credential() -> None:
    kind, mapping = kind_of("pipedrive")
    delivery, _ = sample("pipedrive", "01")
    wrong = base64.b64encode(b"ingest:given").decode()
    headers = {**delivery.headers, "authorization": f"Basic {wrong}"}
    other = Delivery("", headers, delivery.body, NOW)
    with pytest.raises(NotAuthentic):
        kind.authenticate(other, ["ingest:given-pipedrive-pass"], mapping)
