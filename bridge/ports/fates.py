"""Fates: what became of one delivery. Every reason is a sentence that a user may read."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Sent:
    """The next hop has it."""

    remote_id: str = ""


class Scope(StrEnum):
    """What a TryLater speaks of."""

    DELIVERY = "delivery"  # this one only: counts as an attempt and holds its lane for a while
    OUTLET = "outlet"  # the far end as a whole: pauses the outlet, costs nobody an attempt
    RECIPIENT = "recipient"  # the recipient is away: tried again when it comes back; holds nothing
    TURN = "turn"  # its turn has not come: no attempt, and its lane stands until then; needs `after`


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
