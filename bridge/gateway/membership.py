"""Who belongs to the gateway: registering, leaving, and their contacts."""

from collections.abc import Callable, Sequence, Set

from sqlalchemy import Connection

from bridge.events import Denied
from bridge.gateway.house import House, not_registered
from bridge.i18n import tr
from bridge.model import Address, Contact, Line
from bridge.ports import BadAddress, shared_addresses
from bridge.sources import Sources
from bridge.store import desk, invites, own_addresses, people, strangers
from bridge.store.drafts import Ground
from bridge.store.rows import Lane

Newcomer = Callable[[Line], None]

_LONGEST_NAME = 256


class Membership:
    """One for the process. `changed` is called when the lines of the record are others than before;
    `newcomer`, by transport, for who was registered by their first word."""

    def __init__(
        self, house: House, allow: Sequence[str], sources: Sources, changed: Callable[[], None]
    ) -> None:
        self.newcomer: dict[str, Newcomer] = {}
        self._house = house
        self._store = house.store
        self._clock = house.clock
        self._allow = frozenset(allow)
        self._sources = sources
        self._changed = changed

    def may_use(self, jid: str) -> bool:
        """Whether the settings admit a bare JID."""
        return bool(self._allow & {"*", jid, jid.rpartition("@")[2]})

    async def load(self) -> None:
        """At start: what each user reads, so that a refusal need not ask the record."""
        for jid, language in (await self._store.look(desk.languages)).items():
            self._house.languages.learn(jid, language)

    async def line_of(self, transport: str, jid: str) -> Line | None:
        """Where a user is registered on a transport."""
        return await self._store.look(people.line_of, transport, jid)

    async def users_of(self, transport: str) -> list[str]:
        """Bare JIDs of all who are registered: to be probed at start, told at stop."""
        return [line.jid for line in await self._store.look(people.lines_on, transport)]

    # --- coming and going ---

    async def admit(self, transport: str, jid: str, language: str) -> Line | None:
        """Register somebody whom the settings or an invitation admit, unless they once left. None if not."""
        if not self.may_use(jid) and not await self._store.look(invites.is_invited, jid, self._clock()):
            return None
        if await self._store.look(people.has_left, transport, jid):
            return None
        try:
            welcome = transport in self.newcomer
            line = await self.register(transport, jid, name="", language=language, welcome=welcome)
        except Denied:
            return None
        if transport in self.newcomer:
            self.newcomer[transport](line)
        return line

    async def register(
        self,
        transport: str,
        jid: str,
        *,
        name: str,
        address: str = "",
        token: str = "",
        language: str = "",
        welcome: bool = False,
    ) -> Line:
        """Register a bare JID, or edit its registration (name; address if it may choose). `token` is an
        invitation's, `language` what a new user reads; `welcome`: whoever calls welcomes who is new, and
        a restart will not forget it. Raises Denied."""
        if not await self._admits(transport, jid, token):
            raise Denied(
                tr("This gateway does not serve your address. Ask its administrator for an invitation."),
                "forbidden",
                "auth",
            )
        try:
            candidates = await self._candidates(transport, jid, address)
            line = await self._store.do(
                people.register,
                transport,
                jid,
                _tidy(name),
                candidates,
                self._clock(),
                move=bool(address),
                language=language or self._house.languages.of(jid),
                shared=shared_addresses(self._house.transports[transport].adapter),
                welcome=welcome,
            )
        except BadAddress as error:
            raise Denied(str(error)) from error
        except people.AddressTaken as error:
            raise Denied(
                tr("No address is free for you here at the moment. Ask the administrator of this gateway."),
                "conflict",
                "cancel",
            ) from error
        self._changed()
        self._house.languages.learn(jid, line.language)
        return line

    async def _admits(self, transport: str, jid: str, token: str) -> bool:
        """Whom the settings or an invitation admit, or who is here already."""
        if self.may_use(jid) or await self.line_of(transport, jid) is not None:
            return True
        return await self._store.do(invites.redeem, jid, token, self._clock())

    async def _candidates(self, transport: str, jid: str, address: str) -> list[str]:
        """The addresses that a user may have, best first: the one they ask for, if they ask. Raises
        BadAddress and Denied."""
        adapter = self._house.transports[transport].adapter
        candidates = list(adapter.own_addresses(jid))
        if not address:
            return candidates
        wanted = adapter.canonical(address).canonical
        # Who has brought an account has an address that we do not give out, and keeps it.
        present = None if wanted in candidates else await self.line_of(transport, jid)
        if wanted not in candidates and (present is None or present.address != wanted):
            raise Denied(tr("{address} is not yours to choose here.", address=wanted))
        return [wanted]

    async def free_addresses(self, transport: str, jid: str) -> list[str]:
        """The addresses that a bare JID may have here and nobody else has, best first. Raises Denied."""
        adapter = self._house.transports[transport].adapter
        try:
            possible = list(adapter.own_addresses(jid))
        except BadAddress as error:
            raise Denied(str(error), "not-allowed", "cancel") from error
        if not possible:
            raise Denied(tr("This gateway does not serve your account."), "not-allowed", "cancel")
        return await self._store.look(_free, transport, jid, possible, shared_addresses(adapter))

    async def leave(self, transport: str, jid: str) -> list[Contact]:
        """Remove the registration; answers the contacts that the user had. Raises Denied."""
        gone = await self._store.do(people.leave, transport, jid, self._clock())
        self._changed()
        self._sources.accounts_changed(transport)
        if gone is None:
            raise Denied(tr("You are not registered here."), "registration-required", "auth")
        return gone

    # --- contacts ---

    async def add_contact(self, transport: str, jid: str, local: str) -> Contact:
        """The user subscribes to a contact's JID. Raises Denied."""
        address = self._house.address_of(transport, local)
        ground = self._house.grounds[transport]
        contact, lanes = await self._store.do(
            _subscribe, transport, jid, address, local, ground, self._clock()
        )
        if contact is None:
            raise not_registered()
        self._house.ring(lanes)
        return contact

    async def drop_contact(self, transport: str, jid: str, local: str) -> None:
        """The user unsubscribes: the contact stays known, its presence is no longer sent."""
        address = self._house.address_of(transport, local)
        await self._store.do(people.unsubscribe, transport, jid, address.canonical)

    async def contacts_of(self, transport: str, jid: str, locals_: Sequence[str] = ()) -> list[Contact]:
        """Those whose presence the user sees; of these nodes, if some are named."""
        return await self._store.look(people.contacts_of, transport, jid, locals_)

    async def contacts_after(self, transport: str, jid: str, after: int, most: int) -> list[Contact]:
        """The same piece by piece, by their ids."""
        return await self._store.look(people.contacts_after, transport, jid, after, most)


def _tidy(name: str) -> str:
    return " ".join(name.split())[:_LONGEST_NAME]


def _free(
    connection: Connection, transport: str, jid: str, possible: Sequence[str], shared: Set[str]
) -> list[str]:
    line = people.line_of(connection, transport, jid)
    free = own_addresses.free_of(connection, transport, line.id if line is not None else 0, possible, shared)
    own = [one.address for one in own_addresses.addresses_of(connection, line.id)] if line is not None else []
    return [*(address for address in own if address in possible), *free]


def _subscribe(
    connection: Connection, transport: str, jid: str, address: Address, local: str, ground: Ground, now: float
) -> tuple[Contact | None, list[Lane]]:
    """A contact whom the user adds is let in, and so is what it has written already."""
    contact = people.subscribe(connection, transport, jid, address, local, now)
    owner = strangers.owner(connection, jid, transport, ground.jid, ground.strangers)
    return contact, strangers.reconsider(connection, owner, now) if owner is not None else []
