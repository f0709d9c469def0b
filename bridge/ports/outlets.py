"""Outlets: what takes deliveries to their next hop, and what it can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from bridge.model import Delivery, DeliveryId, Kind
from bridge.ports.fates import Fate


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
    unreactions: bool = False  # takes `Message.options["unreaction"]` too: it can be taken back
    webhook_bytes: int = 0  # the largest body that its web-hooks take; 0: what is usual
    addresses: int = 0  # how many of its own addresses a user may have and choose from; 0: no choice


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
