"""The use cases of a user's chats: who is in one, what is kept of it, and whether it is heard.

Says nothing: the commands put it into words.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from bridge.gateway import Gateway
from bridge.store import floods, groups, mutes, strangers
from bridge.store.desk import Known
from bridge.store.drafts import Ground
from bridge.store.engine import Store
from bridge.store.floods import Chat
from bridge.store.groups import Person
from bridge.store.rows import Lane


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a wish: how many messages follow, or are still kept."""

    follow: int = 0
    kept: int = 0


class Chats:
    """One for the process. Whoever is meant by (transport, jid) is registered there."""

    def __init__(self, gateway: Gateway, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._gateway = gateway
        self._store = store
        self._clock = clock

    def now(self) -> float:
        return self._clock()

    async def people(self, transport: str, jid: str, address: str) -> list[Person]:
        """Who is in the chat with this canonical address; empty if it is with one person."""
        return await self._store.look(groups.people_of, transport, jid, address)

    async def show(self, transport: str, jid: str, address: str) -> Heard:
        """Let go what was kept of a chat because it came too fast."""
        chat = await self._store.look(floods.chat_of, transport, jid, address)
        if chat is None:
            return Heard()
        count, lanes = await self._store.do(floods.show, chat, self._clock())
        self._gateway.ring(lanes)
        return Heard(follow=count)

    async def mute(self, transport: str, jid: str, known: Known, until: float = 0.0) -> None:
        """Keep what comes from there: until then, or (0) until `unmute`."""
        chat = await self._store.look(floods.chat_of, transport, jid, known.contact.address)
        if chat is not None:
            await self._store.do(mutes.mute, chat, until, self._clock())

    async def unmute(self, transport: str, jid: str, known: Known) -> Heard:
        """Show it again, with what was kept meanwhile; in a large chat only the beginning of that."""
        chat = await self._store.look(floods.chat_of, transport, jid, known.contact.address)
        if chat is None:
            return Heard()
        ground = self._gateway.grounds[transport]
        kept, lanes = await self._store.do(_unmute, chat, jid, known, ground, self._clock())
        self._gateway.ring(lanes)
        return Heard(kept=kept)


def _unmute(
    connection: Connection, chat: Chat, jid: str, known: Known, ground: Ground, now: float
) -> tuple[int, list[Lane]]:
    kept, lanes = mutes.unmute(connection, chat, now, several=known.several)
    owner = strangers.owner(connection, jid, chat.transport, ground.jid, ground.strangers)
    if owner is not None:
        lanes += strangers.reconsider(connection, owner, now)
    return kept, lanes
