"""What commands have at hand."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bridge.accounts import OwnAccounts
from bridge.estate import Estate
from bridge.importing import Importing
from bridge.office import Office
from bridge.wishes import Wishes


@runtime_checkable
class Holds(Protocol):
    """What waits a moment before it goes (the Gateway). Each answers a sentence, or raises Denied."""

    async def send_now(self, transport: str, jid: str, local: str) -> str:
        """Let what waits for this contact go at once."""
        ...

    async def undo(self, transport: str, jid: str, local: str) -> str:
        """Take back the last message to this contact, if it has not gone."""
        ...

    async def cancel(self, transport: str, jid: str, local: str, stanza_id: str = "") -> str:
        """Take back the message with this id; without one, give up what is still being tried."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    wishes: Wishes
    office: Office
    accounts: OwnAccounts | None = None
    estate: Estate | None = None
    importing: Importing | None = None

    @property
    def holds(self) -> Holds | None:
        gateway = self.wishes.gateway
        return gateway if isinstance(gateway, Holds) else None
