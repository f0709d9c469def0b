"""Header fields as they go out (RFC 5322, RFC 2047): folded, encoded, and never more than one field each.

Whatever comes in as a value, no line break of it reaches a header: text is squeezed to one line first, and
addresses and ids are taken only in forms that hold none.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from adapters.email import subjects
from adapters.email.memo import Person

_FOLD_AT = 76  # octets of a header line; RFC 5322 recommends at most 78
_REFERENCES = 30  # the first and the latest: enough for every threading algorithm
_NAME = 200  # characters of a display name

MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,500}>")
_MESSAGE_IDS = re.compile(rf"{MESSAGE_ID.pattern}(?: {MESSAGE_ID.pattern})*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff<>,;]")


def folded(*words: str) -> str:
    """Words joined by spaces, with a line break before a space wherever a line would grow too long.

    Not before the first word of a value: programs that fold badly lose it there.
    """
    lines = [" ".join(words[:2]) if words[0].endswith(":") else words[0]]
    for word in words[2 if words[0].endswith(":") else 1 :]:
        # The length of the last line, for a first word that is folded already.
        used = len(lines[-1]) - lines[-1].rfind("\n")
        if used + len(word) < _FOLD_AT:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join(lines)


@lru_cache(maxsize=1024)
def author(name: str, address: str) -> str:
    """The From field."""
    return folded(f"From: {phrase(name)}", f"<{safe_address(address)}>")


@lru_cache(maxsize=1024)
def recipients(field: str, people: tuple[Person, ...]) -> str:
    """A To or Cc field."""
    written = [_mailbox(name, safe_address(address)) for name, address in people]
    return folded(f"{field}:", *_with_commas(written))


def _mailbox(name: str, address: str) -> str:
    called = phrase(name)
    return folded(called, f"<{address}>") if called else address


def _with_commas(written: Sequence[str]) -> Iterable[str]:
    return [*(f"{one}," for one in written[:-1]), *written[-1:]]


def safe_address(address: str) -> str:
    """An address of the record as it may stand in a field. They are canonical, and hold nothing of this
    kind outside quotes; what stands in quotes is taken out rather than trusted."""
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):
        return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "", address)
    return f"{_UNSAFE.sub('', local)}@{_UNSAFE.sub('', domain)}"


@lru_cache(maxsize=128)
def date(second: int) -> str:
    """A date as RFC 5322 writes it, in UTC."""
    return format_datetime(datetime.fromtimestamp(second, UTC))


def threading(references: Sequence[str], answered: str) -> list[str]:
    """In-Reply-To and References, one id a line and never an encoded word, else Outlook loses the thread.
    What is no Message-ID is left out."""
    ids = list(references)
    if not _MESSAGE_IDS.fullmatch(" ".join(ids)):  # once for all of them: they may be twenty
        ids = [one for one in references if MESSAGE_ID.fullmatch(one)]
    if MESSAGE_ID.fullmatch(answered) and (not ids or ids[-1] != answered):
        # What came after the mail that is answered (another answer to it, say) is no ancestor of this one.
        ids = [*(ids[: ids.index(answered)] if answered in ids else ids), answered]
    if not ids:
        return []
    kept = ids if len(ids) <= _REFERENCES else [ids[0], *ids[1 - _REFERENCES :]]
    return [f"In-Reply-To: {kept[-1]}", "References: " + "\r\n ".join(kept)]


def subject(text: str) -> str:
    """The Subject field."""
    text = subjects.one_line(text)
    if len(text) <= subjects.LONGEST and text.isascii() and "=?" not in text:
        return f"Subject: {text}"
    if _is_plain(text):
        return folded("Subject:", *text.split(" "))
    return folded("Subject:", *_encoded_words(text))


def phrase(name: str) -> str:
    """A display name (RFC 5322 section 3.2.5): bare, in quotes, or as encoded words (RFC 2047)."""
    name = subjects.one_line(name)[:_NAME].rstrip()
    if not name:
        return ""
    if not _is_plain(name):
        return "\r\n ".join(_encoded_words(name))
    if _ATOMS.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _is_plain(text: str) -> bool:
    """Whether it can stand in a header as it is, and is read back as it was."""
    return text.isascii() and "=?" not in text and all(len(word) < _FOLD_AT for word in text.split(" "))


def _encoded_words(text: str) -> list[str]:
    """RFC 2047 words of at most 75 characters, each whole in itself: no character is cut in two."""
    words: list[str] = []
    chunk: list[str] = []
    size = 0
    for character in text:
        octets = len(character.encode())
        if size + octets > 45:
            words.append("".join(chunk))
            chunk, size = [], 0
        chunk.append(character)
        size += octets
    words.append("".join(chunk))
    return [f"=?utf-8?b?{base64.b64encode(word.encode()).decode('ascii')}?=" for word in words]
