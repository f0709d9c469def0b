"""What the tests of outgoing mail share: a mail that came, and the mail that answers it."""

import email
import email.policy
from email.message import EmailMessage

from adapters.email import answering
from adapters.email.compose import Letterhead, Mail, to_email
from adapters.email.parse import MailParser
from bridge.model import Answered, Envelope, Incoming
from bridge.ports import Outward
from tests.adapters.contract import delivery, message

LINE = "mira@chat.example.org"
JANA = "jana@x.example"
HEAD = Letterhead("chat.example.org")


def came(head: str, body: str = "When can you come?", *, to: str = LINE) -> Incoming:
    """A mail for mira, as the parser reads it."""
    raw = f"Message-ID: <1@x.example>\nDate: Thu, 20 Nov 2025 14:02:00 +0000\n{head}\n\n{body}\n"
    (found,) = MailParser(("chat.example.org",))(
        raw.replace("\n", "\r\n").encode(), Envelope("here", JANA, (to,), 1_800_000_000.0)
    )
    assert isinstance(found, Incoming)
    return found


def goes_to(
    mail: Incoming | None, contact: str = JANA, *, first: bool = True, language: str = "", **options: str
) -> answering.Addressed:
    answered = mail.memo if mail is not None else None
    return answering.addressed(Outward(contact, contact, LINE, options, answered, first, language))


def answer(
    mail: Incoming | None,
    body: str = "At three",
    *,
    contact: str = JANA,
    choices: dict[str, str] | None = None,
    head: Letterhead = HEAD,
    **options: str,
) -> Mail:
    """The mail that mira's line becomes."""
    found = goes_to(mail, contact, **options)
    one = message(
        body,
        options=options,
        memo=found.memo,
        in_reply_to=mail.remote_id if mail is not None else "",
        subject=mail.subject if mail is not None else "",
        answered=Answered(mail.remote_id, mail.body, mail.subject, mail.written_at, mail.memo)
        if mail is not None
        else None,
    )
    return to_email(
        [delivery(to, sender=LINE, message=one, choices=choices or {}) for to in found.recipients], one, head
    )


def read(made: Mail) -> EmailMessage:
    found = email.message_from_bytes(made.raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def people(made: Mail, field: str) -> list[str]:
    return [one.addr_spec for one in read(made)[field].addresses] if read(made)[field] else []


def text_of(made: Mail) -> str:
    part = read(made).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


GROUP = f"From: Jana Berg <{JANA}>\nTo: {LINE}, Tom <tom@y.example>\nCc: eva@z.example\nSubject: Party"
