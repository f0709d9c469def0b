"""A raw mail and its envelope → messages and reports, for the worker process.

Never raises, whatever comes: a mail that cannot be read is shown as what can be read of it.
Imports nothing that speaks to the network.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapters.email import bounces, headers, subjects
from adapters.email.addresses import lenient
from adapters.email.reading import charset, mime
from adapters.email.visible_text import from_mail
from bridge.model import Address, Envelope, Incoming, Report

_SHOWN_WHOLE = 20_000  # bytes of a mail that cannot be read
_NAME_LIMIT = 120
_FILES_LIMIT = 50
_LOGO = 30_000  # bytes, still encoded: a picture below that is decoration
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")

_ENDINGS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
    "application/pdf": ".pdf", "text/calendar": ".ics", "message/rfc822": ".eml", "text/html": ".html",
    "text/plain": ".txt", "application/zip": ".zip", "audio/mpeg": ".mp3", "video/mp4": ".mp4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MailParser:
    """The parser of one transport; goes to the worker by pickle."""

    domains: tuple[str, ...]  # ours: what is at home in them is a Message-ID of ours

    def __call__(self, raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
        try:
            head = headers.read(raw)
            # Most mail that people write by hand is one text; taking it apart is a fifth of the work.
            root = None if _is_one_text(head) else mime.open_bytes(raw)
            reports = bounces.reports(root, envelope.transport, self.domains) if root is not None else []
            return reports or _incoming(raw, head, root, envelope)
        except Exception:
            # A bug of ours costs looks, never a mail.
            return _as_it_came(raw, envelope)


def _is_one_text(head: headers.Head) -> bool:
    kind = head.raw("content-type")[:60].partition(";")[0].strip().lower()
    return kind in ("", "text/plain") and not head.raw("content-disposition")


def _incoming(raw: bytes, head: headers.Head, root: mime.Part | None, envelope: Envelope) -> list[Incoming]:
    name, address = head.author()
    sender = _sender(address, envelope)
    subject = subjects.base(head.text("subject"))
    body = _body(raw, root) or subject or "(empty mail)"
    date = head.date()
    return [
        Incoming(
            transport=envelope.transport,
            sender=sender,
            recipient=recipient,
            body=body,
            dedupe=_fingerprint(head, body),
            written_at=envelope.received_at if date is None else min(date, envelope.received_at),
            sender_name=_name(name, sender),
            subject=subject,
            remote_id=head.message_id(),
            references=head.references(),
        )
        for recipient in envelope.recipients
    ]


def _sender(address: str, envelope: Envelope) -> Address:
    """Who wrote it. A mail that names nobody came from its envelope sender, else from a machine."""
    for one in (address, envelope.sender):
        canonical = lenient(one)
        if canonical:
            return Address(canonical, one.strip())
    domain = envelope.recipients[0].rpartition("@")[2] if envelope.recipients else "localhost"
    return Address(f"mailer-daemon@{domain}", f"mailer-daemon@{domain}")


def _name(name: str, sender: Address) -> str:
    name = subjects.one_line(name).strip("'\" ")[:_NAME_LIMIT].rstrip()
    return "" if name.lower() in (sender.canonical, sender.original.lower()) else name


def _fingerprint(head: headers.Head, body: str) -> str:
    """The same for the same mail, by whichever way it came twice; another for another mail that
    uses its Message-ID again."""
    parts = [head.message_id(), head.text("from"), head.text("date"), " ".join(body.split())]
    if not parts[0]:
        parts.append(head.text("subject"))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:40]


# --- body ---


def _body(raw: bytes, root: mime.Part | None) -> str:
    text = charset.clean(from_mail(raw)).strip("\n ")
    files = [f"📎 {name}" for name in _files(root)] if root is not None else []
    return "\n".join([text, *files] if text.strip() else files)


def _files(root: mime.Part) -> list[str]:
    names = [_file_name(part) for part in _leaves(root) if _is_file(part)]
    more = len(names) - _FILES_LIMIT
    return [*names[:_FILES_LIMIT], f"{more} more files"] if more > 0 else names


def _leaves(part: mime.Part) -> Iterator[mime.Part]:
    """Parts that may be files: neither containers, nor what a report holds for machines, nor the
    small pictures that belong to an HTML text (logos)."""
    if part.kind == "multipart/report":
        return
    if part.kind.startswith("multipart/"):
        for child in part.children:
            if part.kind != "multipart/related" or _disposition(child) == "attachment" or not _is_logo(child):
                yield from _leaves(child)
    else:
        yield part


def _is_file(part: mime.Part) -> bool:
    if part.kind in ("text/plain", "text/html"):
        return part.attached
    if part.kind in _SIGNATURES:
        return False
    is_text = part.kind.startswith("text/") and part.kind != "text/calendar"
    return not is_text or _disposition(part) == "attachment"


def _is_logo(part: mime.Part) -> bool:
    return part.kind.startswith("image/") and len(part.body) < _LOGO


def _disposition(part: mime.Part) -> str:
    return str(part.head.get("content-disposition", "")).partition(";")[0].strip().lower()


def _file_name(part: mime.Part) -> str:
    """A name that is safe to show and to save: no path, no control characters, never empty."""
    given = headers.decoded(str(part.head.get_filename() or ""))
    name = PurePosixPath(given.replace("\\", "/")).name.strip(". ")
    if name:
        return name if len(name) <= _NAME_LIMIT else name[: _NAME_LIMIT - 11] + "…" + name[-10:]
    if part.kind == "message/rfc822" and part.children:
        return (subjects.one_line(mime.header(part.children[0], "subject"))[:80] or "mail") + ".eml"
    return "file" + _ENDINGS.get(part.kind, "")


# --- what cannot be read ---


def _as_it_came(raw: bytes, envelope: Envelope) -> list[Incoming]:
    text = charset.clean(raw[:_SHOWN_WHOLE].decode("utf-8", "replace"))
    return [
        Incoming(
            transport=envelope.transport,
            sender=_sender("", envelope),
            recipient=recipient,
            body=f"(This mail could not be read. It begins so:)\n{text}",
            dedupe=hashlib.sha256(raw).hexdigest()[:40],
            written_at=envelope.received_at,
        )
        for recipient in envelope.recipients
    ]
