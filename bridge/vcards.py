"""Reads vCards as address books and phones write them: names, addresses, numbers, a note, a picture. Pure.

Versions 2.1 (versit), 3.0 (RFC 2426) and 4.0 (RFC 6350), mixed in one file. Bounded in size and number, and
linear in time: files come from people and from mails. What a line means that is not understood is left out.
"""

import binascii
import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MOST_BYTES = 20_000_000  # of a file
MOST_CARDS = 5_000
MOST_PHOTO = 1_000_000  # bytes of a picture; larger ones are left out
_MOST_OF_A_KIND = 10  # addresses or numbers of one person
_LONGEST = 200  # characters of a name or an address
_LONGEST_NOTE = 2_000

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)?(?P<name>[A-Za-z0-9-]+)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_DATA = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)
# Kinds of numbers that take no texts.
_MUTE = frozenset({"FAX", "PAGER", "MODEM", "BBS", "TEXTPHONE"})
_QUOTED_PRINTABLE = "QUOTED-PRINTABLE"


@dataclass(frozen=True, slots=True)
class Card:
    """One person, as far as a gateway can use it. What is preferred comes first."""

    name: str
    emails: tuple[str, ...] = ()  # as they are spelled
    phones: tuple[str, ...] = ()  # as they are spelled; those that can take texts
    note: str = ""
    photo: bytes = field(default=b"", repr=False)  # the picture file, not looked at yet


@dataclass(frozen=True, slots=True)
class Book:
    """What a file holds."""

    cards: tuple[Card, ...]
    left_out: int = 0  # cards beyond MOST_CARDS


@dataclass(frozen=True, slots=True)
class _Line:
    name: str  # in capitals
    parameters: dict[str, tuple[str, ...]]  # names and values in capitals
    charset: str
    value: str


def read(data: bytes) -> Book:
    """All cards of a file, in order; empty if it holds none. Never raises."""
    lines = _logical(_LINE_BREAK.split(_decoded(data[:MOST_BYTES])))
    cards: list[Card] = []
    left_out = 0
    for properties in _cards(lines):
        if len(cards) >= MOST_CARDS:
            left_out += 1
        elif (card := _card(properties)) is not None:
            cards.append(card)
    return Book(tuple(cards), left_out)


