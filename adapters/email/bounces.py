"""What other mail servers say of our mails (RFC 3464, RFC 6533, and free text): failed, delayed, delivered;
and that somebody's mail program has it (RFC 8098), which counts as delivered: who asked to know no more.

Only reports on our own Message-IDs count; whatever cannot be understood is left to be shown as mail.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.email import free_bounces, headers, replies
from adapters.email.addresses import lenient
from adapters.email.reading import charset, mime
from bridge.model import Outcome, Report

_STATUS_LIMIT = 200_000  # bytes
_RECIPIENTS = 100

_OUTCOMES = {
    "failed": Outcome.FAILED,
    "delayed": Outcome.DELAYED,
    "delivered": Outcome.DELIVERED,
    "relayed": Outcome.SENT,
    "expanded": Outcome.SENT,
}
_SMTP_CODE = re.compile(r"\b[245]\d\d\b")
_BLANK = re.compile(rb"\n[ \t]*\n+")
_UNITEXT = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_STATUS_KINDS = ("message/delivery-status", "message/global-delivery-status")
_READ_KINDS = ("message/disposition-notification", "message/global-disposition-notification")
_ORIGINAL_KINDS = ("text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")


@dataclass(frozen=True, slots=True)
class Source:
    """How the mail reached us, as far as reading it as a report needs it."""

    transport: str
    domains: Sequence[str]  # ours
    null_sender: bool
    token_id: str = ""  # the Message-ID of ours that the envelope recipient's token names


def may_be(head: headers.Head, source: Source) -> bool:
    """Whether it is worth looking for a report. Cheap."""
    return source.null_sender or bool(source.token_id) or free_bounces.from_a_mailer(head)


def reports(raw: bytes, head: headers.Head, root: mime.Part, source: Source) -> list[Report]:
    """What a mail reports about our mails, one for each recipient it names. Empty if it is no report."""
    parts = list(_leaves(root))
    if (read := next((part for part in parts if part.kind in _READ_KINDS), None)) is not None:
        return _disposed(read, source)
    status = next((part for part in parts if part.kind in _STATUS_KINDS), None)
    if status is None and not may_be(head, source):
        return []
    about = source.token_id or _our_message_id(parts, head, source.domains)
    if status is not None:
        found = (_report(block, source.transport, about) for block in _per_recipient(status)) if about else ()
        return [report for report in found if report is not None]
    about = about or free_bounces.our_message_id(raw, source.domains)
    return free_bounces.reports(raw, head, source.transport, about) if about else []


def _leaves(part: mime.Part) -> Iterator[mime.Part]:
    """Parts in order; a mail inside stays whole."""
    if part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _leaves(child)
    else:
        yield part


def _our_message_id(parts: Sequence[mime.Part], head: headers.Head, domains: Sequence[str]) -> str:
    """The Message-ID of ours that a report is about: that of the mail it brings back, else one it answers."""
    for part in parts:
        if part.kind in _ORIGINAL_KINDS:
            inner = headers.read(part.content(_STATUS_LIMIT) + b"\n\n")
            for found in (inner.message_id(), inner.original_id()):
                if _is_ours(found, domains):
                    return found
    return next((one for one in reversed(head.references()) if _is_ours(one, domains)), "")


def _is_ours(message_id: str, domains: Sequence[str]) -> bool:
    return message_id.rpartition("@")[2].removesuffix(">") in domains


def _per_recipient(status: mime.Part) -> list[headers.Head]:
    """The groups of fields, less the first, which speaks of the whole mail (RFC 3464 section 2.1)."""
    text = status.content(_STATUS_LIMIT).replace(b"\r\n", b"\n").strip(b"\n")
    groups = [headers.read(group + b"\n\n") for group in _BLANK.split(text, _RECIPIENTS) if group.strip()]
    # Some servers leave the blank line out after the first group, or the group.
    return [group for group in groups if group.raw("final-recipient") or group.raw("original-recipient")]


def _report(block: headers.Head, transport: str, about: str) -> Report | None:
    outcome = _OUTCOMES.get(block.raw("action").partition("(")[0].strip().lower())
    recipient = _address(block.raw("original-recipient")) or _address(block.raw("final-recipient"))
    if outcome is None or not recipient:
        return None
    reply = _reply(block)
    reason = free_bounces.reason_of(outcome, reply, recipient)
    return Report(transport, outcome, remote_id=about, recipient=recipient, reason=reason, code=reply.codes)


def _disposed(part: mime.Part, source: Source) -> list[Report]:
    """What a read receipt says of a mail of ours; nothing if it is about another, or says nothing."""
    block = headers.read(part.content(_STATUS_LIMIT).strip() + b"\n\n")
    about = block.raw("original-message-id").strip()[:998]
    recipient = _address(block.raw("original-recipient")) or _address(block.raw("final-recipient"))
    if not _is_ours(about, source.domains) or not recipient or not block.raw("disposition"):
        return []
    return [Report(source.transport, Outcome.DELIVERED, remote_id=about, recipient=recipient)]


def _address(field: str) -> str:
    """`rfc822;bob@example.com` or `utf-8;bob@\\x{4F8B}.jp` (RFC 6533 section 3) to its address."""
    kind, semicolon, address = field[:1000].partition(";")
    text = headers.decoded(address if semicolon else kind).strip("<> ")
    return lenient(_UNITEXT.sub(_character, text))


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def _reply(block: headers.Head) -> replies.Reply:
    """Diagnostic-Code if it is SMTP's, and Status, as if the server had answered us."""
    status = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})", block.raw("status")[:40])
    diagnostic = charset.clean(block.text("diagnostic-code").partition(";")[2]).strip()
    code = _SMTP_CODE.search(diagnostic[:200])
    if code:
        text = diagnostic if _has_enhanced(diagnostic) else _with(status, diagnostic)
        return replies.Reply(int(code[0]), text)
    fallback = 450 if status and status[1].startswith("4") else 550
    return replies.Reply(fallback, _with(status, diagnostic))


def _has_enhanced(text: str) -> bool:
    return re.search(r"\b[245]\.\d{1,3}\.\d{1,3}\b", text[:200]) is not None


def _with(status: re.Match[str] | None, text: str) -> str:
    return f"{status[1]} {text}" if status else text
