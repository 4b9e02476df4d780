"""The charts of a case as Vega-Lite specifications: one description for screens, SVG and PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

ChartName = Literal["cash-flow", "cumulative", "tornado", "distribution", "tco"]
NAMES: tuple[ChartName, ...] = ("cash-flow", "cumulative", "tornado", "distribution", "tco")
Spec = dict[str, Any]
Words = Callable[[str], str]
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
# Told apart by those who see no red or green; costs and losses are the warm ones.
BLUE, ORANGE, GREY = "#35618f", "#b5541c", "#777777"
_WIDTH, _HEIGHT, _ROW, _TWO_LINES = 640, 300, 22, 36
_LABEL_PIXELS = 260


def _spec(title: str, alt: str, values: Sequence[Spec], **parts: Any) -> Spec:
    return {
        "$schema": SCHEMA,
        "title": {"text": title, "anchor": "start"},
        "description": alt,
        "width": _WIDTH,
        "height": _HEIGHT,
        "background": "white",
        "data": {"values": list(values)},
        "config": {
            "font": "Liberation Sans, Arial, sans-serif",
            "axis": {"labelLimit": _LABEL_PIXELS, "labelFontSize": 12, "titleFontSize": 12},
            "legend": {"orient": "bottom", "labelFontSize": 12, "title": None},
        },
        **parts,
    }


def _money_axis(title: str) -> Spec:
    return {"title": title, "axis": {"format": ",.0f"}}


def cash_flow(rows: Sequence[Spec], currency: str, words: Words) -> Spec:
    """Benefits upwards and costs downwards per period; rows have period, costs and benefits."""
    values = []
    for row in rows:
        flows = (("benefits", float(row["benefits"])), ("costs", -float(row["costs"])))
        values += [
            {"period": row["period"], "kind": words(f"chart_{kind}"), "amount": amount}
            for kind, amount in flows
        ]
    kinds = [words("chart_benefits"), words("chart_costs")]
    title = words("chart_cash_flow")
    return _spec(
        title, words("alt_cash_flow"), values, mark={"type": "bar"},
        encoding={
            "x": {"field": "period", "type": "ordinal", "sort": None, "title": None,
                  "axis": {"labelAngle": -40 if len(rows) > 6 else 0, "labelOverlap": True}},
            "y": {"field": "amount", "type": "quantitative", **_money_axis(currency)},
            "color": {"field": "kind", "type": "nominal",
                      "scale": {"domain": kinds, "range": [BLUE, ORANGE]}},
        },
    )  # fmt: skip


def cumulative(series: Sequence[tuple[str, Sequence[Spec]]], currency: str, words: Words) -> Spec:
    """Cumulated net flows of plan and outlook; where a line crosses zero, it has paid back."""
    values = [
        {"period": row["period"], "place": place, "amount": float(row["cumulative"]),
         "series": words(name)}
        for name, rows in series
        for place, row in enumerate(rows)
    ]  # fmt: skip
    many = max((len(rows) for _, rows in series), default=0)
    base = {
        "x": {"field": "period", "type": "ordinal", "sort": {"field": "place"}, "title": None,
              "axis": {"labelAngle": -40 if many > 6 else 0, "labelOverlap": True}},
        "y": {"field": "amount", "type": "quantitative", **_money_axis(currency)},
        "color": {"field": "series", "type": "nominal",
                  "scale": {"range": [GREY, BLUE]}, "sort": None},
    }  # fmt: skip
    zero = {"data": {"values": [{"zero": 0}]}, "mark": {"type": "rule", "color": "#333333"},
            "encoding": {"y": {"field": "zero", "type": "quantitative"}}}  # fmt: skip
    line = {"mark": {"type": "line", "point": many < 40, "strokeWidth": 2}, "encoding": base}
    alt = words("alt_cumulative")
    return _spec(words("chart_cumulative"), alt, values, layer=[zero, line])


def tornado(swings: Sequence[Spec], npv: float, currency: str, words: Words) -> Spec:
    """The widest swings of the net present value; swings have label, npv_low and npv_high."""
    values = []
    for swing in swings:
        for kind in ("low", "high"):
            values.append({
                "label": swing["label"], "kind": words(f"chart_{kind}"),
                "from": npv, "to": float(swing[f"npv_{kind}"]),
            })  # fmt: skip
    kinds = [words("chart_low"), words("chart_high")]
    bars = {
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            # The line above, its assumption below: two long names side by side would be cut.
            "y": {"field": "label", "type": "nominal", "sort": None, "title": None,
                  "axis": {"labelExpr": "split(datum.label, ': ')"}},
            "x": {"field": "from", "type": "quantitative", "scale": {"zero": False},
                  **_money_axis(currency)},
            "x2": {"field": "to"},
            "color": {"field": "kind", "type": "nominal",
                      "scale": {"domain": kinds, "range": [ORANGE, BLUE]}},
        },
    }  # fmt: skip
    rule = {"data": {"values": [{"npv": npv}]}, "mark": {"type": "rule", "color": "#333333"},
            "encoding": {"x": {"field": "npv", "type": "quantitative"}}}  # fmt: skip
    found = _spec(words("chart_tornado"), words("alt_tornado"), values, layer=[bars, rule])
    return {**found, "height": max(80, _TWO_LINES * len(swings))}


def distribution(bins: Sequence[Spec], currency: str, words: Words) -> Spec:
    """How often each range of the net present value was drawn; bins have low, high and draws."""
    whole = sum(one["draws"] for one in bins) or 1
    values = [
        {"low": one["low"], "high": one["high"], "share": one["draws"] / whole,
         "side": words("chart_loss" if (one["low"] + one["high"]) / 2 < 0 else "chart_gain")}
        for one in bins
    ]  # fmt: skip
    sides = [words("chart_loss"), words("chart_gain")]
    return _spec(
        words("chart_distribution"), words("alt_distribution"), values, mark={"type": "bar"},
        encoding={
            "x": {"field": "low", "type": "quantitative", "bin": "binned",
                  **_money_axis(currency)},
            "x2": {"field": "high"},
            "y": {"field": "share", "type": "quantitative", "title": None,
                  "axis": {"format": ".1~%"}},
            "color": {"field": "side", "type": "nominal",
                      "scale": {"domain": sides, "range": [ORANGE, BLUE]}},
        },
    )  # fmt: skip


def tco(categories: Sequence[Spec], currency: str, words: Words) -> Spec:
    """The cost of ownership by category; categories have category and amount."""
    values = [
        {"category": words(f"cost_{one['category']}"), "amount": float(one["amount"])}
        for one in categories
    ]
    found = _spec(
        words("chart_tco"), words("alt_tco"), values, mark={"type": "bar", "color": ORANGE},
        encoding={
            "y": {"field": "category", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "amount", "type": "quantitative", **_money_axis(currency)},
        },
    )  # fmt: skip
    return {**found, "height": max(60, _ROW * len(values))}
