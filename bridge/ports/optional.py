"""What an adapter may do besides: small protocols, found by `isinstance`. Implement one and it is used."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bridge.model import Delivery
from bridge.ports.fates import Fate


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
    # Of a chat of several people: canonical address → name, of those who are in it now.
    people: Mapping[str, str] = field(default_factory=dict)
    # All addresses of the user's on this transport.
    own: frozenset[str] = frozenset()


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
class KnowsOneWay(Protocol):
    """Some of its addresses can be read and not answered: clients are told (XEP-0506)."""

    def is_one_way(self, address: str) -> bool:
        """Whether nobody can write to this address, as a person or a JID spells it. Called for each contact
        that is shown: quick. False for what is no address."""
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
class ReadsOut(Protocol):
    def read_out(self, raw: bytes) -> str:
        """All of a raw input that was kept (`Incoming.keep_raw`), in words for its recipient. Runs in a
        thread; bounded; raises for nothing."""
        ...


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
