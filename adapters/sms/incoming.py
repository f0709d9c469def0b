"""A text that arrived, in the gateway's words. Pure."""

from adapters.sms import numbers, tapbacks
from adapters.sms.provider import Arrived
from bridge.model import File, Incoming, Reaction

_KINDS_OF_FILE = {"image": "picture", "video": "video", "audio": "sound"}
STOPPED = "(They have opted out of texts from your number. They get none until they text START.)"
STARTED = "(They have opted in again: your texts go through.)"


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
    lines = [arrived.body] if arrived.body.strip() else []
    if arrived.others:
        lines.insert(0, f"(to a group of {len(arrived.others) + 2}; an answer reaches this person alone)")
    lines += notices
    return Incoming(
        transport=transport,
        sender=address,
        recipient=numbers.inbound(arrived.recipient, region).canonical,
        body="\n".join(lines) or ("" if files else "(an empty text)"),
        dedupe=arrived.sid,
        written_at=now if arrived.at is None else arrived.at,
        sender_name=address.original if named else "",
        remote_id=arrived.sid,
        files=files,
        reaction=Reaction(found.emoji, found.quoted, found.removed) if found else None,
    )


def file_notice(media_type: str, why: str) -> str:
    """A line for a file that could not be had."""
    kind = _KINDS_OF_FILE.get(media_type.partition("/")[0].lower(), "file")
    return f"(a {kind} came with this text, but {why})"
