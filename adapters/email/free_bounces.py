"""Bounces in free text, of servers that know no RFC 3464: whom they name, and what they say of it.

flufl.bounce knows the words of many; it is asked last, about mails that a mailer wrote, and only about
their beginning.
"""

import re
from collections.abc import Sequence
from email import policy
from email.errors import MessageError
from email.parser import BytesParser

from adapters.email import headers, replies
from adapters.email.addresses import lenient
from adapters.email.reading import charset
from bridge.model import Outcome, Report

_READ = 64_000  # bytes: what is said comes first, the mail that bounced after it
_RECIPIENTS = 50
_NESTED = 20  # containers in a mail: a bounce has three
_MAILERS = ("mailer-daemon@", "postmaster@", "mail-daemon@", "mailerdaemon@", "mdaemon@")
_ENHANCED = r"[45]\.\d{1,3}\.\d{1,3}\b"
_REPLY_NEAR = re.compile(rf"\b([45]\d\d)[ -](?:{_ENHANCED})?[^\r\n]{{0,200}}|\b{_ENHANCED}")
_AROUND = 1500  # characters after an address in which its reason is looked for

_messages = BytesParser(policy=policy.compat32)


def from_a_mailer(head: headers.Head) -> bool:
    """Whether a mail server's program seems to have written it."""
    return bool(head.raw("x-failed-recipients")) or head.author()[1].lower().startswith(_MAILERS)


def our_message_id(raw: bytes, domains: Sequence[str]) -> str:
    """A Message-ID of ours that stands anywhere in the beginning of a mail: 32 hex digits at our domain."""
    for name in domains:
        found = re.search(rb"<?([0-9a-f]{32}@" + re.escape(name.encode()) + rb")\b", raw[: 2 * _READ])
        if found:
            return f"<{found[1].decode('ascii')}>"
    return ""


def reports(raw: bytes, head: headers.Head, transport: str, about: str) -> list[Report]:
    """One report for each recipient that the text names as failed or delayed."""
    failed, delayed = _named(raw, head)
    text = charset.to_text(raw[:_READ], None)
    fates = dict.fromkeys(delayed, Outcome.DELAYED) | dict.fromkeys(failed, Outcome.FAILED)
    return [_report(one, outcome, text, transport, about) for one, outcome in fates.items()]


def _named(raw: bytes, head: headers.Head) -> tuple[list[str], list[str]]:
    failed = [address for _, address in headers.mailboxes([head.raw("x-failed-recipients")])]
    delayed: list[str] = []
    if not failed:
        permanent, temporary = _scanned(raw)
        failed, delayed = permanent, temporary
    return _canonical(failed), _canonical(delayed)


def _scanned(raw: bytes) -> tuple[list[str], list[str]]:
    """What flufl.bounce finds: failed and delayed addresses."""
    if sum(raw[:_READ].count(mark) for mark in (b"message/", b"multipart/")) > _NESTED:
        return [], []  # it goes through the whole tree for each of its detectors
    # Not at the top: a tenth of a second and some megabytes, for few mails in a thousand.
    from flufl.bounce import all_failures

    try:
        temporary, permanent = all_failures(_messages.parsebytes(raw[:_READ]))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError):
        return [], []  # its detectors raise for mails that are cut or odd
    return [one.decode("utf-8", "replace") for one in sorted(permanent)], [
        one.decode("utf-8", "replace") for one in sorted(temporary)
    ]


def _canonical(addresses: list[str]) -> list[str]:
    return list(dict.fromkeys(one for one in map(lenient, addresses) if one))[:_RECIPIENTS]


def reason_of(outcome: Outcome, reply: replies.Reply, recipient: str) -> str:
    """The sentence for a user; empty for good news."""
    if outcome is Outcome.FAILED:
        return replies.in_words(replies.meaning(reply, of_recipient=True), reply, recipient)
    return replies.later_in_words(reply, recipient) if outcome is Outcome.DELAYED else ""


def _report(recipient: str, outcome: Outcome, text: str, transport: str, about: str) -> Report:
    reply = _reply(recipient, text, outcome)
    reason = reason_of(outcome, reply, recipient)
    return Report(transport, outcome, remote_id=about, recipient=recipient, reason=reason, code=reply.codes)


def _reply(recipient: str, text: str, outcome: Outcome) -> replies.Reply:
    """What the far server answered, as the text quotes it; nothing but the outcome if it does not."""
    place = max(text.lower().find(recipient), 0)
    found = _REPLY_NEAR.search(text, place, place + _AROUND) or _REPLY_NEAR.search(text[:_READ])
    if found is None:
        return replies.Reply(0, "")
    code = int(found[1]) if found[1] else (550 if found[0].startswith("5") else 450)
    if (code >= 500) is not (outcome is Outcome.FAILED):
        return replies.Reply(0, "")
    return replies.Reply(code, found[0])
