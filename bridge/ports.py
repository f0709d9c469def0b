"""What an adapter author reads: the port between the gateway and the outside world.

An adapter class stands in the entry-point group `passerelle.adapters`. The gateway builds it with
`from_settings`, enters `running(inbox)`, and hands it deliveries by `send`. Everything optional is a
small protocol below, found by `isinstance`.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from bridge.kit import TransportSettings
from bridge.model import (
    Address,
    Attachment,
    Delivery,
    DeliveryId,
    Envelope,
    File,
    Incoming,
    Kind,
    LineId,
    Message,
    Report,
)

# --- fates: what became of one delivery. Every reason is a sentence that a user may read. ---


@dataclass(frozen=True, slots=True)
class Sent:
    """The next hop has it."""

    remote_id: str = ""


class Scope(StrEnum):
    """What a TryLater speaks of."""

    DELIVERY = "delivery"  # this one only: counts as an attempt and holds its lane for a while
    OUTLET = "outlet"  # the far end as a whole: pauses the outlet, costs nobody an attempt
    RECIPIENT = "recipient"  # the recipient is away: tried again when it comes back; holds nothing
    TURN = "turn"  # its turn has not come: no attempt, and its lane stands until then; needs `after`


@dataclass(frozen=True, slots=True)
class TryLater:
    """Certainly not taken; may succeed later."""

    reason: str
    after: float | None = None  # seconds; None leaves it to the retry policy
    scope: Scope = Scope.DELIVERY


@dataclass(frozen=True, slots=True)
class Refused:
    """Certainly not taken, and will not be."""

    reason: str
    condition: str = "undefined-condition"  # RFC 6120 section 8.3.3
    error_type: str = "cancel"
    code: str = ""  # the far end's own code, for the admin


@dataclass(frozen=True, slots=True)
class MaybeSent:
    """The line broke after we spoke. Never repeated on a guess."""

    reason: str


Fate = Sent | TryLater | Refused | MaybeSent


class BadAddress(ValueError):
    """The text is no address on this transport. The message is a sentence that says what to do.

    `correct` is the address that was probably meant: its JID goes into a `<gone/>`.
    """

    def __init__(self, sentence: str, *, correct: str = "", condition: str = "item-not-found") -> None:
        super().__init__(sentence)
        self.correct = correct
        self.condition = condition


# --- outlets ---


class ReceiptOn(StrEnum):
    """When the sender of a message gets the receipt."""

    SENT = "sent"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an outlet can do, so that the gateway need not ask which one it is."""

    identity: tuple[str, str] = ("gateway", "gateway")  # disco category and type of the transport
    repeatable: bool = True  # sending twice does no harm (the far end can tell)
    receipt_on: ReceiptOn = ReceiptOn.SENT
    concurrency: int = 10  # calls of `send` at a time
    batch: int = 20  # deliveries in one call of `send`
    across_lanes: bool = False  # one call may carry deliveries of many lanes
    subjects: bool = False
    longest_text: int | None = None  # characters in one message; None: no limit
    coalesce_seconds: float | None = None  # lines so close together become one message; None: never
    corrections: bool = False  # says by itself that a message with `options["correction"]` is one
    first_hold: float = 0.0  # seconds that the first message to somebody waits and can be taken back
    attachments: bool = False  # takes files; otherwise their links go into the text
    apart: frozenset[Kind] = frozenset()  # these take long: one to a call, beside the others
    presume_after: float | None = None  # seconds: sent so long without a report gets its receipt
    reactions: bool = False  # takes `Message.options["reaction"]`, an answer of one emoji


