"""What the adapter needs of a provider: the values that pass between them, and two protocols.

A provider is whoever takes texts to the carriers: Twilio and what speaks like it, or a phone of one's
own. `Provider` asks it, `Hooks` reads what it posts to us. Adding one: see docs/sms.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bridge.model import DeliveryId, Outcome
from bridge.ports import Fate, WebRequest, WebResponse


@dataclass(frozen=True, slots=True)
class Text:
    """One text to be sent. Addresses in the API's form; `status_callback` may be empty.

    `reference` is our own name for it, the same at every attempt, for providers that take one.
    """

    sender: str
    recipient: str
    body: str
    status_callback: str
    validity_seconds: int
    reference: str = ""
    media: tuple[str, ...] = ()  # URLs that the provider fetches


@dataclass(frozen=True, slots=True)
class Listed:
    """A text of ours as the provider shows it. `created_at` in seconds since 1970."""

    sid: str
    body: str
    media: int
    created_at: float
    outcome: Outcome | None  # None: on its way
    code: int = 0
    sender: str = ""
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which texts the provider has that may be the one in doubt, and whether it would show it by now."""

    listed: Sequence[Listed]
    complete: bool


@dataclass(frozen=True, slots=True)
class Media:
    """A file that came with a text: at a URL of the provider's, or in the web-hook itself (base64)."""

    url: str
    media_type: str
    name: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A text for one of our numbers. `sid` is the same whenever it is told again."""

    sid: str
    sender: str  # as the provider writes it
    recipient: str
    body: str
    media: tuple[Media, ...] = ()
    at: float | None = None  # seconds since 1970; None: now
    opt: str = ""  # STOP, START or HELP, where the provider has decided that
    others: tuple[str, ...] = ()  # who else got it: a group


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a text of ours. `outcome` is None for what only proves that it was taken."""

    sid: str
    outcome: Outcome | None
    sender: str = ""
    recipient: str = ""  # canonical
    code: int = 0
    reason: str = ""  # a sentence, where there is a better one than the code's
    delivery: DeliveryId | None = None


class NotListed(Exception):
    """The provider could not be asked."""


class NotFetched(Exception):
    """A file could not be had. `why` is a sentence for the user; `again` if another try may help."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


class Rejected(Exception):
    """A web-hook that gets no further. `response` says so to the caller."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.response = WebResponse(status=status, body=reason.encode())


class Provider(Protocol):
    """Asks the far end. Never raises for what it does, but where that is said."""

    @property
    def trouble(self) -> str:
        """What the admin must mend, or empty."""
        ...

    async def submit(self, text: Text) -> Fate:
        """Hand a text over, once."""
        ...

    async def candidates(self, text: Text, not_before: float) -> Candidates:
        """Texts that may be this one, not older than that. Raises NotListed."""
        ...

    async def arrivals(self, number: str, since: float) -> Sequence[Arrived]:
        """Texts for a number of ours since then. Raises NotListed."""
        ...

    async def outcomes(self, number: str, since: float) -> Sequence[Status]:
        """What is known of texts from a number of ours. Raises NotListed."""
        ...

    async def fetch(self, sid: str, media: Media) -> bytes:
        """The bytes of a file that came with the text `sid`. Raises NotFetched."""
        ...

    async def discard(self, sid: str, media: Media) -> None:
        """Have a file deleted at the provider. Raises NotFetched."""
        ...

    async def set_up(self, hooks: "Hooks", *, apply: bool) -> Sequence[str]:
        """Make the provider post to our web-hooks; one line for each difference. Raises OSError."""
        ...

    def carrier_refused(self, sender: str, code: int) -> None:
        """A report has told this code for a text from our number."""
        ...


class Hooks(Protocol):
    """Reads what the provider posts to us, and lets nobody else in."""

    def read(self, request: WebRequest) -> Arrived | Status | None:
        """None for what says nothing. Raises Rejected."""
        ...

    def acknowledge(self, event: Arrived | Status | None) -> WebResponse: ...

    def callback_url(self, delivery: DeliveryId) -> str:
        """Where the provider is to report on a delivery; empty if it can't."""
        ...

    def reference(self, delivery: DeliveryId, uid: str) -> str:
        """Our own name for a text, for providers that take one; else empty."""
        ...

    def inbound_url(self) -> str:
        """Where the provider is to post texts for our numbers; empty without a public URL."""
        ...
