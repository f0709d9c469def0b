"""A file as text in a chat, where there is no place to put it as a file: in bounded pieces."""

import asyncio

from bridge.files import Filing
from bridge.model import Attachment
from bridge.ports import Adapter, ReadsOut

MOST_PIECES = 5
PIECE = 3_000  # characters: a screen or two of a phone
_LARGEST = 256 * 1024  # bytes that are looked at
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml"})
_MAIL = "message/rfc822"


async def pieces(filing: Filing, adapter: Adapter, file: Attachment) -> tuple[list[str], bool]:
    """The text of a file in pieces, and whether they are all of it; none for what is no text. Raises
    FileUnavailable."""
    if not _is_text(adapter, file):
        return [], False
    if file.media_type == _MAIL:
        text = await asyncio.to_thread(_read_out, adapter, await filing.read(file))
    elif file.size > _LARGEST:
        return [], False
    else:
        text = _decoded(await filing.read(file))
    return split(text)


def _is_text(adapter: Adapter, file: Attachment) -> bool:
    if file.media_type == _MAIL:
        return isinstance(adapter, ReadsOut)
    return file.media_type in _TEXTS or (
        file.media_type.startswith("text/") and file.media_type != "text/html"
    )


def _read_out(adapter: Adapter, raw: bytes) -> str:
    return adapter.read_out(raw) if isinstance(adapter, ReadsOut) else ""


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def split(text: str) -> tuple[list[str], bool]:
    """The text in at most MOST_PIECES pieces, broken between lines or words; and whether that is all."""
    found: list[str] = []
    left = text.replace("\r\n", "\n").strip("\n")
    while left and len(found) < MOST_PIECES:
        end = len(left) if len(left) <= PIECE else _break_in(left)
        found.append(left[:end].rstrip())
        left = left[end:].lstrip("\n")
    return found, not left


def _break_in(text: str) -> int:
    """Where a piece of a longer text ends: after a paragraph, a line or a word in its second half."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, PIECE // 2, PIECE)
        if place > 0:
            return place + len(mark)
    return PIECE
