"""Reports on mail that we took and could not deliver after all (RFC 3464): to whom, and how they read.

They go to senders that are proven, or whom a relay of ours let in; once; from nobody, so that no report
answers a report. Anything else would send mail to people whose address a spammer used.
"""

from collections.abc import Mapping

from adapters.email import fields, memo, parts
from adapters.email.addresses import lenient, needs_smtputf8
from adapters.email.authenticity import VERDICT, Outcome, Verdict
from adapters.email.compose import Mail
from bridge.model import Delivery, Envelope, Message
from bridge.options import MEMO_RETURN

_TEXT = (
    "Your mail could not be delivered to {line}: the mailbox behind this address takes no mail any more. "
    "It was accepted at first, and nobody has read it. Please reach them another way.\n"
)


def noted(recipient: str, envelope: Envelope, verdict: Verdict, mechanical: str) -> Mapping[str, str]:
    """What is remembered of a mail to one of ours. Nothing if its sender shall not, or need not, hear of
    its fate."""
    sender = lenient(envelope.sender)
    if not sender or not envelope.peer or mechanical or verdict.outcome is Outcome.FAIL:
        return {}
    from_a_relay = VERDICT not in envelope.headers
    if not from_a_relay and not verdict.vouched_by(sender.rpartition("@")[2]):
        return {}
    return {MEMO_RETURN: sender, memo.CAME_FOR: recipient}


def report(delivery: Delivery, message: Message, domain: str) -> Mail:
    """The report on a mail. The same at each attempt."""
    line = message.memo.get(memo.CAME_FOR, f"postmaster@{domain}")
    text = parts.text(_TEXT.replace("{line}", line))
    final = "utf-8" if needs_smtputf8(line) else "rfc822"
    status = (
        f"Reporting-MTA: dns; {domain}\n\n"
        f"Final-Recipient: {final}; {fields.safe_address(line)}\nAction: failed\nStatus: 5.2.1\n"
    )
    about = f"Message-ID: {message.remote_id}\n" if fields.MESSAGE_ID.fullmatch(message.remote_id) else ""
    described = fields.subject(message.subject) if message.subject else ""
    kind = "message/global-delivery-status" if final == "utf-8" else "message/delivery-status"
    content = parts.together(
        "report; report-type=delivery-status",
        [
            text,
            parts.text(status, kind),
            parts.text(f"{about}{described}\n" if about or described else "\n", "text/rfc822-headers"),
        ],
    )
    own_id = f"<{message.uid}.undelivered@{domain}>"
    head = [
        fields.author("Mail Delivery", f"postmaster@{domain}"),
        fields.recipients("To", (("", delivery.recipient),)),
        f"Date: {fields.date(int(delivery.recorded_at))}",
        f"Message-ID: {own_id}",
        *fields.threading((), message.remote_id),
        fields.subject("Undelivered mail"),
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
    ]
    raw = "\r\n".join((*head, *content.fields, "", "")).encode() + content.body
    return Mail("", (delivery.recipient,), own_id, raw, needs_smtputf8(delivery.recipient, line))
