"""What reaches the gateway from a stream, as values; what it refuses; and a transport as it knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from bridge.model import Attachment
from bridge.ports import Adapter, Addresses, NamesMessages, NamesThreads, SplitsText


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
    options: Mapping[str, str] = field(default_factory=dict)  # what a command asked for
    language: str = ""  # xml:lang, as the client says
    files: tuple[Attachment, ...] = ()  # shared by links, which stand in their `source`
    replaces: str = ""  # XEP-0308: id of the stanza that this corrects


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


@dataclass(eq=False)
class Denied(Exception):
    """A request that is refused: becomes an error stanza (RFC 6120 section 8.3)."""

    text: str  # a sentence that helps
    condition: str = "not-acceptable"
    error_type: str = "modify"
    gone: str = ""  # the local part (escaped) that was probably meant: becomes <gone>xmpp:JID</gone>


class Asked(Denied):
    """Nothing was recorded: the user is asked first, and may say yes (options.POSTS)."""


@dataclass(frozen=True, slots=True)
class Transport:
    """One configured adapter, bound to one component JID."""

    name: str
    jid: str
    secret: str
    adapter: Adapter
    title: str  # shown in disco, e.g. "Email" or "SMS"
    per_minute: int = 60
    per_day: int = 2000
    # Whether the adapter has an optional port, asked once: isinstance of a protocol costs 10 µs.
    names_messages: NamesMessages | None = None
    names_threads: NamesThreads | None = None
    splits_text: SplitsText | None = None
    addresses: Addresses | None = None
    strangers: str = "everyone"  # policy for unknown senders: everyone, ask or contacts
    helpers: tuple[str, ...] = ()  # URIs of whom to ask about this gateway (XEP-0157)
    kept_hours: int = 0  # how long texts and files are kept; 0: not told (XEP-0504)
    exports: bool = False  # whether users can have a file of all that is kept of them (XEP-0504)
    proven_addresses: bool = False  # users may have an address of their own that a code has proven theirs

    @classmethod
    def of(
        cls, name: str, jid: str, secret: str, adapter: Adapter, title: str, per_minute: int, per_day: int
    ) -> Self:
        """With the optional ports of its adapter."""
        return cls(
            name,
            jid,
            secret,
            adapter,
            title,
            per_minute,
            per_day,
            adapter if isinstance(adapter, NamesMessages) else None,
            adapter if isinstance(adapter, NamesThreads) else None,
            adapter if isinstance(adapter, SplitsText) else None,
            adapter if isinstance(adapter, Addresses) else None,
        )


@dataclass(frozen=True, slots=True)
class Displayed:
    """XEP-0333 from a client: the user has read this message of a contact's, and what came before it."""

    from_bare: str
    stanza_id: str


@dataclass(frozen=True, slots=True)
class Retracted:
    """XEP-0424 from a client: the user takes a message to a contact back."""

    from_bare: str
    from_full: str
    local: str
    stanza_id: str
    target: str  # id of the stanza that is to go
    wants_receipt: bool = False


@dataclass(frozen=True, slots=True)
class ChatState:
    """XEP-0085 from a client, in the chat with a contact."""

    from_bare: str
    local: str
    composes: bool


Event = Written | ClientReceipt | ClientError | Displayed | Retracted | ChatState
