"""The adapter itself: what every transport's way to the outside must be, and what it is given."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

from bridge.kit import TransportSettings
from bridge.model import Address
from bridge.ports.files import Files, NoFiles
from bridge.ports.inbox import Inbox, Parser
from bridge.ports.memory import Forgetful, Memory
from bridge.ports.outlets import Outlet


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


class Adapter(Outlet, Protocol):
    """A transport's way to the outside: an outlet, and whatever listens for answers."""

    Settings: ClassVar[type[TransportSettings]]

    @classmethod
    def from_settings(cls, settings: Any, context: Context) -> Self:
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
