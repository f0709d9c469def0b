"""Addresses as nodes of JIDs, and back (XEP-0106). What an address means is left to the adapters."""

import re

# The node under which a gateway answers besides its bare domain: no contact has it.
RESERVED = "help"
_INSTEAD = f"{RESERVED}~"  # no sender name of the telephone world has a tilde, and mail addresses have an @

_CODES = {
    " ": r"\20",
    '"': r"\22",
    "&": r"\26",
    "'": r"\27",
    "/": r"\2f",
    ":": r"\3a",
    "<": r"\3c",
    ">": r"\3e",
    "@": r"\40",
    "\\": r"\5c",
}
_CHARACTERS = {code: character for character, code in _CODES.items()}
_ESCAPED = re.compile(r"\\(?:20|22|26|27|2f|3a|3c|3e|40|5c)", re.IGNORECASE)
# A backslash is escaped only where it would otherwise read as the start of a code (XEP-0106 section 4.2).
_TO_ESCAPE = re.compile(r"""[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)""", re.IGNORECASE)


def escape(text: str) -> str:
    """The exact transformation of XEP-0106 for a text that is not escaped yet."""
    return _TO_ESCAPE.sub(lambda found: _CODES[found[0]], text)


def unescape(node: str) -> str:
    """The inverse of `escape`; what is no code stays as it is."""
    return _ESCAPED.sub(lambda found: _CHARACTERS[found[0].lower()], node)


def to_local(address: str) -> str:
    """The node of an address's JID. One that is escaped already stays so (Gajim #7277 does it twice)."""
    if address == RESERVED:
        return _INSTEAD
    if "@" not in address and _ESCAPED.search(address):
        return address
    return escape(address)


def to_address(local: str) -> str:
    r"""The address that a node stands for: `alice\40example.com` and `alice%example.com` are the same.

    In the second form the last `%` is the `@`. A node that a client escaped twice is unescaped twice:
    no address holds a code of its own.
    """
    if local == _INSTEAD:
        return RESERVED
    text = unescape(local)
    if "@" in text:
        return text
    if _ESCAPED.search(text):
        text = unescape(text)
    if "@" not in text and "%" in text:
        user, _, domain = text.rpartition("%")
        return f"{user}@{domain}"
    return text
