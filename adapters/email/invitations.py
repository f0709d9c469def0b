"""Calendar parts of mails (RFC 5545, RFC 5546) → one line for the chat, and what an answer needs.

Reads seven properties of the first event, and nothing else of the calendar: no time zones are computed,
since the organizer's own time is what the invitation says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.email import subjects
from adapters.email.addresses import lenient
from bridge.i18n import filled, joined, tr
from bridge.options import FACT, MEMO_INVITATION, MEMO_TOPIC

_TEXT_LIMIT = 200_000  # characters of a calendar that are read
_LINES = 5000
_KEPT = frozenset(
    {"UID", "SEQUENCE", "ORGANIZER", "DTSTART", "DTEND", "DURATION", "SUMMARY", "LOCATION", "RECURRENCE-ID"}
)
_KEPT_LIMIT = 8000  # characters that an answer may need
_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r"([A-Za-z-]{1,40})((?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?):(.*)", re.DOTALL)
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_ESCAPED = re.compile(r"\\([\\;,nN])")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ANSWERS = {
    "ACCEPTED": tr("📅 {who} accepts {what}."),
    "DECLINED": tr("📅 {who} declines {what}."),
    "TENTATIVE": tr("📅 {who} may come to {what}."),
}
_ANSWERED = tr("📅 {who} answers {what}.")
_COUNTERED = tr("📅 {who} proposes another time: {what}.")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a chat shows of it, and what is remembered."""

    line: str
    memo: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Property:
    name: str
    parameters: str
    value: str
    line: str

    @property
    def text(self) -> str:
        unescaped = _ESCAPED.sub(lambda one: " " if one[1] in "nN" else one[1], self.value)
        return subjects.one_line(unescaped)[:200].rstrip()


def read(text: str, year: int) -> Invitation | None:
    """The first event of a calendar, as seen in a year; None if there is none."""
    method, event, answer = _event(text[:_TEXT_LIMIT])
    if not event:
        return None
    what = event["SUMMARY"].text if "SUMMARY" in event else ""
    facts = {
        "when": when(event["DTSTART"].value, year) if "DTSTART" in event else "",
        "where": event["LOCATION"].text if "LOCATION" in event else "",
    }
    repeats = tr("repeats") if "RRULE" in event else ""
    more = [joined(", ", part) for part in (*facts.values(), repeats) if part]
    described = joined(what or tr("Meeting"), *more)
    status = event["STATUS"].value.strip().upper() if "STATUS" in event else ""
    changed = "SEQUENCE" in event and event["SEQUENCE"].value.strip().lstrip("0") != ""
    line, answerable = _line(method, status == "CANCELLED", changed, answer, described)
    memo = {MEMO_TOPIC: event["UID"].value.strip()[:500]} if "UID" in event else {}
    memo |= {f"{FACT}{name}": fact for name, fact in {"what": what, **facts}.items() if fact}
    if answerable:
        memo |= {MEMO_INVITATION: "1", "invite": _for_answer(event)}
    return Invitation(line, memo)


def _line(
    method: str, cancelled: bool, changed: bool, answer: _Property | None, described: str
) -> tuple[str, bool]:
    """The line, and whether one can answer."""
    plain = joined("📅 ", described, ".")
    if method == "CANCEL" or cancelled:
        return tr("📅 Cancelled: {what}.", what=described), False
    if method in ("REPLY", "COUNTER") and answer is not None:
        state = re.search(r"PARTSTAT=\"?([A-Z-]+)", answer.parameters.upper())
        said = _ANSWERS.get(state[1] if state else "", _ANSWERED)
        said = _COUNTERED if method == "COUNTER" else said
        who = lenient(answer.value.strip().rpartition(":")[2]) or tr("Somebody")
        return filled(said, who=who, what=described), False
    if method == "REQUEST":
        line = tr("📅 Changed: {what}.", what=described) if changed else plain
        return joined(line, " /yes /no /maybe"), True
    return plain, False


def when(stamp: str, year: int) -> str:
    """`Thu 27 Nov 16:00` for an iCalendar date or time; the year where it is another than `year`."""
    found = _STAMP.match(stamp.strip())
    if found is None:
        return ""
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return ""
    words = [_DAYS[day.weekday()], str(day.day), _MONTHS[day.month - 1]]
    if day.year != year:
        words.append(str(day.year))
    if found[4]:
        words.append(f"{found[4]}:{found[5]}")
    if found[6]:
        words.append("UTC")
    return " ".join(words)


def _event(text: str) -> tuple[str, dict[str, _Property], _Property | None]:
    """The calendar's method, the first event's properties (each once), and the first attendee."""
    method, attendee = "", None
    event: dict[str, _Property] = {}
    inside: list[str] = []
    for line in _FOLD.sub("", text).splitlines()[:_LINES]:
        found = _LINE.match(line[:4000])
        if found is None:
            continue
        one = _Property(found[1].upper(), found[2], found[3], line)
        if one.name == "BEGIN":
            inside.append(one.value.strip().upper())
        elif one.name == "END":
            if inside and inside.pop() == "VEVENT":
                break
        elif one.name == "METHOD" and len(inside) <= 1:
            method = one.value.strip().upper()
        elif inside[-1:] == ["VEVENT"]:
            event.setdefault(one.name, one)
            attendee = attendee or (one if one.name == "ATTENDEE" else None)
    return method, event, attendee


def _for_answer(event: Mapping[str, _Property]) -> str:
    """The properties that a reply repeats (RFC 5546 section 3.2.3), one a line, unfolded."""
    lines = [event[name].line for name in sorted(_KEPT & event.keys())]
    return "\n".join(line for line in lines if len(line) < 2000)[:_KEPT_LIMIT]


def said(texts: Sequence[str], year: int) -> Invitation | None:
    """The first calendar that holds an event."""
    return next((one for text in texts if (one := read(text, year)) is not None), None)
