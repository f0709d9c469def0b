"""What Twilio's web-hook forms say, as values of ours. Pure; trusts that the form is Twilio's.

Parameters: Twilio's "Request to your webhook URL" and "Status callback" pages. SignalWire sends the same.
"""

from collections.abc import Mapping

from adapters.sms import numbers, refusals
from adapters.sms.provider import Arrived, Media, Status
from bridge.model import DeliveryId, Outcome

OUTCOMES = {
    "sent": Outcome.SENT,
    "delivered": Outcome.DELIVERED,
    "read": Outcome.DELIVERED,
    "undelivered": Outcome.FAILED,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}
# On their way to the carrier: nothing a sender is told, but proof that the provider has the text.
_TAKEN = frozenset({"accepted", "scheduled", "queued", "sending"})
MOST_FILES = 10


class UnreadableForm(ValueError):
    """A signed form without what every such form has."""


def arrived(form: Mapping[str, str]) -> Arrived:
    """The text that an inbound form carries. Raises UnreadableForm.

    The form has no time of its own: it is posted as the text arrives.
    """
    sid, sender, recipient = (form.get(name, "").strip() for name in ("MessageSid", "From", "To"))
    if not sid or not recipient:
        raise UnreadableForm("an inbound text without MessageSid or To")
    told = form.get("NumMedia", "0").strip()
    files = min(int(told), MOST_FILES) if told.isascii() and told.isdecimal() else 0
    return Arrived(
        sid=sid,
        sender=sender,
        recipient=recipient,
        body=form.get("Body", ""),
        media=tuple(
            Media(form.get(f"MediaUrl{index}", ""), form.get(f"MediaContentType{index}", ""))
            for index in range(files)
        ),
        opt=form.get("OptOutType", "").strip().upper(),
        others=tuple(
            value for name, value in form.items() if name.startswith("OtherRecipients") and value.strip()
        )[:20],
    )


def status(form: Mapping[str, str], region: str, delivery: DeliveryId | None) -> Status | None:
    """What a status call-back says, or None for a status that tells nothing. Raises UnreadableForm."""
    sid = form.get("MessageSid", "").strip()
    word = (form.get("MessageStatus") or form.get("SmsStatus") or "").strip().lower()
    if not sid or not word:
        raise UnreadableForm("a status call-back without MessageSid or MessageStatus")
    if word not in OUTCOMES and word not in _TAKEN:
        return None
    return Status(
        sid=sid,
        outcome=OUTCOMES.get(word),
        sender=form.get("From", ""),
        recipient=numbers.inbound(form.get("To", ""), region).canonical if form.get("To") else "",
        code=refusals.known_code(form.get("ErrorCode", "")),
        delivery=delivery,
    )
