"""What an adapter author reads: the port between the gateway and the outside world.

An adapter class stands in the entry-point group `passerelle.adapters`. The gateway builds it with
`from_settings`, enters `running(inbox)`, and hands it deliveries by `send`. Everything optional is a
small protocol below, found by `isinstance`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from bridge.kit import TransportSettings
from bridge.model import Address, Delivery, DeliveryId, Envelope, Incoming, Report

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


Parser = Callable[[bytes, Envelope], Sequence[Incoming | Report]]


class Inbox(Protocol):
    """The gateway as an adapter sees it. When a coroutine returns, what it was given is on disk."""

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        """Record a raw input; it is parsed afterwards, in a worker process. Acknowledge after this."""
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
class Context:
    """What the gateway gives an adapter when it is built."""

    transport: str  # its name in the settings
    domain: str  # [xmpp].domain
    public_url: str  # no slash at its end; empty if there is none
    derive_key: Callable[[str], bytes]  # purpose → 32 bytes, from the master key (HKDF)


# --- optional protocols ---


@runtime_checkable
class NamesMessages(Protocol):
    def remote_id(self, uid: str) -> str:
        """The remote id that a message will have when it is sent (an email's Message-ID)."""
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


@runtime_checkable
class TellsHealth(Protocol):
    def health(self) -> str:
        """Empty when all is well, else one sentence for the admin."""
        ...
