"""A mail taken apart: which of its parts hold what its sender wrote.

Two ways in, one tree out. `open_bytes` splits raw mail itself, to a bounded depth and in linear
time, because the standard parser recurses on nested messages and asks every open boundary about
every line. `open_message` takes what the standard parser made. Texts stay bytes; charsets and
quotes are read elsewhere.
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser

from adapters.email.reading import charset

MAX_DEPTH = 12
MAX_PARTS = 200
_HEAD_LIMIT = 64 * 1024  # of one that does not end
_LARGEST_HEAD = 256 * 1024  # some 5,000 recipients
_VALUE_LIMIT = 2000  # the standard library's parameter parsing is quadratic
_CANDIDATES = 4000  # boundary look-alikes examined in one part

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))

_READ = frozenset(
    {
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
        "content-id",
        "subject",
        "from",
        "date",
        "in-reply-to",
        "references",
    }
)

_heads = BytesParser(policy=policy.compat32)


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `body` is still in its transfer encoding; a multipart or message has `children`."""

    head: Message
    kind: str  # "text/plain"
    body: bytes
    children: tuple["Part", ...] = ()

    def parameter(self, name: str) -> str | None:
        """A parameter of Content-Type, or None."""
        value = self.head.get_param(name)
        if isinstance(value, tuple):  # RFC 2231: charset, language, text
            value = value[2]
        return value if isinstance(value, str) else None

    @property
    def attached(self) -> bool:
        """Whether the sender meant it as a file rather than as text to read."""
        disposition = str(self.head.get("content-disposition", "")).strip().lower()
        if disposition.startswith("attachment"):
            return True
        return not disposition.startswith("inline") and self.parameter("name") is not None

    def content(self, limit: int) -> bytes:
        """The body out of its transfer encoding (RFC 2045 section 6), about `limit` bytes of it."""
        encoding = str(self.head.get("content-transfer-encoding", "")).strip().lower()
        if encoding == "base64":
            return _from_base64(self.body[: limit * 3 // 2])[:limit]
        if encoding == "quoted-printable":
            return binascii.a2b_qp(_whole_escapes(self.body[: limit * 3]))[:limit]
        return self.body[:limit]


@dataclass(frozen=True, slots=True)
class Body:
    """What a reader would be shown, as alternatives of one text: the plain and the HTML part."""

    plain: Part | None = None
    html: Part | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A mail carried inside as message/rfc822."""

    mail: Part


def open_bytes(raw: bytes) -> Part:
    """The tree of a raw mail. Never raises; what is nested too deep stays an unread leaf."""
    return _open(raw, 0, [MAX_PARTS])


def open_message(message: Message) -> Part:
    """The same tree of a mail that the standard parser (compat32) has read."""
    return _adopt(message, 0, [MAX_PARTS])


def bodies(root: Part) -> Iterator[Body | Forwarded]:
    """What is to be read, in order: texts, and mails forwarded as parts. Files are left out."""
    yield from _bodies(root, top=True)


def header(part: Part, name: str) -> str:
    """A header for people: encoded words decoded (RFC 2047), one line, bounded. "" if absent."""
    value = next((str(value) for key, value in part.head.raw_items() if key == name.lower()), "")
    try:
        pieces = decode_header(value) if "=?" in value else [(value, None)]
    except (HeaderParseError, ValueError, LookupError):
        pieces = [(value, None)]
    text = "".join(
        piece if isinstance(piece, str) else charset.to_text(piece, encoding) for piece, encoding in pieces
    )
    raw_bytes = text.encode("utf-8", "surrogateescape")
    return " ".join(charset.to_text(raw_bytes, "utf-8").split())


def _open(raw: bytes, depth: int, budget: list[int]) -> Part:
    head, body = _split_head(raw)
    kind = head.get_content_type()
    if depth >= MAX_DEPTH or budget[0] <= 0:
        return Part(head, kind if kind.startswith("text/") else "application/octet-stream", body)
    children: list[Part] = []
    if kind.startswith("multipart/"):
        pieces = _split_multipart(body, head)
        if not pieces:
            return Part(head, "text/plain", body)
        for piece in pieces:
            budget[0] -= 1
            children.append(_open(piece, depth + 1, budget))
    elif kind == "message/rfc822":
        budget[0] -= 1
        encoded = Part(head, kind, body).content(len(body)) if body else body
        children.append(_open(encoded, depth + 1, budget))
    return Part(head, kind, body, tuple(children))


def _split_head(raw: bytes) -> tuple[Message, bytes]:
    if raw[:1] == b"\n" or raw[:2] == b"\r\n":
        return Message(), raw[1:] if raw[:1] == b"\n" else raw[2:]
    region = raw[:_LARGEST_HEAD]
    ends = [(place, len(gap)) for gap in (b"\r\n\r\n", b"\n\n") if (place := region.find(gap)) >= 0]
    place, width = min(ends, default=(min(len(region), _HEAD_LIMIT), 0))
    parsed = _heads.parsebytes(region[:place], headersonly=True)
    left = parsed.get_payload()  # lines that are no headers: text begins here
    body = raw[place + width :]
    if isinstance(left, str) and left:
        body = left.encode("utf-8", "surrogateescape") + b"\n\n" + body
    return _bounded(parsed), body


def _bounded(parsed: Message) -> Message:
    """The headers that matter for reading, the first of each, cut to a length that is cheap to parse."""
    first: dict[str, str] = {}
    for name, value in parsed.raw_items():  # raw: [] would turn 8-bit bytes into question marks
        if name.lower() in _READ and name.lower() not in first:
            first[name.lower()] = str(value)[:_VALUE_LIMIT].replace("\r", "").replace("\n", "")
    head = Message()
    for name, value in first.items():
        head[name] = value
    return head


def _split_multipart(body: bytes, head: Message) -> list[bytes]:
    """The parts between the boundary lines (RFC 2046 section 5.1). [] if there is no such line."""
    boundary = head.get_boundary()
    if not boundary:
        return []
    mark = b"--" + boundary.rstrip().encode("utf-8", "surrogateescape")
    pieces: list[bytes] = []
    start = -1
    place = body.find(mark)
    for _ in range(_CANDIDATES):
        if place < 0:
            break
        after = body[place + len(mark) : place + len(mark) + 200].split(b"\n", 1)[0].strip()
        if (place == 0 or body[place - 1 : place] == b"\n") and after in (b"", b"--"):
            if start >= 0:
                pieces.append(body[start:place].removesuffix(b"\n").removesuffix(b"\r"))
            line_end = body.find(b"\n", place)
            start = line_end + 1 if line_end >= 0 else len(body)
            if after == b"--" or len(pieces) >= MAX_PARTS:
                return pieces
        place = body.find(mark, place + len(mark))
    if start >= 0:
        pieces.append(body[start:])  # cut short on its way
    return pieces


def _adopt(message: Message, depth: int, budget: list[int]) -> Part:
    head = _bounded(message)
    kind = head.get_content_type()
    if message.is_multipart():
        inner = message.get_payload()
        children: list[Part] = []
        for child in inner[:MAX_PARTS] if isinstance(inner, list) and depth < MAX_DEPTH else ():
            if budget[0] > 0 and isinstance(child, Message):
                budget[0] -= 1
                children.append(_adopt(child, depth + 1, budget))
        return Part(head, kind, b"", tuple(children))
    if kind.startswith("multipart/"):
        kind = "text/plain"  # no boundary was found: it is one text
    del head["content-transfer-encoding"]
    return Part(head, kind, _decoded(message))


def _decoded(message: Message) -> bytes:
    """A leaf's bytes out of their transfer encoding.

    Never without `decode`: get_payload then applies the declared charset, loses bytes by it, and
    raises for charsets that are no names (TypeError, ValueError).
    """
    try:
        payload = message.get_payload(decode=True)
    except (LookupError, ValueError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _bodies(part: Part, *, top: bool = False) -> Iterator[Body | Forwarded]:
    if part.kind == "message/rfc822":
        if part.children:
            yield Forwarded(part.children[0])
    elif part.kind == "multipart/alternative":
        yield from _alternatives(part)
    elif part.kind in ("multipart/related", "multipart/report") and part.children:
        # The rest is pictures, or for machines and the mail that bounced.
        yield from _bodies(part.children[0])
    elif part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _bodies(child)
    elif part.attached and not top:
        return
    elif part.kind == "text/plain":
        yield Body(plain=part)
    elif part.kind == "text/html":
        yield Body(html=part)
    elif top and part.kind.startswith("text/") and part.kind != "text/calendar":
        yield Body(plain=part)  # whatever it is; but a bare invitation is for programs


def _alternatives(part: Part) -> Iterator[Body | Forwarded]:
    """One text in several forms: the first plain and the first HTML one, however deep they are."""
    found = [body for child in part.children for body in _bodies(child)]
    texts = [body for body in found if isinstance(body, Body)]
    plain = next((body.plain for body in texts if body.plain is not None), None)
    html = next((body.html for body in texts if body.html is not None), None)
    if plain is not None or html is not None:
        yield Body(plain, html)
    yield from (body for body in found if isinstance(body, Forwarded))


def _from_base64(body: bytes) -> bytes:
    letters = body.translate(None, _NOT_BASE64).partition(b"=")[0]
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return body


def _whole_escapes(body: bytes) -> bytes:
    """Not cut within =XX."""
    place = body.rfind(b"=", max(0, len(body) - 2))
    return body if place < 0 or body[place + 1 : place + 2] in (b"\n", b"\r", b"") else body[:place]
