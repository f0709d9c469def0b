"""One transport's contacts in its users' rosters: written by privilege (XEP-0356), else offered.

A name or group that the user gave stays theirs. What cannot be written now stays wanted in the record.
Says when who is to be told; how presence looks is left to bridge.xmpp.presence.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol
from xml.etree.ElementTree import Element

import structlog

from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.model import Delivery, Kind
from bridge.store.rosters import MOST
from bridge.xmpp import errors, xml
from bridge.xmpp.avatars import nick
from bridge.xmpp.presence import Post, stanza
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.roster_items import ROSTER, Item, compare, payload, read, wished
from bridge.xmpp.stream import StreamLost

log = structlog.get_logger()

EXCHANGE = "http://jabber.org/protocol/rosterx"  # XEP-0144
PATIENCE = 5.0  # seconds for an answer of the user's server
GATHER = 1.0  # seconds in which writers gather
_DISCO = "http://jabber.org/protocol/disco#info"
_MOST_DUE = 10_000  # users; more come again when they log in
_MOST_CLIENTS = 4  # of a user that are asked what they can do
_ITS_OWN_FAULT = frozenset(
    {"bad-request", "jid-malformed", "not-acceptable", "not-allowed", "item-not-found"}
)


class Asks(Post, Protocol):
    """How this part sends, and asks."""

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element: ...


async def _nobody(user: str) -> None:
    """Where nothing else is built, newcomers are not greeted."""


Wish = tuple[str, Sequence[str]]


async def _each(waiting: deque[Wish], work: Callable[[str, Sequence[str]], Awaitable[None]]) -> None:
    """Do what waits, the oldest first. What the stream's end cuts off still waits; what fails otherwise
    does not, or it would be in the way of everybody else's for ever."""
    while waiting:
        one = waiting.popleft()
        try:
            await work(*one)
        except (StreamLost, asyncio.CancelledError):
            waiting.appendleft(one)
            raise


