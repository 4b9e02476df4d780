"""What `worthwhile up` prints: the demonstration's answers, and where to go on."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from services.local.demonstration import BASELINE, Demonstration
from services.local.story import GO_LIVE


def show_summary(console: Console, demonstration: Demonstration, found: dict[str, str]) -> None:
    """The main job's answers, asked over HTTP now."""
    console.print("\n[bold]Nordwind: was the CRM worth it?[/bold]")
    _show_win_rate(console, demonstration)
    baseline = demonstration.ask("metrics", f"/v1/baselines/{found['baseline']}")
    console.print(
        f"Baseline of {BASELINE[0]} to {BASELINE[-1]}: {_percent(baseline['value'])}"
        f" ({baseline['numerator']} of {baseline['denominator']} deals,"
        f" frozen at {baseline['basis']})"
    )
    progress = demonstration.ask("goals", f"/v1/goals/{found['goal']}/progress")
    console.print(
        f"Goal: {_percent(progress['target']['value'])} in {progress['target']['period']}; "
        f"{progress['status'].replace('_', ' ')}. {progress['because'][0]['text']}"
    )
    _show_valuation(console, demonstration.ask("valuation", f"/v1/cases/{found['case']}/valuation"))


def _show_win_rate(console: Console, demonstration: Demonstration) -> None:
    answer = demonstration.ask(
        "metrics",
        "/v1/metrics/win-rate/values",
        **{"from": "2023-01-01", "to": "2026-01-01", "grain": "quarter"},
    )
    table = Table("Quarter", "Win rate", "Won", "Closed", title="Win rate by quarter")
    for value in answer["values"]:
        name = value["period"]
        if value["start"] == GO_LIVE.isoformat():
            name += " (go-live)"
        table.add_row(name, _percent(value["value"]), value["numerator"], value["denominator"])
    console.print(table)


def _show_valuation(console: Console, valuation: dict[str, Any]) -> None:
    table = Table(
        "", "NPV", "ROI (TEI)", "IRR", "Payback", title="What it is worth, EUR over 3 years"
    )
    for name in ("plan", "realised", "outlook"):
        figures = valuation[name]
        months = figures["payback_months"]
        table.add_row(
            name,
            f"{Decimal(figures['npv']['amount']):,.0f}",
            _percent(figures["roi"]["tei"]),
            _percent(figures["irr"]["value"], figures["irr"]["status"]),
            f"{months['value']} months" if months["value"] is not None else months["reason"],
        )
    console.print(table)


def _percent(value: Any, otherwise: str = "-") -> str:
    return otherwise if value is None else f"{float(value) * 100:.1f} %"


def show_addresses(console: Console, addresses: dict[str, str], key: str, folder: Path) -> None:
    """Where the services answer, and with which key."""
    console.print()
    for service, url in addresses.items():
        console.print(f"{service:10} {url}/docs", highlight=False)
    console.print(f"API key    {key}", highlight=False, soft_wrap=True)
    console.print(f"These are in {folder / 'dev.json'} too.", highlight=False, soft_wrap=True)
