"""Words for people: each code of each service in each language, with the same figures in it."""

from __future__ import annotations

import string
from itertools import product
from pathlib import Path

import pytest

from services.goals.domain import texts as goals
from services.valuation.domain import texts as valuation
from shared.language import LANGUAGES
from shared.wording import read_catalogue

Sentences = dict[str, str]
OTHERS = [language for language in LANGUAGES if language != "en"]
SAID: list[tuple[str, Sentences, Sentences, Path]] = [
    ("goals", goals.CATALOGUE, goals.WORDS, goals.FOLDER),
    ("valuation", valuation.CATALOGUE, valuation.WORDS, valuation.FOLDER),
]
CASES = [
    pytest.param(sentences, words, folder, language, id=f"{service}-{language}")
    for (service, sentences, words, folder), language in product(SAID, OTHERS)
]


def places(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize(("sentences", "words", "folder", "language"), CASES)
def test_every_code_is_told_in_every_language_without_losing_a_figure(
    sentences: Sentences, words: Sentences, folder: Path, language: str
) -> None:
    found = {str(m.context): m for m in read_catalogue(folder, language) if m.id}
    wanted = {**sentences, **{f"word:{code}": english for code, english in words.items()}}
    assert found.keys() == wanted.keys()
    for code, english in wanted.items():
        message = found[code]
        assert message.id == english, f"{code}: the English sentence has changed"
        assert message.string, code
        assert not message.fuzzy, code
        assert places(str(message.string)) == places(english), code
