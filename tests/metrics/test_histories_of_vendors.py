"""What vendors keep: history loaded on the first day, and what was lost found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.test_webhooks import facts, translated
from tests.support import vendors
from tests.support.asking import shown
from tests.support.house import Key
from tests.support.vendors import Vendor, serving

WON = {"kind": "count", "events": ["crm.opportunity.closed"],
       "where": {"field": "outcome", "op": "eq", "value": "won"}}  # fmt: skip
REVENUE = {**WON, "kind": "sum", "field": "amount"}
OPENED = {"kind": "count", "events": ["crm.opportunity.opened"]}
MOVED = {"kind": "count", "events": ["crm.opportunity.stage_changed"]}
BECAUSE = {"reason": "Goals need baselines"}
QUARTERS = ("2024-Q3", "2024-Q4", "2025-Q1")


def version(value: str, at: str) -> dict[str, Any]:
    return {"value": value, "timestamp": at, "sourceType": "CRM_UI"}


def hubspot_deal(identity: str, born: str, *stages: tuple[str, str], amount: str) -> dict[str, Any]:
    history = [version(stage, at) for stage, at in reversed(stages)]
    return {"id": identity, "createdAt": born, "updatedAt": stages[-1][1], "archived": False,
            "properties": {"createdate": born},
            "propertiesWithHistory": {"dealstage": history, "amount": [version(amount, born)],
                                      "deal_currency_code": [version("EUR", born)]}}  # fmt: skip


HUBSPOT = [
    hubspot_deal(
        "1", "2024-08-01T10:00:00.594Z", ("appointmentscheduled", "2024-08-01T10:00:00.545Z"),
        ("contractsent", "2024-09-02T10:00:00Z"), ("closedwon", "2024-11-03T10:00:00Z"),
        amount="100",
    ),
    hubspot_deal(
        "2", "2024-11-01T10:00:00Z", ("appointmentscheduled", "2024-11-01T10:00:00Z"),
        ("closedlost", "2025-01-15T10:00:00Z"), ("contractsent", "2025-01-20T10:00:00Z"),
        ("closedwon", "2025-02-01T10:00:00Z"), amount="50",
    ),
    hubspot_deal(
        "3", "2025-01-05T10:00:00Z", ("appointmentscheduled", "2025-01-05T10:00:00Z"),
        ("contractsent", "2025-01-06T10:00:00Z"), amount="7",
    ),
]  # fmt: skip


def change(number: int, key: str, old: Any, new: Any, at: str) -> dict[str, Any]:
    return {"id": number, "field_key": key, "old_value": old, "new_value": new, "log_time": at}


def pipedrive_deal(identity: int, born: str, updated: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "add_time": born, "update_time": updated, "status": "open",
            "stage_id": 3, "pipeline_id": 1, "currency": "EUR", "owner_id": 8, **more}  # fmt: skip


PIPEDRIVE = [
    pipedrive_deal(1, "2024-08-01T10:00:00Z", "2024-11-03T10:00:00Z", value=100, status="won",
                   won_time="2024-11-03T10:00:00Z"),
    pipedrive_deal(2, "2024-11-01T10:00:00Z", "2025-02-01T10:00:00Z", value=50, status="won",
                   won_time="2025-02-01T10:00:00Z"),
    pipedrive_deal(3, "2025-01-05T10:00:00Z", "2025-01-06T10:00:00Z", value=7),
]  # fmt: skip
FLOWS = {
    1: [change(11, "stage_id", "1", "3", "2024-09-02 10:00:00"),
        change(12, "value", 80, 100, "2024-10-02 10:00:00"),
        change(13, "status", "open", "won", "2024-11-03 10:00:00")],
    2: [change(21, "status", "open", "lost", "2025-01-15 10:00:00"),
        change(22, "status", "lost", "open", "2025-01-20 10:00:00"),
        change(23, "stage_id", "1", "3", "2025-01-20 10:00:00"),
        change(24, "status", "open", "won", "2025-02-01 10:00:00")],
    3: [change(31, "stage_id", "1", "3", "2025-01-06 10:00:00")],
}  # fmt: skip


def opportunity(identity: int, born: str, changed: str, stage: str, amount: int) -> dict[str, Any]:
    return {"Id": f"006{identity:012}AAA", "IsDeleted": False, "CreatedDate": born,
            "LastModifiedDate": changed, "SystemModstamp": changed, "LastStageChangeDate": changed,
            "StageName": stage, "IsClosed": stage in ("Signed", "Dropped"),
            "IsWon": stage == "Signed", "Amount": amount, "OwnerId": "005x", "AccountId": "001x",
            "Region__c": "north"}  # fmt: skip


SALESFORCE = [
    opportunity(1, "2024-08-01T10:00:00.000+0000", "2024-11-03T10:00:00.000+0000", "Signed", 100),
    opportunity(2, "2024-11-01T10:00:00.000+0000", "2025-02-01T10:00:00.000+0000", "Signed", 50),
    opportunity(3, "2025-01-05T10:00:00.000+0000", "2025-01-06T10:00:00.000+0000", "Proposal", 7),
]


def row(deal: int, stage: str, amount: int, at: str) -> dict[str, Any]:
    parent = SALESFORCE[deal - 1]
    return {"OpportunityId": parent["Id"], "StageName": stage, "Amount": amount, "CreatedDate": at,
            "Opportunity": {"CreatedDate": parent["CreatedDate"], "OwnerId": "005x",
                            "AccountId": "001x", "Region__c": "north"}}  # fmt: skip


ROWS = [
    row(1, "Prospecting", 80, "2024-08-01T10:00:00.000+0000"),
    row(1, "Proposal", 80, "2024-09-02T10:00:00.000+0000"),
    row(1, "Signed", 100, "2024-11-03T10:00:00.000+0000"),
    row(2, "Prospecting", 50, "2024-11-01T10:00:01.000+0000"),
    row(2, "Dropped", 50, "2025-01-15T10:00:00.000+0000"),
    row(2, "Proposal", 50, "2025-01-20T10:00:00.000+0000"),
    row(2, "Signed", 50, "2025-02-01T10:00:00.000+0000"),
    row(3, "Prospecting", 7, "2025-01-05T10:00:00.000+0000"),
    row(3, "Proposal", 7, "2025-01-06T10:00:00.000+0000"),
]


def bitrix_deal(identity: int, born: str, updated: str, stage: str, amount: int) -> dict[str, Any]:
    semantic = {"WON": "S", "LOSE": "F"}.get(stage, "P")
    return {"id": identity, "createdTime": born, "updatedTime": updated, "movedTime": updated,
            "assignedById": 6, "categoryId": 0, "stageId": stage, "stageSemanticId": semantic,
            "opportunity": amount, "currencyId": "EUR"}  # fmt: skip


BITRIX = [
    bitrix_deal(1, "2024-08-01T10:00:00+00:00", "2024-11-03T10:00:00+00:00", "WON", 100),
    bitrix_deal(2, "2024-11-01T10:00:00+00:00", "2025-02-01T10:00:00+00:00", "WON", 50),
    bitrix_deal(3, "2025-01-05T10:00:00+00:00", "2025-01-06T10:00:00+00:00", "PROPOSAL", 7),
]


def moved(number: int, deal: int, stage: str, at: str, kind: int = 2) -> dict[str, Any]:
    semantic = {"WON": "S", "LOSE": "F"}.get(stage, "P")
    return {"ID": number, "TYPE_ID": kind, "OWNER_ID": deal, "CREATED_TIME": at, "CATEGORY_ID": 0,
            "STAGE_SEMANTIC_ID": semantic, "STAGE_ID": stage}  # fmt: skip


MOVES = [
    moved(1, 1, "NEW", "2024-08-01T10:00:01+00:00", 1),
    moved(2, 1, "PROPOSAL", "2024-09-02T10:00:00+00:00"),
    moved(5, 2, "NEW", "2024-11-01T10:00:00+00:00", 1),
    moved(7, 1, "WON", "2024-11-03T10:00:00+00:00", 3),
    moved(8, 3, "NEW", "2025-01-05T10:00:00+00:00", 1),
    moved(9, 3, "PROPOSAL", "2025-01-06T10:00:00+00:00"),
    moved(10, 2, "LOSE", "2025-01-15T10:00:00+00:00", 3),
    moved(11, 2, "PROPOSAL", "2025-01-20T10:00:00+00:00"),
    moved(12, 2, "WON", "2025-02-01T10:00:00+00:00", 3),
]
SYSTEMS: dict[str, tuple[str, Callable[[], Vendor], str]] = {
    "hubspot": ("hubspot", lambda: vendors.hubspot(HUBSPOT), "pat-eu1-key"),
    "pipedrive": ("pipedrive", lambda: vendors.pipedrive(PIPEDRIVE, FLOWS), "the-api-token"),
    "salesforce": (
        "salesforce-events", lambda: vendors.salesforce(SALESFORCE, ROWS), "an-app:its-secret",
    ),
    "bitrix24": ("bitrix24", lambda: vendors.bitrix24(BITRIX, MOVES), "not-needed-here"),
}  # fmt: skip


def connect(key: Key, kind: str, vendor: Vendor, rest_key: str, **mapping: Any) -> None:
    made = key.post(
        "metrics", "/v1/sources",
        {"key": "crm", "kind": kind, "secrets": ["the-secret-of-the-hook"],
         "rest_url": vendor.url, "rest_key": rest_key, "mapping": {"currency": "EUR", **mapping}},
    )  # fmt: skip
    assert rest_key not in json.dumps(made)


@pytest.mark.parametrize("name", SYSTEMS)
def test_kept_history_answers_for_quarters_before_the_first_webhook(key: Key, name: str) -> None:
    """Three deals with the same story in every system: the same figures in every quarter."""
    kind, make, rest_key = SYSTEMS[name]
    for metric, definition in (("won", WON), ("opened", OPENED)):
        key.post("metrics", "/v1/metrics", {"key": metric, "name": metric, "unit": "count",
                                            "definition": definition})  # fmt: skip
    with serving(make()) as vendor:
        connect(key, kind, vendor, rest_key)
        job = key.job("/v1/sources/crm/history", BECAUSE)
    assert job["problem"] is None
    result = job["result"]
    assert result["records"] == 3
    assert {m["metric"]: m["exact_from"] for m in result["metrics"]} == {
        "opened": "2024-Q3", "won": "2024-Q3"}  # fmt: skip
    backfill = f"/v1/backfills/{result['backfill']}"
    effect = key.get("metrics", f"{backfill}/effect")
    after = {(c["metric"], c["period"]): c["after"] for c in effect["changed"]}
    assert after["won", "2024-Q4"] == after["won", "2025-Q1"] == after["opened", "2024-Q3"] == 1
    assert shown(key, WON, *QUARTERS) == ["before_first_event"] * 3
    key.post("metrics", f"{backfill}/close", BECAUSE)
    assert shown(key, WON, *QUARTERS) == [0, 1, 1]
    assert shown(key, REVENUE, *QUARTERS, unit="EUR") == [0, 100, 50]
    assert shown(key, OPENED, *QUARTERS) == [1, 1, 1]
    # HubSpot tells the first stage of a deal as a change of its own, by webhook and here.
    assert shown(key, MOVED, "2024-Q3") == [2 if name == "hubspot" else 1]
    kinds = [f["type"].rpartition(".")[2] for f in facts(key)]
    assert (kinds.count("closed"), kinds.count("reopened")) == (3, 1)


@pytest.mark.parametrize("name", SYSTEMS)
def test_history_that_is_loaded_again_changes_nothing(key: Key, name: str) -> None:
    kind, make, rest_key = SYSTEMS[name]
    with serving(make()) as vendor:
        connect(key, kind, vendor, rest_key)
        first = key.job("/v1/sources/crm/history", BECAUSE)["result"]
        key.post("metrics", f"/v1/backfills/{first['backfill']}/close", BECAUSE)
        again = key.job("/v1/sources/crm/history", BECAUSE)["result"]
        since = {"since": "2024-01-01T00:00:00Z"}
        found = key.job("/v1/sources/crm/reconcile", since)["result"]
    assert (first["events"] > 0, again["events"]) == (True, 0)
    assert found == {"records": 3, "added": 0}


def test_before_the_system_kept_a_history_figures_are_null_and_say_so(key: Key) -> None:
    """Deals older than the first row: stages before it are gone, and so is the exactness."""
    older = bitrix_deal(9, "2023-05-01T10:00:00+00:00", "2024-12-01T10:00:00+00:00", "WON", 30)
    kept = [*MOVES, moved(20, 9, "WON", "2024-12-01T10:00:00+00:00", 3)]
    with serving(vendors.bitrix24([*BITRIX, older], kept)) as vendor:
        connect(key, "bitrix24", vendor, "not-needed-here")
        key.post("metrics", "/v1/metrics", {"key": "won", "name": "won", "unit": "count",
                                            "definition": WON})  # fmt: skip
        result = key.job("/v1/sources/crm/history", BECAUSE)["result"]
    (told,) = result["metrics"]
    assert (told["exact_from"], told["before_that"]) == ("2024-Q4", "before_source_history")
    backfill = f"/v1/backfills/{result['backfill']}"
    path = "/v1/metrics/won/values"
    early = key.get("metrics", path, period="2024-Q3", with_backfill=result["backfill"])
    assert early["values"][0]["reason"] == "before_source_history"
    key.post("metrics", f"{backfill}/close", BECAUSE)
    assert shown(key, WON, *QUARTERS) == ["before_source_history", 2, 1]
    assert key.get("metrics", backfill)["complete_from"] == "2024-08-01T10:00:01Z"
    key.post("metrics", f"{backfill}/revert", BECAUSE)
    assert shown(key, WON, "2024-Q3") == ["before_first_event"]


def test_a_busy_vendor_is_waited_for_and_one_that_refuses_the_key_ends_the_job(key: Key) -> None:
    with serving(vendors.hubspot(HUBSPOT)) as vendor:
        connect(key, "hubspot", vendor, "pat-eu1-key")
        vendor.busy = 2
        assert key.job("/v1/sources/crm/history", BECAUSE)["state"] == "done"
        assert sum(asked.path == "/account-info/v3/details" for asked in vendor.asked) == 3
        vendor.status = 403
        job = key.job("/v1/sources/crm/history", BECAUSE)
        assert (job["state"], job["result"]) == ("failed", None)
        assert "does not accept our key" in job["problem"]["detail"]
        vendor.status, vendor.answer = 200, lambda asked: {"portalId": 1, "results": [{"id": 1}]}
        job = key.job("/v1/sources/crm/history", BECAUSE)
        assert "lacks or garbles" in job["problem"]["detail"]


def test_what_webhooks_told_and_what_is_read_back_is_one_deal(key: Key) -> None:
    """A webhook dates a change by its own clock; reading back adds nothing but what was lost."""
    header = {"entityName": "Opportunity", "recordIds": [SALESFORCE[0]["Id"]],
              "changeType": "UPDATE", "commitTimestamp": 1730628000123,
              "transactionKey": "t", "sequenceNumber": 1}  # fmt: skip
    body = {"ChangeEventHeader": header, "StageName": "Signed", "Amount": 100}
    with serving(vendors.salesforce(SALESFORCE, ROWS)) as vendor:
        connect(key, "salesforce-events", vendor, "an-app:its-secret",
                pipelines={"": {"Signed": "won", "Dropped": "lost"}})  # fmt: skip
        token = key.post("metrics", "/v1/sources/crm/rotate-token")["webhook_path"]
        told = key.send("POST", "metrics", token, json={"detail": {"payload": body}},
                        headers={"x-ingest-key": "the-secret-of-the-hook"})  # fmt: skip
        assert told.status_code == 200
        translated(key, 1)
        found = key.job("/v1/sources/crm/reconcile", {"since": "2025-01-01T00:00:00Z"})["result"]
        assert found["records"] == 2
        found = key.job("/v1/sources/crm/reconcile", {"since": "2024-01-01T00:00:00Z"})["result"]
    closings = [f for f in facts(key) if f["subject"].endswith(SALESFORCE[0]["Id"])
                and f["type"] == "crm.opportunity.closed"]  # fmt: skip
    # Its owner was not told by the webhook; the moment of its closing stays.
    assert {f["time"] for f in closings} == {"2024-11-03T10:00:00.123000Z"}
    assert closings[-1]["data"]["owner"] == "005x"
    assert shown(key, WON, "2024-Q4", "2025-Q1") == [1, 1]


def test_a_deal_that_went_and_came_back_unseen_is_told_step_by_step(key: Key) -> None:
    """HubSpot keeps each value: a stage that was left and taken again between two readings."""
    deal = hubspot_deal("5", "2025-01-05T10:00:00Z", ("contractsent", "2025-01-05T10:00:00Z"),
                        amount="7")  # fmt: skip
    with serving(vendors.hubspot([deal])) as vendor:
        connect(key, "hubspot", vendor, "pat-eu1-key")
        since = {"since": "2025-01-01T00:00:00Z"}
        key.job("/v1/sources/crm/reconcile", since)
        stages = deal["propertiesWithHistory"]["dealstage"]
        stages[:0] = [version("contractsent", "2025-01-08T10:00:00Z"),
                      version("qualifiedtobuy", "2025-01-07T10:00:00Z")]  # fmt: skip
        deal["updatedAt"] = "2025-01-08T10:00:00Z"
        assert key.job("/v1/sources/crm/reconcile", since)["result"] == {"records": 1, "added": 2}
    assert shown(key, MOVED, "2025-01") == [3]


def test_sales_of_superoffice_are_read_back_with_their_amounts(key: Key) -> None:
    def sale(identity: int, status: str, updated: str, amount: float) -> dict[str, Any]:
        return {"SaleId": identity, "Status": status, "Amount": amount, "UpdatedDate": updated,
                "CreatedDate": "2025-01-05T10:00:00+01:00", "Rating": {"Id": 5},
                "Currency": {"Id": 2}, "Associate": {"AssociateId": 12},
                "Contact": {"ContactId": 431}, "SaleType": {"Id": 4}}  # fmt: skip

    sales = [sale(1, "Sold", "2025-02-01T10:00:00+01:00", 99.5),
             sale(2, "Open", "2025-02-02T10:00:00+01:00", 7)]  # fmt: skip
    with serving(vendors.superoffice(sales)) as vendor:
        connect(key, "superoffice", vendor, "an-access-token", currencies={"2": "EUR"})
        since = {"since": "2025-01-01T00:00:00Z"}
        assert key.job("/v1/sources/crm/reconcile", since)["result"]["records"] == 2
        refused = key.refused(409, "POST", "metrics", "/v1/sources/crm/history", json=BECAUSE)
        assert "keeps no history" in refused["detail"]
        later = {"since": "2025-02-02T00:00:00Z"}
        assert key.job("/v1/sources/crm/reconcile", later)["result"] == {"records": 1, "added": 0}
    assert shown(key, REVENUE, "2025-Q1", unit="EUR") == [99.5]
    assert shown(key, OPENED, "2025-Q1") == [2]


def test_deals_that_are_gone_are_found_gone(key: Key) -> None:
    deals = [dict(deal) for deal in PIPEDRIVE]
    with serving(vendors.pipedrive(deals, FLOWS)) as vendor:
        connect(key, "pipedrive", vendor, "the-api-token")
        since = {"since": "2024-01-01T00:00:00Z"}
        key.job("/v1/sources/crm/reconcile", since)
        deals[2] |= {"status": "deleted", "is_deleted": True, "update_time": "2025-02-05T10:00:00Z"}
        assert key.job("/v1/sources/crm/reconcile", since)["result"]["added"] > 0
    deleted = {"kind": "count", "events": ["crm.opportunity.deleted"]}
    assert shown(key, deleted, "2025-Q1") == [1]


def test_only_kinds_that_can_be_read_back_take_an_address(key: Key) -> None:
    body = {"key": "z", "kind": "zendesk", "secrets": ["the-secret-of-the-hook"],
            "rest_url": "https://acme.zendesk.com/"}  # fmt: skip
    problem = key.refused(422, "POST", "metrics", "/v1/sources", json=body)
    assert problem["errors"][0]["pointer"] == "/rest_url"
    key.post("metrics", "/v1/sources", {"key": "k", "kind": "kommo", "secrets": []})
    for what in ("history", "reconcile"):
        asked = BECAUSE if what == "history" else {"since": "2025-01-01T00:00:00Z"}
        key.refused(409, "POST", "metrics", f"/v1/sources/k/{what}", json=asked)
    key.refused(404, "GET", "metrics", "/v1/jobs/0199b1f0-0000-7000-8000-000000000001")
