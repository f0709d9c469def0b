"""One component's dealings with its users' presence, rosters and block lists: puts those desks together.

Each of them stands in a file of its own; here is only who hears of what.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

from bridge.commands.services import Services
from bridge.events import ClientError, Transport, Written
from bridge.gateway import Gateway
from bridge.model import Delivery, Kind
from bridge.xmpp import xml
from bridge.xmpp.arrivals import Arrivals, Signs
from bridge.xmpp.blocking import BlockDesk, Blocking
from bridge.xmpp.presence import Presence, show_of
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.roster_items import QUERY
from bridge.xmpp.rosters import Asks, Rosters
from bridge.xmpp.stanzas import Reading
from bridge.xmpp.watching import Watch

Work = Callable[[], Awaitable[None]]


class Acquaintance:
    """`soon` does work for a user in turn. `trouble` is set by who builds the rest: why the transport
    cannot send just now, in a sentence."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        services: Services | None,
        privilege: Privilege,
        post: Asks,
        soon: Callable[[str, Work], None],
    ) -> None:
        self.trouble: Callable[[], str] = lambda: ""
        self._transport = transport
        self._gateway = gateway
        self._soon = soon
        self._tells_time = bool(show_of(transport))
        self._signs = Signs()
        self.presence = Presence(transport, gateway, post, came=self._came, went=self._signs.forget)
        clients = self.presence.clients_of
        self.rosters = Rosters(
            transport,
            gateway,
            privilege,
            post,
            shown=self.presence.show,
            parted=self.presence.gone,
            clients=clients,
        )
        self._desk = BlockDesk(transport, gateway, services.wishes, post) if services is not None else None
        self._blocking = Blocking(transport, gateway, post, clients)
        self._arrivals = Arrivals(
            transport,
            gateway,
            post,
            self._blocking,
            tells_time=self._tells_time,
            clock_changed=self.presence.show_times,
        )
        self._watch = Watch(self.presence, lambda: self.trouble())

    def requests(self) -> dict[str, Callable[[Element], Awaitable[None]]]:
        """Who answers which payload of an IQ."""
        found: dict[str, Callable[[Element], Awaitable[None]]] = {QUERY: self.rosters.pushed}
        return found | self._desk.requests() if self._desk is not None else found

    def chores(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on while a stream lives."""
        return [self.rosters.run(), self._arrivals.run(), self._watch.run()]

    def forget(self) -> None:
        """The stream is gone: who is there is unknown again."""
        self.presence.forget()
        self._signs.forget()

    def heard(self, stanza: Element, reading: Reading) -> None:
        """What a message tells beside what it says: who writes is there; an error may mean a block; a
        stanza without a body may report spam."""
        if isinstance(reading, Written):
            self._sign(reading.from_bare)
        elif isinstance(reading, ClientError):
            local = xml.node(stanza.get("to", ""))
            work = self._blocking.suspect(reading.from_bare, local, reading.condition)
            if work is not None:
                self._arrivals.put(work)
        elif reading is None and self._desk is not None and (work := self._desk.report_in(stanza)):
            self._soon(xml.bare(stanza.get("from", "")), work)

    def is_there(self, user: str) -> bool:
        """Whether a user (bare JID) is online, by their presence or because they have just written."""
        return self.presence.is_online(user) or self._signs.is_there(user)

    def gone(self, deliveries: Sequence[Delivery]) -> None:
        """These have reached the server: whose messages they are has just written."""
        if not self._tells_time:
            return
        wrote: dict[str, set[str]] = {}
        for one in deliveries:
            user = xml.bare(one.recipient)
            if one.kind is Kind.MESSAGE and self.presence.is_online(user):
                wrote.setdefault(user, set()).add(xml.node(one.sender))
        for user, locals_ in wrote.items():
            self._soon(user, partial(self.presence.show, user, list(locals_)))

    def _sign(self, user: str) -> None:
        """Whose presence we do not see has come back by writing."""
        self.rosters.wrote(user)
        if self._signs.is_news(user) and not self.presence.is_online(user):
            self._soon(user, partial(self._gateway.came_back, self._transport.name, user))

    def _came(self, user: str, client: str) -> None:
        self.rosters.look(user)
        if client:
            self._arrivals.put(partial(self._arrivals.visit, user, client))
