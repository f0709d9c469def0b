"""Reads mails that were fetched from mailboxes: notes where they lay, and tells the user's own from others'.

For the worker process: imports nothing that speaks to the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapters.email import headers, senders, subjects
from adapters.email.addresses import lenient
from adapters.email.reading import charset
from adapters.email.visible_text import from_mail
from bridge.model import Address, Envelope, Incoming, Report

Parser = Callable[[bytes, Envelope], Sequence[Incoming | Report]]

PLACE = "imap"  # envelope header and memo: where a mail lies, as `folder:validity:uid`
SENT = "imap.sent"  # envelope header: its recipient has written it

_MOST_RECIPIENTS = 10


@dataclass(frozen=True, slots=True)
class SourcedParser:
    """The transport's parser, for mails from any source; goes to the worker by pickle."""

    parser: Parser

    def __call__(self, raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
        if SENT in envelope.headers:
            try:
                return own_mails(raw, envelope)
            except Exception:
                return []  # a copy of what has gone: nobody waits for it
        parts = self.parser(raw, envelope)
        place = envelope.headers.get(PLACE)
        if not place:
            return parts
        return [
            replace(one, memo={**one.memo, PLACE: place}) if isinstance(one, Incoming) else one
            for one in parts
        ]


def own_mails(raw: bytes, envelope: Envelope) -> list[Incoming]:
    """A mail that the envelope's recipient has sent, once for each person it went to."""
    head = headers.read(raw)
    own = envelope.recipients[0]
    people: dict[str, tuple[str, str]] = {}
    for name, address in headers.mailboxes([*head.every("to"), *head.every("cc")]):
        canonical = lenient(address)
        if canonical and canonical != own and len(people) < _MOST_RECIPIENTS:
            people.setdefault(canonical, (name, address.strip()))
    subject = subjects.base(head.text("subject"))
    body = charset.clean(from_mail(raw)).strip("\n ") or subject or "(empty mail)"
    date = head.date()
    remote_id = head.message_id()
    return [
        Incoming(
            transport=envelope.transport,
            sender=Address(canonical, original),
            recipient=own,
            body=body,
            dedupe=f"own {remote_id or head.raw('date')} {canonical}",
            written_at=envelope.received_at if date is None else min(date, envelope.received_at),
            sender_name=senders.person(name, Address(canonical, original)),
            subject=subject,
            remote_id=remote_id,
            references=head.references(),
            own=True,
        )
        for canonical, (name, original) in people.items()
    ]
