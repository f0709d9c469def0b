"""What Twilio's web-hook forms say, as values of ours. Pure; trusts that the form is Twilio's.

Parameters: Twilio's "Request to your webhook URL" and "Status callback" pages. SignalWire sends the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.sms import numbers, refusals
from bridge.model import Incoming, Outcome, Report

_OUTCOMES = {
    "sent": Outcome.SENT,
    "delivered": Outcome.DELIVERED,
    "read": Outcome.DELIVERED,
    "undelivered": Outcome.FAILED,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}
# On their way to the carrier: nothing a sender is told, but proof that the provider has the text.
_TAKEN = frozenset({"accepted", "scheduled", "queued", "sending"})

_KINDS_OF_FILE = {"image": "picture", "video": "video", "audio": "sound"}


class UnreadableForm(ValueError):
    """A signed form without what every such form has."""


@dataclass(frozen=True, slots=True)
class Status:
    """A status call-back. `outcome` is None for a status that only proves acceptance."""

    sid: str
    outcome: Outcome | None
    recipient: str  # canonical
    code: int  # Twilio's, or 0


def incoming(form: Mapping[str, str], transport: str, region: str, now: float) -> Incoming:
    """The text that an inbound form carries. Raises UnreadableForm.

    The form has no time of its own: it is posted as the text arrives, so that `now` is when.
    """
    sid, sender, recipient = (form.get(name, "").strip() for name in ("MessageSid", "From", "To"))
    if not sid or not recipient:
        raise UnreadableForm("an inbound text without MessageSid or To")
    address = numbers.inbound(sender, region)
    named = numbers.kind_of(address.canonical) is numbers.AddressKind.ALPHANUMERIC
    return Incoming(
        transport=transport,
        sender=address,
        recipient=numbers.inbound(recipient, region).canonical,
        body=_body(form),
        dedupe=sid,
        written_at=now,
        sender_name=address.original if named else "",
        remote_id=sid,
    )


def status(form: Mapping[str, str], region: str) -> Status | None:
    """What a status call-back says, or None for a status that tells nothing. Raises UnreadableForm."""
    sid = form.get("MessageSid", "").strip()
    word = (form.get("MessageStatus") or form.get("SmsStatus") or "").strip().lower()
    if not sid or not word:
        raise UnreadableForm("a status call-back without MessageSid or MessageStatus")
    if word not in _OUTCOMES and word not in _TAKEN:
        return None
    return Status(
        sid=sid,
        outcome=_OUTCOMES.get(word),
        recipient=numbers.inbound(form.get("To", ""), region).canonical if form.get("To") else "",
        code=refusals.known_code(form.get("ErrorCode", "")),
    )


def report(found: Status, transport: str) -> Report:
    """The report that a call-back makes; its delivery is added by whoever verified it."""
    failed = found.outcome is Outcome.FAILED
    return Report(
        transport=transport,
        outcome=found.outcome or Outcome.SENT,
        remote_id=found.sid,
        recipient=found.recipient,
        reason=refusals.of_failure(found.code) if failed else "",
        code=str(found.code) if failed and found.code else "",
    )


def _body(form: Mapping[str, str]) -> str:
    text = form.get("Body", "")
    told = form.get("NumMedia", "0").strip()
    files = min(int(told), 10) if told.isascii() and told.isdecimal() else 0
    notices = [_file_notice(form.get(f"MediaContentType{index}", "")) for index in range(files)]
    return "\n".join([*([text] if text.strip() else []), *notices]) or "(an empty text)"


def _file_notice(media_type: str) -> str:
    kind = _KINDS_OF_FILE.get(media_type.partition("/")[0].lower(), "file")
    return f"(a {kind} came with this text; it can't be shown here yet)"
