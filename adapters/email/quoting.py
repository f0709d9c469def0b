"""What stands below the text of a mail: the user's signature, and a quote of what is answered.

Attributions are worded as mail programs word them, so that the reader's program folds the quote away.
Times are the gateway's own local ones: a correspondent reads them to tell mails apart, not to meet by.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from adapters.email import memo, subjects
from adapters.email.parts import plain_lines
from bridge.model import Answered

_SHORT_LINES = 6
_SHORT_CHARACTERS = 400
_FULL_CHARACTERS = 64_000
_SIGNATURE = 1_000  # characters

_ON_WROTE = {
    "en": "On {day} {month} {year} at {time}, {who} wrote:",
    "de": "Am {date} um {time} schrieb {who}:",
    "fr": "Le {day} {month} {year} à {time}, {who} a écrit :",
    "es": "El {day}/{number}/{year} a las {time}, {who} escribió:",
    "it": "Il giorno {day} {month} {year} alle ore {time} {who} ha scritto:",
    "nl": "Op {day} {month} {year} om {time} schreef {who}:",
    "pt": "Em {day}/{number}/{year} às {time}, {who} escreveu:",
    "sv": "Den {day} {month} {year} kl. {time} skrev {who}:",
    "da": "Den {day}. {month} {year} kl. {time} skrev {who}:",
    "pl": "W dniu {date} o {time} {who} pisze:",
}
_MONTHS = {
    "en": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "fr": "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    "it": "gen feb mar apr mag giu lug ago set ott nov dic",
    "nl": "jan. feb. mrt. apr. mei jun. jul. aug. sep. okt. nov. dec.",
    "sv": "jan. feb. mars apr. maj juni juli aug. sep. okt. nov. dec.",
    "da": "jan. feb. mar. apr. maj jun. jul. aug. sep. okt. nov. dec.",
}
_CORRECTION = {
    "en": "Correction:", "de": "Korrektur:", "fr": "Correction :", "es": "Corrección:", "it": "Correzione:",
    "nl": "Correctie:", "pt": "Correção:", "sv": "Rättelse:", "da": "Rettelse:", "pl": "Poprawka:",
}  # fmt: skip
# Lines of the gateway's within the text that is shown: of an invitation, of files that were left out.
_OURS = re.compile(r"[📎📅] ?\S")


def below(text: str, signature: str) -> str:
    """A text with a signature under it (RFC 3676 section 4.3); none if it is empty."""
    signature = plain_lines(signature[:_SIGNATURE]).strip("\n ")
    if not signature:
        return text
    return f"{plain_lines(text)}\n-- \n{signature}\n"


def quote(answered: Answered, how: str, writer: str, language: str) -> str:
    """What is answered, attributed and quoted; empty if there is nothing to quote, or `how` is off.

    `writer` wrote it, if its memo names nobody.
    """
    lines = _own_words(answered.body)
    if how == "off" or not lines:
        return ""
    limit = _FULL_CHARACTERS if how == "full" else _SHORT_CHARACTERS
    kept = _shortened(lines, len(lines) if how == "full" else _SHORT_LINES, limit)
    quoted = [f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in kept]
    return "\n".join([attribution(answered, writer, language), *quoted]) + "\n"


def attribution(answered: Answered, writer: str, language: str) -> str:
    """`On 20 Nov 2026 at 14:02, Jana Berg wrote:` in the user's language, else in English."""
    people = memo.people(answered.memo, memo.FROM)
    name, address = people[0] if people else ("", writer)
    who = subjects.one_line(name).rstrip(":") or address
    tag = _tag(language, _ON_WROTE)
    then = datetime.fromtimestamp(answered.written_at).astimezone()
    months = _MONTHS.get(tag, _MONTHS["en"]).split()
    return _ON_WROTE[tag].format(
        day=then.day,
        month=months[then.month - 1],
        number=then.month,
        year=then.year,
        date=then.strftime("%d.%m.%Y"),
        time=then.strftime("%H:%M"),
        who=who,
    )


def correction(text: str, language: str) -> str:
    """The follow-up that corrects a mail which has gone."""
    mark = _CORRECTION[_tag(language, _CORRECTION)]
    return f"{mark}\n{text}" if "\n" in text.strip() else f"{mark} {text}"


def _tag(language: str, known: Mapping[str, str]) -> str:
    tag = language.replace("_", "-").partition("-")[0].lower()
    return tag if tag in known else "en"


def _own_words(body: str) -> list[str]:
    """The lines of a mail as it was shown, less those that the gateway added around them."""
    lines = plain_lines(body[: 2 * _FULL_CHARACTERS]).split("\n")
    while lines and (not lines[0].strip() or _OURS.match(lines[0])):
        del lines[0]
    while lines and (not lines[-1].strip() or _OURS.match(lines[-1])):
        del lines[-1]
    return lines


def _shortened(lines: list[str], most_lines: int, most_characters: int) -> list[str]:
    """The first lines, as many as fit; `[…]` tells that there was more."""
    kept: list[str] = []
    left = most_characters
    for line in lines[:most_lines]:
        if len(line) > left:
            cut = line[:left]
            kept.append((cut.rpartition(" ")[0] or cut).rstrip() + " […]")
            return kept
        kept.append(line)
        left -= len(line) + 1
    return kept if len(lines) <= most_lines else [*kept, "[…]"]
