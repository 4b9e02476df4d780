"""Words for people: each code in each language, with the same figures in it."""

from __future__ import annotations

import string

import pytest

from services.goals.domain.texts import CATALOGUE, FOLDER, WORDS, text, told_again, word
from shared.language import LANGUAGES, in_language, negotiate
from shared.wording import read_catalogue

OTHERS = [language for language in LANGUAGES if language != "en"]


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_code_is_told_in_every_language(language: str) -> None:
    found = {str(m.context): m for m in read_catalogue(FOLDER, language) if m.id}
    wanted = {**CATALOGUE, **{f"word:{code}": english for code, english in WORDS.items()}}
    assert found.keys() == wanted.keys()
    for code, english in wanted.items():
        message = found[code]
        assert message.id == english, f"{code}: the English sentence has changed"
        assert message.string, code
        assert not message.fuzzy, code
        assert places(str(message.string)) <= places(english), code


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_loses_no_figure(language: str) -> None:
    """Goal: what a person must know stands in every language.

    Method: every place of the English sentence stands in the other one, too.
    """
    found = {str(m.context): m for m in read_catalogue(FOLDER, language) if m.id}
    lost = {c for c, english in CATALOGUE.items() if places(english) - places(str(found[c].string))}
    assert lost == set()


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
