"""IMAP's spellings (RFC 3501): quoting, mailbox names, sets of UIDs, and what untagged answers say.

Pure; knows no connection.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Pieces = Sequence[bytes]  # one answer: lines and literals in turn, without the `* ` and the line breaks

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_LITERAL_END = re.compile(rb"\{(\d+)\+?\}$")
_QUOTED_BODY = re.compile(rb'BODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*)"')
_LIST = re.compile(rb'LIST \(([^)]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (.*)$', re.DOTALL)
_CODE = re.compile(r"\[([A-Z-]+)")
_PLAIN_RUN = re.compile(r"[\x20-\x7e]+|[^\x20-\x7e]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def quoted(text: str) -> str:
    """A quoted string (RFC 3501 section 9). Raises ValueError for what cannot stand in one."""
    if any(character in text for character in "\0\r\n"):
        raise ValueError("a line break cannot stand in an IMAP command")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_utf7(name: str) -> str:
    """A mailbox name in modified UTF-7 (RFC 3501 section 5.1.3)."""
    pieces = []
    for run in _PLAIN_RUN.findall(name):
        if run.isascii() and run.isprintable():
            pieces.append(run.replace("&", "&-"))
        else:
            shifted = base64.b64encode(run.encode("utf-16-be", "surrogatepass")).decode("ascii")
            pieces.append(f"&{shifted.rstrip('=').replace('/', ',')}-")
    return "".join(pieces)


def from_utf7(name: str) -> str:
    """The mailbox name that modified UTF-7 stands for; what is none stays as it is."""

    def unshift(found: re.Match[str]) -> str:
        code = found[1].replace(",", "/")
        if not code:
            return "&"
        try:
            return base64.b64decode(code + "=" * (-len(code) % 4)).decode("utf-16-be")
        except (binascii.Error, UnicodeDecodeError):
            return found[0]

    return _SHIFTED.sub(unshift, name)


def uid_set(uids: Iterable[int]) -> str:
    """UIDs as IMAP writes them, runs joined: `3:7,9`."""
    runs: list[list[int]] = []
    for uid in sorted(set(uids)):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def day_before(now: float, days: int) -> str:
    """A date for SEARCH SINCE, so many days before `now`. Servers compare by day, in a zone of theirs."""
    day = datetime.fromtimestamp(now, UTC) - timedelta(days=days)
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}"


def code_of(text: str) -> str:
    """The response code of a status line (RFC 3501 section 7.1, RFC 5530), or empty."""
    found = _CODE.match(text.strip())
    return found[1] if found else ""


# --- what untagged answers say ---


def literal_size(line: bytes) -> int | None:
    """How many octets follow a line as a literal; None if none do."""
    if not line.endswith(b"}"):
        return None
    found = _LITERAL_END.search(line)
    return int(found[1]) if found else None


def uids_found(answers: Iterable[Pieces]) -> list[int]:
    """The UIDs of SEARCH answers, ascending."""
    found: set[int] = set()
    for pieces in answers:
        words = pieces[0].split()
        if words and words[0].upper() == b"SEARCH":
            found.update(int(word) for word in words[1:] if word.isdigit())
    return sorted(found)


def sizes_told(answers: Iterable[Pieces]) -> dict[int, int]:
    """RFC822.SIZE by UID."""
    sizes: dict[int, int] = {}
    for pieces in answers:
        uid, size = _UID.search(pieces[0]), _SIZE.search(pieces[0])
        if uid and size:
            sizes[int(uid[1])] = int(size[1])
    return sizes


def bodies_fetched(answers: Iterable[Pieces]) -> dict[int, bytes]:
    """The one body section that was asked for, by UID. Answers about other things are passed over."""
    bodies: dict[int, bytes] = {}
    for pieces in answers:
        # The UID stands before the literal at some servers, behind it at others.
        uid = _UID.search(pieces[0]) or _UID.search(pieces[-1])
        if uid is None or b"BODY[" not in pieces[0]:
            continue
        if len(pieces) > 1:
            bodies[int(uid[1])] = pieces[1]
        elif short := _QUOTED_BODY.search(pieces[0]):
            bodies[int(uid[1])] = re.sub(rb"\\(.)", rb"\1", short[1])
        else:
            bodies[int(uid[1])] = b""
    return bodies


@dataclass(frozen=True, slots=True)
class Folder:
    """A mailbox of the LIST answer."""

    name: str
    marks: frozenset[str]  # its attributes in lower case: `\\sent`, `\\noselect`, …


def folder_listed(pieces: Pieces) -> Folder | None:
    found = _LIST.match(pieces[0])
    if found is None:
        return None
    name = pieces[1] if len(pieces) > 1 else found[2].strip()
    if len(pieces) == 1 and name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    marks = frozenset(found[1].decode("ascii", "replace").lower().split())
    return Folder(from_utf7(name.decode("utf-8", "replace")), marks)


_SENT_NAMES = ("sent", "sent items", "sent mail", "sent messages", "gesendet", "inbox.sent")


def sent_folder(folders: Sequence[Folder]) -> str:
    """Where mail that was sent is kept: the folder marked so (RFC 6154), else one of a usual name."""
    usable = [one for one in folders if "\\noselect" not in one.marks]
    for one in usable:
        if "\\sent" in one.marks:
            return one.name
    for one in usable:
        if one.name.lower() in _SENT_NAMES:
            return one.name
    return ""
