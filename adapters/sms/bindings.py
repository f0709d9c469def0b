"""Which SID belongs to which delivery, for as long as a fate may be in doubt. Memory only: the store
is what lasts, this answers faster and bridges the moment before it knows.

Bounded: the oldest entries go first.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from adapters.sms.provider import Listed
from adapters.sms.segments import simplified
from bridge.model import DeliveryId

_MOST = 20_000
_CLOCK_SKEW = 5.0  # seconds that the provider's clock may be behind ours
PATIENCE = 15.0  # seconds after which what Twilio took stands in its list


class Bindings:
    """SIDs by delivery and back, and when each doubtful attempt ended."""

    def __init__(self, most: int = _MOST) -> None:
        self._sids: OrderedDict[DeliveryId, str] = OrderedDict()
        self._owners: OrderedDict[str, DeliveryId] = OrderedDict()
        self._doubts: OrderedDict[DeliveryId, float] = OrderedDict()
        self._most = most

    def bind(self, delivery: DeliveryId, sid: str) -> None:
        """The provider has this delivery under this SID."""
        self._sids[delivery] = sid
        self._owners[sid] = delivery
        self._doubts.pop(delivery, None)
        for table in (self._sids, self._owners):
            if len(table) > self._most:
                table.popitem(last=False)

    def sid_of(self, delivery: DeliveryId) -> str:
        return self._sids.get(delivery, "")

    def knows(self, sid: str) -> bool:
        return sid in self._owners

    def doubt(self, delivery: DeliveryId, now: float) -> None:
        """An attempt has just ended, and nobody knows how."""
        self._doubts[delivery] = now
        if len(self._doubts) > self._most:
            self._doubts.popitem(last=False)

    def doubted_for(self, delivery: DeliveryId, now: float, since: float) -> float:
        """Seconds since the doubtful attempt ended; `since` is when, as far as the record knows, if it
        was another process's."""
        return now - self._doubts.get(delivery, since)

    def settle(self, delivery: DeliveryId) -> None:
        """The delivery goes again: the next doubt begins anew."""
        self._doubts.pop(delivery, None)

    def taken(self, sids: Iterable[str], but: DeliveryId) -> set[str]:
        """Those SIDs that belong to other deliveries."""
        return {sid for sid in sids if self._owners.get(sid, but) != but}


def match(
    listed: Sequence[Listed], body: str, not_before: float, taken: set[str], files: bool = False
) -> Listed | None:
    """The text in the provider's list that is ours: same words, files or none, not older than the
    delivery (`not_before`, seconds since 1970), bound to no other. The oldest of several, as they went in
    order. Carriers' typography may differ from ours.
    """
    ours = [
        text
        for text in listed
        if text.sid not in taken
        and bool(text.media) == files
        and _same(text.body, body, files)
        and text.created_at >= _earliest(not_before)
    ]
    return min(ours, key=lambda text: text.created_at, default=None)


def _same(listed: str, body: str, files: bool) -> bool:
    """A text with files may have got a line with a link behind its words."""
    theirs, ours = simplified(listed).strip(), simplified(body).strip()
    return theirs == ours or (files and theirs.startswith(ours))


def reaches_back(listed: Sequence[Listed], not_before: float, limit: int) -> bool:
    """Whether a list of at most `limit` texts, newest first, shows all since `not_before`."""
    return len(listed) < limit or min(text.created_at for text in listed) < _earliest(not_before)


def _earliest(not_before: float) -> float:
    return int(not_before) - _CLOCK_SKEW  # the list has whole seconds
