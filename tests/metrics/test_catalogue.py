"""The catalogue: every entry is installed by one call and gives what was worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.metrics.domain.catalogue import CATALOGUE
from tests.support import histories as h
from tests.support.house import Key

# id, options, history, the value of January 2024
CASES: list[tuple[str, dict[str, Any], list[Any], float]] = [
    ("win-rate", {}, h.DEALS, 0.5),
    ("win-rate", {"cohort": "created"}, [*h.DEALS, h.ev(h.OPENED, "05", "d/3")],
     0.666666666666667),
    ("win-rate-value", {}, h.DEALS, 0.4),
    ("win-rate", {}, h.LOST_AND_WON, 1),
    ("win-rate", {"closings": "each"}, h.LOST_AND_WON, 0.5),
    ("win-rate", {}, h.OPEN_AGAIN, 0),
    ("win-rate-value", {}, h.LOST_AND_WON, 1),
    ("stage-conversion", {}, h.STAGES, 0.666666666666667),
    ("stage-conversion", {}, h.OPENED_IN, 0.5),
    ("funnel-conversion", {}, [*h.DEALS, h.ev(h.OPENED, "05", "d/9")], 0.666666666666667),
    ("sales-cycle", {}, h.DEALS, 15),
    ("sales-cycle", {"statistic": "average"}, h.DEALS, 15),
    ("avg-deal-size", {}, h.DEALS, 200),
    ("avg-deal-size", {}, h.WON_TWICE, 120),
    ("repeat-customer-share", {"basis": "orders"}, h.SHOP, 1),
    ("repeat-customer-share", {"basis": "orders", "rule": "before_period"}, h.SHOP, 0.5),
    ("activities-per-customer", {}, h.OPEN, 2),
    ("pipeline-coverage", {}, h.OPEN, 1),
    ("pipeline-coverage", {"target": "full"}, h.OPEN, 0.8),
    ("sales-velocity", {}, h.DEALS, 26.6666666666667),
    ("forecast-accuracy", {}, [*h.DEALS, *h.figure("forecast", 300)], 0.75),
    ("slippage", {}, h.OPEN, 0.333333333333333),
    ("slippage", {}, [*h.OPEN, *h.WON_AND_CHANGED], 0.333333333333333),
    ("no-decision-share", {}, h.DEALS, 0.25),
    ("lead-response-time", {}, h.LEADS, 90),
    ("revenue", {}, h.DEALS, 400),
    ("revenue", {}, h.WON_TWICE, 220),
    ("revenue", {"closings": "last"}, h.WON_TWICE, 120),
    ("revenue", {"basis": "orders"}, h.SHOP, 400),
    ("new-customers", {}, h.SPENDING, 2),
    ("new-customers", {"rule": "first_acquired"}, [*h.SPENDING, *h.ACQUIRED_AGAIN], 2),
    ("new-customers", {"rule": "first_won"}, h.DEALS, 2),
    ("product-mix", {}, h.DEALS, 400),
    ("sales-productivity", {}, h.DEALS, 200),
    ("upsell-share", {}, h.DEALS, 0.75),
    ("cross-sell-share", {}, h.DEALS, 0),
    ("loss-reasons", {}, h.DEALS, 2),
    ("loss-reasons", {}, h.LOST_AND_WON, 0),
    ("customer-base", {}, h.DEALS, 2),
    ("customer-base", {"basis": "orders", "window": "P31D"}, h.SHOP, 2),
    ("cpl", {}, h.SPENDING, 5),
    ("cpl", {"leads": "created"}, [*h.SPENDING, *h.LEADS, *h.LEADS_AGAIN], 100),
    ("cpa", {}, h.SPENDING, 40),
    ("cpa", {"action": "actions"}, h.SPENDING, 200),
    ("cac", {}, h.SPENDING, 100),
    ("cac", {"costs": "fully_loaded"}, h.SPENDING, 130),
    ("cac", {"costs": "fully_loaded"}, [*h.SPENDING, *h.OTHER_COSTS], 130),
    ("cac-payback", {"margin": 0.5}, h.SPENDING, 1),
    ("cltv-simple", {}, h.SPENDING, 800),
    ("cltv-discounted", {}, h.SPENDING, 776.923076923077),
    ("ltv-cac", {}, h.SPENDING, 8),
    ("romi", {}, h.SPENDING, 0.5),
    ("romi", {"margin": 0.8}, h.SPENDING, 0.2),
    ("roas", {}, h.SPENDING, 1.5),
    ("channel-effectiveness", {}, h.SPENDING, 0.01),
    ("mql-sql", {}, h.LEADS, 0.5),
    ("mql-sql", {"by": "qualification"}, h.QUALIFICATIONS, 0.5),
    ("sql-opp", {}, h.LEADS, 1),
    ("lead-conversion", {}, h.LEADS, 0.5),
    ("churn-logo", {}, h.SPENDING, 0.25),
    ("churn-logo", {}, [*h.SPENDING, h.ev("crm.customer.acquired", "20", "c/1")], 0),
    ("churn-logo", {}, [*h.SPENDING, h.ev("crm.customer.churned", f"{h.DEC}20", "c/2"),
     h.ev("crm.customer.acquired", "05", "c/2"), h.ev("crm.customer.churned", "06", "c/2")],
     0.333333333333333),
    ("nrr", {}, h.SUBSCRIPTIONS, 0.75),
    ("nrr", {}, [*h.SUBSCRIPTIONS, *h.WON_BACK], 0.75),
    ("nrr", {}, h.REPLACED, 1.2),
    ("recurring-revenue", {}, h.SUBSCRIPTIONS, 220),
    ("abandonment-rate", {}, h.CALLS, 0.4),
    ("abandonment-rate", {"among": "queued"},
     [*h.CALLS, h.call("10", queue="q"), h.call("10", queue="q", abandoned=True)], 0.5),
    ("abandonment-rate", {"among": "inbound"},
     [*h.CALLS, *(h.call("10", direction="inbound", abandoned=n == 0) for n in range(4))], 0.25),
    ("abandonment-excl-short", {}, h.CALLS, 0.25),
    ("abandonment-rate", {}, [*h.CALLS, *h.OUTBOUND], 0.4),
    ("abandonment-excl-short", {"from": "numerator"}, [*h.CALLS, *h.OUTBOUND], 0.2),
    ("ata", {}, h.CALLS, 32),
    ("ata", {"short": 5}, h.CALLS, 60),
    ("asa", {}, h.CALLS, 20),
    ("asa", {}, [*h.CALLS, *h.OUTBOUND], 20),
    ("service-level", {}, h.CALLS, 0.4),
    ("service-level", {}, [*h.CALLS, *h.OUTBOUND], 0.4),
    ("service-level", {"abandons": "ignored"}, h.CALLS, 0.5),
    ("service-level", {"abandons": "positive"}, h.CALLS, 0.6),
    ("service-level", {"abandons": "answered_only"}, h.CALLS, 0.666666666666667),
    ("service-level", {"abandons": "short_removed"}, h.CALLS, 0.5),
    ("service-level", {"threshold": 30}, h.CALLS, 0.6),
    ("aht", {}, h.CALLS, 126.666666666667),
    ("att", {}, h.CALLS, 120),
    ("hold", {}, h.CALLS, 3.33333333333333),
    ("hold", {"per": "held"}, h.CALLS, 10),
    ("acw", {}, h.CALLS, 3.33333333333333),
    ("fcr", {}, h.CALLS, 0.2),
    ("fcr", {}, h.REPEATED, 0.333333333333333),
    ("fcr", {"among": "first_contacts"}, h.REPEATED, 0.5),
    ("fcr", {"among": "first_contacts"}, h.CALLS, 0.25),
    ("csat", {}, h.survey("csat", 5, 4, 3, 1), 0.5),
    ("csat", {}, [*h.survey("csat", 5, 1), h.BLANK], 0.5),
    ("csat", {"measure": "mean"}, h.survey("csat", 5, 4, 3, 1), 3.25),
    ("nps", {}, h.survey("nps", 10, 9, 9, 8, 7, 7, 6, 3, 0, 10), 10),
    ("ces", {}, h.survey("ces", 7, 5, 3), 5),
    ("ces", {"measure": "top3"}, h.survey("ces", 7, 5, 3), 0.666666666666667),
    ("cost-per-contact", {}, [*h.CALLS, h.money("cost.booked", "05", 60,
                                                category="contact_centre")], 20),
    ("aov", {}, h.SHOP, 133.333333333333),
    ("conversion-rate", {}, h.SHOP, 0.6),
    ("conversion-rate", {"per": "visitor"}, h.SHOP, 0.4),
    ("cart-abandonment", {}, h.SHOP, 0.25),
    ("b2b-revenue-share", {}, h.SHOP, 0.25),
    ("repeat-rate", {}, h.SHOP, 1),
    ("purchase-frequency", {}, h.SHOP, 1.5),
    ("return-rate", {}, h.SHOP, 0.333333333333333),
    ("return-rate", {"by": "value"}, h.SHOP, 0.1),
    ("return-rate", {"by": "orders"}, [*h.SHOP, *h.REFUNDS], 0.333333333333333),
    ("step-drop-off", {}, [h.ev("web.step.reached", "05", acted=a) for a in (True, False, False)],
     0.666666666666667),
    ("flow-velocity", {}, h.ITEMS, 2),
    ("flow-time", {}, h.ITEMS, 1.04166666666667),
    ("flow-efficiency", {}, h.ITEMS, 0.2),
    ("flow-efficiency", {}, [*h.ITEMS, h.MOVED_TEAM], 0.2),
    ("flow-load", {}, h.ITEMS, 1),
    ("flow-distribution", {}, h.ITEMS, 2),
    ("dau", {}, h.PEOPLE, 1),
    ("wau", {}, h.PEOPLE, 2),
    ("mau", {}, h.PEOPLE, 3),
    ("stickiness", {}, h.PEOPLE, 0.333333333333333),
    ("licence-utilisation", {}, h.PEOPLE, 0.6),
    ("activity-coverage", {}, h.OPEN, 0.666666666666667),
    ("activity-coverage", {}, [*h.OPEN, *h.WON_AND_CHANGED], 0.666666666666667),
    ("trained-share", {}, h.PEOPLE, 0.4),
    ("time-to-first-value", {}, h.PEOPLE, 56),
    ("onboarding-time", {}, [h.ev("crm.customer.acquired", "01", "c/1"),
                             h.ev("crm.customer.onboarded", "15", "c/1")], 14),
    ("data-completeness", {}, h.RECORDS, 0.8),
    ("duplicate-rate", {}, h.RECORDS, 0.5),
    ("customer-base-quality", {}, h.RECORDS, 0.5),
    ("interaction-capture", {}, h.CAPTURED, 0.5),
    ("interaction-capture", {}, [*h.CAPTURED, *h.AT_ITS_BEGINNING], 0.666666666666667),
    ("launch-enquiries", {}, h.CALLS, 1),
    ("satisfied-after-calls", {}, h.AFTER_CALLS, 1),
    ("satisfied-after-calls", {}, [*h.AFTER_CALLS, *h.OF_ANOTHER_CASE], 2),
    ("positive-feedback-share", {}, h.VOICES, 0.75),
    ("reviews", {}, h.VOICES, 2),
    ("review-stars", {}, h.VOICES, 3.5),
    ("good-conversations", {}, h.VOICES, 1),
    ("stakeholder-sentiment", {}, h.VOICES, 0.666666666666667),
    ("closed-without-activity", {}, h.OPEN, 1),
    ("skipped-stages", {}, h.STAGES, 0.5),
    ("skipped-stages", {}, h.OPENED_IN, 0),
    ("process-compliance", {}, h.STAGES, 0.5),
    ("born-closed", {}, h.OPEN, 1),
    ("deals-without-contact", {}, h.OPEN, 0.333333333333333),
]  # fmt: skip
FIGURES = sorted(key for key, entry in CATALOGUE.items() if "metric.observed" in entry.traps
                 and key not in {case[0] for case in CASES})  # fmt: skip


def install(who: Key, entry: str, /, **body: Any) -> Any:
    return who.post("metrics", f"/v1/catalogue/{entry}/install", body)


@pytest.mark.parametrize(("entry", "options", "history", "expected"), CASES,
                         ids=[f"{c[0]}{sorted(c[1].values()) or ''}" for c in CASES])  # fmt: skip
def test_an_entry_gives_what_was_worked_out_by_hand(
    key: Key, entry: str, options: dict[str, Any], history: list[Any], expected: float
) -> None:
    metric = install(key, entry, options=options)
    assert (metric["key"], metric["version"]) == (entry, 1)
    key.events(*history)
    value = key.get("metrics", f"/v1/metrics/{entry}/values", period="2024-01")["values"][0]
    assert (value["value"], value["reason"]) == (expected, None)


@pytest.mark.parametrize("entry", FIGURES)
def test_an_entry_that_nothing_can_feed_takes_figures_and_says_so(key: Key, entry: str) -> None:
    shown = key.get("metrics", f"/v1/catalogue/{entry}")
    assert shown["fed_by_figures"]
    assert shown["events"] == ["metric.observed"]
    install(key, entry)
    key.events(*h.figure(entry, "0.25", "10"), *h.figure(entry, "0.375", "31"))
    value = key.get("metrics", f"/v1/metrics/{entry}/values", period="2024-01")["values"][0]
    assert value["value"] == 0.375


def test_every_entry_has_a_case_and_names_what_a_reader_needs(key: Key) -> None:
    tried = {case[0] for case in CASES} | set(FIGURES)
    assert tried == set(CATALOGUE)
    items: list[Any] = []
    page: Any = {"next_cursor": None}
    while not items or page["next_cursor"]:
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        page = key.get("metrics", "/v1/catalogue", limit=50, **cursor)
        items += page["items"]
    assert [item["id"] for item in items] == sorted(CATALOGUE)
    for item in items:
        assert all(item[name] for name in ("name", "formula", "unit", "convention", "events"))
        assert set(item["drives"]) <= set(CATALOGUE)
    driving = key.get("metrics", "/v1/catalogue", drives="revenue", limit=100)["items"]
    assert {"win-rate", "churn-logo", "product-mix", "avg-deal-size", "new-customers",
            "sales-cycle"} <= {item["id"] for item in driving}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("service-level", {"options": {"abandons": "dropped"}}, "negative"),
        ("service-level", {"options": {"treshold": 5}}, "threshold"),
        ("service-level", {"options": {"threshold": "20"}}, "like 20"),
        ("funnel-conversion", {"options": {"within": "P0D"}}, "longer than 0"),
        ("sales-cycle", {"unit": ""}, "at least 1"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused(
    key: Key, path: str, body: dict[str, Any], word: str
) -> None:
    problem = key.refused(422, "POST", "metrics", f"/v1/catalogue/{path}/install", json=body)
    assert word in json.dumps(problem)
    assert key.get("metrics", "/v1/metrics")["items"] == []


def test_an_unknown_entry_names_the_nearest(key: Key) -> None:
    problem = key.refused(404, "GET", "metrics", "/v1/catalogue/win-rat")
    assert "win-rate" in problem["detail"]
    assert key.get("metrics", "/v1/catalogue/win_rate")["id"] == "win-rate"


def test_installing_again_changes_nothing_and_another_choice_is_a_new_version(key: Key) -> None:
    assert install(key, "service-level")["version"] == 1
    assert install(key, "service-level")["version"] == 1
    assert install(key, "service-level", options={"threshold": 30})["version"] == 2
    own = install(key, "service-level", key="sl-30", name="Ours", unit="ratio", responsible="Ann",
                  dimensions=["queue"], options={"threshold": 30})  # fmt: skip
    assert (own["key"], own["name"], own["dimensions"]) == ("sl-30", "Ours", ["queue"])
    assert own["guidelines"]["responsible"] == "Ann"


def test_published_figures_come_out_of_the_entries(key: Key, data_folder: Path) -> None:
    """Service levels as Cisco's guide works them out: 70 in time, 10 abandoned, 20 late."""
    vectors = json.loads((data_folder / "kpi/vectors.json").read_text())["vectors"]
    three = next(v for v in vectors if v["id"] == "cisco_service_level_3_ways")
    given = three["inputs"]
    key.events(
        *(h.call("05", wait=5) for _ in range(given["answered_within"])),
        *(h.call("05", wait=5, abandoned=True) for _ in range(given["abandoned_within"])),
        *(h.call("05", wait=25) for _ in range(given["exceeded_threshold"])),
    )
    for name in ("negative", "ignored", "positive"):
        install(key, "service-level", options={"abandons": name})
        value = key.get("metrics", "/v1/metrics/service-level/values", period="2024-01")["values"]
        assert value[0]["value"] == pytest.approx(three["expected"][f"abandons_{name}"], rel=1e-14)
