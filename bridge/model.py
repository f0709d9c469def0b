"""The nouns of the gateway: frozen values that every layer may hold and none may change.

Times are seconds since 1970 (UTC, float). Addresses are in their transport's canonical form.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", int)
LineId = NewType("LineId", int)
ContactId = NewType("ContactId", int)
ConversationId = NewType("ConversationId", int)
MessageId = NewType("MessageId", int)
DeliveryId = NewType("DeliveryId", int)
IntakeId = NewType("IntakeId", int)


class Direction(StrEnum):
    OUT = "out"  # from a user's chat client to a contact
    IN = "in"  # from a contact to a user's chat client


class Kind(StrEnum):
    """What a delivery carries."""

    MESSAGE = "message"  # what somebody wrote
    OWN = "own"  # towards XMPP: what the user wrote from another program, shown as their own (XEP-0356)
    FILE = "file"  # towards XMPP: a file of a message; `part` tells which of its attachments
    RECEIPT = "receipt"  # XEP-0184: the message has reached the next hop, or the far end
    ERROR = "error"  # an error stanza that answers one message
    NOTICE = "notice"  # a chat line written by the gateway itself


class State(StrEnum):
    """Where a delivery stands."""

    READY = "ready"  # never tried, due at once
    WAITING = "waiting"  # to be tried at its due time
    CLAIMED = "claimed"  # handed to an outlet that must not repeat; committed before the attempt
    DOUBT = "doubt"  # the line broke after we spoke: to be reconciled
    HELD = "held"  # kept until the user says a word: a stranger's, or of somebody muted
    SENT = "sent"  # the next hop has it
    DELIVERED = "delivered"  # the far end said so
    FAILED = "failed"  # certainly not delivered, and not to be tried again
    UNKNOWN = "unknown"  # told so: nobody could say what became of it
    CANCELLED = "cancelled"  # withdrawn before it went


OPEN_STATES = (State.READY, State.WAITING, State.CLAIMED, State.DOUBT)


@dataclass(frozen=True, slots=True)
class Address:
    """One address on a transport: how it is compared, and how a person spelled it."""

    canonical: str
    original: str
    people: tuple[str, ...] = ()  # where it stands for several: the canonical address of each


MOST_SPELLED = 20  # people of one address that spells them out
_LONGEST_NODE = 1000  # bytes of a JID's node: RFC 7622 gives it 1023
_ESCAPED = " \"&'/:<>@\\"  # what takes three bytes there (XEP-0106)


def together(people: Iterable[str], mark: str = "") -> Address:
    """The address of several people on a transport, in whatever order they are given: all of them with
    commas between, or, where that is too much for a JID's node, a short name that is always the same for
    the same people. `mark` stands for all of them where `people` are only the first."""
    each = tuple(sorted(set(people)))
    joined = ",".join(each)
    escaped = len(joined.encode()) + 2 * sum(joined.count(one) for one in _ESCAPED)
    if not mark and len(each) <= MOST_SPELLED and escaped <= _LONGEST_NODE:
        return Address(joined, joined, each)
    name = f"group-{mark or hashlib.blake2b(joined.encode(), digest_size=10).hexdigest()}"
    return Address(name, name, each)


@dataclass(frozen=True, slots=True)
class Group:
    """Those among whom a message from outside went, its recipient of ours left out. At least two."""

    people: Mapping[str, str]  # canonical address → name, may be empty; who wrote it first; perhaps not all
    count: int  # of all of them
    named: bool  # its recipient stood openly among those who were to get it
    mark: str = ""  # the same for the same people, where `people` are not all of them


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that belongs to a message; its bytes are a blob of the store."""

    name: str
    media_type: str
    blob: str  # key of the blob in the store; empty as long as only its source is known, or when it is gone
    size: int  # bytes; 0 if nobody has said
    source: str = ""  # outwards: the URL at which the user shared it
    url: str = ""  # inwards: where it has been uploaded to
    id: int = 0  # of its record; 0 before there is one


@dataclass(frozen=True, slots=True)
class File:
    """A file as a parser found it: not recorded yet."""

    name: str  # as it came; made safe where it is stored
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """A user's own address on a transport."""

    id: LineId
    user_id: UserId
    transport: str
    jid: str  # bare JID of the user
    address: str
    name: str  # how correspondents see the user; may be empty
    language: str = "en"
    choices: Mapping[str, str] = field(default_factory=dict)  # the user's own settings on this transport