def _decoded(data: bytes) -> str:
    for mark, charset in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(charset, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


# --- lines ---


def _logical(physical: Iterable[str]) -> Iterator[str]:
    """Folded lines as one (RFC 6350 section 3.2), and those that quoted-printable has broken."""
    parts: list[str] = []
    soft = False  # the line goes on after a soft break, which 2.1 does not indent
    for line in physical:
        if soft:
            parts[-1] = parts[-1][:-1]
            parts.append(line)
        elif parts and line[:1] in (" ", "\t"):
            parts.append(line[1:])
        else:
            if parts:
                yield "".join(parts)
            parts = [line]
        soft = line.endswith("=") and _QUOTED_PRINTABLE in parts[0][:200].upper()
    if parts:
        yield "".join(parts)


def _cards(lines: Iterable[str]) -> Iterator[list[_Line]]:
    """The properties of each card. A card inside another (2.1's AGENT) is somebody else: left out."""
    depth = 0
    properties: list[_Line] = []
    for text in lines:
        line = _property(text)
        if line is None:
            continue
        is_mark = line.value.strip().upper() == "VCARD"
        if line.name == "BEGIN" and is_mark:
            depth += 1
            if depth == 1:
                properties = []
        elif line.name == "END" and is_mark:
            if depth == 1:
                yield properties
            depth = max(depth - 1, 0)
        elif depth == 1:
            properties.append(line)


def _property(text: str) -> _Line | None:
    head, value = _split_head(text)
    name = _NAME.match(head)
    if name is None or value is None:
        return None
    parameters: dict[str, tuple[str, ...]] = {}
    charset = ""
    for parameter in _unquoted_split(head[name.end() :].lstrip(";")):
        key, is_named, said = parameter.partition("=")
        if not is_named:
            key, said = "TYPE", parameter  # 2.1 writes TEL;CELL
        key = key.strip().upper()
        if key == "CHARSET":
            charset = said.strip('" ')
        values = tuple(one.strip('" ') for one in said.upper().split(","))
        parameters[key] = parameters.get(key, ()) + values
    return _Line(name["name"].upper(), parameters, charset, value)


def _split_head(text: str) -> tuple[str, str | None]:
    """What stands before the first colon outside quotes, and the value."""
    head, colon, value = text.partition(":")
    if '"' not in head:
        return head, value if colon else None
    quoted = False
    for place, character in enumerate(text[:2_000]):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            return text[:place], text[place + 1 :]
    return text, None


def _unquoted_split(text: str) -> list[str]:
    """Parameters, at semicolons outside quotes."""
    found = [""]
    quoted = False
    for character in text[:2_000]:
        if character == ";" and not quoted:
            found.append("")
            continue
        quoted ^= character == '"'
        found[-1] += character
    return [one for one in found if one]


# --- values ---


def _card(properties: list[_Line]) -> Card | None:
    """None for what is nobody: a group, or a card that leads nowhere."""
    by_name: dict[str, list[_Line]] = {}
    for line in properties:
        by_name.setdefault(line.name, []).append(line)
    kinds = by_name.get("KIND", []) + by_name.get("X-ADDRESSBOOKSERVER-KIND", [])
    if any(one.value.strip().casefold() == "group" for one in kinds):
        return None
    emails = _preferred(by_name.get("EMAIL", []), "mailto:")
    phones = _preferred([one for one in by_name.get("TEL", []) if not _is_mute(one)], "tel:")
    note = "\n".join(_text(one) for one in by_name.get("NOTE", []))[:_LONGEST_NOTE].strip()
    photo = next(filter(None, map(_picture, by_name.get("PHOTO", []))), b"")
    if not emails and not phones:
        return None
    return Card(_full_name(by_name), emails, phones, note, photo)


def _full_name(by_name: dict[str, list[_Line]]) -> str:
    for name in ("FN", "N", "NICKNAME", "ORG"):
        for line in by_name.get(name, []):
            if name == "N":
                family, given, *_ = (*_components(line), "", "")
                text = f"{given} {family}"
            elif name == "ORG":
                text = _components(line)[0]
            else:
                text = _text(line)
            if one_line := " ".join(text.split()):
                return one_line[:_LONGEST]
    return ""


def _preferred(lines: list[_Line], scheme: str) -> tuple[str, ...]:
    """Their values, each once, the preferred first."""
    values: dict[str, None] = {}
    for line in sorted(lines, key=_rank):
        value = _text(line).strip()
        if value[: len(scheme)].lower() == scheme:
            value = value[len(scheme) :].partition(";")[0].partition("?")[0]
        if value and len(value) <= _LONGEST and "\n" not in value:
            values[value] = None
    return tuple(values)[:_MOST_OF_A_KIND]


def _rank(line: _Line) -> int:
    """1 is preferred most (RFC 6350 section 5.3); older versions only say that one is."""
    given = line.parameters.get("PREF", ("",))[0]
    if given.isdecimal() and given.isascii():
        return int(given[:3])
    return 1 if "PREF" in line.parameters.get("TYPE", ()) else 101


def _is_mute(line: _Line) -> bool:
    kinds = set(line.parameters.get("TYPE", ()))
    return bool(kinds & _MUTE) and not kinds & {"CELL", "TEXT", "MSG"}


def _text(line: _Line) -> str:
    return _unescaped(_transferred(line))


def _transferred(line: _Line) -> str:
    """The value without quoted-printable (2.1), in the charset that the line names."""
    encodings = line.parameters.get("ENCODING", ()) + line.parameters.get("TYPE", ())
    if _QUOTED_PRINTABLE not in encodings:
        return line.value
    raw = quopri.decodestring(line.value.encode("latin-1", "replace"))
    for charset in (line.charset, "utf-8"):
        try:
            return raw.decode(charset or "utf-8")
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return raw.decode("latin-1")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)


def _components(line: _Line) -> list[str]:
    """Values between semicolons that are not escaped."""
    parts = re.split(r"(?<!\\);", _transferred(line)[:2_000])
    return [_unescaped(one).strip() for one in parts]


def _picture(line: _Line) -> bytes:
    """An embedded picture; empty for one that lies elsewhere: nothing is fetched because a card says so."""
    value = line.value.strip()
    embedded = _DATA.match(value)
    encodings = line.parameters.get("ENCODING", ()) + line.parameters.get("TYPE", ())
    if embedded is not None:
        value = value[embedded.end() :]
    elif not {"B", "BASE64"} & set(encodings):
        return b""
    if len(value) > MOST_PHOTO * 4 // 3 + 4:
        return b""
    try:
        return binascii.a2b_base64("".join(value.split()))
    except (binascii.Error, ValueError):
        return b""
