"""What recording is given and what it answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.model import Address, Attachment
from bridge.ports import BadAddress
from bridge.store.directing import Direct
from bridge.store.rows import Lane


@dataclass(frozen=True, slots=True)
class Draft:
    """A message from a user, checked and ready to be recorded."""

    transport: str
    jid: str  # bare JID of the user
    from_jid: str  # full
    to_jid: str
    local: str  # node of to_jid
    address: Address
    uid: str
    stanza_id: str
    dedupe: str  # empty: never a repeat
    body: str
    wants_receipt: bool
    remote_id: str = ""
    subject: str = ""
    thread: str = ""
    reply_to: str = ""  # stanza id of the message that is answered
    parts: int = 1
    threaded: bool = True  # whether the transport knows threads and subjects
    first_subject: str = ""  # what a thread is called that this begins without a subject
    options: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Attachment, ...] = ()  # what was shared, with its sources
    coalesce: float | None = None  # seconds that it waits for more lines, by default; None: never
    first_hold: float = 0.0  # seconds that it waits if nothing was ever exchanged with this contact
    needs_parent: bool = False  # says nothing without the message that it answers (a reaction)
    corrects_id: int | None = None
    replaces: str = ""  # XEP-0308: stanza id of the message that this corrects
    follow_up: "Draft | None" = None  # what goes out instead if that message has gone already
    direct: Direct | None = None  # whom it goes to, where that is not simply its contact
    again: Mapping[str, str] | None = None  # memo of an earlier message: it goes to the same people

    @property
    def alone(self) -> bool:
        """Whether it goes by itself, whatever was written beside it."""
        return self.needs_parent or bool(self.files)


@dataclass(frozen=True, slots=True)
class Ground:
    """What recording must know of a transport."""

    jid: str  # of its component
    threaded: bool  # whether it knows threads and subjects
    strangers: str = "everyone"  # the policy for unknown senders, unless a user has another


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answer for one draft."""

    lanes: tuple[Lane, ...] = ()  # to be rung; empty for a repeat
    registered: bool = True
    window: float = 0.0  # seconds that it waits for more lines, counted anew from each of them
    refused: BadAddress | None = None  # nothing was recorded: its transport has nobody to give it to