@runtime_checkable
class Outlet(Protocol):
    """Takes deliveries to their next hop."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        """Try each delivery, in order; within a lane stop at the first that was not sent.

        What the mapping leaves out has not been tried and stays due. Must not raise for anything
        that the far end does; an exception is a bug and counts as TryLater (MaybeSent where
        repeating does harm). Cancelled only when the grace time of a stop has run out.
        """
        ...


# --- files ---


class FileUnavailable(Exception):
    """A file cannot be had. `fate` is what that means for the delivery that needs it."""

    def __init__(self, fate: TryLater | Refused, *, too_large: bool = False) -> None:
        super().__init__(fate.reason)
        self.fate = fate
        self.too_large = too_large  # to be fetched: a link to it may do


class Files(Protocol):
    """The files of messages, as an adapter reaches them (`Context.files`)."""

    async def read(self, attachment: Attachment) -> bytes:
        """Its bytes; fetched where the user shared it, if they are not here yet. Raises FileUnavailable."""
        ...

    async def publish(self, attachment: Attachment) -> str:
        """An unguessable address of ours at which a provider can fetch it (GET and HEAD) for some days.
        Raises FileUnavailable, also where the gateway has no public address."""
        ...

    async def keep(self, file: File) -> Attachment:
        """Put a file by that is no message's own (a smaller copy of a picture), for a day; `publish`
        takes it."""
        ...


class NoFiles:
    """Where there are none: an adapter that is only checked, or tested on its own."""

    async def read(self, attachment: Attachment) -> bytes:
        raise FileUnavailable(Refused("Files are not available here."))

    async def publish(self, attachment: Attachment) -> str:
        raise FileUnavailable(Refused("Files are not available here."))

    async def keep(self, file: File) -> Attachment:
        raise FileUnavailable(Refused("Files are not available here."))


Parser = Callable[[bytes, Envelope], Sequence[Incoming | Report]]


class Inbox(Protocol):
    """The gateway as an adapter sees it. When a coroutine returns, what it was given is on disk."""

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        """Record a raw input; it is parsed afterwards, in a worker process. Acknowledge after this."""
        ...

    async def take_in_all(
        self, items: Sequence[tuple[bytes, Envelope]], cursor: tuple[str, str] | None = None
    ) -> None:
        """As `take_in`, for many at once. In the same transaction `cursor`, a name and a value (how far
        the source has been read), is recorded; its value is text of at most 128 characters."""
        ...

    async def cursor(self, name: str) -> str:
        """The value that was recorded last under this name; empty if there is none."""
        ...

    async def accounts(self) -> Sequence["Account"]:
        """The accounts that users have brought to this transport."""
        ...

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        """Record a line of the gateway's own for a user. What has been told under the same `once` within
        the last 30 days is not told again."""
        ...

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        """Record messages that were cheap to read (a web-hook's form)."""
        ...

    async def report(self, reports: Sequence[Report]) -> None:
        """Record what became of earlier deliveries."""
        ...

    async def knows(self, recipient: str) -> bool:
        """Whether a canonical address is a line of ours on this transport (RCPT TO)."""
        ...

    async def bound(self, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        """Which of these remote ids the record holds as the ids of deliveries of this transport."""
        ...

    async def recorded(self, remote_ids: Sequence[str]) -> Set[str]:
        """Which of these remote ids the record holds as messages from outside."""
        ...

    async def opens(self, message: Message) -> bool:
        """Whether nothing had been exchanged in the message's conversation before it."""
        ...


class Adapter(Outlet, Protocol):
    """A transport's way to the outside: an outlet, and whatever listens for answers."""

    Settings: ClassVar[type[TransportSettings]]

    @classmethod
    def from_settings(cls, settings: Any, context: "Context") -> Self:
        """Build it, cheaply and without touching the world: `check` does this too."""
        ...

    def canonical(self, text: str) -> Address:
        """An address as a person or a JID's unescaped node spells it. Raises BadAddress."""
        ...

    def own_addresses(self, jid: str) -> Sequence[str]:
        """Addresses that a bare JID may be given at registration, best first: the first free one
        becomes its line. Empty when this JID is not served. (Raises BadAddress to say why not.)"""
        ...

    def parser(self) -> Parser:
        """A picklable callable for the worker process. Its module should import little."""
        ...

    def running(self, inbox: Inbox) -> AbstractAsyncContextManager[None]:
        """Listen, poll, keep connections; leaving it undoes it."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A small JSON value, and for how many seconds it is remembered."""

    value: Any
    seconds: float


class NotRemembered(Exception):
    """The store could not be asked or written; nothing has changed."""


# From what is remembered under some keys (those that are there) to what shall be remembered under
# them (None: forget it) and an answer. Runs in a transaction: pure, quick, and maybe more than once.
Remember = Callable[[Mapping[str, Any]], tuple[Mapping[str, Kept | None], Any]]


class Memory(Protocol):
    """An adapter's own notes in the gateway's store: they outlive restarts and are shared by instances."""

    async def change(self, keys: Sequence[str], decide: Remember) -> Any:
        """Read keys, decide and write, as one transaction; on disk when this returns with `decide`'s
        answer. Raises NotRemembered."""
        ...

    async def every(self, prefix: str) -> Mapping[str, Any]:
        """All that is remembered under keys that begin so. Raises NotRemembered."""
        ...


class Forgetful:
    """A Memory for whoever runs without a store (`check`, tests): it lasts as long as the object."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    async def change(self, keys: Sequence[str], decide: Remember) -> Any:
        now = self._clock()
        found = {key: self._kept[key] for key in keys if key in self._kept}
        present = {key: json.loads(text) for key, (text, until) in found.items() if until > now}
        writes, answer = decide(present)
        for key, kept in writes.items():
            self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = (json.dumps(kept.value), now + kept.seconds)
        return answer

    async def every(self, prefix: str) -> Mapping[str, Any]:
        now = self._clock()
        return {
            key: json.loads(text)
            for key, (text, until) in self._kept.items()
            if key.startswith(prefix) and until > now
        }


@dataclass(frozen=True, slots=True)
class Context:
    """What the gateway gives an adapter when it is built."""

    transport: str  # its name in the settings
    domain: str  # [xmpp].domain
    public_url: str  # no slash at its end; empty if there is none
    derive_key: Callable[[str], bytes]  # purpose → 32 bytes, from the master key (HKDF)
    memory: Memory = field(default_factory=Forgetful)
    files: Files = field(default_factory=NoFiles)
    language: str = "en"  # of users who have chosen none


# --- optional protocols ---


@runtime_checkable
class NamesMessages(Protocol):
    def remote_id(self, uid: str) -> str:
        """The remote id that a message will have when it is sent (an email's Message-ID)."""
        ...


@dataclass(frozen=True, slots=True)
class Outward:
    """A message of a user's that is about to be recorded, as far as whom it goes to depends on it."""

    contact: str  # canonical address of the chat that it was written in
    spelled: str  # the same as a person spelled it
    line: str  # the user's own address
    options: Mapping[str, str]
    answered: Mapping[str, str] | None = None  # memo of the message that it answers; None: it answers none
    first: bool = False  # nothing has answered that one before
    language: str = ""  # of the user, as far as it is known


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a message goes to, a delivery for each, and what its Message.memo shall be."""

    recipients: tuple[str, ...]  # at least one
    memo: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Addresses(Protocol):
    def addressed(self, outward: Outward) -> Addressed:
        """Whom a message goes to, where that is not simply its contact. Pure and quick: it runs in the
        transaction that records the message. Raises BadAddress: the message is refused so."""
        ...


@runtime_checkable
class NamesThreads(Protocol):
    def first_subject(self, body: str) -> str:
        """What a thread is called that begins with this text and without a subject."""
        ...


@runtime_checkable
class SplitsText(Protocol):
    def parts(self, body: str) -> Sequence[str]:
        """The texts that a long message goes out as, in order. Each becomes a delivery of its own;
        `Delivery.part` (from 1) of `Delivery.parts` tells `send` which one it is."""
        ...


@dataclass(frozen=True, slots=True)
class WebRequest:
    method: str
    path: str  # raw, from the slash before `hooks` on
    query: str  # raw, without the question mark
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class WebResponse:
    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""


@runtime_checkable
class TakesWebhooks(Protocol):
    async def webhook(self, request: WebRequest) -> WebResponse:
        """Answers /hooks/TRANSPORT/…; the answer goes out when this returns, so record first."""
        ...


@runtime_checkable
class Reconciles(Protocol):
    async def find(self, delivery: Delivery) -> Fate:
        """What became of a MaybeSent: Sent; TryLater when it certainly was not taken and may go
        again; Refused; MaybeSent while it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class AccountField:
    """One thing that must be known to use somebody's own account."""

    name: str
    label: str
    value: str = ""  # what stands there until it is changed
    secret: bool = False
    choices: tuple[str, ...] = ()  # empty: any text
    required: bool = True


@dataclass(frozen=True, slots=True)
class CheckedAccount:
    """An account that works. What is needed to use it is sealed: only its adapter can read it."""

    address: str  # canonical; becomes the user's line
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is recorded."""

    line_id: LineId
    jid: str  # bare JID of whose it is
    address: str  # canonical
    sealed: bytes


class BadAccount(ValueError):
    """An account cannot be used as it is described. The message is a sentence that says what to do."""


@runtime_checkable
class Accounts(Protocol):
    """An adapter whose users may bring accounts of their own."""

    def account_form(self) -> Sequence[AccountField]:
        """What to ask for; empty when accounts are not served here."""
        ...

    async def check_account(self, fields: Mapping[str, str]) -> CheckedAccount:
        """Log in everywhere, within a minute. Raises BadAccount."""
        ...

    def accounts_changed(self) -> None:
        """The record has other accounts than before: ask the inbox for them again."""
        ...


@dataclass(frozen=True, slots=True)
class Displayed:
    """A message from outside that its recipient has read (XEP-0333)."""

    recipient: str  # the line's address
    memo: Mapping[str, str]


@runtime_checkable
class MarksRead(Protocol):
    async def displayed(self, messages: Sequence[Displayed]) -> None:
        """Let the far end know, as far as that stays the user's own affair. Best effort; quick."""
        ...


@runtime_checkable
class SharesAddresses(Protocol):
    def shared(self) -> Set[str]:
        """Own addresses that any number of users may have at the same time."""
        ...


def shared_addresses(adapter: object) -> Set[str]:
    """Own addresses of an adapter that users may share."""
    return adapter.shared() if isinstance(adapter, SharesAddresses) else frozenset()


@runtime_checkable
class SetsUpProvider(Protocol):
    async def set_up(self, *, apply: bool) -> Sequence[str]:
        """Compare what the provider is set to with what it should be, and set it if `apply`. Answers
        one line for each difference, in words for the admin. Raises OSError with what to do."""
        ...


@runtime_checkable
class TellsHealth(Protocol):
    def health(self) -> str:
        """Empty when all is well, else one sentence for the admin."""
        ...
