"""Reports that other mail servers send about our mails (RFC 3464): failed, delayed, delivered.

Only reports on our own Message-IDs count; whatever cannot be understood is left to be shown as mail.
"""

import re
from collections.abc import Iterator, Sequence
from email import policy
from email.parser import BytesParser

from adapters.email import headers, replies
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

_blocks = BytesParser(policy=policy.compat32)


def reports(root: mime.Part, transport: str, domains: Sequence[str]) -> list[Report]:
    """What a mail reports about our mails, one for each recipient it names. Empty if it is no report."""
    if root.kind != "multipart/report":
        return []
    parts = list(_leaves(root))
    about = _our_message_id(parts, domains)
    status = next((part for part in parts if part.kind in _STATUS_KINDS), None)
    if not about or status is None:
        return []
    found = (_report(block, transport, about) for block in _per_recipient(status))
    return [report for report in found if report is not None]


_STATUS_KINDS = ("message/delivery-status", "message/global-delivery-status")
_ORIGINAL_KINDS = ("text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers")


def _leaves(part: mime.Part) -> Iterator[mime.Part]:
    """Parts in order; a mail inside stays whole."""
    if part.kind.startswith("multipart/"):
        for child in part.children:
            yield from _leaves(child)
    else:
        yield part


def _our_message_id(parts: Sequence[mime.Part], domains: Sequence[str]) -> str:
    for part in parts:
        if part.kind in _ORIGINAL_KINDS:
            found = headers.read(part.content(_STATUS_LIMIT) + b"\n\n").message_id()
            if found.rpartition("@")[2].removesuffix(">") in domains:
                return found
    return ""


def _per_recipient(status: mime.Part) -> list[headers.Head]:
    """The groups of fields, less the first, which speaks of the whole mail (RFC 3464 section 2.1)."""
    text = status.content(_STATUS_LIMIT).replace(b"\r\n", b"\n").strip(b"\n")
    groups = [group for group in re.split(rb"\n[ \t]*\n+", text) if group.strip()]
    return [headers.read(group + b"\n\n") for group in groups[1 : _RECIPIENTS + 1]]


def _report(block: headers.Head, transport: str, about: str) -> Report | None:
    outcome = _OUTCOMES.get(block.raw("action").strip().lower())
    recipient = _address(block.raw("original-recipient")) or _address(block.raw("final-recipient"))
    if outcome is None or not recipient:
        return None
    reply = _reply(block)
    if outcome is Outcome.FAILED:
        reason = replies.in_words(replies.meaning(reply, of_recipient=True), reply, recipient)
    elif outcome is Outcome.DELAYED:
        reason = replies.later_in_words(reply, recipient)
    else:
        reason = ""
    return Report(transport, outcome, remote_id=about, recipient=recipient, reason=reason, code=reply.codes)


def _address(field: str) -> str:
    """`rfc822;bob@example.com` to its address."""
    kind, semicolon, address = field[:1000].partition(";")
    return lenient(headers.decoded(address if semicolon else kind).strip("<> "))


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
