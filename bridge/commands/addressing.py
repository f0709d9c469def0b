"""An address and a first line, as people type them to the gateway: found, or told what is wrong."""

import difflib
import re
from dataclasses import dataclass

from bridge.commands.model import Refused
from bridge.i18n import tr
from bridge.ports import Adapter, BadAddress

# Where most people have their mail: a near miss is a slip of the finger.
_COMMON = (
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "hotmail.com",
    "outlook.com",
    "icloud.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "t-online.de",
    "posteo.de",
    "mailbox.org",
    "proton.me",
    "protonmail.com",
    "aol.com",
    "live.com",
)
_NEAR = 0.8

_NAMED = re.compile(
    r"(?P<name>[^<>\n]{0,100})<(?P<address>[^<>\s]+@[^<>\s]+)>[,:]?\s*(?P<text>.*)", re.DOTALL
)
_MAIL = re.compile(
    r"(?:mailto:)?(?P<address>[^\s@<>]+@[^\s@<>]+?)[,:;]?(?:\s+(?P<text>.*))?", re.DOTALL | re.IGNORECASE
)
# Several people, with commas between them, who shall have one mail.
_SEVERAL = re.compile(
    r"(?P<address>[^\s@<>,;]+@[^\s@<>,;]+(?:\s*[,;]\s*[^\s@<>,;]+@[^\s@<>,;]+)+)[,:;]?(?:\s+(?P<text>.*))?",
    re.DOTALL,
)
# Digits in groups, as long as groups of digits follow: what begins with a letter is text.
_NUMBER = re.compile(
    r"(?:tel:|sms:)?(?P<address>(?:\+|00)?\(?\d[\d().\-/]*(?:[ \u00a0]+\(?\d[\d().\-/]*)*)[,:]?"
    r"(?:\s+(?P<text>[^\d].*))?",
    re.DOTALL | re.IGNORECASE,
)
_FEWEST_DIGITS = 3
_LONGEST = 320  # characters of an address (RFC 3696 section 3, as corrected); numbers are shorter


@dataclass(frozen=True, slots=True)
class FirstLine:
    """Somebody to write to, and what; the text may be empty."""

    address: str  # canonical
    text: str
    name: str = ""


def first_line(adapter: Adapter, typed: str) -> FirstLine | None:
    """What was typed, if it begins with an address of this transport; None if it is no address at all.

    Raises Refused with what to write instead.
    """
    found = _parts(adapter, typed.strip())
    if found is None or len(found[0]) > _LONGEST:
        return None
    spelled, text, name = found
    for one in spelled.split(","):
        suggestion = near_miss(one)
        if not suggestion:
            continue
        raise Refused(
            tr(
                "Did you mean {suggestion}? Then type that. If {typed} is right, type: add {typed}",
                suggestion=suggestion,
                typed=one,
            )
        )
    try:
        return FirstLine(adapter.canonical(spelled).canonical, text, name)
    except BadAddress as error:
        if error.correct and error.correct not in str(error):
            raise Refused(
                tr("{problem} Did you mean {suggestion}?", problem=str(error), suggestion=error.correct)
            ) from error
        raise Refused(str(error)) from error


def _parts(adapter: Adapter, typed: str) -> tuple[str, str, str] | None:
    if adapter.capabilities.identity[1] == "sms":
        found = _NUMBER.fullmatch(typed)
        if found is None or sum(c.isdigit() for c in found["address"]) < _FEWEST_DIGITS:
            return None
        return found["address"].strip(), (found["text"] or "").strip(), ""
    named = _NAMED.fullmatch(typed)
    if named is not None:
        return named["address"], named["text"].strip(), named["name"].strip(" \"'")
    several = _SEVERAL.fullmatch(typed)
    if several is not None:
        people = ",".join(re.split(r"\s*[,;]\s*", several["address"].rstrip(":")))
        return people, (several["text"] or "").strip(), ""
    found = _MAIL.fullmatch(typed)
    return (found["address"], (found["text"] or "").strip(), "") if found is not None else None


def near_miss(address: str) -> str:
    """The address that was probably meant, when its domain is almost that of a large provider."""
    local, at, domain = address.rpartition("@")
    folded = domain.casefold()
    if not at or folded in _COMMON:
        return ""
    close = difflib.get_close_matches(folded, _COMMON, n=1, cutoff=_NEAR)
    if not close or _is_one_word_apart(folded, close[0]):
        return ""
    return f"{local}@{close[0]}"


def _is_one_word_apart(domain: str, common: str) -> bool:
    """`gmx.at` and `yahoo.de` are no slips: only the country differs."""
    return domain.partition(".")[0] == common.partition(".")[0] and domain.count(".") > 0
