"""Stories that the vendors' samples do not tell: what is edited, missed, restored or backdated."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from services.metrics.commands.deliveries import signed_address
from services.metrics.sources import bitrix24
from services.metrics.sources.delivery import Delivery, NotAuthentic, Translation
from services.metrics.sources.opportunities import NO_CURRENCY, CrmMapping
from services.metrics.sources.vendors import VENDORS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 1_773_705_600_000
HOUR = 3_600_000


def told(
    kind: str, *bodies: Any, form: bool = False, **mapping: Any
) -> list[tuple[str, dict[str, Any]]]:
    """What deliveries of one deal give, as (short name, data), in order of time."""
    vendor = VENDORS[kind]
    rules = vendor.mapping.model_validate(mapping)
    assert isinstance(rules, CrmMapping)
    observed = []
    for body in bodies:
        content = urlencode(body).encode() if form else json.dumps(body).encode()
        found = vendor.translate(Delivery("", {}, content, NOW), rules, "/sources/x")
        assert not found.faults, found.faults
        observed += found.observations
    return settled(kind, observed, rules)


def settled(kind: str, observed: list[Any], rules: CrmMapping) -> list[tuple[str, dict[str, Any]]]:
    settle = VENDORS[kind].settle
    assert settle is not None
    facts = settle(observed[0].record, observed, rules)
    return [(fact.name.rpartition(".")[2], dict(fact.data)) for fact in facts]


def names(found: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [f"{name} {data['outcome']}" if "outcome" in data else name for name, data in found]


def change(sequence: int = 1, at: int = DAY, how: str = "UPDATE", **fields: Any) -> dict[str, Any]:
    header = {"entityName": "Opportunity", "changeType": how, "recordIds": ["006000000000001AAA"],
              "commitTimestamp": at, "sequenceNumber": sequence}  # fmt: skip
    return {"detail": {"payload": {"ChangeEventHeader": header, **fields}}}


def test_salesforce_changes_of_one_transaction_keep_their_order() -> None:
    found = told(
        "salesforce-events",
        change(2, StageName="Closed Lost", IsClosed=True, IsWon=False),
        change(1, StageName="Negotiation", IsClosed=False, IsWon=False),
    )
    assert names(found) == ["stage_changed", "closed lost"]


def test_salesforces_own_closing_stages_need_no_mapping() -> None:
    found = told(
        "salesforce-events", change(StageName="Closed Won"),
        change(at=DAY + HOUR, StageName="Closed Lost", IsWon=False),
    )  # fmt: skip
    assert names(found) == ["closed won", "closed lost"]


def test_what_was_deleted_and_restored_is_open_again() -> None:
    found = told(
        "salesforce-events", change(how="CREATE", StageName="New"),
        change(at=DAY + HOUR, how="DELETE"), change(at=DAY + 2 * HOUR, how="UNDELETE"),
    )  # fmt: skip
    assert names(found) == ["opened", "deleted", "reopened"]


PLATFORM: dict[str, Any] = {
    "rows": {"skip_when": {"field": "event", "value": "Ping__e"}},
    "events": [
        {
            "type": "contact.case.opened", "when": {"field": "event", "value": "Case_Made__e"},
            "id": "{Case__c}", "time": {"column": "CreatedDate"},
        },
        {
            "type": "commerce.order.placed",
            "when": {"field": "event", "value": "Order_Placed__e"},
            "id": "{event_uuid}", "subject": "order/{Order__c}",
            "time": {"column": "CreatedDate"},
            "data": {"amount": "Total__c", "currency": {"value": "EUR"}},
        }
    ]
}  # fmt: skip


def test_a_platform_event_is_taken_by_the_sources_rules_in_every_envelope() -> None:
    payload = {"CreatedDate": "2026-03-17T10:15:31.000Z", "CreatedById": "0057Q000006AbCdQAK",
               "Order__c": "A-1", "Total__c": 1000.25}  # fmt: skip
    bus = "aws.partner/salesforce.com/00D7Q000004KpXzUAK/0YL7Q0000000aBcWAI"
    relay = {"id": "an-envelope", "detail-type": "Order_Placed__e", "source": bus}
    known = {"replayId": 7, "EventUuid": "u-1"}
    bodies: list[Any] = [
        {**relay, "detail": {"payload": payload, "event": known}},
        {**relay, "detail": {**payload, "EventUuid": "u-1"}},
        {"channel": "/event/Order_Placed__e", "data": {"payload": payload, "event": known}},
    ]
    vendor = VENDORS["salesforce-events"]
    rules = vendor.mapping.model_validate({"platform_events": PLATFORM})
    for body in bodies:
        made = vendor.translate(Delivery("", {}, json.dumps(body).encode(), NOW), rules, "/s")
        (item,) = made.items
        assert not made.faults
        assert (item["id"], item["subject"], item["time"]) == (
            "u-1", "order/A-1", "2026-03-17T10:15:31Z",
        )  # fmt: skip
        assert item["data"] == {"amount": Decimal("1000.25"), "currency": "EUR"}
    ping = {**relay, "detail-type": "Ping__e", "detail": {"payload": payload}}
    made = vendor.translate(Delivery("", {}, json.dumps(ping).encode(), NOW), rules, "/s")
    assert (made.items, made.faults, made.ignored) == ([], [], 1)
    other = {**relay, "detail-type": "Shipped__e", "detail": {"payload": payload}}
    strange: list[Any] = [{"detail": payload}, [[]]]
    for body, code in ((other, "unmapped_type"), *((one, "item") for one in strange)):
        made = vendor.translate(Delivery("", {}, json.dumps(body).encode(), NOW), rules, "/s")
        assert [fault.code for _, fault in made.faults] == [code]
    own = vendor.mapping.model_validate({"platform_events": PLATFORM, "account": "00D0000000000AA"})
    made = vendor.translate(Delivery("", {}, json.dumps(bodies[0]).encode(), NOW), own, "/s")
    assert not made.items
    assert "another organisation" in made.faults[0][1].detail


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("zendesk", {"ticket_id": 7, "rating": "good", "at": "2026-03-17T10:00:00Z"}),
        ("twilio", [{"type": "com.twilio.ping", "specversion": "1.0"}]),
        ("standard-webhooks", {"type": "order.placed", "data": {"placed_at": "2026-03-17"}}),
        ("cloudevents", {"specversion": "1.0", "type": "com.acme.order.placed", "source": "/s",
                         "id": "1", "time": "2026-03-17T10:00:00Z", "data": {}}),
    ],
)  # fmt: skip
def test_what_a_sources_rules_skip_is_taken_by_nothing_else(kind: str, body: Any) -> None:
    vendor, every = VENDORS[kind], {"not": {"field": "nothing", "op": "exists"}}
    rules = vendor.mapping.model_validate({"rows": {"skip_when": every}, "events": [
        {"type": "commerce.order.placed", "id": "{id}", "time": {"column": "time"}}]})  # fmt: skip
    headers = {"content-type": "application/json", "webhook-id": "1"}
    made = vendor.translate(Delivery("", headers, json.dumps(body).encode(), NOW), rules, "/s")
    assert (made.items, made.faults, made.ignored) == ([], [], 1)


def context(message: str, at: int, parameters: dict[str, Any]) -> dict[str, Any]:
    pairs = [{"key": key, "value": value} for key, value in parameters.items()]
    return {"MessageName": message, "PrimaryEntityName": "opportunity", "PrimaryEntityId": "o-1",
            "OperationCreatedOn": f"/Date({at})/", "InputParameters": pairs,
            "PostEntityImages": []}  # fmt: skip


def columns(**values: Any) -> dict[str, Any]:
    return {"Attributes": [{"key": key, "value": value} for key, value in values.items()]}


def target(message: str, at: int, **values: Any) -> dict[str, Any]:
    return context(message, at, {"Target": columns(modifiedon=f"/Date({at})/", **values)})


def test_a_win_that_is_dated_back_to_midnight_stays_won() -> None:
    close = columns(opportunityid={"Id": "o-1"}, actualend=f"/Date({DAY})/",
                    actualrevenue={"Value": 9000})  # fmt: skip
    found = told(
        "dataverse",
        target("Create", DAY + 10 * HOUR, stepname="1-Qualify", statecode={"Value": 0}),
        context("Win", DAY + 15 * HOUR, {"OpportunityClose": close}),
        target("Update", DAY + 16 * HOUR, stepname="4-Close"),
    )
    assert names(found) == ["opened", "closed won"]
    assert found[1][1]["amount"] == 9000


def test_a_state_that_is_set_the_older_way_opens_a_deal_again() -> None:
    moniker = {"EntityMoniker": {"Id": "o-1"}, "State": {"Value": 0}}
    found = told(
        "dataverse", target("Update", DAY, statecode={"Value": 1}),
        context("SetStateDynamicEntity", DAY + HOUR, moniker),
    )  # fmt: skip
    assert names(found) == ["closed won", "reopened"]


def test_a_deal_that_is_assigned_has_another_owner() -> None:
    given = {"Target": {"Id": "o-1", "LogicalName": "opportunity"},
             "Assignee": {"Id": "u-2", "LogicalName": "systemuser"}}  # fmt: skip
    found = told(
        "dataverse", target("Update", DAY, ownerid={"Id": "u-1"}),
        context("Assign", DAY + HOUR, given),
    )  # fmt: skip
    assert found == [("changed", {"owner": "u-2"})]


def test_a_currency_that_the_mapping_does_not_name_is_not_the_home_currency() -> None:
    update = target("Update", DAY, stepname="2", estimatedvalue={"Value": 5},
                    transactioncurrencyid={"Id": "gbp"})  # fmt: skip
    ((_, data),) = told("dataverse", update, currency="EUR", currencies={"eur": "EUR"})
    assert data["currency"] == NO_CURRENCY


def sale(event: str, hour: int, status: int, *changes: str) -> dict[str, Any]:
    return {"Event": event, "PrimaryKey": 7, "ContextIdentifier": "C", "Changes": list(changes),
            "Timestamp": f"2026-03-17T{hour:02}:00:00.0000000Z",
            "FieldValues": {"status": status, "probability_idx": 5 + hour}}  # fmt: skip


def test_what_is_edited_after_the_closing_does_not_open_a_deal_again() -> None:
    found = told(
        "superoffice", sale("sale.created", 8, 1), sale("sale.sold", 9, 2, "status"),
        sale("sale.changed", 10, 2, "probability_idx"),
    )  # fmt: skip
    assert names(found) == ["opened", "closed won"]


def portal(moved: str, updated: str, stage: str, semantic: str, amount: int) -> dict[str, Any]:
    return {"result": {"item": {
        "id": 7, "createdTime": "2026-03-01T09:00:00Z", "movedTime": moved, "updatedTime": updated,
        "stageId": stage, "stageSemanticId": semantic, "opportunity": amount,
        "currencyId": "EUR"}}}  # fmt: skip


def test_a_portals_amount_changes_when_it_was_changed_not_when_the_deal_moved() -> None:
    rules, observed = CrmMapping(), list[Any]()
    moved = "2026-03-02T09:00:00Z"
    for answer in (portal(moved, moved, "NEW", "P", 5000),
                   portal(moved, "2026-03-03T09:00:00Z", "NEW", "P", 12000)):  # fmt: skip
        observed += bitrix24.read_deal(answer, True, rules, "/sources/x").observations
    found = settled("bitrix24", observed, rules)
    assert names(found) == ["opened", "stage_changed", "changed"]
    assert found[-1][1] == {"amount": 12000}
    late = bitrix24.read_deal(portal("2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z", "WON", "S", 5),
                              True, rules, "/sources/x")  # fmt: skip
    found = settled("bitrix24", late.observations, rules)
    assert names(found) == ["opened", "closed won"]
    assert found[1][1]["amount"] == 5, "the worth that is told later is that of the closing"


def lead(action: str, at: int | None, **fields: Any) -> dict[str, Any]:
    times = {} if at is None else {"last_modified": at, "created_at": at}
    said = {"id": 5, "pipeline_id": 1, **times, **fields}
    return {f"leads[{action}][0][{name}]": value for name, value in said.items()}


def test_a_lead_that_is_won_in_the_second_of_its_making_is_won() -> None:
    found = told(
        "kommo", lead("add", 1_773_742_531, status_id=41_200_301),
        lead("status", 1_773_742_531, status_id=142, old_status_id=41_200_301), form=True,
    )  # fmt: skip
    assert names(found) == ["opened", "closed won"]


def test_a_deletion_that_tells_only_the_id_is_understood() -> None:
    found = told(
        "kommo", lead("add", 1_773_742_531, status_id=41_200_301), lead("delete", None), form=True
    )
    assert names(found) == ["opened", "deleted"]


def deal(now: dict[str, Any], before: dict[str, Any] | None, action: str, at: str) -> Any:
    full = {"id": 4471, "currency": "EUR", "stage_id": 2, **now}
    meta = {"action": action, "entity": "deal", "company_id": "7", "timestamp": at}
    return {"data": full, "previous": before, "meta": meta}


def test_two_edits_of_one_second_keep_their_order() -> None:
    second = "2026-03-31T08:00:00"
    made = deal({"value": 1, "status": "open", "add_time": "2026-03-01T08:00:00Z"}, None, "create",
                "2026-03-01T08:00:00.100Z")  # fmt: skip
    edits = [deal({"value": value, "status": "open", "update_time": f"{second}Z"}, {"value": 1},
                  "change", f"{second}.{ms}Z")
             for value, ms in ((9000, 100), (12000, 900))]  # fmt: skip
    found = told("pipedrive", made, *edits[::-1])
    assert [data.get("amount") for name, data in found if name == "changed"] == [9000, 12000]


def test_a_deal_that_is_imported_as_won_was_won_when_it_says() -> None:
    now = {"value": 1, "status": "won", "add_time": "2026-01-10T08:00:00Z",
           "won_time": "2026-03-05T08:00:00Z"}  # fmt: skip
    rules = CrmMapping()
    body = json.dumps(deal(now, None, "create", "2026-03-06T08:00:00.000Z")).encode()
    found: Translation = VENDORS["pipedrive"].translate(Delivery("", {}, body, NOW), rules, "/x")
    settle = VENDORS["pipedrive"].settle
    assert settle is not None
    facts = settle(found.observations[0].record, found.observations, rules)
    assert [(f.name.rpartition(".")[2], f.occurred_at.date().isoformat()) for f in facts] == [
        ("opened", "2026-01-10"), ("closed", "2026-03-05")]  # fmt: skip


def test_deals_that_were_merged_into_another_are_gone() -> None:
    item = {"subscriptionType": "deal.merge", "portalId": 1, "objectId": 9, "occurredAt": DAY,
            "primaryObjectId": 9, "mergedObjectIds": [9, 10], "newObjectId": 9}  # fmt: skip
    body = json.dumps([item]).encode()
    found = VENDORS["hubspot"].translate(Delivery("", {}, body, NOW), CrmMapping(), "/x")
    assert [(o.record, o.property) for o in found.observations] == [("1/deal/10", "deleted")]


def test_a_key_in_the_configured_address_opens_nothing() -> None:
    """The query that counts is the one that came."""
    vendor, rules = VENDORS["dataverse"], CrmMapping()
    public = "https://ingest.example.com/hooks"
    came = signed_address(public, "http://inside/v1/webhooks/t")
    with pytest.raises(NotAuthentic):
        vendor.authenticate(Delivery(came, {}, b"{}", NOW), ["a-long-key"], rules)
    came = signed_address(public, "http://inside/v1/webhooks/t?code=a-long-key")
    vendor.authenticate(Delivery(came, {}, b"{}", NOW), ["a-long-key"], rules)


def test_a_deal_whose_expected_closing_is_moved_has_slipped() -> None:
    """Each vendor writes the day in its way; only the field that the mapping names is told."""
    made = change(1, how="CREATE", StageName="New", CloseDate="2024-03-01")
    moved = told("salesforce-events", made, change(2, DAY + HOUR, CloseDate="2024-04-15"),
                 change(3, DAY + 2 * HOUR, CloseDate="2024-04-15"),
                 fields={"CloseDate": "expected_close"})  # fmt: skip
    assert [(n, data["expected_close"]) for n, data in moved] == [
        ("opened", "2024-03-01"), ("changed", "2024-04-15"),
    ]  # fmt: skip
    deal = {"portalId": 1, "objectId": 7, "subscriptionType": "deal.propertyChange"}
    first = {**deal, "occurredAt": DAY, "subscriptionType": "deal.creation"}
    dated = [
        {**deal, "occurredAt": DAY + n * HOUR, "propertyName": "closedate", "propertyValue": value}
        for n, value in enumerate(("1709251200000", "2024-03-01T17:00:00Z", ""), start=1)
    ]
    found = told("hubspot", [first, *dated], fields={"closedate": "expected_close"})
    assert found == [("opened", {}), ("changed", {"expected_close": "2024-03-01"})]
    assert names(told("hubspot", [first, *dated])) == ["opened"]


def test_every_vendor_writes_the_day_of_an_expected_closing_in_its_way() -> None:
    at = DAY + HOUR
    dynamics = [target("Create", DAY, estimatedclosedate="/Date(1709251200000)/"),
                target("Update", at, estimatedclosedate="/Date(1713139200000)/")]  # fmt: skip
    found = told("dataverse", *dynamics, fields={"estimatedclosedate": "expected_close"})
    days = [data["expected_close"] for _, data in found]
    assert days == ["2024-03-01", "2024-04-15"]
    for odd in ("20.03.2026", "20260320", "1775000000", "soon"):
        made = change(1, how="CREATE", StageName="New", CloseDate=odd)
        (opened,) = told("salesforce-events", made, fields={"CloseDate": "expected_close"})
        assert opened[1]["expected_close"] == odd, "the check of the facts finds it"
