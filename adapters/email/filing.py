"""Keeps what was sent through a user's own account in its folder of sent mails, as their other programs do.

Some providers put a copy there by themselves: so it is looked for first. Best effort: the mail itself has
gone, and nobody waits for its copy. Copies wait in memory only: those of the last seconds before a crash
are not made.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from adapters.email.imap_client import Client, CommandRefused, ImapLogin, connected
from adapters.email.imap_words import sent_folder
from bridge.kit import keep_trying

log = structlog.get_logger()

_MOST = 100  # mails that wait
_MOST_OCTETS = 32 << 20
_PAUSE = 3.0  # seconds in which a provider may put its own copy there
_LONGEST_PAUSE = 300.0
_NEW_NAME = "Sent"


@dataclass(frozen=True, slots=True)
class Copy:
    message_id: str  # in angle brackets
    raw: bytes


class Copies:
    """Those of one account. `made` is called when a folder of sent mails had to be made."""

    def __init__(
        self, account: object, login: ImapLogin, made: Callable[[], None], pause: float = _PAUSE
    ) -> None:
        self._account = account
        self._login = login
        self._made = made
        self._pause = pause
        self._waiting: deque[Copy] = deque()
        self._octets = 0
        self._some = asyncio.Event()

    def put(self, copy: Copy) -> None:
        """Keep it soon. What is too much is left out: the record has it anyway."""
        if len(self._waiting) >= _MOST or self._octets + len(copy.raw) > _MOST_OCTETS:
            log.warning("a sent mail is not kept in its folder: too many wait", account=self._account)
            return
        self._waiting.append(copy)
        self._octets += len(copy.raw)
        self._some.set()

    async def run(self) -> None:
        await keep_trying(
            f"sent mails of account {self._account}", self._attempt, longest_pause=_LONGEST_PAUSE
        )

    async def _attempt(self) -> None:
        while not self._waiting:  # one may have come while we took leave of the server
            self._some.clear()
            await self._some.wait()
        await asyncio.sleep(self._pause)
        async with connected(self._login) as client:
            folder = sent_folder(await client.folders()) or await self._make(client)
            await client.select(folder)
            while self._waiting:
                await self._keep(client, folder, self._waiting[0])
                self._octets -= len(self._waiting.popleft().raw)

    async def _make(self, client: Client) -> str:
        await client.create(_NEW_NAME)
        self._made()
        return _NEW_NAME

    async def _keep(self, client: Client, folder: str, copy: Copy) -> None:
        await client.noop()
        if await client.search("HEADER", "Message-ID", f'"{copy.message_id}"'):
            return
        try:
            await client.append(folder, copy.raw)
        except CommandRefused as error:  # over quota, perhaps: trying for ever would help nobody
            log.info("a sent mail is not kept in its folder", account=self._account, reason=str(error)[:100])
