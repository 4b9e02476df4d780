"""What connected systems do besides the samples: corrections, merges, cut texts, odd files."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from openpyxl import Workbook
from standardwebhooks import Webhook

from services.metrics.sources.delivery import Delivery
from services.metrics.sources.opportunities import CrmMapping
from services.metrics.sources.tables import File, read_table
from services.metrics.sources.vendors import VENDORS
from shared.errors import Refusal
from tests.metrics.test_vendor_stories import DAY, HOUR, change, names, target, told
from tests.metrics.test_webhooks import translated
from tests.support.house import Key

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def hubspot(name: str, value: Any, at: int = DAY, deal: Any = 7) -> dict[str, Any]:
    return {"portalId": 1, "objectId": deal, "occurredAt": at, "propertyName": name,
            "propertyValue": value, "subscriptionType": "deal.propertyChange"}  # fmt: skip


def made(at: int = DAY, deal: Any = 7) -> dict[str, Any]:
    return {"portalId": 1, "objectId": deal, "occurredAt": at, "subscriptionType": "deal.creation"}


def test_a_deal_of_a_pipeline_of_ones_own_is_closed_as_hubspot_says() -> None:
    """`hs_is_closed` and `hs_is_closed_won` come moments before or after the stage."""
    lost = [made(), hubspot("hs_is_closed", "true", DAY + HOUR),
            hubspot("dealstage", "9001", DAY + HOUR + 5)]  # fmt: skip
    assert names(told("hubspot", lost)) == ["opened", "closed lost"]
    won = [made(), hubspot("hs_is_closed", "true", DAY + HOUR),
           hubspot("hs_is_closed_won", "true", DAY + HOUR + 3),
           hubspot("dealstage", "9002", DAY + HOUR + 8)]  # fmt: skip
    assert names(told("hubspot", won)) == ["opened", "closed won"]
    again = [*won, hubspot("hs_is_closed", "false", DAY + 2 * HOUR)]
    assert names(told("hubspot", again)) == ["opened", "closed won", "reopened"]


def test_a_worth_that_is_corrected_after_the_closing_is_that_of_the_closing() -> None:
    found = told("hubspot", [
        made(), hubspot("amount", "1000", DAY + 1), hubspot("dealstage", "closedwon", DAY + HOUR),
        hubspot("amount", "1500", DAY + 2 * HOUR),
    ])  # fmt: skip
    assert (names(found)[-1], found[-1][1]["amount"]) == ("closed won", 1500)


def test_a_deal_that_is_won_no_longer_is_open_again() -> None:
    """Only `hs_is_closed_won` is subscribed, and the stages are of a pipeline of one's own."""
    found = told("hubspot", [
        made(), hubspot("hs_is_closed_won", "true", DAY + HOUR),
        hubspot("dealstage", "9002", DAY + HOUR + 5),
        hubspot("dealstage", "9001", DAY + 2 * HOUR),
        hubspot("hs_is_closed_won", "false", DAY + 2 * HOUR + 5),
    ])  # fmt: skip
    assert names(found) == ["opened", "closed won", "reopened"]


def test_of_merged_deals_only_the_new_one_stays() -> None:
    merge = {"portalId": 1, "objectId": 9, "occurredAt": DAY, "subscriptionType": "deal.merge",
             "primaryObjectId": 7, "mergedObjectIds": [8], "newObjectId": 9}  # fmt: skip
    said = VENDORS["hubspot"].translate(
        Delivery("", {}, json.dumps([merge]).encode(), NOW), CrmMapping(), "/sources/x"
    )
    assert {(o.record, o.property) for o in said.observations} == {
        ("1/deal/7", "deleted"), ("1/deal/8", "deleted"),
    }  # fmt: skip


def test_salesforce_says_with_two_fields_what_became_of_a_deal() -> None:
    won = change(StageName="Closed Won", IsClosed=True, IsWon=True)
    lost = change(at=DAY + HOUR, StageName="Dropped", IsWon=False)
    assert names(told("salesforce-events", won, lost)) == ["closed won", "closed lost"]
    unsure = change(StageName="Closed Won", IsClosed=True)
    assert names(told("salesforce-events", unsure)) == ["closed won"]


def test_an_amount_is_told_when_it_is_first_set_and_gone_when_it_is_cleared() -> None:
    made_, later = change(how="CREATE", StageName="New"), change(at=DAY + HOUR, Amount=5000)
    found = told("salesforce-events", made_, later)
    assert (names(found), found[1][1]) == (["opened", "changed"], {"amount": 5000})
    cleared = change(at=DAY + 2 * HOUR, Amount=None)
    won = change(at=DAY + 3 * HOUR, StageName="Closed Won", IsClosed=True, IsWon=True)
    found = told("salesforce-events", made_, later, cleared, won)
    assert (names(found)[-1], "amount" in found[-1][1]) == ("closed won", False)


