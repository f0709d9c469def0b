"""Whether the mail server before us takes a mail for spam: its word is believed as the settings say.

Read by the headers that SpamAssassin and Rspamd write. They can come with the mail itself, so only the
topmost of each counts, and only where the host that handed it over is trusted.
"""

from collections.abc import Mapping
from typing import Literal

from adapters.email.headers import Head

BELIEVE = "spam"  # in Envelope.headers: the peer is one whose word counts

Mode = Literal["mark", "hold", "ignore"]

_YES = ("yes", "true")
_HEADERS = ("x-spam-flag", "x-spam-status", "x-spam")


def verdict(head: Head, told: Mapping[str, str], peer: str, mode: Mode) -> str:
    """`mark` or `hold`, as the settings want it, for spam; else empty. What lay in a mailbox (no `peer`)
    has come past a server of its owner's choice."""
    if mode == "ignore" or not (told.get(BELIEVE) or not peer):
        return ""
    says_so = any(head.raw(name)[:20].strip().lower().startswith(_YES) for name in _HEADERS)
    return mode if says_so else ""
