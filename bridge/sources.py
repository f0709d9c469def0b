"""What adapters that fetch need of the record: places, users' accounts, words to a user, marks of reading.

Part of the gateway, in a file of its own; knows no XMPP and no mail.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import structlog

from bridge.model import Envelope
from bridge.ports import Account, Accounts, Adapter, MarksRead
from bridge.store import accounts, sources
from bridge.store.engine import Store

log = structlog.get_logger()


class Sources:
    """One for the process; works on the gateway's own store, clock and bells."""

    def __init__(
        self,
        store: Store,
        adapters: Mapping[str, Adapter],
        component_jids: Mapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self.ring: Callable[[Iterable[tuple[str, str]]], None] = lambda _: None
        self.ring_intake: Callable[[], None] = lambda: None
        # By transport: shows in a user's clients that they have read what a contact wrote (bare JIDs), up
        # to this stanza.
        self.show_read: dict[str, Callable[[str, str, str], None]] = {}
        self._store = store
        self._adapters = adapters
        self._jids = component_jids
        self._clock = clock

    async def take_in_all(
        self, transport: str, items: Sequence[tuple[bytes, Envelope]], cursor: tuple[str, str] | None
    ) -> None:
        name, value = cursor if cursor is not None else ("", None)
        await self._store.do(sources.keep, items, f"{transport}/{name}", value)
        if items:
            self.ring_intake()

    async def cursor(self, transport: str, name: str) -> str:
        return await self._store.look(sources.cursor, f"{transport}/{name}")

    async def accounts(self, transport: str) -> Sequence[Account]:
        return await self._store.look(accounts.accounts_on, transport)

    async def tell(self, transport: str, jid: str, text: str, once: str) -> None:
        lane = await self._store.do(
            sources.tell, self._jids[transport], f"xmpp:{transport}", jid, text, once, self._clock()
        )
        self.ring([lane])

    def accounts_changed(self, transport: str) -> None:
        adapter = self._adapters[transport]
        if isinstance(adapter, Accounts):
            adapter.accounts_changed()

    async def read_elsewhere(
        self, transport: str, recipient: str, key: str, read: Collection[str], unread: Collection[str]
    ) -> None:
        """The user has read these in another program."""
        marks = await self._store.do(sources.read_elsewhere, transport, recipient, key, read, unread)
        show = self.show_read.get(transport)
        if show is not None:
            for jid, contact, stanza_id in marks:
                show(jid, contact, stanza_id)

    async def displayed(self, transport: str, jid: str, stanza_ids: Sequence[str]) -> None:
        """A client shows that these messages have been read (XEP-0333): the adapter may pass that on."""
        adapter = self._adapters[transport]
        if not isinstance(adapter, MarksRead):
            return
        read = await self._store.do(sources.displayed, transport, jid, stanza_ids)
        if not read:
            return
        try:
            await adapter.displayed(read)
        except Exception as error:  # a mark that is lost costs nothing; what came with it must not be
            log.error("marks of reading were not passed on", transport=transport, exc_info=error)
