"""What a presence says in words: when a contact wrote last, what troubles a transport. Pure."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from bridge.i18n import Phrase, tr, translate

_DAYS = (tr("Mon"), tr("Tue"), tr("Wed"), tr("Thu"), tr("Fri"), tr("Sat"), tr("Sun"))
_WEEK = 7


def zone_of(offset: str) -> tzinfo | None:
    """A time zone from an offset as XEP-0202 writes it (`+02:00`, `Z`); None if it is none: then the
    server's own counts."""
    if offset == "Z":
        return UTC
    sign, hours, minutes = offset[:1], offset[1:3], offset[4:6]
    well_formed = len(offset) == 6 and offset[3] == ":" and (hours + minutes).isdecimal()
    if sign not in ("+", "-") or not well_formed or int(hours) > 14 or int(minutes) > 59:
        return None
    away = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(away if sign == "+" else -away)


def last_wrote(at: float, now: float, zone: tzinfo | None, language: str) -> str:
    """`last wrote 14:02`, or the day within a week, or the date. Times are seconds since 1970."""
    then, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone)
    days = (today.date() - then.date()).days
    if days <= 0:
        text: Phrase = tr("last wrote {time}", time=f"{then:%H:%M}")
    elif days < _WEEK:
        text = tr("last wrote {day}", day=_DAYS[then.weekday()])
    else:
        text = tr("last wrote {date}", date=f"{then:%Y-%m-%d}")
    return translate(text, language)


def trouble(reason: str, since: float, zone: tzinfo | None, language: str) -> str:
    """Why a transport cannot send just now. `reason` is a sentence."""
    time = f"{datetime.fromtimestamp(since, zone):%H:%M}"
    text = tr("Since {time}: {reason} Your messages wait here.", time=time, reason=reason)
    return translate(text, language)
