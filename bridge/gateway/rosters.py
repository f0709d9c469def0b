"""Users' rosters and block lists at the chat server, as far as the record goes: what is wanted there, what
was seen there, and who has been parted from whom."""

from collections.abc import Mapping, Sequence

from bridge.gateway.house import House
from bridge.options import ZONE
from bridge.store import desk, rosters
from bridge.store.rosters import Entry, Farewell
from bridge.telemetry import METRICS


class Rosters:
    """One for the process. Contacts are named by the nodes of their JIDs, users by their bare JIDs."""

    def __init__(self, house: House) -> None:
        self._store = house.store
        self._clock = house.clock

    # --- what is wanted there, and what is seen there ---

    async def wanted(self, transport: str, jid: str) -> list[Entry]:
        """What is to be written into this roster; rosters.MOST at a time."""
        return await self._store.look(rosters.wanted, transport, jid)

    async def lacking(self, transport: str, senders: Sequence[tuple[str, str]]) -> set[str]:
        """Of these (user, contact) the users whose roster lacks such a contact."""
        return await self._store.look(rosters.wanted_among, transport, senders)

    async def seen(self, transport: str, jid: str) -> list[Entry]:
        return await self._store.look(rosters.seen_of, transport, jid)

    async def wrote(self, names: Mapping[int, str]) -> None:
        """These contacts (by their ids) stand in the roster now, under these names."""
        await self._store.do(rosters.wrote, names)

    async def learned(self, names: Mapping[int, str], removed: Sequence[int]) -> None:
        """What the user has changed there."""
        await self._store.do(rosters.learned, names, removed)

    async def want_again(self, transport: str, jid: str, locals_: Sequence[str]) -> None:
        await self._store.do(rosters.want_again, transport, jid, locals_)

    # --- presence ---

    async def last_wrote(self, transport: str, jid: str, locals_: Sequence[str] = ()) -> dict[str, float]:
        """When contacts wrote last, in seconds since 1970; all of them if none are named."""
        return await self._store.look(rosters.last_wrote, transport, jid, locals_)

    async def note_zone(self, transport: str, jid: str, zone: str) -> None:
        """Where the user's clock stands, as an offset such as `+02:00`."""
        await self._store.do(desk.choose, transport, jid, ZONE, zone)

    # --- blocking ---

    async def shut_out(self, transport: str, jid: str, local: str) -> None:
        """The user's server keeps this contact out: so do we, and nothing of it is tried again."""
        if await self._store.do(rosters.shut_out, transport, jid, local, self._clock()):
            METRICS.blocked.labels(transport).inc()

    async def shut_out_by(self, transport: str, jid: str, most: int) -> list[str]:
        return await self._store.look(rosters.shut_out_by, transport, jid, most)

    async def let_in_again(self, transport: str, jid: str, local: str) -> None:
        await self._store.do(rosters.let_in_again, transport, jid, local)

    async def blocked(self, transport: str, jid: str) -> list[str]:
        return await self._store.look(rosters.blocked_of, transport, jid)

    # --- who is new here ---

    async def newcomers(self, transport: str) -> list[str]:
        """Users who are still to be welcomed."""
        return await self._store.look(rosters.newcomers, transport)

    async def welcomed(self, transport: str, jid: str) -> None:
        await self._store.do(rosters.welcomed, transport, jid)

    # --- those who left ---

    async def partings(self, transport: str) -> list[Farewell]:
        """Whom the chat server still has to part from whom."""
        return await self._store.do(rosters.partings, transport)

    async def parted(self, ids: Sequence[int]) -> None:
        await self._store.do(rosters.parted, ids)
