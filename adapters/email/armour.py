"""Text that is encrypted in place (RFC 9580 section 6): for a program with the key, not for a chat."""

import re

from adapters.email.reading import mime
from bridge.model import File

_BEGIN = "-----BEGIN PGP MESSAGE-----"
_END = "-----END PGP MESSAGE-----"
_SHOWN = re.compile(rf"^{_BEGIN}.*?(?:^{_END}|\Z)", re.DOTALL | re.MULTILINE)
_NAME = "encrypted.asc"
_LIMIT = 10_000_000  # octets of a part that are looked through


def is_in(text: str) -> bool:
    """Whether a text holds an encrypted block, at the beginning of a line."""
    return _SHOWN.search(text) is not None


def taken_out(root: mime.Part, text: str) -> tuple[str, tuple[File, ...]]:
    """The text of a mail without its encrypted blocks, and those as a file."""
    if not is_in(text):
        return text, ()
    blocks = b"".join(
        block
        for body in mime.bodies(root)
        if isinstance(body, mime.Body) and body.plain is not None
        for block in _blocks(body.plain.content(_LIMIT))
    )
    if not blocks:
        return text, ()  # not as plain text: left as its writer sent it
    return _SHOWN.sub("", text).strip("\n "), (File(_NAME, "application/octet-stream", blocks),)


def _blocks(content: bytes) -> list[bytes]:
    found, place = [], content.find(_BEGIN.encode())
    while place >= 0:
        end = content.find(_END.encode(), place)
        stop = end + len(_END) if end >= 0 else len(content)
        found.append(content[place:stop] + b"\r\n")
        place = content.find(_BEGIN.encode(), stop)
    return found
