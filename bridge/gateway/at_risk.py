"""What may not have reached a user although it was sent: their stream broke, or they were not there."""

from collections import deque
from collections.abc import Sequence

from bridge.gateway.house import House
from bridge.model import Delivery, DeliveryId
from bridge.store import reports
from bridge.store.rows import Lane

_SECONDS = 60.0  # what was sent so shortly before a stream broke may not have arrived
_MOST = 20_000
_AT_ONCE = 500


class AtRisk:
    """One for the process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._recent: dict[str, deque[tuple[float, DeliveryId]]] = {}  # by outlet

    def note_sent(self, outlet: str, deliveries: Sequence[Delivery]) -> None:
        """Messages that the XMPP server has read: for a minute they are at risk."""
        if not outlet.startswith("xmpp:"):
            return
        now = self._house.clock()
        recent = self._recent.setdefault(outlet, deque(maxlen=_MOST))
        recent.extend((now, delivery.id) for delivery in deliveries)
        while recent and recent[0][0] < now - _SECONDS:
            recent.popleft()

    async def stream_broke(self, transport: str) -> None:
        """The component's stream ended without a clean close: what was sent within the last minute
        without a receipt, to users whose clients send receipts, is due again."""
        recent = self._recent.pop(f"xmpp:{transport}", ())
        since = self._house.clock() - _SECONDS
        ids = [id_ for at, id_ in recent if at >= since]
        lanes: set[Lane] = set()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            lanes.update(await self._house.store.do(reports.say_again, some, self._house.clock()))
        self._house.ring(lanes)

    async def came_back(self, transport: str, jid: str) -> None:
        """The user is available now: what waited for that is due."""
        self._house.ring(
            await self._house.store.do(reports.came_back, f"xmpp:{transport}", jid, self._house.clock())
        )
