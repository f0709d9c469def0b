"""The use cases of users who have several addresses of their own on a transport: phone numbers.

A transport whose addresses come from a pool says how many a user may have (Capabilities.addresses).
Answers what a command may show; every refusal is a Denied with a sentence.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection

from bridge.events import Denied
from bridge.gateway import Gateway
from bridge.i18n import tr, trn
from bridge.model import Address, Line
from bridge.ports import BadAddress, shared_addresses
from bridge.store import own_addresses
from bridge.store.conversations import conversations_with
from bridge.store.engine import Store
from bridge.store.own_addresses import Held


class Numbers:
    """One for the process. Whoever is meant by a line is registered."""

    def __init__(self, gateway: Gateway, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._gateway = gateway
        self._store = store
        self._clock = clock

    def most(self, transport: str) -> int:
        """How many addresses a user may have here; 0 where one does not choose them."""
        return self._gateway.transports[transport].adapter.capabilities.addresses

    async def held(self, line: Line) -> list[Held]:
        """What the user has, the line's own first."""
        return await self._store.look(own_addresses.addresses_of, line.id)

    async def free(self, line: Line) -> list[str]:
        """What the user could have besides."""
        adapter = self._gateway.transports[line.transport].adapter
        return await self._store.look(
            own_addresses.free_of,
            line.transport,
            line.id,
            self._possible(line),
            shared_addresses(adapter),
        )

    async def add(self, line: Line, text: str = "") -> str:
        """One more: the one that is asked for, or any. Answers it."""
        possible = self._possible(line)
        most = self.most(line.transport)
        if text:
            wanted = self.read(line.transport, text)
            if wanted not in possible:
                raise Denied(tr("{address} is not yours to choose here.", address=wanted))
            possible = [wanted]
        shared = shared_addresses(self._gateway.transports[line.transport].adapter)
        try:
            taken = await self._store.do(own_addresses.take, line, possible, most, shared, self._clock())
        except own_addresses.NoMore as error:
            raise Denied(
                trn(
                    "You may have {number} number here. Give it back first, or ask the administrator of "
                    "this gateway for more.",
                    "You may have {number} numbers here. Give one back first, or ask the administrator "
                    "of this gateway for more.",
                    most,
                ),
                "not-allowed",
                "cancel",
            ) from error
        except own_addresses.AddressTaken as error:
            told = (
                tr("{address} is somebody's already.", address=possible[0])
                if text
                else tr("No number is free at the moment. Ask the administrator of this gateway.")
            )
            raise Denied(told, "conflict", "cancel") from error
        self._gateway.forget_lines()
        return taken

    async def put_first(self, line: Line, text: str) -> str:
        """New chats go from this one of the user's addresses. Answers it."""
        wanted = await self._own(line, text)
        await self._store.do(own_addresses.put_first, line, wanted)
        return wanted

    async def give_back(self, line: Line, text: str) -> str:
        """The user has this address no more. Answers it."""
        wanted = await self._own(line, text)
        try:
            await self._store.do(own_addresses.give_back, line, wanted)
        except own_addresses.NoMore as error:
            raise Denied(
                tr("{address} is your only number. Type leave if you want to go.", address=wanted),
                "not-allowed",
                "cancel",
            ) from error
        except own_addresses.InUse as error:
            raise Denied(
                trn(
                    "{count} message waits to go from {address}. Wait for it, or cancel it first.",
                    "{count} messages wait to go from {address}. Wait for them, or cancel them first.",
                    error.count,
                    count=error.count,
                    address=wanted,
                ),
                "conflict",
                "wait",
            ) from error
        self._gateway.forget_lines()
        return wanted

    async def usual(self, line: Line, local: str) -> str:
        """From which address the chat with this node goes on."""
        contact = self._gateway.address_of(line.transport, local)
        return await self._store.do(_usual, line, contact, local, self._clock())

    async def choose_for(self, line: Line, local: str, text: str) -> str:
        """The chat with this node goes on from this one of the user's addresses. Answers it."""
        wanted = await self._own(line, text)
        contact = self._gateway.address_of(line.transport, local)
        await self._store.do(_choose, line, contact, local, wanted, self._clock())
        return wanted

    def read(self, transport: str, text: str) -> str:
        """An address as a person spells it."""
        try:
            return self._gateway.transports[transport].adapter.canonical(text).canonical
        except BadAddress as error:
            raise Denied(str(error), "not-acceptable", "modify") from error

    async def _own(self, line: Line, text: str) -> str:
        """One of the user's addresses: spelled out, its end, or its place in the list."""
        held = [one.address for one in await self.held(line)]
        digits = "".join(one for one in text if one.isdigit())
        if digits and len(digits) < 3 and 1 <= int(digits) <= len(held):
            return held[int(digits) - 1]
        ending = [address for address in held if digits and address.endswith(digits)]
        if len(ending) == 1:
            return ending[0]
        raise Denied(
            tr("{text} is none of your numbers: {numbers}.", text=text, numbers=", ".join(held)),
            "item-not-found",
            "cancel",
        )

    def _possible(self, line: Line) -> list[str]:
        try:
            return list(self._gateway.transports[line.transport].adapter.own_addresses(line.jid))
        except BadAddress as error:
            raise Denied(str(error)) from error


def _usual(connection: Connection, line: Line, contact: Address, local: str, now: float) -> str:
    (found,) = conversations_with(connection, [(line.user_id, line.transport, contact, local)], now)
    return found.own or line.address


def _choose(
    connection: Connection, line: Line, contact: Address, local: str, address: str, now: float
) -> None:
    (found,) = conversations_with(connection, [(line.user_id, line.transport, contact, local)], now)
    own_addresses.go_on_from(connection, found.id, address)
