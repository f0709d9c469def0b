"""How much each user may still write on each transport. Kept in memory only."""

from bridge.events import Denied, Transport
from bridge.i18n import tr
from bridge.policy import Allowance, wait_in_words

_MOST = 10_000


class Allowances:
    """One for the process."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], Allowance] = {}

    def take(self, transport: Transport, jid: str, now: float) -> None:
        """Let a user write one message. Raises Denied when they have written too many."""
        allowance = self._left.get((transport.name, jid))
        if allowance is None:
            if len(self._left) >= _MOST:
                self._left = {key: one for key, one in self._left.items() if not one.full(now)}
            allowance = Allowance(transport.per_minute, transport.per_day, now)
            self._left[transport.name, jid] = allowance
        wait = allowance.take(now)
        if wait:
            raise Denied(
                tr(
                    "You have written more than this gateway lets through. Wait {time} and send it again; "
                    "nothing before it is lost.",
                    time=wait_in_words(wait),
                ),
                "resource-constraint",
                "wait",
            )
