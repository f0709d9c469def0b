"""A raw mail and its envelope → messages and reports, for the worker process.

The conductor only: each part of a mail is read in a module of its own. Never raises, whatever comes: a
mail that cannot be read is shown as what can be read of it. Imports nothing that speaks to the network.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from adapters.email import (
    armour,
    authenticity,
    automatic,
    bounces,
    faces,
    files,
    headers,
    invitations,
    lists,
    people,
    reactions,
    senders,
    spam,
    subjects,
    tokens,
    undelivered,
    visible_text,
)
from adapters.email.addresses import lenient
from adapters.email.reading import charset, mime
from bridge.i18n import filled, joined, tr
from bridge.model import Address, Envelope, File, Group, Incoming, Reaction, Report
from bridge.options import MEMO_AUTO, MEMO_SPAM, REPLIED

_SHOWN_WHOLE = 20_000  # bytes of a mail that cannot be read
_ENCRYPTED = tr("🔒 This mail is encrypted, and can be read in a mail program that has your key only.")
_LEFT_OUT = tr("📎 {number} more, too many or too large to show here. /whole gives the mail.")
_EMPTY = tr("(empty mail)")
_LIST_TAG = re.compile(r"^\[[^\[\]]{1,40}\]\s*")


@dataclass(frozen=True, slots=True)
class MailParser:
    """The parser of one transport; goes to the worker by pickle."""

    domains: tuple[str, ...]  # ours: what is at home in them is a Message-ID of ours
    key: bytes = field(default=b"", repr=False)  # of tokens
    on_spam: spam.Mode = "mark"  # what the word of the server before us counts

    def __call__(self, raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
        try:
            head = headers.read(raw)
            # Most mail that people write by hand is one text; taking it apart is a fifth of the work.
            root = None if _is_one_text(head) else mime.open_bytes(raw)
            reports = self._reports(raw, head, root, envelope)
            shown = tuple(self._incoming(raw, head, root, envelope))
            if not reports:
                return shown
            # A report on a mail that nobody knows any more is a mail like others.
            text = tuple(replace(one, files=(), keep_raw=False) for one in shown)
            return [replace(one, otherwise=text) for one in reports]
        except Exception:
            # A bug of ours costs looks, never a mail.
            return _as_it_came(raw, envelope)

    def _reports(
        self, raw: bytes, head: headers.Head, root: mime.Part | None, envelope: Envelope
    ) -> list[Report]:
        null_sender = _is_null_sender(head, envelope)
        tokened = self._tokens(envelope) if null_sender else {}
        source = bounces.Source(
            envelope.transport, self.domains, null_sender, next(iter(tokened.values()), "")
        )
        if root is None:
            if not bounces.may_be(head, source):
                return []
            root = mime.open_bytes(raw)
        return bounces.reports(raw, head, root, source)

    def _incoming(
        self, raw: bytes, head: headers.Head, root: mime.Part | None, envelope: Envelope
    ) -> list[Incoming]:
        content = _read(raw, head, root, envelope.received_at)
        mailing_list = lists.of(head)
        verdict = authenticity.of(head, envelope.headers)
        sender = senders.of(head, verdict, mailing_list, _nobody(envelope))
        mechanical = automatic.kind(head, null_sender=_is_null_sender(head, envelope))
        if mechanical == REPLIED:
            dedupe = automatic.once_a_day(sender.address.canonical, content.body, envelope.received_at)
        else:
            dedupe = _fingerprint(head, content)
        # Nobody is given a face by a mail that may not be theirs; a list has none of its own.
        doubtful = mailing_list is not None or senders.is_unproven(sender.address.canonical)
        face = None if doubtful else faces.of(head, root, sender.address.canonical)
        named = people.of(head)
        tokened = self._tokens(envelope)
        answered = head.references()[-1:] if content.emoji and head.raw("in-reply-to") else ()
        date = head.date()
        shared = {**content.memo, **lists.memo(mailing_list)}
        if mechanical:
            shared[MEMO_AUTO] = mechanical
        if suspect := spam.verdict(head, envelope.headers, envelope.peer, self.on_spam):
            shared[MEMO_SPAM] = suspect
        return [
            Incoming(
                transport=envelope.transport,
                sender=sender.address,
                recipient=recipient,
                body=content.body,
                dedupe=dedupe,
                written_at=envelope.received_at if date is None else min(date, envelope.received_at),
                sender_name=sender.name,
                subject=_subject(content.subject, mailing_list, mechanical),
                remote_id=head.message_id(),
                references=_references(head, tokened.get(recipient, "")),
                files=content.files,
                memo={
                    **named.memo(recipient),
                    **undelivered.noted(recipient, envelope, verdict, mechanical),
                    **shared,
                },
                keep_raw=content.cut,
                lead=_lead(sender, mechanical, "" if mailing_list or group else named.line(recipient)),
                group=group,
                face=face,
                reaction=Reaction(content.emoji, "", remote_id=answered[0]) if answered else None,
            )
            for recipient in envelope.recipients
            for group in [self._group(named, recipient, sender, mailing_list)]
        ]

    def _group(
        self, named: people.People, recipient: str, sender: senders.Sender, mailing_list: object
    ) -> Group | None:
        """Whom a mail is shown among. A list is one contact, and what nobody can prove stays apart."""
        if mailing_list is not None or senders.is_unproven(sender.address.canonical):
            return None
        return named.group(recipient, sender.address.canonical, sender.name, self.domains)

    def _tokens(self, envelope: Envelope) -> Mapping[str, str]:
        """The Message-IDs of ours that envelope recipients name, by line."""
        found = {}
        for recipient in envelope.recipients if self.key else ():
            spelled = envelope.headers.get(f"rcpt:{recipient}", "")
            uid = tokens.uid_of(self.key, recipient, spelled) if "+" in spelled else ""
            if uid:
                found[recipient] = f"<{uid}@{self.domains[0]}>"  # as compose.message_id writes it
        return found


def _is_one_text(head: headers.Head) -> bool:
    kind = head.raw("content-type")[:60].partition(";")[0].strip().lower()
    return kind in ("", "text/plain") and not head.raw("content-disposition")


def _is_null_sender(head: headers.Head, envelope: Envelope) -> bool:
    """Whether nobody is to hear of this mail's fate. From a mailbox, only its Return-Path can tell."""
    return not envelope.sender and (envelope.peer != "" or "<>" in head.raw("return-path")[:100])


