"""Watches what presence must tell by itself: a transport's trouble, and a new day. Decides when, not how."""

import asyncio
import time
from collections.abc import Callable
from datetime import date

from bridge.xmpp.presence import Presence, Trouble

EVERY = 1.0  # seconds between two looks
HOLDS = 3.0  # seconds that trouble, or its end, must last before anybody hears of it


class Watch:
    """One component's. `reason` says in a sentence why its transport cannot send just now, or nothing."""

    def __init__(
        self, presence: Presence, reason: Callable[[], str], clock: Callable[[], float] = time.time
    ) -> None:
        self._presence = presence
        self._reason = reason
        self._clock = clock
        self._since = 0.0  # when it began to be otherwise than presence says
        self._day = self._today()

    async def run(self) -> None:
        """Ends by cancellation."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Tell users what has become true, and has been so for long enough. Raises StreamLost."""
        reason, now = self._reason(), self._clock()
        if bool(reason) is (self._presence.trouble is not None):
            self._since = 0.0
        elif not self._since:
            self._since = now
        elif now - self._since >= HOLDS:
            self._presence.trouble = Trouble(reason, self._since) if reason else None
            self._since = 0.0
            await self._presence.tell_trouble()
        if (today := self._today()) != self._day:
            self._day = today
            await self._presence.new_day()

    def _today(self) -> date:
        return date.fromtimestamp(self._clock())
