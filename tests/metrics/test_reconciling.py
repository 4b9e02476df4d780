"""Reconciling: by command, by itself, and past whatever changes meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from services.metrics.__main__ import app
from services.metrics.commands.credentials import Vault
from services.metrics.commands.loading import reconcile_due
from services.metrics.commands.reading_back import ReadsBack
from services.metrics.connectors.reading import Turning
from tests.metrics.test_histories_of_vendors import BITRIX, HUBSPOT, connect
from tests.metrics.test_webhooks import facts
from tests.support import vendors
from tests.support.house import SECRETS_KEY, House, Key
from tests.support.vendors import serving


def test_reconciling_is_also_a_command_and_happens_by_itself(
    key: Key, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(vendors.hubspot(HUBSPOT)) as vendor:
        connect(key, "hubspot", vendor, "pat-eu1-key")
        ledger = house.ledgers["metrics"]
        reads_back = ReadsBack(ledger, Vault(SECRETS_KEY), private=True)
        for _ in range(2):
            reconcile_due(ledger, key.tenant_id, reads_back, timedelta(hours=1))
        (job,) = key.get("metrics", "/v1/jobs")["items"]
        assert (job["kind"], job["source"]) == ("reconcile", "crm")
        key.wait_for(f"/v1/jobs/{job['id']}")
        reconcile_due(ledger, key.tenant_id, reads_back, timedelta(0))
        assert len(key.get("metrics", "/v1/jobs")["items"]) == 2
        monkeypatch.setenv("METRICS_DATABASE_URL", house.metrics_database.url)
        monkeypatch.setenv("METRICS_SECRETS_KEY", SECRETS_KEY)
        said = CliRunner().invoke(
            app, ["reconcile", "--tenant", key.tenant, "--source", "crm", "--since", "2024-01-01"]
        )
        assert key.wait_for(f"/v1/jobs/{said.stdout.strip()}")["result"]["records"] == 3
        vendor.status = 403
        refused = key.job("/v1/sources/crm/reconcile", {"since": "2024-01-01T00:00:00Z"})
        assert refused["state"] == "failed"
        tried = len(key.get("metrics", "/v1/jobs")["items"])
        # One that has failed is tried again in its turn, not at once.
        reconcile_due(ledger, key.tenant_id, reads_back, timedelta(hours=1))
        assert len(key.get("metrics", "/v1/jobs")["items"]) == tried
        unknown = ["reconcile", "--tenant", "nobody", "--source", "crm", "--since", "2024-01-01"]
        assert CliRunner().invoke(app, unknown).exit_code == 2


def test_a_key_is_not_sent_to_another_address_than_it_was_given_for(key: Key) -> None:
    with serving(vendors.hubspot(HUBSPOT)) as vendor, serving(vendors.hubspot([])) as other:
        connect(key, "hubspot", vendor, "pat-eu1-key")
        moved = {"rest_url": other.url, "reason": "Moved"}
        assert key.send("PATCH", "metrics", "/v1/sources/crm", json=moved).status_code == 200
        since = {"since": "2025-01-01T00:00:00Z"}
        problem = key.refused(409, "POST", "metrics", "/v1/sources/crm/reconcile", json=since)
        assert "rest_key" in problem["detail"]
        anew = {"rest_key": "another-key", "reason": "The new one's"}
        assert key.send("PATCH", "metrics", "/v1/sources/crm", json=anew).status_code == 200
        assert key.job("/v1/sources/crm/reconcile", since)["state"] == "failed"
        assert (vendor.asked, len(other.asked)) == ([], 1)
        assert "pat-eu1-key" not in str(other.asked[0].headers)
    for bad in ("https://host:abc/", f"https://{'x' * 70}.example.com/"):
        problem = key.refused(422, "PATCH", "metrics", "/v1/sources/crm",
                              json={"rest_url": bad, "reason": "A slip"})  # fmt: skip
        assert problem["errors"][0]["pointer"] == "/rest_url"


@pytest.mark.parametrize("name", ["hubspot", "bitrix24"])
def test_a_deal_that_changes_between_two_pages_lets_no_other_be_passed_by(
    key: Key, name: str
) -> None:
    """The first deal is edited after its page was read: it goes to the end, the rest moves up."""
    deals = [dict(deal) for deal in (HUBSPOT if name == "hubspot" else BITRIX)]
    vendor = vendors.hubspot(deals) if name == "hubspot" else vendors.bitrix24(deals, [])
    updated = "updatedAt" if name == "hubspot" else "updatedTime"
    answer, pages = vendor.answer, list[int]()

    def edited_meanwhile(asked: vendors.Asked) -> Any:
        found = answer(asked)
        if asked.path.endswith(("/search", "crm.item.list")):
            pages.append(1)
            deals[0][updated] = "2025-03-01T10:00:00+00:00"
        return found

    deals.sort(key=lambda deal: str(deal[updated]))
    vendor.answer = edited_meanwhile
    with serving(vendor):
        connect(key, name, vendor, "pat-eu1-key")
        key.job("/v1/sources/crm/reconcile", {"since": "2024-01-01T00:00:00Z"})
    assert len(pages) > 1
    told = {f["subject"].rpartition("/")[2] for f in facts(key)}
    assert told == {str(deal["id"]) for deal in deals}


def test_a_page_that_one_moment_fills_is_turned_by_offset() -> None:
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    later = moment + timedelta(seconds=1)
    first = Turning.of({}, moment - timedelta(days=1))
    mark = first.onward([("a", moment), ("b", later), ("c", later)])
    second = Turning.of(mark, moment)
    assert (second.since, second.offset, second.fresh([("b", later), ("d", later)])) == (
        later, 0, ["d"])  # fmt: skip
    third = Turning.of(second.onward([("b", later), ("c", later), ("d", later)]), moment)
    assert (third.since, third.offset, sorted(third.seen)) == (later, 3, ["b", "c", "d"])


def test_a_source_without_a_key_to_it_is_not_reconciled_by_itself(key: Key, house: House) -> None:
    secrets = {"secrets": ["the-secret-of-the-hook"]}
    for kind in ("hubspot", "bitrix24", "salesforce-events"):
        key.post("metrics", "/v1/sources", {"key": kind, "kind": kind, **secrets})
        since = {"since": "2025-01-01T00:00:00Z"}
        path = f"/v1/sources/{kind}/reconcile"
        wanted = "rest_key" if kind == "hubspot" else "rest_url"
        assert wanted in key.refused(409, "POST", "metrics", path, json=since)["detail"]
    ledger = house.ledgers["metrics"]
    reads_back = ReadsBack(ledger, Vault(SECRETS_KEY), private=True)
    reconcile_due(ledger, key.tenant_id, reads_back, timedelta(0))
    assert key.get("metrics", "/v1/jobs")["items"] == []
