"""Deliveries → one mail, as bytes. Decides nothing about how it travels, and touches nothing.

The standard library's message classes take 360 µs a mail, so what a chat line needs is written here
directly; the tests read it back with the standard library and find the same.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from adapters.email import subjects
from adapters.email.addresses import needs_smtputf8
from bridge.model import Delivery, Message

_FOLD_AT = 76  # octets of a header line; RFC 5322 recommends at most 78
_LONGEST_LINE = 998  # octets, RFC 5322 section 2.1.1
_REFERENCES = 30  # the first and the latest: enough for every threading algorithm
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,500}>")

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail and its envelope."""

    sender: str  # of the envelope; canonical
    recipients: tuple[str, ...]
    message_id: str  # in angle brackets
    raw: bytes  # lines end with CRLF; ASCII, unless `smtputf8`
    smtputf8: bool  # an address can only travel by RFC 6531


def message_id(uid: str, domain: str) -> str:
    """The Message-ID of our message `uid`: always the same, in angle brackets."""
    return f"<{uid}@{domain}>"


def to_email(deliveries: Sequence[Delivery], message: Message, domain: str) -> Mail:
    """The mail that carries one message to the recipients of these deliveries (at least one).

    RFC 5322. There is no Auto-Submitted header: a person wrote this.
    """
    first = deliveries[0]
    recipients = tuple(dict.fromkeys(delivery.recipient for delivery in deliveries))
    known = _MESSAGE_ID.fullmatch(message.remote_id)
    own_id = message.remote_id if known else message_id(message.uid, domain)
    answered = _references(message)
    encoding, body = _encode_body(message.body)
    head = [
        _from_header(first.sender_name, first.sender),
        _folded("To:", *_with_commas(recipients)),
        f"Date: {_date(int(message.written_at))}",
        f"Message-ID: {own_id}",
    ]
    if answered:
        # One id a line and never an encoded word, else Outlook loses the thread.
        head += [_folded("In-Reply-To:", answered[-1]), _folded("References:", *answered)]
    head += [
        _subject_header(_subject(message, continues=bool(answered))),
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        "",
    ]
    smtputf8 = needs_smtputf8(first.sender, *recipients)
    return Mail(first.sender, recipients, own_id, "\r\n".join(head).encode() + body, smtputf8)


# --- headers ---


def _subject(message: Message, *, continues: bool) -> str:
    given = subjects.one_line(message.subject)
    if not given:
        return subjects.from_body(message.body)
    return subjects.reply(given) or given if continues else given


def _references(message: Message) -> list[str]:
    """Remote ids that are Message-IDs, oldest first, what is answered last."""
    ids = [one for one in message.references if _MESSAGE_ID.fullmatch(one)]
    if _MESSAGE_ID.fullmatch(message.in_reply_to):
        ids = [one for one in ids if one != message.in_reply_to] + [message.in_reply_to]
    return ids if len(ids) <= _REFERENCES else [ids[0], *ids[1 - _REFERENCES :]]


def _with_commas(addresses: Sequence[str]) -> Iterable[str]:
    return [*(f"{address}," for address in addresses[:-1]), addresses[-1]]


@lru_cache(maxsize=1024)
def _from_header(name: str, address: str) -> str:
    return _folded(f"From: {_phrase(name)}", f"<{address}>")


@lru_cache(maxsize=128)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _folded(*words: str) -> str:
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


def _subject_header(subject: str) -> str:
    if len(subject) <= subjects.LONGEST and subject.isascii() and "=?" not in subject:
        return f"Subject: {subject}"
    if _is_plain(subject):
        return _folded("Subject:", *subject.split(" "))
    return _folded("Subject:", *_encoded_words(subject))


def _is_plain(text: str) -> bool:
    """Whether it can stand in a header as it is, and is read back as it was."""
    return text.isascii() and "=?" not in text and all(len(word) < _FOLD_AT for word in text.split(" "))


def _phrase(name: str) -> str:
    """A display name (RFC 5322 section 3.2.5): bare, in quotes, or as encoded words (RFC 2047)."""
    name = subjects.one_line(name)[:200].rstrip()
    if not name:
        return ""
    if not _is_plain(name):
        return "\r\n ".join(_encoded_words(name))
    if _ATOMS.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


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


# --- body ---


def plain_lines(body: str) -> str:
    """A text with `\\n` between lines and no control characters but tabs; ends with one line break."""
    text = _CONTROL.sub("", body.replace("\r\n", "\n").replace("\r", "\n"))
    return text if text.endswith("\n") else text + "\n"


def _encode_body(body: str) -> tuple[str, bytes]:
    """Content-Transfer-Encoding and octets. Never 8bit: a hop without 8BITMIME would have to
    re-encode it, which breaks signatures. Base64 only for scripts that quoted-printable triples."""
    text = plain_lines(body).replace("\n", "\r\n")
    raw = text.encode()
    if text.isascii() and not _has_long_line(raw):
        return "7bit", raw
    if len(raw) - len(text) > len(text) // 4:
        return "base64", _base64_lines(raw)
    return "quoted-printable", binascii.b2a_qp(raw, istext=True)


def _has_long_line(raw: bytes) -> bool:
    return len(raw) > _LONGEST_LINE and any(len(line) > _LONGEST_LINE for line in raw.split(b"\r\n"))


def _base64_lines(raw: bytes) -> bytes:
    return base64.encodebytes(raw).replace(b"\n", b"\r\n")
