"""Files that a user shared, on their way into a mail: fetched within the size that mail servers take,
what is beyond becomes a link in the text. Then a mail and its files become one mail.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from adapters.email.compose import Mail
from bridge import media
from bridge.model import Attachment, Message
from bridge.ports import Files, FileUnavailable

MOST_BYTES = 18_000_000  # raw, all files of a mail: base64 makes 25 MB of it, which most servers take
_PIECE = 60  # characters of a name in one header line (RFC 2231 section 3)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file that goes with a mail."""

    name: str  # safe
    media_type: str
    data: bytes


async def gather(files: Files, message: Message, most: int = MOST_BYTES) -> tuple[Message, list[Enclosed]]:
    """What is to be attached to the mail of a message; and the message, with links in its text to what
    is too large for that. Raises FileUnavailable: then nothing shall be sent."""
    enclosed: list[Enclosed] = []
    links: list[str] = []
    room = most
    for number, one in enumerate(message.attachments, 1):
        data = await _read(files, one, room)
        if data is None:
            links.append(await _link(files, one, number))
            continue
        room -= len(data)
        kind = media.media_type(data[:64], one.media_type, one.name)
        enclosed.append(Enclosed(media.safe_name(one.name, kind, f"file-{number}"), _told(kind, data), data))
    if links:
        message = replace(message, body="\n\n".join(filter(None, [message.body.rstrip(), "\n".join(links)])))
    return message, enclosed


async def _read(files: Files, one: Attachment, room: int) -> bytes | None:
    """Its bytes; None if there is no room for them."""
    if one.size > room:
        return None
    try:
        data = await files.read(one)
    except FileUnavailable as error:
        if error.too_large:
            return None
        raise
    return data if len(data) <= room else None


async def _link(files: Files, one: Attachment, number: int) -> str:
    """A line with an address of ours, which lasts; or of the place where the user put it."""
    try:
        url = await files.publish(one)
    except FileUnavailable:
        if not one.source:
            raise
        url = one.source
    size = f" ({one.size / 1_000_000:.0f} MB)" if one.size else ""
    return f"{one.name or f'File {number}'}{size}: {url}"


def _told(kind: str, data: bytes) -> str:
    # A message may not be encoded (RFC 2046 section 5.2.1), and multiparts are none of our making.
    if kind.startswith(("message/", "multipart/")):
        return media.OCTETS
    if kind.startswith("text/"):
        try:
            data.decode()
        except UnicodeDecodeError:
            return kind
        return f"{kind}; charset=utf-8"
    return kind


def attach(mail: Mail, enclosed: Sequence[Enclosed]) -> Mail:
    """The mail as multipart/mixed: what it was, then the files. The same each time it is made: a repeated
    mail must be equal. A text of nothing is left away."""
    if not enclosed:
        return mail
    head, _, body = mail.raw.partition(b"\r\n\r\n")
    own, content = _parted(head)
    boundary = "=_" + re.sub(r"[^A-Za-z0-9]", "", mail.message_id)[:60]
    parts = [content + b"\r\n\r\n" + body] if body.strip() else []
    parts += [_part(one) for one in enclosed]
    start = b'Content-Type: multipart/mixed;\r\n boundary="%s"' % boundary.encode("ascii")
    dashes = b"--" + boundary.encode("ascii")
    whole = b"".join(dashes + b"\r\n" + part + b"\r\n" for part in parts)
    return replace(mail, raw=own + b"\r\n" + start + b"\r\n\r\n" + whole + dashes + b"--\r\n")


def _parted(head: bytes) -> tuple[bytes, bytes]:
    """Header lines of a mail, and those of them that tell of its content (RFC 2045)."""
    own: list[bytes] = []
    content: list[bytes] = []
    for field in re.split(rb"\r\n(?![ \t])", head):
        (content if field[:8].lower() == b"content-" else own).append(field)
    return b"\r\n".join(own), b"\r\n".join(content)


def _part(one: Enclosed) -> bytes:
    lines = [
        f"Content-Type: {one.media_type}",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;" + _file_name(one.name),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii") + base64.encodebytes(one.data).replace(b"\n", b"\r\n")


def _file_name(name: str) -> str:
    """The parameter that names a file; in pieces when it is long or not ASCII (RFC 2231)."""
    if name.isascii() and len(name) <= _PIECE and '"' not in name and "\\" not in name:
        return f'\r\n filename="{name}"'
    encoded = "utf-8''" + quote(name, safe="")
    if len(encoded) <= _PIECE:
        return f"\r\n filename*={encoded}"
    pieces = re.findall(rf"(?:%..|[^%]){{1,{_PIECE // 3}}}", encoded)
    return ";".join(f"\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))
