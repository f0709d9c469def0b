"""What an adapter author reads: the port between the gateway and the outside world.

An adapter class stands in the entry-point group `passerelle.adapters`. The gateway builds it with
`from_settings`, enters `running(inbox)`, and hands it deliveries by `send`. Everything optional is a
small protocol, found by `isinstance`. All of it is imported from here, `from bridge.ports import …`:

    adapter    what every transport must be, and what it is given
    outlets    taking deliveries to their next hop
    fates      what became of each
    inbox      handing in what came from outside
    files, memory, accounts, optional
"""

from bridge.ports.accounts import Account, AccountField, Accounts, AccountState, BadAccount, CheckedAccount
from bridge.ports.adapter import Adapter, Context
from bridge.ports.fates import BadAddress, Fate, MaybeSent, Refused, Scope, Sent, TryLater
from bridge.ports.files import Files, FileUnavailable, NoFiles
from bridge.ports.inbox import Inbox, Parser
from bridge.ports.memory import Forgetful, Kept, Memory, NotRemembered, Remember
from bridge.ports.optional import (
    Addressed,
    Addresses,
    Displayed,
    KnowsOneWay,
    MarksRead,
    NamesMessages,
    NamesThreads,
    Outward,
    ReadsOut,
    Reconciles,
    SetsUpProvider,
    SharesAddresses,
    SplitsText,
    TakesWebhooks,
    TellsHealth,
    WebRequest,
    WebResponse,
    shared_addresses,
)
from bridge.ports.outlets import Capabilities, Outlet, ReceiptOn

__all__ = [
    "Account",
    "AccountField",
    "AccountState",
    "Accounts",
    "Adapter",
    "Addressed",
    "Addresses",
    "BadAccount",
    "BadAddress",
    "Capabilities",
    "CheckedAccount",
    "Context",
    "Displayed",
    "Fate",
    "FileUnavailable",
    "Files",
    "Forgetful",
    "Inbox",
    "Kept",
    "KnowsOneWay",
    "MarksRead",
    "MaybeSent",
    "Memory",
    "NamesMessages",
    "NamesThreads",
    "NoFiles",
    "NotRemembered",
    "Outlet",
    "Outward",
    "Parser",
    "ReadsOut",
    "ReceiptOn",
    "Reconciles",
    "Refused",
    "Remember",
    "Scope",
    "Sent",
    "SetsUpProvider",
    "SharesAddresses",
    "SplitsText",
    "TakesWebhooks",
    "TellsHealth",
    "TryLater",
    "WebRequest",
    "WebResponse",
    "shared_addresses",
]
