"""Pages that work without scripts, print and read on a phone: scorecard, roadmap, minutes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from fastapi import Response

from services.goals.api.roadmap_shapes import Roadmap
from services.goals.api.scorecard import Scorecard
from services.goals.domain.body import Body
from services.goals.domain.initiative import Initiative
from services.goals.domain.review import Review
from services.goals.domain.texts import sentence, told_again, word
from shared.clock import format_instant
from shared.language import current_language
from shared.web.html import page_templates

_PAGES = page_templates(Path(__file__).parents[1] / "pages")
# A page that hangs on a wall looks again by itself, without a script.
REFRESH_SECONDS = 300


def _render(name: str, **shown: Any) -> Response:
    page = _PAGES.get_template(name).render(
        language=current_language.get(), t=_label, word=word, number=_number, percent=_percent,
        day=_day, **{"refresh": None, **shown},
    )  # fmt: skip
    return Response(page, media_type="text/html; charset=utf-8")


def _label(code: str, **params: Any) -> str:
    return sentence(code, params)


def _number(value: float | Decimal) -> str:
    """A figure as people read it: four digits after the point at most."""
    return str(format_decimal(value, format="#,##0.####", locale=current_language.get()))


def _percent(value: float | Decimal) -> str:
    return str(format_percent(value, locale=current_language.get()))


def _day(value: date | str) -> str:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    return str(format_date(day, locale=current_language.get()))


def scorecard_page(card: Scorecard, title: str | None) -> Response:
    """A scorecard on a page: counts, what needs attention, and all goals in groups."""
    shown = card.model_dump(mode="json")
    goals = {one["goal"]["id"]: one for group in shown["groups"] for one in group["goals"]}
    attention = [goals[identity] for identity in shown["attention"]]
    return _render(
        "scorecard.html", card=shown, attention=attention, refresh=REFRESH_SECONDS,
        title=title or sentence("page_all_goals", {}),
    )  # fmt: skip


def minutes_page(review: Review, body: Body, initiative: Initiative) -> Response:
    """The minutes of a review: what was seen, what was decided and what follows."""
    card = told_again(review.scorecard)
    # Kept before a field was known, a goal is shown without it.
    for group in card["groups"]:
        for one in group["goals"]:
            one["progress"].setdefault("delivery", None)
    goals: list[dict[str, Any]] = [one for group in card["groups"] for one in group["goals"]]
    titles = {one["goal"]["id"]: one["goal"]["title"] for one in goals}
    return _render(
        "minutes.html", review=review, body=body, initiative=initiative, goals=goals, titles=titles
    )


def roadmap_page(map_: Roadmap, title: str, moment: datetime) -> Response:
    """A roadmap on one time axis."""
    return _render(
        "roadmap.html", map=map_, title=title, today=moment.date(),
        moment=format_instant(map_.known_at),
        at=_place_on(map_.begins, map_.ends),
    )  # fmt: skip


def _place_on(begins: date, ends: date) -> Callable[[date], float]:
    """Where on the axis a day lies, in percent."""
    whole = max(1, (ends - begins).days)
    return lambda day: round(100 * (day - begins).days / whole, 2)
