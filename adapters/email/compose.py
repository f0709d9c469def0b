"""Deliveries → one mail, as bytes. Decides nothing about how it travels, and touches nothing.

The standard library's message classes take 360 µs a mail, so what a chat line needs is written here
directly; the tests read it back with the standard library and find the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.email import fields, itip, memo, parts, quoting, subjects
from adapters.email.addresses import needs_smtputf8
from adapters.email.memo import Person
from adapters.email.parts import Part
from bridge.model import Delivery, Message
from bridge.options import AUTO, CORRECTION, PROOF, QUOTE, QUOTING, REACTION, RSVP, SIGNATURE


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail and its envelope."""

    sender: str  # of the envelope; canonical, with our token in it; empty for the null sender
    recipients: tuple[str, ...]
    message_id: str  # in angle brackets
    raw: bytes  # lines end with CRLF; ASCII, unless `smtputf8`
    smtputf8: bool  # an address can only travel by RFC 6531


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What a mail's head says beside what was written."""

    domain: str  # for Message-IDs
    bounces_to: str = ""  # the envelope sender, if it is not the user's own address
    reply_to: str = ""
    language: str = "en"  # of the gateway, for a user who has chosen none


def message_id(uid: str, domain: str) -> str:
    """The Message-ID of our message `uid`: always the same, in angle brackets."""
    return f"<{uid}@{domain}>"


def to_email(deliveries: Sequence[Delivery], message: Message, letterhead: Letterhead) -> Mail:
    """The mail that carries one message to the recipients of these deliveries (at least one).

    RFC 5322. Its head names everybody whom the message goes to, whoever of them this attempt is for.
    """
    first = deliveries[0]
    recipients = tuple(dict.fromkeys(delivery.recipient for delivery in deliveries))
    known = fields.MESSAGE_ID.fullmatch(message.remote_id)
    own_id = message.remote_id if known else message_id(message.uid, letterhead.domain)
    to, cc = memo.people(message.memo, memo.TO), memo.people(message.memo, memo.CC)
    thread = fields.threading(message.references, message.in_reply_to)
    head = [
        fields.author(first.sender_name, first.sender),
        fields.recipients("To", tuple(to) or tuple(("", one) for one in recipients)),
        *([fields.recipients("Cc", tuple(cc))] if cc else []),
        *([f"Reply-To: <{fields.safe_address(letterhead.reply_to)}>"] if letterhead.reply_to else []),
        f"Date: {fields.date(int(message.written_at))}",
        f"Message-ID: {own_id}",
        *thread,
        fields.subject(_subject(message, continues=bool(thread))),
        *_by_itself(message.options),
        "MIME-Version: 1.0",
    ]
    content = _content(first, message, letterhead)
    raw = "\r\n".join((*head, *content.fields, "", "")).encode() + content.body
    smtputf8 = needs_smtputf8(first.sender, *recipients, *_addresses(to), *_addresses(cc))
    return Mail(letterhead.bounces_to or first.sender, recipients, own_id, raw, smtputf8)


def _addresses(people: Sequence[Person]) -> list[str]:
    return [address for _, address in people]


def _subject(message: Message, *, continues: bool) -> str:
    given = subjects.one_line(message.subject)
    if not given:
        return subjects.from_body(message.body)
    return subjects.reply(given) or given if continues else given


def _by_itself(options: Mapping[str, str]) -> list[str]:
    """A person wrote most of it, and nothing says otherwise; but a code that we send is ours (RFC 3834)."""
    return ["Auto-Submitted: auto-generated"] if options.get(AUTO) or options.get(PROOF) else []


def _content(delivery: Delivery, message: Message, letterhead: Letterhead) -> Part:
    language = message.memo.get(memo.LANGUAGE) or letterhead.language
    options = message.options
    if REACTION in options and (emoji := subjects.one_line(options[REACTION])):
        # RFC 9078; programs that do not know it show an answer of one emoji.
        return parts.text(emoji, disposition="reaction")
    body = quoting.correction(message.body, language) if options.get(CORRECTION) else message.body
    text = parts.text(_with_rest(body, delivery, message, language) if body.strip() else body)
    if options.get(RSVP) and message.answered is not None:
        reply = itip.reply(
            message.answered.memo.get(memo.INVITE, ""),
            options[RSVP],
            (delivery.sender_name, delivery.sender),
            message.written_at,
        )
        if reply:
            calendar = parts.text(reply, "text/calendar; method=REPLY; charset=utf-8")
            return parts.together("alternative", [text, calendar])
    return text


def _with_rest(body: str, delivery: Delivery, message: Message, language: str) -> str:
    """The text with the user's signature and the quote below it."""
    text = quoting.below(body, delivery.choices.get(SIGNATURE, ""))
    how = message.options.get(QUOTE) or delivery.choices.get(QUOTING) or "short"
    asked_for = QUOTE in message.options or memo.QUOTE in message.memo
    if message.answered is None or not asked_for or message.options.get(RSVP):
        return text
    ours = memo.OWN in message.answered.memo
    writer = (delivery.sender_name or delivery.sender) if ours else delivery.recipient
    quoted = quoting.quote(message.answered, how, writer, language)
    return f"{parts.plain_lines(text)}\n{quoted}" if quoted else text
