"""The use cases: what happens when a stanza, a raw input, a report or a registration comes in.

SIGNATURES ONLY so far; the lead engineer fills them in. Build against these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.model import Address, Contact, Line
from bridge.ports import Adapter


@dataclass(frozen=True, slots=True)
class Written:
    """A message stanza from a client to a contact's JID."""

    from_bare: str
    from_full: str
    local: str  # node of the contact's JID as it came, still escaped
    stanza_id: str
    body: str
    origin_id: str = ""  # XEP-0359
    subject: str = ""
    thread: str = ""
    reply_to: str = ""  # XEP-0461: id of the stanza that is answered
    wants_receipt: bool = False


@dataclass(frozen=True, slots=True)
class ClientReceipt:
    """XEP-0184 from a client: it has our stanza."""

    from_bare: str
    stanza_id: str


@dataclass(frozen=True, slots=True)
class ClientError:
    """An error stanza that answers one of ours."""

    from_bare: str  # whom we had written to
    stanza_id: str
    condition: str
    error_type: str


@dataclass(frozen=True, slots=True)
class Denied(Exception):
    """A request that is refused: becomes an error stanza (RFC 6120 section 8.3)."""

    text: str  # a sentence that helps
    condition: str = "not-acceptable"
    error_type: str = "modify"
    gone: str = ""  # the local part (escaped) that was probably meant: becomes <gone>xmpp:JID</gone>


@dataclass(frozen=True, slots=True)
class Transport:
    """One configured adapter, bound to one component JID."""

    name: str
    jid: str
    secret: str
    adapter: Adapter
    title: str  # shown in disco, e.g. "Email" or "SMS"


class Gateway:
    transports: Mapping[str, Transport]

    # --- hot path: one call for all that a stream's pipeline gathered, in order ---
    async def carry_out(
        self, transport: str, events: Sequence[Written | ClientReceipt | ClientError]
    ) -> list[Denied | None]:
        """Record all of it in one transaction. Answers, in order: None = recorded (or a repeat of
        what was recorded), Denied = tell the sender so by an error stanza with the original id.
        Raises only when the store fails; then nothing of it was recorded."""
        raise NotImplementedError

    # --- people ---
    def address_of(self, transport: str, local: str) -> Address:
        """Unescape and canonicalise the node of a contact's JID. Raises Denied."""
        raise NotImplementedError

    async def line_of(self, transport: str, jid: str) -> Line | None:
        raise NotImplementedError

    async def register(self, transport: str, jid: str, *, name: str, address: str = "") -> Line:
        """Register a bare JID, or edit its registration (name; address if it may choose). Raises Denied."""
        raise NotImplementedError

    async def leave(self, transport: str, jid: str) -> list[Contact]:
        """Remove the registration; answers the contacts that the user had. Raises Denied."""
        raise NotImplementedError

    async def add_contact(self, transport: str, jid: str, local: str) -> Contact:
        """The user subscribes to a contact's JID. Raises Denied."""
        raise NotImplementedError

    async def drop_contact(self, transport: str, jid: str, local: str) -> None:
        """The user unsubscribes: the contact stays known, its presence is no longer sent."""
        raise NotImplementedError

    async def contacts_of(self, transport: str, jid: str) -> list[Contact]:
        """Those whose presence the user sees."""
        raise NotImplementedError

    async def users_of(self, transport: str) -> list[str]:
        """Bare JIDs of all who are registered: to be probed at start, told at stop."""
        raise NotImplementedError

    async def came_back(self, transport: str, jid: str) -> None:
        """The user is available now: what waited for that is due."""
        raise NotImplementedError

    async def stream_broke(self, transport: str) -> None:
        """The component's stream ended without a clean close: what was sent within the last minute
        without a receipt, to users whose clients send receipts, is due again."""
        raise NotImplementedError

    def new_name(self) -> str:
        """A UUID for a stanza of ours."""
        raise NotImplementedError
