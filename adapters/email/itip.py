"""Answers to invitations: the iTIP REPLY (RFC 5546 section 3.2.3) that calendars understand.

It repeats those properties of the invitation that say which event is meant, and nothing else of it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from adapters.email import subjects
from adapters.email.memo import Person

_ANSWERS = {"accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE"}
# In this order; each at most once.
_REPEATED = ("UID", "SEQUENCE", "RECURRENCE-ID", "ORGANIZER", "DTSTART", "DTEND", "SUMMARY")
# Local times would need their VTIMEZONE beside them, which nobody has kept. An answer may leave them out.
_TIMES = ("DTSTART", "DTEND")
_PROPERTY = re.compile(r'([A-Za-z-]{1,40})((?:;[^:"]*(?:"[^"]*"[^:"]*)*)?):(.*)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_FOLD_AT = 73  # octets of a line, RFC 5545 section 3.1 allows 75


def reply(invite: str, answer: str, attendee: Person, at: float) -> str:
    """A calendar that tells the organizer the answer: accepted, declined or tentative. `invite` holds
    properties, one a line, unfolded. Empty if they name no event or no organizer."""
    known = _properties(invite)
    if answer not in _ANSWERS or "UID" not in known or "ORGANIZER" not in known:
        return ""
    name, address = attendee
    called = f";CN={_parameter(name)}" if name else ""
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//Passerelle//EN",
        "VERSION:2.0",
        "METHOD:REPLY",
        "BEGIN:VEVENT",
        f"DTSTAMP:{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}",
        *(known[one] for one in _REPEATED if one in known),
        f"ATTENDEE;PARTSTAT={_ANSWERS[answer]}{called}:mailto:{_CONTROL.sub('', address)}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(piece + "\r\n" for line in lines for piece in _folded(line))


def _properties(invite: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in invite.split("\n"):
        one = _CONTROL.sub("", line)
        property_ = _PROPERTY.fullmatch(one)
        if property_:
            found.setdefault(property_[1].upper(), one)
    return {
        name: line for name, line in found.items() if name not in _TIMES or ";TZID=" not in line.upper()
    }


def _parameter(text: str) -> str:
    """A parameter's value (RFC 5545 section 3.2): always in quotes, which it cannot hold itself."""
    return '"' + subjects.one_line(text).replace('"', "'")[:100] + '"'


def _folded(line: str) -> Iterator[str]:
    """A content line in pieces of at most 75 octets, no character cut in two."""
    piece, size = "", 0
    for character in line:
        octets = len(character.encode())
        if size + octets > _FOLD_AT:
            yield piece
            piece, size = " ", 1
        piece += character
        size += octets
    yield piece
