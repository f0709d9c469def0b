"""What is looked at when a user comes online: their roster, their clock, whom their server keeps out.

In the background and a few users at a time, since clients are asked and may not answer. And signs of
life of users whose presence the transport does not see.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol
from xml.etree.ElementTree import Element

import structlog

from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.options import ZONE
from bridge.xmpp import moods
from bridge.xmpp.blocking import Blocking
from bridge.xmpp.stream import StreamLost

log = structlog.get_logger()

Work = Callable[[], Awaitable[None]]

TIME = "urn:xmpp:time"  # XEP-0202
PATIENCE = 5.0  # seconds for a client's answer
SIGN_EVERY = 30.0  # seconds: one who writes on and on is not asked about each time
_AT_A_TIME = 8
_MOST_WAITING = 10_000
_MOST_SIGNS = 1_000


class Asks(Protocol):
    """How this part asks."""

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element: ...


class Arrivals:
    """One transport's. `clock_changed` hears whose presence says other times now."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        post: Asks,
        blocking: Blocking,
        *,
        tells_time: bool,
        clock_changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._blocking = blocking
        self._tells_time = tells_time
        self._clock_changed = clock_changed
        self._waiting: asyncio.Queue[Work] = asyncio.Queue(_MOST_WAITING)

    def put(self, work: Work) -> None:
        """Do this in the background. Past the limit it is left: there will be another occasion."""
        if not self._waiting.full():
            self._waiting.put_nowait(work)

    async def run(self) -> None:
        """For as long as a stream lives. Ends by cancellation."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            work = await self._waiting.get()
            try:
                await work()
            except StreamLost:
                return
            except Exception as error:
                log.error("users could not be looked at", transport=self._transport.name, exc_info=error)

    async def visit(self, user: str, client: str) -> None:
        """A user (bare JID) has come online with this client."""
        await self._blocking.recheck(user)
        if self._tells_time:
            await self._learn_clock(user, client)

    async def _learn_clock(self, user: str, client: str) -> None:
        """Times in presence are the user's own."""
        try:
            answer = await self._post.ask(
                self._transport.jid, client, "get", f"<time xmlns='{TIME}'/>", PATIENCE
            )
        except TimeoutError:
            return
        zone = answer.findtext(f"{{{TIME}}}time/{{{TIME}}}tzo", "").strip()
        line = await self._gateway.line_of(self._transport.name, user)
        if line is None or moods.zone_of(zone) is None or line.choices.get(ZONE, "") == zone:
            return
        await self._gateway.rosters.note_zone(self._transport.name, user, zone)
        await self._clock_changed(user)


class Signs:
    """Who writes is there, also when we do not see their presence: what waits for them may go."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def is_news(self, user: str) -> bool:
        """Whether this is the first sign of a user for some time."""
        now = self._clock()
        if now - self._last.get(user, -SIGN_EVERY) < SIGN_EVERY:
            return False
        if len(self._last) >= _MOST_SIGNS:
            self._last.clear()
        self._last[user] = now
        return True

    def is_there(self, user: str) -> bool:
        """Whether there was one lately; not every one is noted."""
        return self._clock() - self._last.get(user, -3 * SIGN_EVERY) < 2 * SIGN_EVERY

    def forget(self, user: str = "") -> None:
        """This user is gone, or with the stream anybody may be: what they last gave says nothing more."""
        if user:
            self._last.pop(user, None)
        else:
            self._last.clear()
