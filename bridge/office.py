"""The use cases behind admins' commands: people, the queue, transports, announcements, invitations.

Shows no bodies. Who is an admin is asked before.
"""

import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, insert

from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.model import Contact, Kind, Line, Note
from bridge.store import invites, people, queue
from bridge.store.engine import Store
from bridge.store.people import UserSummary
from bridge.store.queue import Entry
from bridge.store.rows import Lane, delivery_row
from bridge.store.tables import deliveries

INVITATION_LASTS = 14 * 86400.0
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread from paper
MOST_SHOWN = 50


class Switch(Protocol):
    """What stops outlets and starts them again (the dispatcher)."""

    def halt(self, outlet: str, halted: bool) -> None: ...

    def look(self) -> None:
        """The queue was changed."""
        ...


@dataclass(frozen=True, slots=True)
class Statistics:
    users: int
    lines: dict[str, int]  # by transport
    queue: dict[str, tuple[int, float]]  # by outlet: how many, and the age of the oldest in seconds
    stopped: Collection[str]  # transports


class _NoSwitch:
    """Nobody dispatches (yet)."""

    def halt(self, outlet: str, halted: bool) -> None:
        return None

    def look(self) -> None:
        return None


class Office:
    """One for the process; `switch` is set by who builds the rest."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        admins: Sequence[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self.switch: Switch = _NoSwitch()
        # By transport, set by its component: hears of somebody (a bare JID) who was removed.
        self.departed: dict[str, Callable[[str], None]] = {}
        self._admins = frozenset(admins)
        self._clock = clock

    def is_admin(self, jid: str) -> bool:
        """Whether a bare JID is in `[gateway].admins`."""
        return jid in self._admins

    async def load(self) -> None:
        """At start: what an admin has stopped stays so."""
        for transport in await self._store.look(queue.stopped):
            self.switch.halt(transport, True)

    # --- people ---

    async def users(self) -> list[Line]:
        return await self._store.look(people.all_lines)

    async def user(self, jid: str) -> UserSummary | None:
        return await self._store.look(people.summary_of, jid)

    async def remove(self, jid: str) -> dict[str, list[Contact]]:
        """Remove somebody from every transport. Answers the contacts that they had, by transport; empty
        when nobody of that name was registered."""
        lines = [line for line in await self.users() if line.jid == jid]
        gone = {line.transport: await self._gateway.leave(line.transport, jid) for line in lines}
        for transport in gone:
            if transport in self.departed:
                self.departed[transport](jid)
        return gone

    async def invite(self, by: str, jid: str, transport: str) -> str:
        """Let somebody register: a bare JID, who is written to from this transport; or whoever has the
        token, which is the answer."""
        token = new_token()
        now = self._clock()
        await self._store.do(invites.invite, token, jid, by, now, INVITATION_LASTS)
        if jid:
            gateway = self._gateway.transports[transport].jid
            text = translate(invitation(by), self._gateway.languages.of(jid))
            self._gateway.ring(await self._store.do(tell, transport, gateway, [jid], text, now))
        return "" if jid else token

    async def write_to(self, transport: str, jid: str, text: str) -> None:
        """A line from the gateway's own JID to anybody's bare JID, in the language that they read."""
        gateway = self._gateway.transports[transport].jid
        told = translate(text, self._gateway.languages.of(jid))
        self._gateway.ring(await self._store.do(tell, transport, gateway, [jid], told, self._clock()))

    async def announce(self, transport: str, text: str) -> int:
        """Write to everybody who is registered on a transport, from its own JID. Answers how many."""
        users = await self._gateway.users_of(transport)
        gateway = self._gateway.transports[transport].jid
        self._gateway.ring(await self._store.do(tell, transport, gateway, users, text, self._clock()))
        return len(users)

    async def statistics(self) -> Statistics:
        lines = await self.users()
        return Statistics(
            len({line.jid for line in lines}),
            dict(Counter(line.transport for line in lines)),
            dict(await self._store.look(queue.depths, self._clock())),
            await self._store.look(queue.stopped),
        )

    # --- the queue ---

    async def waiting(self) -> list[Entry]:
        """Open deliveries, oldest first; MOST_SHOWN at most."""
        return await self._store.look(queue.list_open, "", MOST_SHOWN)

    async def retry(self, ids: Sequence[int] | None) -> int:
        found = await self._store.do(queue.retry, ids, self._clock())
        self.switch.look()
        return len(found)

    async def drop(self, ids: Sequence[int]) -> int:
        found = await self._store.do(queue.drop, ids, self._clock())
        self.switch.look()
        return len(found)

    async def stop(self, transport: str, by: str) -> None:
        """Nothing goes out through it any more, not even after a restart; what users write is kept."""
        await self._store.do(queue.stop, transport, by, self._clock())
        self.switch.halt(transport, True)

    async def go_on(self, transport: str) -> None:
        await self._store.do(queue.let_go, transport)
        self.switch.halt(transport, False)


def new_token() -> str:
    """An invitation's: 12 characters that can be read aloud, 59 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def invitation(by: str) -> str:
    """What somebody reads who is invited."""
    who = by or tr("the administrator")
    return tr(
        "Hello! {who} invites you to use this gateway from your chat. Answer register to begin.", who=who
    )


def tell(
    connection: Connection, transport: str, gateway: str, jids: Sequence[str], text: str, now: float
) -> list[Lane]:
    """Record a line from the gateway itself to each of these bare JIDs. Answers lanes to ring."""
    rows = [
        delivery_row(
            (f"xmpp:{transport}", f"tell/{jid}"[:160]),
            Kind.NOTICE,
            None,
            sender=gateway,
            recipient=jid,
            stanza_id=str(uuid.uuid4()),
            note=Note("", text),
            now=now,
        )
        for jid in jids
    ]
    if rows:
        connection.execute(insert(deliveries), rows)
    return [(row["outlet"], row["lane"]) for row in rows]
