"""What attachments add to the rows of a message: which deliveries its files become, and the stanza ids
by which clients answer to them. Pure.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bridge.model import Attachment, Kind

_OF_FILE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.\d{1,4}")


def deliveries_of(row: dict[str, Any], body: str, files: Sequence[Attachment]) -> Iterable[dict[str, Any]]:
    """The deliveries of a message from outside, in order: its text, whose row this is, then each file,
    one stanza each and in the same lane. Without a text the files go alone."""
    if body.strip() or not files:
        yield row
    for position in range(1, len(files) + 1):
        yield row | {
            "kind": Kind.FILE,
            "part": position,
            "parts": len(files),
            "stanza_id": f"{row['stanza_id']}.{position}",
        }


def message_stanza(stanza_id: str) -> str:
    """The stanza id of a message, from that of the message or of one of its files."""
    found = _OF_FILE.fullmatch(stanza_id)
    return found[1] if found else stanza_id
