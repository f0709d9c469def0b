"""The head of a mail as people and programs need it: decoded, one line each, bounded, never an exception."""

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email import policy
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime

from adapters.email.reading import charset

_HEAD_LIMIT = 128 * 1024  # of one that does not end
_LARGEST_HEAD = 256 * 1024  # some 5,000 recipients
_VALUE_LIMIT = 4000  # parsing of addresses and dates grows faster than their length
PEOPLE_LIMIT = 8000
_COMMENTS = 100
_IDS_LIMIT = 32_000
_REFERENCES = 50
_REPEATED = frozenset({"from", "to", "cc", "authentication-results", "dkim-signature"})
_MOST_REPEATED = 20

_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bq])\?([^?]{0,1000})\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_MESSAGE_ID = re.compile(r"<([!-;=?-~]{1,500})>")
_BARE_ID = re.compile(r"[!-;=?-~]{1,500}")

_USUAL_MAILBOX = re.compile(
    r"""\s*(?:(?:"([^"\\\r\n]{0,200})"|([\w .'=?*+/-]{0,300}))\s*<([\w.+=/-]{1,64}@[A-Za-z0-9.-]{1,253})>"""
    r"""|([\w.+=/-]{1,64}@[A-Za-z0-9.-]{1,253}))\s*"""
)
_HIGH = re.compile(rb"[\x80-\xff]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")

_heads = BytesParser(policy=policy.compat32)


@dataclass(frozen=True, slots=True)
class Head:
    """First value of each header, by lower-case name, still encoded; all values of those that may come
    more than once and matter then."""

    values: Mapping[str, str]
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def raw(self, name: str) -> str:
        return self.values.get(name, "")

    def every(self, name: str) -> list[str]:
        """All values of a header, topmost first. Only some names are kept so: see `_REPEATED`."""
        return [self.values[name], *self.repeated.get(name, ())] if name in self.values else []

    def text(self, name: str) -> str:
        """A header for people."""
        return decoded(self.raw(name)[:_VALUE_LIMIT])

    def author(self) -> tuple[str, str]:
        """Name and address of who wrote it: From, else Sender, else Reply-To; empty if nobody says so."""
        for name in ("from", "sender", "reply-to"):
            for person, address in _addresses(self.raw(name)[:_VALUE_LIMIT]):
                if "@" in address:
                    return decoded(person), decoded(address)
        return "", ""

    def message_id(self) -> str:
        """In angle brackets, even if it came without; empty if there is none."""
        value = self.raw("message-id")[:_VALUE_LIMIT].strip()
        found = _MESSAGE_ID.search(value)
        if found:
            return found[0]
        return f"<{value}>" if _BARE_ID.fullmatch(value) else ""

    def original_id(self) -> str:
        """The Message-ID that a mail had before Microsoft's servers gave it another; empty: none told."""
        found = _MESSAGE_ID.search(self.raw("x-microsoft-original-message-id")[:_VALUE_LIMIT])
        return found[0] if found else ""

    def references(self) -> tuple[str, ...]:
        """Message-IDs of what came before, oldest first, what is answered last."""
        ids = [f"<{one}>" for one in _MESSAGE_ID.findall(self.raw("references")[-_IDS_LIMIT:])]
        answered = _MESSAGE_ID.search(self.raw("in-reply-to")[:_VALUE_LIMIT])
        if answered:
            ids = [one for one in ids if one != answered[0]] + [answered[0]]
        ids = list(dict.fromkeys(ids))
        return tuple(ids if len(ids) <= _REFERENCES else [ids[0], *ids[1 - _REFERENCES :]])

    def date(self) -> float | None:
        """Seconds since 1970, or None if the header is absent or says nothing."""
        try:
            date = parsedate_to_datetime(self.raw("date")[:100])
            if date.tzinfo is None:  # "-0000": UTC, of a sender whose zone is unknown
                date = date.replace(tzinfo=UTC)
            return max(date.timestamp(), 0.0)
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
            return None


def read(raw: bytes) -> Head:
    """The head of a raw mail."""
    region = raw[:_LARGEST_HEAD]
    ends = [place for gap in (b"\r\n\r\n", b"\n\n") if (place := region.find(gap)) >= 0]
    parsed = _heads.parsebytes(region[: min(ends, default=min(len(region), _HEAD_LIMIT))], headersonly=True)
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name, value in parsed.raw_items():
        key, text = name.lower(), str(value).replace("\r", "").replace("\n", "")
        if key not in values:
            values[key] = text
        elif key in _REPEATED and len(also := repeated.setdefault(key, [])) < _MOST_REPEATED:
            also.append(text)
    return Head(values, repeated)


def mailboxes(fields: Sequence[str]) -> list[tuple[str, str]]:
    """Names and addresses of address fields, decoded; what is none is left out."""
    found = []
    for value in fields:
        for person, address in _addresses(_whole_ones(value)):
            if "@" in address:
                found.append((decoded(person), decoded(address)))
    return found


def _whole_ones(value: str) -> str:
    """The beginning of a long list of addresses, without half of one."""
    return value if len(value) <= PEOPLE_LIMIT else value[:PEOPLE_LIMIT].rpartition(",")[0]


def _addresses(value: str) -> list[tuple[str, str]]:
    if not value:
        return []
    usual = _USUAL_MAILBOX.fullmatch(value)
    if usual is not None:  # a tenth of what the library needs
        return [((usual[1] or usual[2] or "").strip(), usual[3] or usual[4])]
    # The library calls itself for each comment within a comment.
    return getaddresses([value]) if "@" in value and value.count("(") <= _COMMENTS else []


def decoded(value: str) -> str:
    """Encoded words (RFC 2047) and raw octets to one line of text."""
    if "=?" in value:
        # Spaces between two encoded words are no part of the text.
        value = _BETWEEN_WORDS.sub(r"\1", value)
        pieces, place = [], 0
        for word in _ENCODED_WORD.finditer(value):
            pieces += [_octets(value[place : word.start()]), _word(word[1], word[2], word[3])]
            place = word.end()
        value = "".join([*pieces, _octets(value[place:])])
    else:
        value = _octets(value)
    return " ".join(value.split())


def _octets(text: str) -> str:
    """Text that the parser took from bytes: what is no ASCII in it is UTF-8, or Latin, or a guess.

    A guess needs many letters: in a Latin script few are no ASCII, and the guess makes Chinese of them.
    """
    if text.isascii():
        return charset.clean(text)
    raw = _to_bytes(text)
    return charset.to_text(raw, None if 2 * len(_HIGH.findall(raw)) > len(raw) else "iso-8859-1")


def _word(name: str, encoding: str, content: str) -> str:
    octets = _to_bytes(content)
    if encoding in "bB":
        letters = _NOT_BASE64.sub(b"", octets)
        letters = letters[: len(letters) - (len(letters) % 4 == 1)]
        raw = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    else:
        raw = binascii.a2b_qp(octets.replace(b"_", b" "), header=True)
    return charset.to_text(raw, name)


def _to_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
