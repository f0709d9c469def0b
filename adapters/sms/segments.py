"""How long a text is for carriers, and where a longer one may be cut. Pure.

GSM 03.38 packs 7-bit characters, 160 in a lone segment and 153 in each of several; anything outside
its alphabet sends the whole text as UCS-2, 70 and 67 UTF-16 units.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LONGEST_PART = 1600  # UTF-16 units that Twilio takes in one message

_GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")  # an escape goes before each: two septets
_PLAINLY_GSM = re.compile(f"[{re.escape(''.join(sorted(_GSM_BASIC)))}]*")  # most texts are: a septet each

_ZWJ = "\u200d"
_WORD_SEARCH = 200  # UTF-16 units before a cut in which a gap between words is looked for


class Encoding(StrEnum):
    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class Length:
    """A text's length: `units` are septets or UTF-16 units, `segments` what the carrier bills."""

    encoding: Encoding
    units: int
    segments: int


def measure(text: str) -> Length:
    """The encoding, units and segments of a text."""
    if _PLAINLY_GSM.fullmatch(text):
        return Length(Encoding.GSM7, len(text), 1 if len(text) <= 160 else -(-len(text) // 153))
    gsm = all(char in _GSM_BASIC or char in _GSM_EXTENSION for char in text)
    widths = [_septets(char) if gsm else _utf16_units(char) for char in text]
    encoding, alone, chained = (Encoding.GSM7, 160, 153) if gsm else (Encoding.UCS2, 70, 67)
    total = sum(widths)
    return Length(encoding, total, 1 if total <= alone else _packed(widths, chained))


# What phones and word processors put in place of plain signs, and what it may go as.
_PLAIN = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"',
        "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "…": "...", "•": "-", "\u00a0": " ", "\u202f": " ",
        "\u2009": " ", "\u200b": "", "\u2060": "", "\ufeff": "", "\t": " ", "´": "'", "`": "'",
    }
)  # fmt: skip


def simplified(text: str) -> str:
    """With plain quotes, dashes and spaces in place of typographic ones."""
    return text.translate(_PLAIN)


def smart(text: str) -> str:
    """The simplified text where that spares it UCS-2, else the text as it is."""
    if _PLAINLY_GSM.fullmatch(text):
        return text
    plain = simplified(text)
    return plain if measure(plain).encoding is Encoding.GSM7 else text


def _packed(widths: list[int], room: int) -> int:
    """Segments needed when no character is cut: an escape or a surrogate stays with its other half."""
    segments, used = 1, 0
    for width in widths:
        if used + width > room:
            segments, used = segments + 1, 0
        used += width
    return segments


def _septets(char: str) -> int:
    return 2 if char in _GSM_EXTENSION else 1


def _utf16_units(char: str) -> int:
    return 2 if ord(char) > 0xFFFF else 1


def parts(text: str, longest: int = LONGEST_PART) -> list[str]:
    """The text in pieces of at most `longest` UTF-16 units that join to the same text.

    Cut between words where a gap is near, else between graphemes; only a grapheme longer than a
    whole part is cut inside, and then between code points. An empty text is one empty part.
    """
    if _width(text) <= longest:
        return [text]
    done: list[str] = []
    current: list[str] = []
    used = 0
    for piece in _pieces(text, longest):
        width = _width(piece)
        if used + width > longest:
            kept, current = _at_a_gap(current, min(_WORD_SEARCH, longest - width))
            done.append("".join(kept))
            used = sum(map(_width, current))
        current.append(piece)
        used += width
    return [*done, "".join(current)]


def _pieces(text: str, longest: int) -> Iterator[str]:
    for grapheme in graphemes(text):
        if _width(grapheme) <= longest:
            yield grapheme
        else:
            yield from grapheme


def _width(piece: str) -> int:
    return len(piece) if piece.isascii() else sum(map(_utf16_units, piece))


def _at_a_gap(pieces: list[str], reach: int) -> tuple[list[str], list[str]]:
    """What stays in a full part, and what (at most `reach` units of it) moves on to the next."""
    moved = 0
    for cut in range(len(pieces), 0, -1):
        if pieces[cut - 1].isspace():
            return pieces[:cut], pieces[cut:]
        moved += _width(pieces[cut - 1])
        if moved > reach:
            break
    return pieces, []


def graphemes(text: str) -> Iterator[str]:
    """What a reader sees as one character: a base with its marks, emoji sequences, flags.

    A short form of UAX 29's extended clusters: enough never to cut what would look broken.
    """
    start = 0
    flags = 0  # regional indicators in the current cluster
    for index, char in enumerate(text):
        before = text[index - 1] if index else ""
        if index and not _joins(before, char, flags):
            yield text[start:index]
            start, flags = index, 0
        flags += _is_flag_half(char)
    if text:
        yield text[start:]


def _joins(before: str, char: str, flags: int) -> bool:
    if before == "\r" and char == "\n":
        return True
    if _is_flag_half(before) and _is_flag_half(char):
        return flags % 2 == 1
    if before == _ZWJ and ord(char) > 0xFF:
        return True
    return _extends(char) and not before.isspace()


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _extends(char: str) -> bool:
    return (
        char in ("\u200c", _ZWJ)
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # tags: the flags of Scotland, Wales
        or "\u1160" <= char <= "\u11ff"  # Hangul vowels and finals, written apart
        or unicodedata.category(char) in ("Mn", "Me", "Mc")  # accents, variation selectors
    )
