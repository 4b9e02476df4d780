"""Tenants never see each other: every route is tried with another tenant's ids, keys and bases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.architecture.test_routes import routes
from tests.support.house import House, Key
from tests.support.samples import WIN_RATE, deals

SECRET = "SECRET-OF-THE-OTHER"


@pytest.fixture(scope="module")
def other(house: House) -> tuple[Key, dict[str, str]]:
    """A tenant with one of everything, all of it marked."""
    key = house.key()
    key.post("metrics", "/v1/metrics", {**WIN_RATE, "description": SECRET})
    key.events(*deals("2024-Q1", 3, 4))
    baseline = key.post("metrics", "/v1/baselines", {
        "metric": "win-rate", "periods": ["2024-Q1"], "reason": SECRET,
    })  # fmt: skip
    source = key.post("metrics", "/v1/sources", {
        "key": "hubspot", "kind": "hubspot", "secrets": ["12345678"], "reason": SECRET,
    })  # fmt: skip
    csv = "id,day,type\n1,2024-01-05,won\n"
    mapping = ('{"events":[{"type":"crm.opportunity.closed","id":"{id}","time":{"column":"day"},'
               '"data":{"outcome":"type"}}]}')  # fmt: skip
    imported = key.send("POST", "metrics", "/v1/imports", files={"file": ("x.csv", csv)},
                        data={"mapping": mapping, "source": "f"}).json()  # fmt: skip
    made = key.post("metrics", "/v1/keys", {"name": SECRET, "scopes": ["metrics:read"]})
    initiative = key.post("goals", "/v1/initiatives", {"name": SECRET})
    goal = key.post("goals", "/v1/goals", {
        "initiative_id": initiative["id"], "title": SECRET, "metric": "win-rate",
        "baseline": {"periods": ["2024-Q1"]}, "target": {"value": 0.5}, "target_period": "2099-Q1",
    })  # fmt: skip
    case = key.post("valuation", "/v1/cases", {
        "initiative_id": initiative["id"], "name": SECRET, "currency": "EUR",
        "start": "2024-01-01", "discount_rate": "0.1",
    })  # fmt: skip
    return key, {
        "baseline_id": baseline["id"], "key": "win-rate", "key_id": made["key_id"],
        "import_id": imported["id"], "delivery_id": baseline["id"],
        "initiative_id": initiative["id"],
        "goal_id": goal["id"], "case_id": case["id"], "line_id": case["id"],
        "token": source["webhook_path"].rpartition("/")[2], "basis": baseline["basis"],
    }  # fmt: skip


@pytest.mark.parametrize("service", ["goals", "metrics", "valuation"])
def test_every_route_answers_a_stranger_as_if_nothing_were_there(
    house: House, other: tuple[Key, dict[str, str]], service: str
) -> None:
    _, ids = other
    stranger = house.key()
    for route in routes(service):
        path = route.path
        for name, value in ids.items():
            path = path.replace("{" + name + "}", value)
        named = path != route.path
        for method in sorted(route.methods or ()):
            if "webhooks" in path:
                continue  # The address is the credential; a signature that is wrong is tried below.
            params: dict[str, Any] = {"period": "2024-Q1"} if method == "GET" else {}
            response = stranger.send(method, service, path, params=params, json=_body(path, method))
            assert SECRET not in response.text, path
            if named:
                assert response.status_code in (404, 422), (method, path, response.text)
            if method == "GET":
                pinned = {**params, "basis": ids["basis"]}
                refused = stranger.send(method, service, path, params=pinned)
                assert SECRET not in refused.text, path


def _body(path: str, method: str) -> Any:
    if method == "GET":
        return None
    if path.endswith(("/commit", "/close")):
        return {}
    return {"reason": "just looking"}


def test_a_strangers_basis_names_nothing_here(
    house: House, other: tuple[Key, dict[str, str]]
) -> None:
    stranger = house.key()
    stranger.post("metrics", "/v1/metrics", WIN_RATE)
    path = f"/v1/metrics/win-rate/values?period=2024-Q1&basis={other[1]['basis']}"
    problem = stranger.refused(422, "GET", "metrics", path)
    assert problem["type"] == "/problems/unknown-basis"
    owned = other[0].send("GET", "metrics", path)
    assert owned.json()["values"][0]["n"] == 7


def test_a_revoked_or_garbled_key_opens_nothing(house: House) -> None:
    key = house.key()
    made = key.post("metrics", "/v1/keys", {"name": "x", "scopes": ["metrics:read"]})
    short = Key(house, key.tenant_id, made["key"])
    short.get("metrics", "/v1/metrics")
    short.refused(403, "POST", "metrics", "/v1/metrics", json=WIN_RATE)
    assert key.send("DELETE", "metrics", f"/v1/keys/{made['key_id']}").status_code == 204
    for garbled in (made["key"], made["key"][:-1], "ww_", "ww_" + "A" * 64, "x" * 5_000, "ww_é"):
        headers = {b"Authorization": f"Bearer {garbled}".encode()}
        response = house.clients["metrics"].get("/v1/metrics", headers=headers)
        assert response.status_code == 401


def test_all_errors_of_the_framework_are_problems_with_a_page_that_explains(house: House) -> None:
    key = house.key()
    for method, path, status in (
        ("GET", "/nowhere", 404), ("DELETE", "/v1/metrics", 405), ("POST", "/v1/metrics", 415),
    ):  # fmt: skip
        content = (
            {"content": b"x", "headers": {"content-type": "text/plain"}} if status == 415 else {}
        )
        problem = key.refused(status, method, "metrics", path, **content)
        page = house.clients["metrics"].get(problem["type"])
        assert page.json()["mend"]
        html = house.clients["metrics"].get(problem["type"], headers={"accept": "text/html"})
        assert page.json()["title"] in html.text
    assert house.clients["metrics"].get("/problems/none").status_code == 404


def test_health_telemetry_and_headers_are_there(house: House) -> None:
    for client in house.clients.values():
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").json()["checks"] == {"database": "ok"}
        assert "worthwhile_requests_total" in client.get("/metrics").text
        headers = client.get("/livez").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert client.get("/docs").status_code == 200
