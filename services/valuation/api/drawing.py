"""Drawing of charts: Vega-Lite specifications become SVG or PNG, with the locale's numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from shared.chain import canonical_json

_Locale = Literal["en-US", "sv-SE", "fr-FR", "ru-RU"]
LOCALES: dict[str, _Locale] = {"en": "en-US", "sv": "sv-SE", "fr": "fr-FR", "ru": "ru-RU"}
_SCALE = 2.0


def svg(spec: dict[str, Any], language: str) -> str:
    """A chart as SVG; the same specification is drawn once."""
    return _svg(canonical_json(spec), language)


def png(spec: dict[str, Any], language: str) -> bytes:
    """A chart as PNG at twice its size, for sharp print."""
    # Imported on first use: the engine costs memory that a service without charts need not pay.
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(spec, scale=_SCALE, format_locale=LOCALES[language]))


@lru_cache(maxsize=200)
def _svg(spec: str, language: str) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, format_locale=LOCALES[language]))
