"""The picture that a mail carries of its own sender: in a vCard of theirs, or in a Face header. Bounded.

Only the card that names the sender's own address counts: people pass on cards of others.
"""

import binascii

from adapters.email.addresses import lenient
from adapters.email.headers import Head
from adapters.email.reading import mime
from bridge import vcards
from bridge.model import File

_CARDS = ("text/vcard", "text/x-vcard", "text/directory")
_MOST_CARDS = 3  # parts that are looked into
_LONGEST_CARD = 1_500_000  # bytes
_LONGEST_FACE = 2_000  # characters; the header's inventors allow 998 bytes
_PNG = b"\x89PNG\r\n\x1a\n"


def of(head: Head, root: mime.Part | None, sender: str) -> File | None:
    """The picture of the sender (a canonical address), as it came: not looked at yet."""
    photo = _of_cards(root, sender) if root is not None else b""
    data = photo or _of_header(head)
    return File("photo", "", data) if data else None


def _of_cards(root: mime.Part, sender: str) -> bytes:
    left = _MOST_CARDS
    waiting = [root]
    while waiting and left:
        part = waiting.pop()
        if part.kind.startswith("multipart/"):
            waiting += reversed(part.children)
        elif part.kind in _CARDS:
            left -= 1
            for card in vcards.read(part.content(_LONGEST_CARD)).cards[:20]:
                if card.photo and any(lenient(one) == sender for one in card.emails):
                    return card.photo
    return b""


def _of_header(head: Head) -> bytes:
    """A PNG of 48 pixels in base64 (the Face header of Gnus)."""
    text = "".join(head.raw("face").split())
    if not text or len(text) > _LONGEST_FACE:
        return b""
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return b""
    return data if data.startswith(_PNG) else b""
