"""Local servers that answer as the vendors' documented REST interfaces do, page by page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Params = dict[str, list[str]]


@dataclass
class Asked:
    """One request as a vendor sees it."""

    method: str
    path: str
    params: Params
    headers: dict[str, str]
    body: Any

    def one(self, name: str, default: str = "") -> str:
        return self.params.get(name, [default])[0]


@dataclass
class Vendor:
    """A vendor's server: what it answers, and what it was asked.

    `status` answers everything with that status; `busy` answers so many requests with 429 first.
    """

    answer: Callable[[Asked], Any]
    key: str = ""
    status: int = 200
    busy: int = 0
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def take(self, asked: Asked) -> tuple[int, Any]:
        """Status and content for a request."""
        self.asked.append(asked)
        if self.status != 200:
            return self.status, {}
        if self.busy:
            self.busy -= 1
            return 429, {}
        if self.key and not any(self.key in value for value in asked.headers.values()):
            return 401, {}
        found = self.answer(asked)
        return (404, {}) if found is None else (200, found)


class _Door(BaseHTTPRequestHandler):
    """Hands each request to the server's vendor."""

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def _do(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_json = "json" in headers.get("content-type", "")
        body: Any = json.loads(raw) if is_json else parse_qs(raw.decode())
        status, content = self.server.vendor.take(  # type: ignore[attr-defined]
            Asked(method, url.path, parse_qs(url.query), headers, body)
        )
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status == 429:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """The vendor on a port of this machine."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    server.vendor = vendor
    vendor.url = f"http://127.0.0.1:{server.server_address[1]}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield vendor
    server.shutdown()
    server.server_close()


def hubspot(deals: list[dict[str, Any]], page: int = 2) -> Vendor:
    """CRM v3: search, batch read with history, list, and the account's details."""

    def listed(asked: Asked) -> Any:
        archived = asked.one("archived") == "true"
        found = [d for d in deals if bool(d.get("archived")) == archived]
        start = int(asked.one("after", "0"))
        return _paged(found, start, page)

    def search(asked: Asked) -> Any:
        (rule,) = asked.body["filterGroups"][0]["filters"]
        assert (rule["propertyName"], rule["operator"]) == ("hs_lastmodifieddate", "GTE")
        changed = [
            {"id": d["id"], "properties": {"hs_lastmodifieddate": d["updatedAt"]}}
            for d in sorted(deals, key=lambda d: d["updatedAt"])
            if not d.get("archived") and _millis(d["updatedAt"]) >= int(rule["value"])
        ]
        return {"total": len(changed), **_paged(changed, int(asked.body["after"]), page)}

    def answer(asked: Asked) -> Any:
        match asked.path:
            case "/account-info/v3/details":
                return {"portalId": 62515}
            case "/crm/v3/objects/deals":
                return listed(asked)
            case "/crm/v3/objects/deals/search":
                return search(asked)
            case "/crm/v3/objects/deals/batch/read":
                wanted = [one["id"] for one in asked.body["inputs"]]
                return {"status": "COMPLETE", "results": [d for d in deals if d["id"] in wanted]}
        return None

    return Vendor(answer, key="pat-eu1-key")


def _millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def _paged(found: list[Any], start: int, page: int) -> dict[str, Any]:
    more = start + page < len(found)
    paging = {"paging": {"next": {"after": str(start + page)}}} if more else {}
    return {"results": found[start : start + page], **paging}


def pipedrive(
    deals: list[dict[str, Any]], flows: dict[int, list[dict[str, Any]]], page: int = 2
) -> Vendor:
    """Deals by v2 with cursors, flows by v1 with starts."""

    def listed(asked: Asked) -> Any:
        wanted = asked.one("status")
        since = asked.one("updated_since")
        found = [
            d
            for d in sorted(deals, key=lambda d: d[asked.one("sort_by")])
            if (d["status"] == "deleted") == (wanted == "deleted") and d["update_time"] >= since
        ]
        start = int(asked.one("cursor", "0"))
        more = start + page < len(found)
        return {
            "success": True, "data": found[start : start + page],
            "additional_data": {"next_cursor": str(start + page) if more else None},
        }  # fmt: skip

    def flow(identity: int, start: int) -> Any:
        entries = [{"object": "dealChange", "timestamp": c["log_time"], "data": c}
                   for c in flows[identity]]  # fmt: skip
        more = start + page < len(entries)
        pagination = {"start": start, "more_items_in_collection": more}
        if more:
            pagination["next_start"] = start + page
        return {"success": True, "data": entries[start : start + page],
                "additional_data": {"pagination": pagination}}  # fmt: skip

    def answer(asked: Asked) -> Any:
        parts = asked.path.strip("/").split("/")
        if asked.path == "/api/v1/users/me":
            return {"success": True, "data": {"id": 1, "company_id": 7}}
        if asked.path == "/api/v2/deals":
            return listed(asked)
        if parts[:3] == ["api", "v1", "deals"] and parts[4:] == ["flow"]:
            return flow(int(parts[3]), int(asked.one("start", "0")))
        return None

    return Vendor(answer, key="the-api-token")


_FIELDS = {
    "Opportunity": ["Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp",
                    "LastStageChangeDate", "StageName", "IsClosed", "IsWon", "Amount",
                    "OwnerId", "AccountId", "Region__c"],
    "OpportunityHistory": ["Id", "OpportunityId", "CreatedDate", "StageName", "Amount"],
}  # fmt: skip
_STAGES = [
    {"ApiName": "Prospecting", "MasterLabel": "Prospecting", "IsClosed": False, "IsWon": False},
    {"ApiName": "Proposal", "MasterLabel": "Proposal", "IsClosed": False, "IsWon": False},
    {"ApiName": "Signed", "MasterLabel": "Signed", "IsClosed": True, "IsWon": True},
    {"ApiName": "Dropped", "MasterLabel": "Dropped", "IsClosed": True, "IsWon": False},
]


def salesforce(
    records: list[dict[str, Any]], history: list[dict[str, Any]], page: int = 2
) -> Vendor:
    """Client credentials, describe, and queries that go on at `nextRecordsUrl`."""

    def queried(soql: str, start: int) -> Any:
        name = soql.split(" FROM ")[1].split()[0]
        assert "CurrencyIsoCode" not in soql, "this organisation has one currency"
        found = {"Opportunity": records, "OpportunityHistory": history,
                 "OpportunityStage": _STAGES}[name]  # fmt: skip
        if "SystemModstamp >= " in soql:
            since = soql.split("SystemModstamp >= ")[1].split()[0]
            found = [r for r in found if r["SystemModstamp"] >= since[:19]]
        size = 100 if name == "OpportunityStage" else page
        more = start + size < len(found)
        onward = {"nextRecordsUrl": f"/services/data/v60.0/query/{name}-{start + size}"}
        return {"totalSize": len(found), "done": not more,
                "records": found[start : start + size], **(onward if more else {})}  # fmt: skip

    pending: dict[str, str] = {}

    def answer(asked: Asked) -> Any:
        if asked.path == "/services/oauth2/token":
            form = {name: values[0] for name, values in asked.body.items()}
            assert form == {"grant_type": "client_credentials", "client_id": "an-app",
                            "client_secret": "its-secret"}  # fmt: skip
            return {"access_token": "a-token", "token_type": "Bearer"}
        assert asked.headers["authorization"] == "Bearer a-token"
        tail = asked.path.removeprefix("/services/data/v60.0/")
        if tail.startswith("sobjects/"):
            return {"fields": [{"name": name} for name in _FIELDS[tail.split("/")[1]]]}
        if tail in ("query", "queryAll"):
            soql = asked.one("q")
            pending[soql.split(" FROM ")[1].split()[0]] = soql
            return queried(soql, 0)
        name, _, start = tail.removeprefix("query/").partition("-")
        return queried(pending[name], int(start))

    return Vendor(answer)


def superoffice(sales: list[dict[str, Any]]) -> Vendor:
    """A list of ids by OData, and each sale as an entity."""

    def answer(asked: Asked) -> Any:
        if asked.path.endswith("/api/v1/Sale"):
            assert asked.one("$filter").startswith("updatedDate after '")
            after = asked.one("$filter").split("'")[1]
            found = [s for s in sales if s["UpdatedDate"] > after]
            skip, top = int(asked.one("$skip", "0")), int(asked.one("$top"))
            rows = [{"PrimaryKey": s["SaleId"], "EntityName": "sale", "saleId": s["SaleId"]}
                    for s in found[skip : skip + top]]  # fmt: skip
            return {"odata.metadata": "m", "value": rows}
        return next((s for s in sales if asked.path.endswith(f"/Sale/{s['SaleId']}")), None)

    return Vendor(answer, key="an-access-token")


def bitrix24(deals: list[dict[str, Any]], history: list[dict[str, Any]], page: int = 2) -> Vendor:
    """One deal, lists of deals, and the history of stages."""

    def listed(asked: Asked) -> Any:
        wanted = {values[0] for name, values in asked.params.items() if name.startswith("filter[@")}
        since = asked.one("filter[>=updatedTime]")
        found = [d for d in deals if not wanted or str(d["id"]) in wanted]
        order = "updatedTime" if since else "createdTime"
        found = sorted((d for d in found if d["updatedTime"] >= since), key=lambda d: d[order])
        start = int(asked.one("start", "0"))
        size = len(found) if wanted else page
        more = {"next": start + size} if start + size < len(found) else {}
        return {"result": {"items": found[start : start + size]}, **more}

    def answer(asked: Asked) -> Any:
        match asked.path.rpartition("/")[2]:
            case "crm.item.get":
                found = [d for d in deals if str(d["id"]) == asked.one("id")]
                return {"result": {"item": found[0]}} if found else None
            case "crm.item.list":
                return listed(asked)
            case "crm.stagehistory.list":
                after = int(asked.one("filter[>ID]"))
                rows = [row for row in history if row["ID"] > after]
                return {"result": {"items": rows[:page]}, "total": len(rows)}
        return None

    return Vendor(answer)
