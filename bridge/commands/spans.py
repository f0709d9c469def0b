"""How long, as people type it: `2h`, `30 min`, `3 Tage`, `until monday`, `bis 18:00`. Pure, but for the
machine's own time zone, in which days and hours are meant."""

import re
import time

DAY = 86400.0
MOST = 30 * DAY
_MORNING = 8  # hour at which a day begins that is named alone

_SPAN = re.compile(r"(?:for\s+|für\s+)?(\d{1,4})\s*([a-zäöü]+)\.?", re.IGNORECASE)
_UNITS = {
    60.0: ("m", "min", "mins", "minute", "minutes", "minuten"),
    3600.0: ("h", "hour", "hours", "std", "stunde", "stunden"),
    DAY: ("d", "day", "days", "tag", "tage"),
    7 * DAY: ("w", "week", "weeks", "woche", "wochen"),
}
_UNIT = {name: seconds for seconds, names in _UNITS.items() for name in names}
_UNTIL = re.compile(r"(?:until|till|bis)\s+(.+)", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2}):(\d{2})")
_DAYS = (
    ("mon", "monday", "mo", "montag"),
    ("tue", "tuesday", "di", "dienstag"),
    ("wed", "wednesday", "mi", "mittwoch"),
    ("thu", "thursday", "do", "donnerstag"),
    ("fri", "friday", "fr", "freitag"),
    ("sat", "saturday", "sa", "samstag", "sonnabend"),
    ("sun", "sunday", "so", "sonntag"),
)
_TOMORROW = ("tomorrow", "morgen")


def end_of(text: str, now: float) -> float | None:
    """When the time ends that a text tells, in seconds since 1970; None if it tells none."""
    text = " ".join(text.split()).casefold()
    span = _SPAN.fullmatch(text)
    if span is not None:
        seconds = _UNIT.get(span[2])
        return now + int(span[1]) * seconds if seconds and int(span[1]) else None
    until = _UNTIL.fullmatch(text)
    return _named(until[1] if until is not None else text, now)


def _named(text: str, now: float) -> float | None:
    hour = _HOUR.fullmatch(text)
    if hour is not None:
        if int(hour[1]) > 23 or int(hour[2]) > 59:
            return None
        at = _at(now, 0, int(hour[1]), int(hour[2]))
        return at if at > now else _at(now, 1, int(hour[1]), int(hour[2]))
    if text in _TOMORROW:
        return _at(now, 1, _MORNING)
    today = time.localtime(now).tm_wday
    for day, names in enumerate(_DAYS):
        if text in names:
            return _at(now, (day - today - 1) % 7 + 1, _MORNING)
    return None


def _at(now: float, days: int, hour: int, minute: int = 0) -> float:
    """An hour of the day that comes so many days after today; mktime knows when clocks change."""
    today = time.localtime(now)
    return time.mktime((today.tm_year, today.tm_mon, today.tm_mday + days, hour, minute, 0, 0, 0, -1))
