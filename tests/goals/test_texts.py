"""Words for people: in the language that is asked for, kept as codes, told again."""

from __future__ import annotations

import pytest

from services.goals.domain.texts import text, told_again, word
from shared.language import in_language, negotiate


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"), ("sv", "sv"), ("sv-SE,sv;q=0.9,en;q=0.8", "sv"), ("de, fr;q=0.5", "fr"),
        ("en;q=0.1, ru", "ru"), ("*", "en"), ("fr;q=0", "en"), ("xx", "en"), ("fr-CA", "fr"),
        ("sv;q=rubbish, fr", "fr"), ("EN", "en"), ("Sv-SE", "sv"), ("," * 500, "en"),
        ("a" * 5_000, "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_liked_best_of_ours(accepted: str, language: str) -> None:
    assert negotiate(accepted) == language


def test_a_word_for_a_code_is_told_in_the_sentence() -> None:
    params = {"who": "Ann", "value": "0.3", "present": "achieved", "first": "improved"}
    with in_language("sv"):
        said = text("closed", **params)
        assert (
            said["text"]
            == "Ann avslutade målet: 0.3, uppnått (mot det första åtagandet: förbättrat)."
        )
    assert said["params"] == params, "codes stay codes"
    kept = [{"progress": {"because": [said]}, "where": said}]
    (again,) = told_again(kept)
    assert again["progress"]["because"][0]["text"].startswith("Ann closed the goal")
    assert again["where"] == said, "what people wrote stays as it is"
    assert (word("at_risk"), word("Sales")) == ("at risk", "Sales")


def test_what_looks_like_a_text_and_is_none_stays_as_it_is() -> None:
    for code in ("nobody_knows", "behind"):
        kept = {"because": [{"code": code, "params": {}, "text": "Kept"}], "b": 1}
        assert told_again(kept) == kept
