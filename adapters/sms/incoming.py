"""A text that arrived, in the gateway's words. Pure."""

from adapters.sms import numbers, tapbacks
from adapters.sms.provider import Arrived
from bridge.i18n import tr
from bridge.model import File, Incoming, Reaction

STOPPED = tr("(They have opted out of texts from your number. They get none until they text START.)")
STARTED = tr("(They have opted in again: your texts go through.)")
_EMPTY = tr("(an empty text)")


def message(
    arrived: Arrived,
    transport: str,
    region: str,
    now: float,
    *,
    files: tuple[File, ...] = (),
    notices: tuple[str, ...] = (),
) -> Incoming:
    """What is recorded of a text. Notices say what the user must know besides."""
    address = numbers.inbound(arrived.sender, region)
    named = numbers.kind_of(address.canonical) is numbers.AddressKind.ALPHANUMERIC
    found = tapbacks.read(arrived.body) if not arrived.media else None
    body = arrived.body if arrived.body.strip() else ""
    if not (body or notices or files):
        notices = (_EMPTY,)
    if arrived.others and found is None:
        others = ", ".join(numbers.inbound(one, region).canonical for one in arrived.others)
        notices += (tr("(To a group, with {others}. An answer reaches this person alone.)", others=others),)
    return Incoming(
        transport=transport,
        sender=address,
        recipient=numbers.inbound(arrived.recipient, region).canonical,
        body=body,
        dedupe=arrived.sid,
        written_at=now if arrived.at is None else arrived.at,
        sender_name=address.original if named else "",
        remote_id=arrived.sid,
        files=files,
        notices=notices,
        reaction=Reaction(found.emoji, found.quoted, found.removed) if found else None,
    )


def file_notice(media_type: str, why: str) -> str:
    """A line for a file that could not be had; `why` is a sentence."""
    match media_type.partition("/")[0].lower():
        case "image":
            return tr("(A picture came with this text. {why})", why=why)
        case "video":
            return tr("(A video came with this text. {why})", why=why)
        case "audio":
            return tr("(A sound came with this text. {why})", why=why)
    return tr("(A file came with this text. {why})", why=why)
