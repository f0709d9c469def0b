"""What users do about messages of theirs that may not have gone yet: types on, sends now, takes back.

Part of the gateway, in a file of its own. Keeps in memory only who might still be typing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from bridge.model import Fact, Undone
from bridge.policy import LONGEST_WINDOW
from bridge.store import changing, facts
from bridge.store.changing import Changed, Reach, Talk
from bridge.store.drafts import Draft, Recorded
from bridge.store.engine import Store
from bridge.store.outward import Typing
from bridge.store.rows import Lane
from bridge.store.unthreading import Name

Untouched = Callable[[Iterable[Lane]], AbstractContextManager[frozenset[Lane]]]

_MOST_OPEN = 10_000
_PATIENCE, _A_MOMENT = 3, 0.02  # looks, and seconds between them, at a lane that is busy


def _all_untouched(lanes: Iterable[Lane]) -> AbstractContextManager[frozenset[Lane]]:
    """Nobody dispatches (yet)."""
    return nullcontext(frozenset(lanes))


@dataclass(slots=True)
class _Open:
    """What waits for more lines of a user."""

    lane: Lane
    seconds: float
    until: float  # and no longer
    due: float  # when it goes, as things stand; then the next line begins another window
    typing: bool = False


class Changes:
    """One for the process; works on the gateway's own store, clock and bell."""

    def __init__(self, store: Store, names: Mapping[str, Name], clock: Callable[[], float]) -> None:
        """`names` are by transport."""
        self.ring: Callable[[Iterable[Lane]], None] = lambda _: None
        self.untouched: Untouched = _all_untouched
        self.names = names
        self._store = store
        self._clock = clock
        self._open: dict[Talk, _Open] = {}

    # --- who types ---

    def recorded(self, draft: Draft, answer: Recorded, now: float) -> None:
        """A line was recorded: it may wait for more of them."""
        if not answer.window or not answer.lanes:
            return
        talk = Talk(draft.transport, draft.jid, draft.address.canonical)
        present = self._open.get(talk)
        if present is not None and now < present.due:
            present.seconds = answer.window
            present.due = present.until if present.typing else min(now + answer.window, present.until)
            return
        if len(self._open) >= _MOST_OPEN:
            self._open = {one: what for one, what in self._open.items() if now < what.due}
        if len(self._open) < _MOST_OPEN:
            until = now + LONGEST_WINDOW
            self._open[talk] = _Open(answer.lanes[0], answer.window, until, min(now + answer.window, until))

    def wrote(self, talk: Talk) -> None:
        """A line has come, and is about to be recorded: whoever typed has done so. Said in the order in
        which things come, since a client may go on typing before that line is recorded."""
        present = self._open.get(talk)
        if present is not None:
            present.typing = False

    def typing(self, talk: Talk, composes: bool, now: float) -> Typing | None:
        """What a chat state changes: while the user types what waits goes on waiting, up to its limit;
        afterwards for as long as after a line. Nothing waits, nothing changes."""
        present = self._open.get(talk)
        if present is None or composes == present.typing:
            return None
        if now >= present.due:
            del self._open[talk]
            return None
        present.typing = composes
        present.due = present.until if composes else min(now + present.seconds, present.until)
        return Typing(present.lane, present.due)

    # --- use cases ---

    @asynccontextmanager
    async def reach(self, talks: Sequence[Talk]) -> AsyncIterator[frozenset[Lane]]:
        """Inside, the dispatcher keeps off what these users have written there. Holds those lanes of
        which nothing was in hand; a lane that is merely being looked at is waited for, for a moment."""
        lanes = list(await self._store.look(changing.lanes_of, talks)) if talks else []
        for _ in range(_PATIENCE):
            with self.untouched(lanes) as free:
                if len(free) == len(lanes):
                    yield free
                    return
            await asyncio.sleep(_A_MOMENT)
        with self.untouched(lanes) as free:
            yield free

    async def send_now(self, talk: Talk) -> int:
        """End the wait of all that waits in a conversation. Answers how many messages go."""
        count, lanes = await self._store.do(changing.send_now, talk, self._clock())
        self._open.pop(talk, None)
        self.ring(lanes)
        return count

    async def undo(self, talk: Talk) -> Undone | None:
        """Take back the newest message of a conversation that has not gone."""
        done = await self._change(changing.undo, talk)
        return done.undone[0] if done.undone else None

    async def cancel(self, talk: Talk, stanza_id: str) -> Changed:
        """Take one message back. Nothing undone and nothing refused: there was nothing to take back."""
        async with self.reach([talk]) as lanes:
            done = await self._store.do(
                changing.take_back, talk, stanza_id, Reach(lanes), self.names[talk.transport], self._clock()
            )
        self.ring(done.lanes)
        return done

    async def give_up(self, talk: Talk) -> tuple[Undone, ...]:
        """Try no more what did not get through in a conversation."""
        return (await self._change(changing.give_up, talk)).undone

    async def facts(self, talk: Talk, stanza_id: str = "") -> list[Fact]:
        """What is known about the message with this id, or about the newest; oldest first."""
        return await self._store.look(facts.facts, talk, stanza_id)

    async def _change(self, change: Callable[..., Changed], talk: Talk) -> Changed:
        async with self.reach([talk]) as lanes:
            done = await self._store.do(change, talk, Reach(lanes), self.names[talk.transport], self._clock())
        self.ring(done.lanes)
        return done
