"""Plus-address tokens: `mira+TOKEN@chat.example.org` names one of our messages, and proves that we said so.

A token holds the uid of a message of ours and a cut HMAC over it and the line that it was made for.
In an envelope sender it brings bounces home, in a Reply-To it finds the thread of answers whose ids
were rewritten on the way. It selects a thread; it never vouches for whoever uses it.
"""

import base64
import binascii
import hmac

PURPOSE = "email plus-address tokens"  # what to ask `Context.derive_key` for

_UID = 16  # bytes
_MAC = 5  # bytes: a wrong guess costs an attacker a mail each, and a right one wins nothing
_LENGTH = 34  # characters of base32 without padding


def make(key: bytes, line: str, uid: str) -> str:
    """The token of our message `uid` (32 hex digits), written for the line `line` (a canonical address)."""
    raw = bytes.fromhex(uid)
    return base64.b32encode(raw + _mac(key, line, raw)).decode("ascii").rstrip("=").lower()


def address(key: bytes, line: str, uid: str) -> str:
    """The line's address with the token in it; the plain one if it would grow longer than RFC 5321 allows."""
    local, _, domain = line.rpartition("@")
    if local.startswith('"') or len(local.encode()) + 1 + _LENGTH > 64:
        return line
    return f"{local}+{make(key, line, uid)}@{domain}"


def uid_of(key: bytes, line: str, spelled: str) -> str:
    """The uid of the message that an envelope recipient names; empty if its token is not ours, or not for
    this line."""
    token = spelled.rpartition("@")[0].rpartition("+")[2].lower()
    if len(token) != _LENGTH:
        return ""
    try:
        raw = base64.b32decode(token.upper() + "=" * (-_LENGTH % 8))
    except (binascii.Error, ValueError):
        return ""
    uid, mac = raw[:_UID], raw[_UID:]
    return uid.hex() if hmac.compare_digest(mac, _mac(key, line, uid)) else ""


def _mac(key: bytes, line: str, uid: bytes) -> bytes:
    return hmac.digest(key, line.encode() + b"\0" + uid, "sha256")[:_MAC]