def _nobody(envelope: Envelope) -> Address:
    """Who a mail is from that names nobody: its envelope sender, else a machine."""
    canonical = lenient(envelope.sender)
    if canonical:
        return Address(canonical, envelope.sender.strip())
    domain = envelope.recipients[0].rpartition("@")[2] if envelope.recipients else "localhost"
    return Address(f"mailer-daemon@{domain}", f"mailer-daemon@{domain}")


def _references(head: headers.Head, token_id: str) -> tuple[str, ...]:
    """What a mail answers, last what it answers most surely: ids may be rewritten on the way, a token and
    Microsoft's note of the first id are not."""
    found = head.references()
    surest = [one for one in (head.original_id(), token_id) if one and one != head.message_id()]
    return tuple(one for one in found if one not in surest) + tuple(surest) if surest else found


def _subject(subject: str, mailing_list: lists.MailingList | None, mechanical: str) -> str:
    """What the mail is about. An automatic answer says only what it answers, a list its own name."""
    if mechanical == REPLIED:
        return ""
    return subjects.base(_LIST_TAG.sub("", subject)) if mailing_list is not None else subject


def _lead(sender: senders.Sender, mechanical: str, others: str) -> str:
    """What stands before the text in the chat."""
    lines = [line for line in (sender.warning, others) if line]
    before = joined(tr("🔁 Automatic answer:"), " ") if mechanical == REPLIED else ""
    author = f"{sender.author}: " if sender.author else ""
    return joined(*(joined(line, "\n") for line in lines), author, before)


def _fingerprint(head: headers.Head, content: "Content") -> str:
    """The same for the same mail, by whichever way it came twice; another for another mail that
    uses its Message-ID again."""
    names = " ".join(file.name for file in content.files)
    parts = [head.message_id(), head.text("from"), head.text("date"), " ".join(content.body.split()), names]
    if not parts[0]:
        parts.append(head.text("subject"))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:40]


# --- content ---


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says and carries."""

    subject: str
    body: str  # may be empty beside files
    files: tuple[File, ...] = ()
    memo: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # there is more in the raw mail than is shown
    emoji: str = ""  # it is nothing but this about the mail that it answers


def _read(raw: bytes, head: headers.Head, root: mime.Part | None, received_at: float) -> Content:
    subject = subjects.base(head.text("subject"))
    if root is None:
        reading = visible_text.read_mail(raw)
        if not armour.is_in(reading.text):
            return Content(subject, _clean(reading.text) or subject or _EMPTY, cut=reading.cut)
        root = mime.open_bytes(raw)
    reading = visible_text.read_root(root)
    found = files.find(root, answers=bool(head.raw("in-reply-to") or head.raw("references")))
    invitation = invitations.said(found.calendars, time.gmtime(received_at).tm_year)
    text = _clean(reading.text) or _clean(found.text) or _of_html(found.html)
    text, enclosed = armour.taken_out(root, text)
    lines = [
        invitation.line if invitation else "",
        text,
        _ENCRYPTED if enclosed or (not text and _is_encrypted(root)) else "",
        filled(_LEFT_OUT, number=found.left_out) if found.left_out else "",
    ]
    body = joined(*islice(chain.from_iterable(("\n", line) for line in lines if line), 1, None))
    if not body and not found.files:
        body = subject or _EMPTY
    cut = reading.cut or found.left_out > 0 or found.decoration > 0
    memo = invitation.memo if invitation else {}
    return Content(subject, body, (*found.files, *enclosed), memo, cut, reactions.emoji(root, body))


def _clean(text: str) -> str:
    return charset.clean(text).strip("\n ")


def _of_html(html: bytes) -> str:
    return _clean(visible_text.from_mail(b"Content-Type: text/html\r\n\r\n" + html)) if html else ""


def _is_encrypted(root: mime.Part) -> bool:
    return root.kind in ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


# --- what cannot be read ---


def _as_it_came(raw: bytes, envelope: Envelope) -> list[Incoming]:
    text = charset.clean(raw[:_SHOWN_WHOLE].decode("utf-8", "replace"))
    return [
        Incoming(
            transport=envelope.transport,
            sender=_nobody(envelope),
            recipient=recipient,
            body=joined(tr("(This mail could not be read. It begins so:)"), "\n", text),
            dedupe=hashlib.sha256(raw).hexdigest()[:40],
            written_at=envelope.received_at,
            keep_raw=True,
        )
        for recipient in envelope.recipients
    ]
