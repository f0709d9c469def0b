"""Unpacks winmail.dat, the envelope of Microsoft's own (MS-OXTNEF): its files, and its text if it has one.

The library for it believes counts that the file claims, and counts to four thousand millions; this reads
on only while there is something to read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_SIGNATURE = 0x223E9F78
_OBJECTS = 5000
_PROPERTIES = 1000
_FILES = 50
_DEPTH = 2

_ATTACHMENT_BEGINS, _ATTACHMENT_TITLE, _ATTACHMENT_DATA, _ATTACHMENT_PROPERTIES = (
    0x9002,
    0x8010,
    0x800F,
    0x9005,
)
_MESSAGE_PROPERTIES, _BODY, _CODEPAGE = 0x9003, 0x800C, 0x9007
_P_BODY, _P_HTML, _P_DATA, _P_NAME, _P_LONG_NAME = 0x1000, 0x1013, 0x3701, 0x3704, 0x3707
_MESSAGE_INSIDE = bytes.fromhex("0703020000000000c000000000000046")

_SIZES = {2: 4, 3: 4, 4: 4, 0xA: 4, 0xB: 4, 5: 8, 6: 8, 7: 8, 0x14: 8, 0x40: 8, 0x48: 16}
_LONG = (0x0D, 0x1E, 0x1F, 0x102)
_UNICODE = 0x1F


class Unreadable(ValueError):
    """It is no TNEF, or broken from the start."""


@dataclass(slots=True)
class Contents:
    """What was in it."""

    text: str = ""
    html: bytes = b""
    files: list[tuple[str, bytes]] = field(default_factory=list)


def unpack(data: bytes, depth: int = 0) -> Contents:
    """Raises Unreadable. What is broken further down is left out."""
    if len(data) < 6 or struct.unpack_from("<I", data)[0] != _SIGNATURE:
        raise Unreadable("no TNEF signature")
    found = Contents()
    codepage = "cp1252"
    name, content = "", b""
    for kind, body in _objects(memoryview(data)):
        if kind == _ATTACHMENT_BEGINS:
            _keep(found, name, content, depth)
            name, content = "", b""
        elif kind == _ATTACHMENT_TITLE:
            name = name or _text(bytes(body), codepage)
        elif kind == _ATTACHMENT_DATA:
            content = bytes(body)
        elif kind == _ATTACHMENT_PROPERTIES:
            own = _properties(body, codepage)
            name = str(own.get(_P_LONG_NAME) or name or own.get(_P_NAME) or "")
            inner = own.get(_P_DATA, b"")
            content = content or (inner if isinstance(inner, bytes) else b"")
        elif kind == _MESSAGE_PROPERTIES:
            _take_text(found, _properties(body, codepage))
        elif kind == _BODY:
            found.text = found.text or _text(bytes(body), codepage)
        elif kind == _CODEPAGE and len(body) >= 4:
            codepage = f"cp{struct.unpack_from('<I', body)[0]}"
    _keep(found, name, content, depth)
    return found


def _keep(found: Contents, name: str, content: bytes, depth: int) -> None:
    if content.startswith(_MESSAGE_INSIDE) and depth < _DEPTH:
        try:
            inner = unpack(content[len(_MESSAGE_INSIDE) :], depth + 1)
        except Unreadable:
            return
        found.files += inner.files[: _FILES - len(found.files)]
        found.text = "\n\n".join(text for text in (found.text, inner.text) if text)
    elif content and len(found.files) < _FILES:
        found.files.append((name, content))


def _take_text(found: Contents, properties: dict[int, str | bytes]) -> None:
    text, html = properties.get(_P_BODY), properties.get(_P_HTML)
    if isinstance(text, str) and text:
        found.text = text
    if html:
        found.html = html if isinstance(html, bytes) else html.encode()


def _objects(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Attribute ids and contents: level, id, type, length, content, checksum."""
    place = 6
    for _ in range(_OBJECTS):
        if place + 11 > len(data):
            return
        kind, size = struct.unpack_from("<HxxI", data, place + 1)
        yield kind, data[place + 9 : place + 9 + size]
        place += 11 + size


def _properties(data: memoryview, codepage: str) -> dict[int, str | bytes]:
    """MAPI properties that are texts or octets, by id; what follows something broken is left out."""
    found: dict[int, str | bytes] = {}
    try:
        (count,) = struct.unpack_from("<I", data)
        place = 4
        for _ in range(min(count, _PROPERTIES)):
            kind, name = struct.unpack_from("<HH", data, place)
            place += 4
            if name >= 0x8000:
                place = _after_name(data, place)
            several, kind = kind & 0x1000, kind & 0xEFFF
            place, values = _values(data, place, kind, bool(several))
            if values and kind in _LONG:
                octets = bytes(values[0])
                text = octets.decode("utf-16-le", "replace") if kind == _UNICODE else _text(octets, codepage)
                found[name] = text.rstrip("\0") if kind in (0x1E, _UNICODE) else octets
    except struct.error:
        pass
    return found


def _after_name(data: memoryview, place: int) -> int:
    """Past the name that a property of its own kind has: a GUID, and a number or a text."""
    by_text, size = struct.unpack_from("<II", data, place + 16)
    return place + 24 + (_padded(size) if by_text else 0)


def _values(data: memoryview, place: int, kind: int, several: bool) -> tuple[int, list[memoryview]]:
    """Where the next property begins, and the first value of this one."""
    if kind not in _LONG:
        if kind not in _SIZES:
            raise struct.error("a property of an unknown type")
        count = 1
        if several:
            (count,) = struct.unpack_from("<I", data, place)
            place += 4
        return place + count * _SIZES[kind], []
    (count,) = struct.unpack_from("<I", data, place)
    place += 4
    values: list[memoryview] = []
    for _ in range(min(count, _PROPERTIES)):
        (size,) = struct.unpack_from("<I", data, place)
        values.append(data[place + 4 : place + 4 + size])
        place += 4 + _padded(size)
        if place > len(data):
            break
    return place, values


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _text(octets: bytes, codepage: str) -> str:
    try:
        return octets.rstrip(b"\0").decode(codepage, "replace")
    except LookupError:
        return octets.rstrip(b"\0").decode("cp1252", "replace")
