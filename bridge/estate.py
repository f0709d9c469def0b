"""The use cases about all that a user has here: handed out as one file, or moved to another chat address.

Says and shows nothing: the commands put it into words, the front ends into stanzas.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.events import Denied
from bridge.files import Filing
from bridge.gateway import Gateway
from bridge.i18n import tr
from bridge.model import Attachment, File, Line
from bridge.ports import FileUnavailable
from bridge.store import exporting, moving, people
from bridge.store.engine import Store

FORMAT = "passerelle-export-1"
LARGEST = (
    32 * 1024 * 1024
)  # bytes of an export; the oldest messages that are beyond are left out, and said so
_AT_A_TIME = 500  # messages
EXPORT_EVERY = 600.0  # seconds between two exports of one user's

MOVE_LASTS = 3600.0  # seconds in which the other address must answer
_MOST_MOVES = 1_000
_MOST_TRIES = 5


@dataclass(slots=True)
class _Move:
    """Somebody wishes to go on under another address."""

    old: str
    code: str
    until: float
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    old: str
    lines: Sequence[Line]  # as they are now


class Estate:
    """One for the process. Moves that wait for an answer do not outlive it: one asks again."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        files: Filing | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._files = files
        self._clock = clock
        self._moves: dict[str, _Move] = {}  # by the new address
        self._one_at_a_time = asyncio.Semaphore(1)  # an export takes 100 MB while it is written
        self._exported: dict[int, float] = {}  # when users had their last one, by their lines
        # By transport, set by its component: the old bare JID, the line as it is now, and the nodes of the
        # contacts that the user sees.
        self.moved: dict[str, Callable[[str, Line, Sequence[str]], None]] = {}

    # --- everything as a file ---

    @property
    def gives_files(self) -> bool:
        return self._files is not None

    async def export(self, line: Line) -> Attachment:
        """All that is kept of a user on their line's transport, as a file of JSON. Raises Denied."""
        if self._files is None:
            raise Denied(tr("Files cannot be given here."), "not-allowed", "cancel")
        async with self._one_at_a_time:
            self._must_have_waited(line)
            about = await self._store.look(exporting.person, line.transport, line.user_id)
            told, complete = await self._messages(line)
            document = {"format": FORMAT, **about, "complete": complete, "messages": told}
            data = await asyncio.to_thread(_as_json, document)
        name = f"passerelle-{line.transport}-{time.strftime('%Y-%m-%d', time.gmtime(self._clock()))}.json"
        try:
            return await self._files.keep(File(name, "application/json", data))
        except FileUnavailable as error:
            raise Denied(str(error), "internal-server-error", "wait") from error

    def _must_have_waited(self, line: Line) -> None:
        """Each export is kept for a day: nobody fills the disk with theirs. Raises Denied."""
        now = self._clock()
        self._exported = {id_: at for id_, at in self._exported.items() if at > now - EXPORT_EVERY}
        if line.id in self._exported:
            raise Denied(
                tr("You had an export a few minutes ago. Ask for another in a while."),
                "resource-constraint",
                "wait",
            )
        self._exported[line.id] = now

    async def _messages(self, line: Line) -> tuple[list[dict[str, Any]], bool]:
        """The newest that fit, oldest first; and whether these are all."""
        told: list[dict[str, Any]] = []
        sizes: list[int] = []
        after, total, dropped = 0, 0, 0
        while True:
            after, more = await self._store.look(
                exporting.written, line.transport, line.user_id, after, _AT_A_TIME
            )
            if not more:
                return told[dropped:], dropped == 0
            for one in more:
                told.append(one)
                sizes.append(len(one["text"].encode()) + 300)
                total += sizes[-1]
            while total > LARGEST:
                total -= sizes[dropped]
                told[dropped] = {}  # its text need not be kept meanwhile
                dropped += 1

    async def address_of(self, file: Attachment) -> str:
        """Where our own listener gives it out, for some days; empty where there is none."""
        if self._files is None:
            return ""
        try:
            return await self._files.publish(file)
        except FileUnavailable:
            return ""

    # --- another address ---

    async def ask_to_move(self, old: str, new: str) -> str:
        """Somebody here wishes to go on as `new` (bare JIDs). Answers the code that `new` must be told, and
        has to say. Raises Denied."""
        if old == new:
            raise Denied(tr("That is the address that you write from."))
        if not self._gateway.may_use(new):
            raise Denied(tr("This gateway does not serve {who}. Ask its administrator.", who=new))
        if await self._store.look(moving.lines_of, new):
            raise _occupied(new)
        now = self._clock()
        self._moves = {key: one for key, one in self._moves.items() if one.until > now and one.old != old}
        if new in self._moves or len(self._moves) >= _MOST_MOVES:
            raise Denied(tr("Somebody moves there already. Try again in an hour."), "conflict", "wait")
        code = f"{secrets.randbelow(1_000_000):06d}"
        self._moves[new] = _Move(old, code, now + MOVE_LASTS)
        return code

    def awaits(self, jid: str) -> bool:
        """Whether somebody wishes to go on under this bare JID: it is not registered by its first word."""
        return (found := self._moves.get(jid)) is not None and found.until > self._clock()

    async def finish_move(self, new: str, code: str) -> Moved:
        """The new address gives the code. Raises Denied."""
        waiting = self._moves.get(new)
        if waiting is None or waiting.until <= self._clock():
            self._moves.pop(new, None)
            raise Denied(tr("Nobody wishes to move here just now. Type move {who} there first.", who=new))
        if not secrets.compare_digest(waiting.code, code):
            waiting.tries += 1
            if waiting.tries >= _MOST_TRIES:
                del self._moves[new]
            raise Denied(tr("This is not the code that I sent you."))
        del self._moves[new]
        try:
            found, lanes = await self._store.do(moving.move, waiting.old, new, self._clock())
        except moving.Occupied as error:
            raise _occupied(new) from error
        if not found:
            raise Denied(tr("{who} is not registered here any more.", who=waiting.old))
        self._gateway.languages.forget(waiting.old)
        self._gateway.languages.learn(new, found[0].language)
        self._gateway.ring(lanes)
        for line in found:
            self._gateway.sources.accounts_changed(line.transport)
            if line.transport in self.moved:
                self.moved[line.transport](waiting.old, line, await self._seen_by(line))
        return Moved(waiting.old, found)

    async def _seen_by(self, line: Line) -> list[str]:
        """Nodes of the contacts whose presence a user sees."""
        known = await self._store.look(people.contacts_of, line.transport, line.jid)
        return [contact.local for contact in known]


def _occupied(jid: str) -> Denied:
    return Denied(
        tr("{who} is registered here itself. Type leave there first, then move again.", who=jid),
        "conflict",
        "cancel",
    )


def _as_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace")
