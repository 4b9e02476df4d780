"""The value report over HTTP: JSON, page and charts, in four languages."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import httpx
import pytest

from tests.support.house import Key
from tests.support.samples import deals
from tests.valuation.test_worth import Story


@pytest.fixture
def story(key: Key) -> Story:
    made = Story(key)
    made.cost(name="Licences <b>", phase="North")
    margin = {"kind": "triangular", "low": "0.2", "mode": "0.4", "high": "0.6"}
    body = made.uplift(goal_id=made.goal, phase="North")
    body["inputs"]["margin"] = {"distribution": margin, "unit": "ratio"}
    made.post("benefits", body)
    key.events(*deals("2025-Q2", 30, 70), *deals("2025-Q3", 32, 68))
    key.post("goals", "/v1/v2moms", {
        "initiative_id": made.initiative, "period": "2025", "vision": "Know every customer",
        "values": ["Trust"], "methods": [{"text": "Train all", "owner": "Ann"}],
    })  # fmt: skip
    return made


def asked(story: Story, path: str, **headers: str) -> httpx.Response:
    answer = story.key.send("GET", "valuation", f"/v1/cases/{story.case}/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def test_the_report_brings_everything_together(story: Story) -> None:
    report = asked(story, "report").json()
    valued = story.get("valuation")
    assert report["valuation"]["outlook"] == valued["outlook"]
    assert report["valuation"]["findings"] == valued["findings"]
    assert report["v2mom"]["vision"] == "Know every customer"
    assert [goal["title"] for goal in report["goals"]] == ["Win more"]
    assert report["simulation"]["p_npv_positive"] > 0.5
    assert {proof["period"] for proof in report["proofs"]} >= {"2025-Q2", "2025-Q3"}
    assert report["baselines"][0]["value"] == "0.2"
    again = asked(story, "report").json()
    assert {**again["valuation"], "known_at": 0} == {**report["valuation"], "known_at": 0}


def test_before_and_after_are_held_against_the_frozen_baseline(story: Story) -> None:
    (kpi,) = story.get("before-after")["kpis"]
    assert (kpi["metric"], kpi["phase"], kpi["go_live"]) == ("win-rate", "North", "2025-04-01")
    assert (kpi["before"]["value"], kpi["before"]["n"]) == (0.2, 400)
    assert kpi["after"]["periods"][:2] == ["2025-Q2", "2025-Q3"]
    # 30 + 32 of 200, whatever the quarters by themselves.
    assert (kpi["after"]["value"], kpi["after"]["n"]) == (0.31, 200)
    assert kpi["change"] == pytest.approx(0.11)
    assert kpi["beyond_noise"] is True
    assert kpi["share"] == 0.5
    # (0.10 + 0.12) x 100 x 1000 x 0.4 x 0.5
    assert kpi["money"] == "4400.00"
    asked_for = story.get("before-after", metric=["deals", "no-such"])["kpis"]
    assert {k["metric"]: k["before"]["reason"] for k in asked_for} == {
        "deals": None, "no-such": "unknown_metric",
    }  # fmt: skip
    # What adds up is told per period, so that four quarters are not held against seven.
    assert asked_for[0]["before"]["value"] == 75


@pytest.mark.parametrize(
    ("language", "title", "amount"),
    [
        ("en", "Value report: Base", "€"), ("sv", "Värderapport: Base", "€"),
        ("fr", "Rapport de valeur : Base", "€"), ("ru", "Отчёт о ценности: Base", "€"),
    ],
)  # fmt: skip
def test_the_page_stands_by_itself_in_four_languages(
    story: Story, language: str, title: str, amount: str
) -> None:
    headers = {"Accept": "text/html", "Accept-Language": language}
    answer = asked(story, "report", **headers)
    page = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<html lang="{language}">' in page
    assert title in page
    assert amount in page
    assert "Licences &lt;b&gt;" in page
    assert "<b>" not in page
    for outside in ("<script", "<link", "src=", "@import", "url("):
        assert outside not in page.replace("url(#", ""), outside
    assert page.count("<figure") == 5
    assert page.count("<svg") == 5


def test_charts_come_as_specification_svg_and_png(story: Story) -> None:
    for name in ("cash-flow", "cumulative", "tornado", "distribution", "tco"):
        spec = asked(story, f"charts/{name}").json()
        assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
        assert spec["data"]["values"], name
        assert spec["description"], name
        drawing = asked(story, f"charts/{name}?format=svg")
        assert drawing.headers["content-type"].startswith("image/svg+xml")
        assert ET.fromstring(drawing.content).tag.endswith("svg")  # noqa: S314
        picture = asked(story, f"charts/{name}", Accept="image/png")
        assert picture.content.startswith(b"\x89PNG\r\n")
    russian = asked(story, "charts/tco?format=svg", **{"Accept-Language": "ru"}).text
    assert "Лицензии" in russian
    story.key.refused(422, "GET", "valuation", f"/v1/cases/{story.case}/charts/pie")


def test_the_figures_of_a_chart_are_those_of_the_report(story: Story) -> None:
    spec: dict[str, Any] = json.loads(asked(story, "charts/cash-flow").text)
    outlook = story.get("valuation")["outlook"]["cash_flow"]
    drawn = [v["amount"] for v in spec["data"]["values"] if v["kind"] == "Benefits"]
    assert drawn == [float(row["benefits"]) for row in outlook]


def test_without_distributions_there_is_no_distribution_to_draw(key: Key) -> None:
    plain = Story(key)
    plain.cost()
    assert asked(plain, "report").json()["simulation"] is None
    key.refused(404, "GET", "valuation", f"/v1/cases/{plain.case}/charts/distribution")