def test_an_odd_id_or_a_cut_text_costs_no_neighbour_its_place() -> None:
    vendor = VENDORS["hubspot"]
    items = [made(deal=1), made(deal="x" * 3_000), made(deal="a\u0000b")]
    body = json.dumps(items).encode().replace(b"]", b"," + _cut(made(deal=2)) + b"]")
    for content in (body, body + b" "):
        said = vendor.translate(Delivery("", {}, content, NOW), CrmMapping(), "/sources/x")
        assert {o.record for o in said.observations} == {"1/deal/1", "1/deal/2"}
        assert [fault.code for _, fault in said.faults] == ["id", "id"]


def _cut(item: dict[str, Any]) -> bytes:
    return json.dumps({**item, "changeSource": "?"}).replace('"?"', '"cut \\ud83d"').encode()


def source(key: Key, kind: str, **more: Any) -> str:
    body = {"key": "s", "kind": kind, **more}
    return str(key.post("metrics", "/v1/sources", body)["webhook_path"])


def post(key: Key, address: str, body: Any, **headers: str) -> Any:
    return key.house.clients["metrics"].post(address, json=body, headers=headers)


@pytest.mark.parametrize("stamp", ["9999999999999999", "99999999999999"])
def test_times_beyond_all_calendars_are_no_proof(key: Key, stamp: str) -> None:
    address = source(key, "hubspot", secrets=["s3cret-s3cret"])
    headers = {"x-hubspot-signature-v3": "x", "x-hubspot-request-timestamp": stamp}
    assert post(key, address, [], **headers).status_code == 401


def test_cloudevents_without_a_time_occurred_when_they_came_first(key: Key) -> None:
    address = source(key, "cloudevents", secrets=["s3cret-s3cret"])
    sent = {"specversion": "1.0", "type": "com.acme.order.placed", "source": "/shop", "id": "1",
            "data": {"amount": 5, "currency": "EUR", "email": "a@example.com"}}  # fmt: skip
    for _ in range(3):
        assert post(key, address, sent, authorization="Bearer s3cret-s3cret").status_code == 200
    metric = {"key": "orders", "name": "Orders", "unit": "count", "definition": {
        "kind": "count", "events": ["commerce.order.placed"]}}  # fmt: skip
    key.post("metrics", "/v1/metrics", metric)
    day = datetime.now(UTC).date()
    period = f"{day - timedelta(days=1)}..{day + timedelta(days=2)}"
    translated(key, 3)
    events = key.get("metrics", "/v1/metrics/orders/events", period=period)["items"]
    assert [e["data"] for e in events] == [{"amount": 5, "currency": "EUR"}]


def test_one_source_tells_deals_and_an_organisations_own_events(key: Key) -> None:
    """Its mapping is read again by what settles, shows what was seen, and tries another one."""
    order = {"type": "commerce.order.placed", "when": {"field": "event", "value": "Sold__e"},
             "id": "{event_uuid}", "time": {"column": "CreatedDate"}}  # fmt: skip
    mapping = {"platform_events": {"events": [order]}, "pipelines": {"": {"Done": "won"}}}
    address = source(key, "salesforce-events", secrets=["s3cret-s3cret"], mapping=mapping)
    header = {"entityName": "Opportunity", "changeType": "UPDATE", "commitTimestamp": DAY,
              "recordIds": ["006000000000001AAA"]}  # fmt: skip
    change = {"detail": {"payload": {"ChangeEventHeader": header, "StageName": "Done"}}}
    own = {"detail-type": "Sold__e", "id": "e-1",
           "detail": {"payload": {"CreatedDate": "2026-03-17T10:00:00Z"}}}  # fmt: skip
    for body in (change, own):
        assert post(key, address, body, **{"X-Ingest-Key": "s3cret-s3cret"}).status_code == 200
    facts = translated(key, 2)
    assert {fact["type"] for fact in facts} == {"crm.opportunity.closed", "commerce.order.placed"}
    (stage,) = key.get("metrics", "/v1/sources/s/seen")["stages"]
    assert (stage["stage"], stage["outcome"]) == ("Done", "won")
    tried = {"mapping": {**mapping, "pipelines": {"": {"Done": "lost"}}}}
    assert key.post("metrics", "/v1/sources/s/mapping-preview", tried)
    wrong = {"mapping": {"platform_events": {"lookups": {"a": {"file": "a", "key": "b",
                                                               "value": "c"}}}}}  # fmt: skip
    assert key.send("POST", "metrics", "/v1/sources/s/mapping-preview", json=wrong).is_client_error


