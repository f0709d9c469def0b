"""Reads mails that were fetched from mailboxes: notes where they lay, and tells the user's own from others'.

For the worker process: imports nothing that speaks to the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapters.email import headers, memo, people, senders, subjects
from adapters.email.reading import charset
from adapters.email.visible_text import from_mail
from bridge.model import Address, Envelope, Group, Incoming, Report

Parser = Callable[[bytes, Envelope], Sequence[Incoming | Report]]

PLACE = "imap"  # envelope header and memo: where a mail lies, as `folder:validity:uid`
SENT = "imap.sent"  # envelope header: its recipient has written it


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
    """A mail that the envelope's recipient has sent: into the chat of all whom it went to."""
    head = headers.read(raw)
    own = envelope.recipients[0]
    named = people.of(head)
    went_to = {one: name for one, name in {**named.to, **named.cc}.items() if one != own}
    if not went_to:
        return []
    first = next(one for one in (*named.to, *named.cc) if one != own)
    subject = subjects.base(head.text("subject"))
    body = charset.clean(from_mail(raw)).strip("\n ") or subject or "(empty mail)"
    date = head.date()
    remote_id = head.message_id()
    return [
        Incoming(
            transport=envelope.transport,
            sender=Address(first, first),
            recipient=own,
            body=body,
            dedupe=f"own {remote_id or head.raw('date')} {first}",
            written_at=envelope.received_at if date is None else min(date, envelope.received_at),
            sender_name=senders.person(went_to[first], Address(first, first)),
            subject=subject,
            remote_id=remote_id,
            references=head.references(),
            memo=_memo(named),
            own=True,
            group=Group(went_to, len(went_to), named=True) if len(went_to) > 1 else None,
        )
    ]


def _memo(named: people.People) -> dict[str, str]:
    """What answers to one's own mail go by, as adapters.email.answering writes it."""
    fields = {memo.TO: named.to, memo.CC: named.cc}
    return {memo.OWN: "1", **{name: people.written(found) for name, found in fields.items() if found}}
