"""Sentences for people, kept translatable until somebody reads them. By gettext; English is the source.

`tr` and `trn` mark a sentence where it is written. What they give is the English text, so every layer
may treat it as a string; who knows the reader's language calls `translate` and gets theirs.
"""

from collections.abc import Callable
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from bridge.po import compile_po

SOURCE = "en"
_FOLDER = Path(__file__).with_name("locale")
_DOMAIN = "passerelle"


class Phrase(str):
    """A sentence in English that still knows what it was made of, also on its way between processes."""

    __slots__ = ("many", "number", "source", "values")

    source: str
    values: dict[str, Any]
    many: str
    number: int

    def __str__(self) -> str:
        return self  # so that it outlives `str(error)` around it

    def __reduce__(self) -> tuple[Callable[..., "Phrase"], tuple[Any, ...]]:
        return _phrase, (self.source, self.many, self.number, self.values)


def tr(source: str, /, **values: Any) -> Phrase:
    """A sentence with `{places}` for values; those may be phrases themselves."""
    return _phrase(source, "", 1, values)


def trn(one: str, many: str, number: int, /, **values: Any) -> Phrase:
    """A sentence about a number of things, which is `{number}` in it."""
    return _phrase(one, many, number, {**values, "number": number})


def filled(sentence: str, /, **values: Any) -> Phrase:
    """A sentence of a table, by `tr`, whose places were left open until now."""
    source = sentence.source if isinstance(sentence, Phrase) else sentence
    return _phrase(source, "", 1, values)


def joined(*parts: str) -> str:
    """Texts one after the other, of which those that are phrases are translated and the others are not."""
    if not any(isinstance(part, Phrase) for part in parts):
        return "".join(parts)
    values = {f"part{number}": part for number, part in enumerate(parts)}
    return _phrase("".join(f"{{{name}}}" for name in values), "", 1, values)


def _phrase(source: str, many: str, number: int, values: dict[str, Any]) -> Phrase:
    template = many if many and number != 1 else source
    phrase = Phrase(template.format(**values) if values else template)
    phrase.source, phrase.many, phrase.number, phrase.values = source, many, number, values
    return phrase


def translate(text: str, language: str) -> str:
    """The text for a reader of this language. What was written by people stays as it is; a sentence that
    went through the record as plain text is found again if it had no values in it."""
    if not text:
        return ""
    catalog = _catalog(language)
    if not isinstance(text, Phrase):
        return catalog.gettext(text)
    template = (
        catalog.ngettext(text.source, text.many, text.number) if text.many else catalog.gettext(text.source)
    )
    values = {
        name: translate(value, language) if isinstance(value, Phrase) else value
        for name, value in text.values.items()
    }
    return template.format(**values) if values else template


@cache
def languages() -> tuple[str, ...]:
    """What we speak, as language tags of two letters."""
    found = (folder.name for folder in _FOLDER.iterdir() if (folder / "LC_MESSAGES").is_dir())
    return (SOURCE, *sorted(found))


def known(tag: str) -> str:
    """Which of our languages a tag such as `de-AT` (RFC 5646) asks for; empty if none."""
    wanted = tag.replace("_", "-").partition("-")[0].lower()
    return wanted if wanted in languages() else ""


@cache
def _catalog(language: str) -> NullTranslations:
    name = known(language)
    if name in ("", SOURCE):
        return NullTranslations()
    text = (_FOLDER / name / "LC_MESSAGES" / f"{_DOMAIN}.po").read_text(encoding="utf-8")
    return GNUTranslations(BytesIO(compile_po(text)))


class Languages:
    """Which language each person reads: their choice, else that of their last typed command, else what
    their client says, else the gateway's. A memory of what the record knows; bounded for strangers."""

    _MOST_STRANGERS = 1_000

    def __init__(self, default: str = SOURCE) -> None:
        self.default = known(default) or SOURCE
        self._people: dict[str, str] = {}
        self._strangers: dict[str, str] = {}

    def of(self, jid: str, hint: str = "") -> str:
        """For a bare JID; `hint` is the stanza's xml:lang."""
        return self._people.get(jid) or self._strangers.get(jid) or known(hint) or self.default

    def learn(self, jid: str, language: str) -> None:
        """What the record says of somebody registered."""
        self._strangers.pop(jid, None)
        if known(language):
            self._people[jid] = known(language)

    def heard(self, jid: str, language: str) -> None:
        """What somebody who is not registered (yet) typed in."""
        if len(self._strangers) >= self._MOST_STRANGERS:
            self._strangers.clear()
        self._strangers[jid] = language

    def forget(self, jid: str) -> None:
        self._people.pop(jid, None)