def csv(text: str) -> list[list[str]]:
    table = read_table(File("a.csv", text.encode()))
    return [table.header, *table.rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id,name\n1,'t Hooft\n2,O'Brien's\n", [["id", "name"], ["1", "'t Hooft"],
                                                 ["2", "O'Brien's"]]),
        ("sep=;\nid;worth\n1;2,5\n", [["id", "worth"], ["1", "2,5"]]),
        ("\n\nid\tname\n1\tAnn\n", [["id", "name"], ["1", "Ann"]]),
        ('id, "name"\n1, "a, b"\n', [["id", "name"], ["1", "a, b"]]),
        ("id,worth,worth\n1,2,3\n", [["id", "worth", "worth (2)"], ["1", "2", "3"]]),
        ("id;note\n1;a, b, c\n2;d, e, f\n", [["id", "note"], ["1", "a, b, c"], ["2", "d, e, f"]]),
    ],
)  # fmt: skip
def test_tables_are_read_as_people_write_them(text: str, rows: list[list[str]]) -> None:
    assert csv(text) == rows


@pytest.mark.parametrize("encoding", ["undefined", "utf\x008", "nonsense"])
def test_an_encoding_that_there_is_not_is_refused(encoding: str) -> None:
    with pytest.raises(Refusal, match="encoding"):
        read_table(File("a.csv", b"id\n1\n", encoding))


def test_a_quote_that_never_ends_is_read_or_refused_at_once() -> None:
    assert csv("id,name\n1,Ann\n" + '"\n' * 9_000)[0] == ["id", "name"]


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_the_specification_is_spoken_under_both_its_names(key: Key, prefix: str) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    address = source(key, "standard-webhooks", secrets=[secret])
    body = json.dumps({"type": "order.placed", "timestamp": "2026-03-01T00:00:00Z", "data": {
        "id": "1", "amount": 5, "currency": "EUR", "customer_email": "a@example.com",
        "phone_minutes": 3}})  # fmt: skip
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json", f"{prefix}-id": "m1",
        f"{prefix}-timestamp": str(int(now.timestamp())),
        f"{prefix}-signature": Webhook(secret).sign("m1", now, body),
    }  # fmt: skip
    sent = key.house.clients["metrics"].post(address, content=body, headers=headers)
    assert sent.status_code < 300, sent.text
    (fact,) = translated(key, 1)
    assert fact["data"] == {"amount": 5, "currency": "EUR", "id": "1", "phone_minutes": 3}


RULES: dict[str, Any] = {"events": [{
    "type": "crm.opportunity.closed", "id": "{id}/closed", "subject": "opportunity/{id}",
    "time": {"column": "on", "format": "%d.%m.%Y", "zone": "Europe/Berlin"},
    "data": {"outcome": {"value": "won"}, "currency": {"value": "EUR"},
             "amount": {"column": "worth", "as": "decimal", "point": ","}},
}]}  # fmt: skip


def dry_run(key: Key, content: bytes, name: str, **more: Any) -> Any:
    (event_rule,) = RULES["events"]
    rules = {"events": [{**event_rule, "data": {**event_rule["data"], **more}}]}
    files = {"file": (name, content)}
    data = {"source": "deals", "mapping": json.dumps(rules), "dry_run": "true"}
    response = key.send("POST", "metrics", "/v1/imports", files=files, data=data)
    assert response.status_code in (200, 201, 422), response.text
    return response.json().get("errors", [])


def test_a_number_of_another_language_is_a_fault_and_not_ten_times_as_much(key: Key) -> None:
    text = "id;on;worth\n1;31.01.2025;1.234,50\n2;31.01.2025;1.5\n3;31.01.2025;1234,5\n"
    assert [f["pointer"] for f in dry_run(key, text.encode(), "a.csv")] == ["/rows/3/worth"]


def test_a_workbooks_own_numbers_and_dates_need_no_language(key: Key) -> None:
    book, content = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    for row in (
        ["id", "on", "worth", "account"],
        [1, date(2025, 1, 31), 1234.5, 77],
        [2, "31.01.2025", "2,5", "B"],
    ):
        sheet.append(row)
    book.save(content)
    assert dry_run(key, content.getvalue(), "a.xlsx", account="account", worth="worth") == []


def test_a_currency_that_is_mapped_later_is_mapped_in_what_was_said_before() -> None:
    update = target("Update", DAY, stepname="2", estimatedvalue={"Value": 5},
                    transactioncurrencyid={"Id": "gbp"})  # fmt: skip
    said = (
        VENDORS["dataverse"]
        .translate(Delivery("", {}, json.dumps(update).encode(), NOW), CrmMapping(), "/sources/x")
        .observations
    )
    settle = VENDORS["dataverse"].settle
    assert settle is not None
    for known, expected in (({"eur": "EUR"}, "XXX"), ({"eur": "EUR", "gbp": "GBP"}, "GBP")):
        (fact,) = settle(said[0].record, said, CrmMapping(currency="EUR", currencies=known))
        assert fact.data["currency"] == expected
