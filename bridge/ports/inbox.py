"""The gateway as an adapter sees it: where it hands in what came from outside, and what it may ask."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Protocol

from bridge.model import DeliveryId, Envelope, Incoming, Message, Report
from bridge.ports.accounts import Account

# Raw input and its envelope → what it says. Runs in a worker process.
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

    async def accounts(self) -> Sequence[Account]:
        """The accounts that users have brought to this transport."""
        ...

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        """Record a line of the gateway's own for a user. What has been told under the same `once` within
        the last 30 days is not told again."""
        ...

    async def read_elsewhere(
        self, recipient: str, key: str, read: Collection[str], unread: Collection[str]
    ) -> None:
        """The recipient (a canonical address) has read messages in another program: those that have one of
        `read` under `key` in their memo. Those of `unread` are not read yet. Best effort."""
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
