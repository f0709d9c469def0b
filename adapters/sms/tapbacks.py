"""Reactions as phones write them when all they have is text: `Liked “See you at six”`. Pure.

The words are those of iPhones set to English and French, and of Google's Messages.
"""

import re
from dataclasses import dataclass

_OPEN, _CLOSE = '[“"«„‘]', '[”"»“’]'
_EMOJI = r"[^\w\s\"“”'.,:;!?()/-]{1,12}"

_WORDS = {
    "Liked": "👍", "Loved": "❤️", "Disliked": "👎", "Laughed at": "😂", "Emphasized": "‼️", "Emphasised": "‼️",
    "Questioned": "❓",
    "A aimé": "👍", "A adoré": "❤️", "N'a pas aimé": "👎", "A ri de": "😂", "A mis en évidence": "‼️",
    "A posé une question sur": "❓",
}  # fmt: skip
_REMOVED = {
    "a like": "👍", "a heart": "❤️", "a dislike": "👎", "a laugh": "😂", "an exclamation": "‼️",
    "a question mark": "❓",
}  # fmt: skip
_OUT = {  # without the variation selector
    "👍": "Liked",
    "❤": "Loved",
    "👎": "Disliked",
    "😂": "Laughed at",
    "‼": "Emphasized",
    "❓": "Questioned",
}

_EMOJI_STYLE = "\ufe0f"
_OUT_REMOVED = {emoji.rstrip(_EMOJI_STYLE): word for word, emoji in _REMOVED.items()}

_ADDED = re.compile(
    rf"(?P<word>{'|'.join(map(re.escape, _WORDS))}) {_OPEN}\s?(?P<quoted>.+?)\s?{_CLOSE}", re.DOTALL
)
_TAKEN_BACK = re.compile(
    rf"Removed (?:(?P<word>{'|'.join(map(re.escape, _REMOVED))})|(?P<emoji>{_EMOJI})) from "
    rf"{_OPEN}\s?(?P<quoted>.+?)\s?{_CLOSE}",
    re.DOTALL,
)
_REACTED = re.compile(rf"(?:Reacted )?(?P<emoji>{_EMOJI}) to {_OPEN}\s?(?P<quoted>.+?)\s?{_CLOSE}", re.DOTALL)
_INVISIBLE = re.compile("[\u200a\u200b\u200c\u2060\ufeff]")
_LONGEST = 60  # characters of the quoted text that go out
MOST = 2000


@dataclass(frozen=True, slots=True)
class Tapback:
    """An emoji about a text, of which `quoted` may be the beginning only."""

    emoji: str
    quoted: str
    removed: bool = False


def read(body: str) -> Tapback | None:
    """The reaction that a text stands for, or None for an ordinary text."""
    if len(body) > MOST:
        return None
    text = _INVISIBLE.sub("", body).replace("\u2019a pas", "'a pas").strip()
    if found := _ADDED.fullmatch(text):
        return Tapback(_WORDS[found["word"]], found["quoted"])
    if found := _TAKEN_BACK.fullmatch(text):
        return Tapback(found["emoji"] or _REMOVED[found["word"]], found["quoted"], removed=True)
    if found := _REACTED.fullmatch(text):
        return Tapback(found["emoji"], found["quoted"])
    return None


def write(emoji: str, about: str, *, removed: bool = False) -> str:
    """A reaction, or that it is taken back, as an iPhone would text it; `about` is the text it answers."""
    quoted = " ".join(about.split())
    if len(quoted) > _LONGEST:
        quoted = quoted[: _LONGEST - 1].rstrip() + "…"
    if removed:
        return f"Removed {_OUT_REMOVED.get(emoji.rstrip(_EMOJI_STYLE), emoji)} from “{quoted}”"
    word = _OUT.get(emoji.rstrip(_EMOJI_STYLE))
    if word:
        return f"{word} “{quoted}”"
    return f"Reacted {emoji} to “{quoted}”"