class Rosters:
    """One transport's. `shown` tells a user the presence of contacts (their nodes), `parted` hears of who
    has left, `clients` names the full JIDs under which a user is online. Who builds the rest sets
    `welcome`: it greets a newcomer (bare JID) whom a stop has left without, and calls `seat`."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        privilege: Privilege,
        post: Asks,
        *,
        shown: Callable[[str, Sequence[str]], Awaitable[None]],
        parted: Callable[[str], None],
        clients: Callable[[str], Sequence[str]],
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._book = gateway.rosters
        self._privilege = privilege
        self._post = post
        self._shown = shown
        self._parted = parted
        self._clients = clients
        self._due: dict[str, None] = {}  # bare JIDs whose rosters are to be looked at, in order
        self._wrote: set[str] = set()  # bare JIDs of who has written, perhaps to somebody new
        self._introductions: deque[Wish] = deque(maxlen=_MOST_DUE)
        self._newcomers: deque[Wish] = deque(maxlen=_MOST_DUE)
        self._remembers = False  # who was left without a welcome when this process began
        self.welcome: Callable[[str], Awaitable[None]] = _nobody
        self._bell = asyncio.Event()
        self._writing = asyncio.Lock()
        self._silent: set[str] = set()  # users whose server did not answer on this stream

    # --- when ---

    def look(self, user: str = "") -> None:
        """Look soon: at this user's roster, and who has left."""
        if user and len(self._due) < _MOST_DUE:
            self._due[user] = None
        self._bell.set()

    async def pushed(self, request: Element) -> None:
        """The user has changed something: servers may tell whoever may read a roster (XEP-0356 section
        4.4). Raises Denied for what is no such push."""
        user = request.get("from", "")
        if request.get("type") != "set" or not self._privilege.may_read_roster(user):
            raise replace(errors.NOT_SERVED)
        self._post.reply(xml.result(request))
        self.look(user)

    def wrote(self, user: str) -> None:
        """A user has written to somebody: if that is a new contact, it belongs into their roster."""
        if self._privilege.may_write_roster(user) and len(self._wrote) < _MOST_DUE:
            self._wrote.add(user)
            self._bell.set()

    async def run(self) -> None:
        """Write what is wanted, for as long as a stream lives. Ends by cancellation."""
        self._silent.clear()
        self._bell.set()
        left = await self._left_without_welcome()
        await self._privilege.settled()
        for user in left:
            await self.welcome(user)
        while True:
            await self._bell.wait()
            self._bell.clear()
            try:
                await self.part()
                await _each(self._newcomers, self._seat)
                await _each(self._introductions, self.introduce)
                while self._due:
                    user = next(iter(self._due))
                    del self._due[user]
                    await self.update(user)
                await self._look_after_writers()
            except StreamLost:
                return
            except Exception as error:
                log.error("rosters could not be looked after", transport=self._transport.name, exc_info=error)

    async def _look_after_writers(self) -> None:
        """Not after each line: few of them are the first to a contact."""
        if not self._wrote:
            return
        await asyncio.sleep(GATHER)
        writers, self._wrote = self._wrote, set()
        for user in writers:
            if await self._book.wanted(self._transport.name, user):
                await self.update(user)

    async def ahead(self, batch: Sequence[Delivery]) -> None:
        """Before messages go: their senders stand in the roster first, or clients show a bare JID. They go
        in any case, and soon. Raises StreamLost."""
        senders = {
            (user, xml.node(one.sender))
            for one in batch
            if one.kind in (Kind.MESSAGE, Kind.FILE)
            and self._privilege.may_write_roster(user := xml.bare(one.recipient))
        }
        if not senders:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                for user in await self._book.lacking(self._transport.name, list(senders)):
                    await self.update(user)
        except StreamLost:
            raise
        except TimeoutError:
            log.warning("messages go without a roster: it takes too long", transport=self._transport.name)
        except Exception as error:
            log.error("messages go without a roster", transport=self._transport.name, exc_info=error)

    # --- who is in ---

    def seat(self, user: str, afterwards: Sequence[str]) -> None:
        """Somebody new: put the transport itself into their roster soon, then send these; at once without
        the privilege. The record knows of it until both are done (see Membership.register)."""
        if not self._privilege.may_write_roster(user):
            self._post.reply(*afterwards)
            afterwards = ()
        self._newcomers.append((user, afterwards))
        self._bell.set()

    async def _seat(self, user: str, afterwards: Sequence[str]) -> None:
        if afterwards:
            item = Item(self._transport.title, (self._transport.title,), "both")
            try:
                async with self._writing:
                    await self._set(user, "", item)
            except TimeoutError:
                log.info("a newcomer's roster has no answer", transport=self._transport.name, user=user)
            self._post.reply(*afterwards)
        await self._book.welcomed(self._transport.name, user)

    async def _left_without_welcome(self) -> list[str]:
        """Once for a process: those whom it has registered itself wait here."""
        if self._remembers:
            return []
        found = await self._book.newcomers(self._transport.name)
        self._remembers = True
        return found

    def introduce_soon(self, user: str, locals_: Sequence[str]) -> None:
        """The same, for who cannot wait for it."""
        self._introductions.append((user, locals_))
        self._bell.set()

    async def introduce(self, user: str, locals_: Sequence[str]) -> None:
        """The user has let these contacts in: into the roster with them, or at least an offer. Raises
        StreamLost."""
        await self._book.want_again(self._transport.name, user, locals_)
        await self.update(user)
        if not self._privilege.may_write_roster(user):
            await self._offer(user, locals_)

    async def update(self, user: str) -> None:
        """Learn what a user has changed in the roster, and write there what is wanted. Raises StreamLost."""
        if user in self._silent or not self._privilege.may_read_roster(user):
            return
        try:
            async with self._writing:
                items = await self._read(user)
                if items is not None:
                    await self._learn(user, items)
                    await self._write(user, items)
        except TimeoutError:
            # Prosody says nothing at all about accounts that it does not have (any more).
            self._silent.add(user)
            log.info("a roster was not answered for", transport=self._transport.name, user=user)

    async def _read(self, user: str) -> dict[str, Item] | None:
        answer = await self._ask(user, "get", f"<query xmlns='{ROSTER}'/>")
        return read(answer, self._transport.jid) if answer.get("type") == "result" else None

    async def _learn(self, user: str, items: Mapping[str, Item]) -> None:
        seen = compare(await self._book.seen(self._transport.name, user), items)
        if seen.names or seen.removed:
            await self._book.learned(seen.names, seen.removed)

    async def _write(self, user: str, items: Mapping[str, Item]) -> None:
        names: dict[int, str] = {}
        there: list[str] = []
        wanted = await self._book.wanted(self._transport.name, user)
        for entry in wanted:
            if not self._privilege.may_write_roster(user):
                break
            item = wished(entry, items.get(entry.local), self._transport.title)
            if item != items.get(entry.local) and not await self._set(user, entry.local, item):
                continue
            names[entry.contact_id] = item.name
            there.append(entry.local)
        if names:
            await self._book.wrote(names)
            await self._shown(user, there)
            if len(names) == len(wanted) >= MOST:
                self.look(user)

    async def _set(self, user: str, local: str, item: Item) -> bool:
        """Whether the server has taken it, or never will: then nobody need try again."""
        answer = await self._ask(user, "set", payload(self._jid(local), item))
        if answer.get("type") == "result":
            return True
        condition, _ = errors.read(answer)
        if condition not in _ITS_OWN_FAULT:
            self._privilege.withdraw_roster_set(user)
            return False
        log.warning("a contact was refused by a roster", transport=self._transport.name, condition=condition)
        return True

    async def _ask(self, user: str, kind: str, query: str) -> Element:
        return await self._post.ask(self._transport.jid, user, kind, query, PATIENCE)

    # --- without the privilege ---

    async def _offer(self, user: str, locals_: Sequence[str]) -> None:
        """By roster item exchange, which brings name and group, where all clients know it; else by a
        subscription request, which every client shows."""
        names = {entry.local: entry.called for entry in await self._book.wanted(self._transport.name, user)}
        clients = self._clients(user)
        if clients and len(clients) <= _MOST_CLIENTS and await self._all_exchange(clients):
            self._post.reply(*(self._exchange(client, locals_, names) for client in clients))
            return
        for local in locals_:
            name = nick(names.get(local, ""))  # clients propose it (XEP-0172 section 4.1)
            self._post.reply(stanza(self._jid(local), user, "subscribe", caps=name))

    async def _all_exchange(self, clients: Sequence[str]) -> bool:
        """Whether each of these clients announces XEP-0144."""
        for client in clients:
            try:
                answer = await self._post.ask(
                    self._transport.jid, client, "get", f"<query xmlns='{_DISCO}'/>", PATIENCE
                )
            except TimeoutError:
                return False
            if all(one.get("var") != EXCHANGE for one in answer.iter(f"{{{_DISCO}}}feature")):
                return False
        return True

    def _exchange(self, client: str, locals_: Sequence[str], names: Mapping[str, str]) -> str:
        group = xml.text(self._transport.title)
        items = "".join(
            f"<item action='add' jid='{xml.attribute(f'{local}@{self._transport.jid}')}'"
            f" name='{xml.attribute(names.get(local, ''))}'><group>{group}</group></item>"
            for local in locals_
        )
        identity = self._gateway.new_name()
        return (
            f"<message from='{self._transport.jid}' to='{xml.attribute(client)}' id='{identity}'>"
            f"<x xmlns='{EXCHANGE}'>{items}</x></message>"
        )

    # --- who leaves ---

    async def part(self) -> None:
        """Users who left lose their contacts here, the transport last (XEP-0100 section 4.3). Raises
        StreamLost; then nothing is forgotten."""
        while left := await self._book.partings(self._transport.name):
            for one in left:
                if not one.local:
                    self._parted(one.jid)
            await self._post.paced(
                stanza(self._jid(one.local), one.jid, kind)
                for one in left
                for kind in ("unsubscribe", "unsubscribed", "unavailable")
            )
            for one in left:
                if self._privilege.may_write_roster(one.jid) and one.jid not in self._silent:
                    await self._remove(one.jid, self._jid(one.local))
            await self._book.parted([one.id for one in left])

    async def _remove(self, user: str, jid: str) -> None:
        item = f"<item jid='{xml.attribute(jid)}' subscription='remove'/>"
        try:
            answer = await self._ask(user, "set", f"<query xmlns='{ROSTER}'>{item}</query>")
        except TimeoutError:
            self._silent.add(user)
            return
        if answer.get("type") == "error" and errors.read(answer)[0] not in _ITS_OWN_FAULT:
            self._privilege.withdraw_roster_set(user)

    def _jid(self, local: str) -> str:
        return f"{local}@{self._transport.jid}" if local else self._transport.jid
