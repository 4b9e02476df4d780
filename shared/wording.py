"""Words for people: one sentence per code and language, with its figures filled in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from shared.language import current_language


@cache
def read_catalogue(folder: Path, language: str) -> Catalog:
    """The sentences of a language, as `<language>.po` in a folder holds them (gettext)."""
    with (folder / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


class Wording:
    """The sentences and words of one service, each under its code.

    The English ones are given. Those of other languages stand in `*.po` files, each under its code
    (`msgctxt`; a word's begins with `word:`) and the English (`msgid`). Parameters named in
    `worded` are codes themselves and are told as words.
    """

    def __init__(
        self,
        sentences: Mapping[str, str],
        words: Mapping[str, str],
        worded: tuple[str, ...],
        folder: Path,
    ) -> None:
        self._sentences, self._words, self._worded = sentences, words, worded
        self._folder = folder

    def text(self, code: str, **params: Any) -> dict[str, Any]:
        """A sentence with its code and figures, in the language that is asked for."""
        return {"code": code, "params": params, "text": self.sentence(code, params)}

    def sentence(self, code: str, params: Mapping[str, Any]) -> str:
        """The sentence of a code."""
        spoken = {
            name: self.word(value) if name in self._worded and value in self._words else value
            for name, value in params.items()
        }
        return self._translated(self._sentences[code], code).format(**spoken)

    def word(self, code: str) -> str:
        """A word that stands for a code, such as a status; the code itself if there is none."""
        if code not in self._words:
            return code.replace("_", " ")
        return self._translated(self._words[code], f"word:{code}")

    def told_again(self, told: Any) -> Any:
        """What was kept with its reasons (`because`), in the language that is asked for now."""
        if isinstance(told, list):
            return [self.told_again(one) for one in told]
        if not isinstance(told, dict):
            return told
        return {
            name: [self._again(one) for one in inner]
            if name == "because" and isinstance(inner, list)
            else self.told_again(inner)
            for name, inner in told.items()
        }

    def _again(self, said: dict[str, Any]) -> dict[str, Any]:
        """A text worded anew; as it was kept where its code has since lost or gained a figure."""
        try:
            return {**said, "text": self.sentence(said["code"], said["params"])}
        except KeyError:
            return said

    def _translated(self, english: str, context: str) -> str:
        language = current_language.get()
        if language == "en":
            return english
        found = read_catalogue(self._folder, language).get(english, context)
        return str(found.string) if found is not None and found.string else english