@dataclass(frozen=True, slots=True)
class Contact:
    """An address that a user knows. `local` is the node of the contact's JID, escaped (XEP-0106)."""

    id: ContactId
    user_id: UserId
    transport: str
    address: str
    original: str
    local: str
    name: str
    subscribed: bool  # the user sees the contact's presence
    photo: str = ""  # SHA-1 of their picture, as XEP-0153 has it; where it was asked for


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that an outward one answers, as far as writing the answer needs it."""

    remote_id: str
    body: str
    subject: str
    written_at: float
    memo: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """What was written, whichever way it travels."""

    id: MessageId
    uid: str  # UUID of ours, hex: the stanza id inwards, the stem of the Message-ID outwards
    transport: str
    direction: Direction
    conversation_id: ConversationId
    stanza_id: str  # outwards the id that the client chose, inwards our own
    remote_id: str  # Message-ID, SID; empty until it is known
    in_reply_to: str  # remote id of what this answers, or empty
    references: tuple[str, ...]  # remote ids, oldest first
    thread: str  # XEP-0201 thread, or empty
    subject: str
    body: str
    written_at: float
    attachments: tuple[Attachment, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)  # what the user asked for (`all`, `reaction`, …)
    memo: Mapping[str, str] = field(default_factory=dict)  # what the adapter wants to find again
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """What the gateway says about a message: the payload of a receipt, error or notice."""

    stanza_id: str  # the id of the stanza that this is about
    text: str = ""  # a sentence for the user
    condition: str = ""  # RFC 6120 section 8.3.3, for errors
    error_type: str = ""  # RFC 6120 section 8.3.2: cancel, continue, modify, auth, wait
    keep: bool = True  # in archives (XEP-0334); not what is over in a moment


@dataclass(frozen=True, slots=True)
class Undone:
    """A message of a user's that was taken back."""

    stanza_id: str
    body: str
    certain: bool = True  # False: an earlier attempt may have reached its recipient all the same


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known about a message of a user's: what happened, and when."""

    at: float
    what: str  # written, waits, tried, told, a State once it is settled, or an Outcome that was reported
    text: str = ""  # the reason, in a sentence
    code: str = ""  # the far end's own
    remote_id: str = ""
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """One all-or-nothing hand-over: one envelope recipient, one SMS part, one stanza.

    Outwards `sender` and `recipient` are canonical addresses; towards XMPP they are JIDs.
    """

    id: DeliveryId
    outlet: str  # the transport's name, or `xmpp:` and the transport's name
    kind: Kind
    lane: str
    sender: str
    sender_name: str
    recipient: str
    stanza_id: str  # towards XMPP: the id of the stanza that will be sent
    message: Message | None
    note: Note | None
    attempts: int  # tries that counted, so far
    uncertain: bool  # an earlier try may have succeeded
    recorded_at: float
    part: int = 1
    parts: int = 1
    sender_jid: str = ""  # outwards: the bare JID of the user who wrote
    choices: Mapping[str, str] = field(default_factory=dict)  # outwards: the user's settings there


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a raw input reached us. Recorded beside it."""

    transport: str
    sender: str  # envelope sender; empty for the null sender
    recipients: tuple[str, ...]  # those of ours
    received_at: float
    peer: str = ""  # address of the host that handed it over
    headers: Mapping[str, str] = field(default_factory=dict)  # what the adapter wants to see again


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji about an earlier text, known by its remote id or by its words (XEP-0444 towards the user)."""

    emoji: str
    quoted: str  # the text, or its beginning with an ellipsis
    removed: bool = False
    remote_id: str = ""  # where the far end names it; `quoted` is not looked at then


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from outside, read and ready to be recorded for one recipient of ours."""

    transport: str
    sender: Address
    recipient: str  # canonical address of a line of ours
    body: str
    dedupe: str  # what makes this input the same as another; compared within (transport, recipient)
    written_at: float
    sender_name: str = ""
    subject: str = ""
    remote_id: str = ""
    references: tuple[str, ...] = ()  # remote ids of earlier messages, oldest first; the last is answered
    files: tuple[File, ...] = ()
    attachments: tuple[Attachment, ...] = ()  # the files once they are kept: not for adapters to fill
    memo: Mapping[str, str] = field(default_factory=dict)  # comes back in Message.answered
    own: bool = False  # written by `recipient` to `sender` from another program
    original: File | Attachment | None = None  # the raw input, if `keep_raw`: not for adapters to fill
    lead: str = ""  # stands before the body in the chat (`Jana: `); never quoted in an answer
    reaction: Reaction | None = None  # shown as such if the text that it is about is found, else as text
    keep_raw: bool = False  # the raw input stays reachable: the text shown is not all of it
    notices: tuple[str, ...] = ()  # our own sentences below the body, in the user's language
    group: Group | None = None  # it went to several people: shown in a chat of theirs, not its sender's
    face: File | None = None  # a picture of the sender's, if it is surely theirs


class Outcome(StrEnum):
    """What a far end reports of a message that it took earlier."""

    SENT = "sent"  # it went on from there
    DELIVERED = "delivered"
    DELAYED = "delayed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """A status call-back, a DSN: what became of a delivery. Found by delivery id, else by remote id."""

    transport: str
    outcome: Outcome
    remote_id: str = ""
    delivery_id: DeliveryId | None = None
    recipient: str = ""  # canonical; which of several recipients, if that is told
    reason: str = ""  # a sentence that the user may read
    code: str = ""  # the far end's own code, for the admin
    condition: str = ""  # RFC 6120 section 8.3.3, of a failure; empty: undefined-condition
    error_type: str = ""  # RFC 6120 section 8.3.2; empty: cancel
    otherwise: tuple[Incoming, ...] = ()  # what to show if nothing is known of the message
