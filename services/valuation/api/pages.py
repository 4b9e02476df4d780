"""The value report as a page that works without scripts, prints and reads on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel import Locale
from babel.numbers import format_currency, format_decimal, format_percent
from fastapi import Response
from markupsafe import Markup

from services.valuation.domain.texts import sentence, word
from shared.web.html import page_templates

if TYPE_CHECKING:
    from services.valuation.api.reports import Report

_PAGES = page_templates(Path(__file__).parents[1] / "pages")


def report_page(report: Report, charts: Mapping[str, str], language: str) -> Response:
    """The report with its charts drawn into the page."""
    shown = report.model_dump(mode="json")
    currency = report.valuation.currency
    pattern = Locale.parse(language).currency_formats["standard"].pattern.replace("0.00", "0")

    def money(amount: str | float | None) -> str:
        """An amount in whole units of the currency; people decide on no cents."""
        if amount is None:
            return "–"
        whole = Decimal(str(amount)).quantize(Decimal(1))
        return str(
            format_currency(whole, currency, pattern, locale=language, currency_digits=False)
        )

    def number(value: float | None) -> str:
        return "–" if value is None else str(format_decimal(value, format="#,##0.####",
                                                            locale=language))  # fmt: skip

    def percent(value: float | None) -> str:
        return "–" if value is None else str(format_percent(value, locale=language))

    def label(code: str, **params: Any) -> str:
        return sentence(code, params)

    page = _PAGES.get_template("report.html").render(
        language=language, t=label, word=word, money=money, number=number, percent=percent,
        report=shown, valuation=shown["valuation"], refresh=None,
        # Drawn by us from figures and escaped words; a chart is no text to be escaped again.
        charts={name: Markup(drawing) for name, drawing in charts.items()},  # noqa: S704
    )  # fmt: skip
    return Response(page, media_type="text/html; charset=utf-8")
