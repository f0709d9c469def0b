"""The parts of a mail as they go out (RFC 2045, RFC 2046): texts, and parts put together.

Always 7bit on the wire: a hop without 8BITMIME would have to re-encode what is not, and break signatures.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_LINE = 998  # octets, RFC 5322 section 2.1.1
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header fields, Content-Type first, and its octets as they are on the wire."""

    fields: tuple[str, ...]  # ASCII, folded, without a line break at the end
    body: bytes  # lines end with CRLF


def text(body: str, content_type: str = "text/plain; charset=utf-8", disposition: str = "") -> Part:
    """A text. It stays as it is but for control characters; long lines are the reader's to wrap."""
    encoding, octets = _encoded(body)
    fields = (f"Content-Type: {content_type}", f"Content-Transfer-Encoding: {encoding}")
    return Part((*fields, f"Content-Disposition: {disposition}") if disposition else fields, octets)


def together(kind: str, parts: Sequence[Part]) -> Part:
    """Parts as one `multipart/KIND`. The boundary is made from their content: the same mail is the same
    octets at each attempt."""
    content = hashlib.sha256(b"\0".join(part.body for part in parts)).hexdigest()[:40]
    # No line of quoted-printable or base64 holds "=_".
    boundary = f"=_{content}"
    pieces: list[bytes] = []
    for part in parts:
        pieces += [f"--{boundary}\r\n".encode(), "\r\n".join((*part.fields, "", "")).encode(), part.body]
        pieces.append(b"" if part.body.endswith(b"\r\n") else b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return Part((f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"',), b"".join(pieces))


def plain_lines(body: str) -> str:
    """A text with `\\n` between lines and no control characters but tabs; ends with one line break."""
    clean = _CONTROL.sub("", body.replace("\r\n", "\n").replace("\r", "\n"))
    return clean if clean.endswith("\n") else clean + "\n"


def _encoded(body: str) -> tuple[str, bytes]:
    """Content-Transfer-Encoding and octets. Base64 only for scripts that quoted-printable triples."""
    lines = plain_lines(body).replace("\n", "\r\n")
    raw = lines.encode()
    if lines.isascii() and not _has_long_line(raw):
        return "7bit", raw
    if len(raw) - len(lines) > len(lines) // 4:
        return "base64", base64_lines(raw)
    return "quoted-printable", binascii.b2a_qp(raw, istext=True)


def base64_lines(raw: bytes) -> bytes:
    """Octets as base64, 76 characters a line."""
    return base64.encodebytes(raw).replace(b"\n", b"\r\n")


def _has_long_line(raw: bytes) -> bool:
    return len(raw) > _LONGEST_LINE and any(len(line) > _LONGEST_LINE for line in raw.split(b"\r\n"))
