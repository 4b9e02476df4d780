"""The language that words for people are given in: what a request asks for, English otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from babel import negotiate_locale

LANGUAGES = ("en", "sv", "fr", "ru")
current_language: ContextVar[str] = ContextVar("current_language", default="en")


def negotiate(accepted: str) -> str:
    """The language of ours that an `Accept-Language` header likes best; English if none."""
    return _negotiated(accepted[:1_000])


@lru_cache(maxsize=1_024)
def _negotiated(accepted: str) -> str:
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, parameter = part.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if quality > 0 and tag:
            ranked.append((-quality, place, "en" if tag == "*" else tag.lower()))
    wanted = [tag.replace("-", "_") for _, _, tag in sorted(ranked)]
    found = negotiate_locale(wanted, LANGUAGES)
    return found if found in LANGUAGES else "en"


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Give words in a language, whatever a request asked for."""
    token = current_language.set(language)
    try:
        yield
    finally:
        current_language.reset(token)
