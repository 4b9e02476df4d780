"""The main job on real input: a CRM's export gives the published figures, to the last deal."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House, Key
from tests.support.samples import CLOSED, WIN_RATE, WON

QUARTERS = {"2016Q4": "2016-Q4", "2017Q1": "2017-Q1", "2017Q2": "2017-Q2"}
OPENED = "crm.opportunity.opened"
CYCLE = {
    "kind": "duration",
    "from": {"events": [OPENED]},
    "to": {"events": ["crm.opportunity.closed"]},
    "clock": "calendar_days",
}
DEFINITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "deals-won": ("count", WON),
    "deals-lost": ("count", {**CLOSED, "where": {"field": "outcome", "op": "eq", "value": "lost"}}),
    "revenue-won": ("USD", {**WON, "kind": "sum", "field": "amount"}),
    "average-deal-size": ("USD", {**WON, "kind": "average", "field": "amount"}),
    "opportunities-engaged": ("count", {"kind": "count", "events": [OPENED]}),
    "sales-cycle-won": ("days", {**CYCLE, "to": {**CYCLE["to"], "where": WON["where"]}}),  # type: ignore[dict-item]
    "sales-cycle-closed": ("days", CYCLE),
    "open": (
        "count",
        {
            "kind": "state",
            "events": [OPENED, "crm.opportunity.closed"],
            "where": {"field": "$type", "op": "eq", "value": OPENED},
        },
    ),
    "active-customers": ("count", {**WON, "kind": "distinct", "field": "account"}),
}


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    return data_folder / "crm-sales-2017h1"


def upload(key: Key, folder: Path, **changes: Any) -> Any:
    export = folder / "sales_pipeline_asof_2017-06-30.csv"
    files = [
        ("file", (export.name, changes.pop("content", None) or export.read_bytes())),
        ("lookups", ("sales_teams.csv", (folder / "sales_teams.csv").read_bytes())),
    ]
    form = {
        "source": "crm", "preset": "crm-opportunities", "currency": "USD",
        "exported_at": "2017-06-30T23:59:59Z", **changes,
    }  # fmt: skip
    return key.send("POST", "metrics", "/v1/imports", files=files, data=form)


@pytest.fixture(scope="module")
def crm(house: House, folder: Path) -> Key:
    """A tenant with the export imported and the metrics defined."""
    key = house.key()
    response = upload(key, folder)
    assert response.status_code == 201, response.text
    key.post("metrics", "/v1/metrics", WIN_RATE)
    for name, (unit, definition) in DEFINITIONS.items():
        body = {
            "key": name, "name": name, "unit": unit, "dimensions": ["region"],
            "definition": definition,
        }  # fmt: skip
        key.post("metrics", "/v1/metrics", body)
    return key


@pytest.fixture(scope="module")
def expected(folder: Path) -> Any:
    return json.loads((folder / "expected.json").read_text())["kpis"]


def value(key: Key, name: str, quarter: str, **params: Any) -> Any:
    params = {"period": QUARTERS[quarter], **params}
    found = key.get("metrics", f"/v1/metrics/{name}/values", **params)["values"]
    return found[0] if "group_by" not in params else found


@pytest.mark.parametrize("quarter", QUARTERS)
@pytest.mark.parametrize(
    ("name", "kpi"),
    [
        ("deals-won", "deals_won"),
        ("deals-lost", "deals_lost"),
        ("revenue-won", "revenue_won"),
        ("opportunities-engaged", "opportunities_engaged"),
        ("open", "open_engaged_end_of_quarter"),
        ("active-customers", "active_customers"),
    ],
)
def test_counts_and_sums_are_exact(
    crm: Key, expected: Any, name: str, kpi: str, quarter: str
) -> None:
    assert value(crm, name, quarter)["numerator"] == str(expected[kpi]["by_quarter"][quarter])


@pytest.mark.parametrize("quarter", QUARTERS)
@pytest.mark.parametrize(
    ("name", "kpi"), [("win-rate", "win_rate"), ("average-deal-size", "average_deal_size")]
)
def test_ratios_and_means_are_exact(
    crm: Key, expected: Any, name: str, kpi: str, quarter: str
) -> None:
    holds, found = expected[kpi]["by_quarter"][quarter], value(crm, name, quarter)
    assert (found["numerator"], found["denominator"]) == (str(holds["num"]), str(holds["den"]))
    if holds["den"] == 0:
        assert found["value"] is None
    else:
        assert found["value"] == pytest.approx(
            float(Fraction(holds["num"], holds["den"])), rel=1e-14
        )


@pytest.mark.parametrize("quarter", QUARTERS)
@pytest.mark.parametrize("kind", ["won", "closed"])
def test_sales_cycles_are_exact(crm: Key, expected: Any, kind: str, quarter: str) -> None:
    holds = expected[f"sales_cycle_{kind}_days"]["by_quarter"][quarter]
    found = value(crm, f"sales-cycle-{kind}", quarter)
    assert (found["numerator"], found["n"]) == (str(holds["sum"]), holds["n"])
    median = {**DEFINITIONS[f"sales-cycle-{kind}"][1], "statistic": "median"}
    body = {"key": f"median-{kind}", "name": "Median", "unit": "days", "definition": median}
    crm.post("metrics", "/v1/metrics", body)
    assert value(crm, f"median-{kind}", quarter)["value"] == holds["median"]


@pytest.mark.parametrize("quarter", ["2017Q1", "2017Q2"])
def test_regions_are_exact(crm: Key, expected: Any, quarter: str) -> None:
    rates = {v["group"]["region"]: v for v in value(crm, "win-rate", quarter, group_by="region")}
    sums = {v["group"]["region"]: v for v in value(crm, "revenue-won", quarter, group_by="region")}
    assert set(rates) == {"Central", "East", "West"}
    for region, found in rates.items():
        holds = expected[f"win_rate_region_{region}"]["by_quarter"][quarter]
        assert (found["numerator"], found["denominator"]) == (str(holds["num"]), str(holds["den"]))
        money = expected[f"revenue_won_region_{region}"]["by_quarter"][quarter]
        assert sums[region]["numerator"] == str(money)


def test_the_same_file_again_changes_nothing_and_a_later_one_only_what_differs(
    house: House, folder: Path
) -> None:
    key = house.key()
    first = upload(key, folder).json()
    assert (first["rows"], first["accepted"], first["skipped"]) == (4615, 7044, 250)
    again = upload(key, folder, exported_at="2017-07-01T00:00:00Z").json()
    assert (again["accepted"], again["restated"], again["unchanged"]) == (0, 0, 7044)
    export = (folder / "sales_pipeline_asof_2017-06-30.csv").read_text()
    header, first_row, second_row, *rest = export.splitlines()
    reopened = second_row.replace(",Won,", ",Engaging,").rsplit(",", 2)[0] + ",,"
    changed = [header, first_row.replace(",1054", ",2000"), reopened, *rest,
               "NEW00001,Moses Frase,GTX Basic,Cancity,Won,2017-06-01,2017-07-01,100"]  # fmt: skip
    content = "\n".join(changed).encode()
    later = upload(key, folder, content=content, exported_at="2017-07-05T00:00:00Z").json()
    found = {n: later[n] for n in ("accepted", "restated", "retracted", "unchanged")}
    assert found == {"accepted": 2, "restated": 1, "retracted": 1, "unchanged": 7042}
    unit, definition = DEFINITIONS["revenue-won"]
    body = {"key": "revenue-won", "name": "R", "unit": unit, "definition": definition}
    key.post("metrics", "/v1/metrics", body)
    second_amount = int(second_row.rsplit(",", 1)[1])
    total = value(key, "revenue-won", "2017Q1")["numerator"]
    assert total == str(1134672 + (2000 - 1054) - second_amount)


def test_a_faulty_row_refuses_the_file_and_names_row_and_column(key: Key, folder: Path) -> None:
    export = (folder / "sales_pipeline_asof_2017-06-30.csv").read_text().splitlines()[:6]
    export[2] = export[2].replace("2017-03-11", "11.03.2017")
    export[3] = export[3] + ",surplus"
    export[4] = export[4].rsplit(",", 1)[0] + ",free"
    response = upload(key, folder, content="\n".join(export).encode())
    assert response.status_code == 422
    faults = {e["pointer"]: e["detail"] for e in response.json()["errors"]}
    assert set(faults) == {"/rows/3/close_date", "/rows/4", "/rows/5/close_value"}
    assert faults["/rows/3/close_date"].startswith("Row 3, column close_date")
    assert key.get("metrics", "/v1/feed")["items"] == []


def test_a_dry_run_says_what_would_change_and_changes_nothing(key: Key, folder: Path) -> None:
    response = upload(key, folder, dry_run="true")
    assert (response.status_code, response.json()["accepted"]) == (200, 7044)
    assert key.get("metrics", "/v1/feed")["items"] == []
