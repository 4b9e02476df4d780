"""Published and recomputed figures of real data, to the exact numerator and denominator."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.test_real_crm import upload
from tests.support.house import House, Key
from tests.support.samples import WON, event

CALL, SURVEY, SPEND = (
    "contact.call.completed", "survey.response.received", "marketing.spend.recorded",
)  # fmt: skip
CLOSED = "crm.opportunity.closed"


def replay(key: Key, name: str, **params: Any) -> list[Any]:
    path = f"/v1/metrics/{name.replace('_', '-')}/values"
    found: list[Any] = key.get("metrics", path, **params)["values"]
    return found


def define(
    key: Key, name: str, definition: dict[str, Any], unit: str = "ratio", **more: Any
) -> None:
    body = {
        "key": name.replace("_", "-"),
        "name": name,
        "unit": unit,
        "definition": definition,
        **more,
    }
    key.post("metrics", "/v1/metrics", body)


def install(key: Key, entry: str, name: str, **options: Any) -> None:
    body = {"key": name.replace("_", "-"), "options": options}
    key.post("metrics", f"/v1/catalogue/{entry}/install", body)


def is_exactly(found: Any, holds: Any) -> bool:
    """Whether a figure is the published one: its parts, or its sum and number, or its total."""
    if not isinstance(holds, dict):
        return Fraction(found["numerator"]) == Fraction(str(holds))
    above, below = ("num", "den") if "num" in holds else ("sum", "n")
    return (Fraction(found["numerator"]), Fraction(found["denominator"])) == (
        Fraction(str(holds[above])), Fraction(str(holds[below])),
    )  # fmt: skip


@pytest.fixture(scope="module")
def crm(house: House, data_folder: Path) -> Key:
    key = house.key()
    assert upload(key, data_folder / "crm-sales-2017h1").status_code == 201
    return key


def test_customers_and_what_they_are_worth_over_time(crm: Key, data_folder: Path) -> None:
    """The figures that look across quarters: who bought before, who is new, who stays."""
    text = (data_folder / "crm-sales-2017h1" / "expected.json").read_text()
    expected = json.loads(text)["kpis"]
    install(crm, "repeat-customer-share", "repeat_customer_share", rule="before_period")
    install(crm, "repeat-customer-share", "repeat_customer_share_cumulative_2plus")
    install(crm, "new-customers", "new_customers", rule="first_won")
    install(crm, "customer-base", "customer_base_end_of_quarter", window="")
    revenue = {**WON, "kind": "sum", "field": "amount"}
    before = {"had": {"events": [CLOSED], "where": WON["where"]}, "by": "account",
              "before": "period"}  # fmt: skip
    repeated = {**revenue, "where": {"all": [WON["where"], before]}}
    define(crm, "repeat_revenue_share",
           {"kind": "ratio", "numerator": repeated, "denominator": revenue})  # fmt: skip
    ever = {"window": {"since": "start"}, "kind": "cumulative"}
    buyers = {**WON, "kind": "distinct", "field": "account"}
    define(crm, "historic_ltv", {"kind": "ratio", "numerator": {**ever, "of": revenue},
                                 "denominator": {**ever, "of": buyers}}, "USD")  # fmt: skip
    define(crm, "b2b_revenue_share", {"kind": "ratio", "numerator": revenue,
                                      "denominator": revenue})  # fmt: skip
    for name in (
        "repeat_customer_share", "repeat_customer_share_cumulative_2plus", "new_customers",
        "customer_base_end_of_quarter", "repeat_revenue_share", "historic_ltv",
        "b2b_revenue_share",
    ):  # fmt: skip
        for quarter, holds in expected[name]["by_quarter"].items():
            (found,) = replay(crm, name, period=f"{quarter[:4]}-{quarter[4:]}")
            assert is_exactly(found, holds), (name, quarter, found)


CALLS_MAPPING = {
    "events": [
        {
            "type": CALL, "id": "{call_id}", "time": {"column": "date"},
            "data": {
                "agent": "agent", "topic": "topic",
                "abandoned": {"column": "answered", "map": {"Y": "false", "N": "true"},
                              "as": "boolean"},
                "resolved": {"column": "resolved", "map": {"Y": "true", "N": "false"},
                             "as": "boolean"},
                "wait": {"column": "speed_of_answer_s", "as": "decimal"},
                "talk": {"column": "talk_s", "as": "decimal"},
            },
        },
        {
            "type": SURVEY, "id": "{call_id}/rating", "time": {"column": "date"},
            "when": {"field": "satisfaction", "op": "exists"},
            "data": {"kind": {"value": "csat"}, "topic": "topic",
                     "score": {"column": "satisfaction", "as": "decimal"}},
        },
    ]
}  # fmt: skip


def test_the_call_centres_figures_are_exact(house: House, data_folder: Path) -> None:
    folder = data_folder / "call-centre-2021q1"
    expected = json.loads((folder / "expected.json").read_text())["kpis"]
    key = house.key()
    table = gzip.decompress((folder / "calls.csv.gz").read_bytes())
    form = {"source": "calls", "mapping": json.dumps(CALLS_MAPPING)}
    answer = key.send("POST", "metrics", "/v1/imports", data=form,
                      files=[("file", ("calls.csv", table))])  # fmt: skip
    assert answer.status_code == 201, answer.text
    assert answer.json()["accepted"] == 5000 + 4054
    install(key, "abandonment-rate", "abandoned_share")
    install(key, "asa", "asa_s")
    install(key, "att", "att_s")
    install(key, "csat", "csat_mean_1to5", measure="mean")
    install(key, "csat", "csat_top2_share")
    for seconds in (10, 20, 30, 60):
        install(key, "service-level", f"service_level_{seconds}s_of_offered", threshold=seconds)
        install(key, "service-level", f"service_level_{seconds}s_of_answered",
                threshold=seconds, abandons="answered_only")  # fmt: skip
    resolved = {"kind": "count", "events": [CALL], "where": {"field": "resolved", "value": True}}
    offered = {"kind": "count", "events": [CALL]}
    answered = {**offered, "where": {"field": "abandoned", "value": False}}
    for name, below in (("offered", offered), ("answered", answered)):
        define(key, f"resolved_share_of_{name}",
               {"kind": "ratio", "numerator": resolved, "denominator": below})  # fmt: skip
        define(key, f"calls_{name}", below, "count")
    periods = {"2021Q1": "2021-Q1", "2021-01": "2021-01", "2021-02": "2021-02",
               "2021-03": "2021-03"}  # fmt: skip
    published = {**expected["by_quarter"], **expected["by_month"]}
    assert set(published) == set(periods)
    for label, period in periods.items():
        for name, holds in published[label].items():
            (found,) = replay(key, name, period=period)
            assert is_exactly(found, holds), (label, name, found)
    median = {**answered, "kind": "percentile", "q": 0.5, "field": "wait"}
    define(key, "median-wait", median, "s")
    assert replay(key, "median-wait", period="2021-02")[0]["value"] == 66.5


def test_the_campaigns_figures_are_exact(house: House, data_folder: Path) -> None:
    folder = data_folder / "marketing-2021-02"
    expected = json.loads((folder / "expected.json").read_text())["kpis"]
    numbers = ("impressions", "clicks", "leads", "orders", "revenue")
    mapping = {
        "events": [{
            "type": SPEND, "id": "{id}", "time": {"column": "c_date"},
            "data": {
                "campaign": {"column": "campaign_name", "case": "lower"}, "channel": "category",
                "amount": {"column": "mark_spent", "as": "decimal"},
                "currency": {"value": "INR"},
                **{name: {"column": name, "as": "decimal"} for name in numbers},
            },
        }]
    }  # fmt: skip
    key = house.key()
    form = {"source": "ads", "mapping": json.dumps(mapping)}
    files = [("file", ("marketing.csv", (folder / "marketing.csv").read_bytes()))]
    answer = key.send("POST", "metrics", "/v1/imports", data=form, files=files)
    assert answer.status_code == 201, answer.text

    def sums(name: str) -> dict[str, Any]:
        return {"kind": "sum", "events": [SPEND], "field": name}

    ratios = {
        "cpl": ("amount", "leads"), "cpa": ("amount", "orders"), "cpc": ("amount", "clicks"),
        "ctr": ("clicks", "impressions"), "lead_rate": ("leads", "clicks"),
        "order_rate": ("orders", "leads"), "aov": ("revenue", "orders"),
        "roas": ("revenue", "amount"),
    }  # fmt: skip
    by: dict[str, Any] = {"dimensions": ["campaign", "channel"]}
    for name, (above, below) in ratios.items():
        parts = {"numerator": sums(above), "denominator": sums(below)}
        define(key, name, {"kind": "ratio", **parts}, **by)
    for name in numbers:
        define(key, name, sums(name), "count", **by)
    define(key, "spend", sums("amount"), "INR", **by)
    install(key, "romi", "romi")
    for name, holds in expected["by_quarter"]["2021Q1"].items():
        (found,) = replay(key, name, period="2021-Q1")
        assert is_exactly(found, holds), (name, found)
    for campaign, figures in expected["by_campaign"].items():
        for name, holds in figures.items():
            if name == "romi":
                continue
            groups = replay(key, name, period="2021-02", group_by="campaign")
            found = next(g for g in groups if g["group"]["campaign"] == campaign)
            assert is_exactly(found, holds), (campaign, name)


def test_what_stood_at_a_past_date_is_not_rewritten_by_later_stages(
    house: House, data_folder: Path
) -> None:
    """Seven deals went from won to lost in March; February's end knows nothing of it."""
    folder = data_folder / "salesforce-stage-history"
    expected = json.loads((folder / "expected.json").read_text())["kpis"]
    key = house.key()
    rows = list(
        csv.DictReader(io.StringIO((folder / "OpportunityHistory.csv").read_text("utf-8-sig")))
    )
    for row in rows:
        moment = datetime.strptime(row["CreatedDate"], "%m/%d/%y %I:%M %p")  # noqa: DTZ007
        key.events(event(row["Id"], "crm.opportunity.stage_changed", f"{moment.isoformat()}Z",
                         stage=row["StageName"], _subject=row["OpportunityId"]))  # fmt: skip
    stages = {"kind": "state", "events": ["crm.opportunity.stage_changed"]}
    wanted = {
        "opportunities": None,
        "won": {"field": "stage", "value": "Closed Won"},
        "lost": {"field": "stage", "value": "Closed Lost"},
        "open": {"not": {"field": "stage", "op": "in", "value": ["Closed Won", "Closed Lost"]}},
    }
    for name, where in wanted.items():
        define(key, name, {**stages, "where": where}, "count")
    closed = {"any": [wanted["won"], wanted["lost"]]}
    define(key, "win_rate", {"kind": "ratio", "numerator": {**stages, "where": wanted["won"]},
                             "denominator": {**stages, "where": closed}})  # fmt: skip
    for label, end in (("as_of_2026-03-01", "2026-03-01"), ("as_of_2026-03-31", "2026-04-01")):
        for name, holds in expected[label].items():
            (found,) = replay(key, name, period=f"2026-02-01..{end}")
            assert is_exactly(found, holds), (label, name, found)
