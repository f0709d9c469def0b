"""What users ask about messages of theirs that may not have gone yet. Each wish is answered by a sentence."""

from collections.abc import Sequence

from bridge.changes import Changes
from bridge.events import Denied
from bridge.gateway.house import House
from bridge.i18n import Phrase, tr, trn
from bridge.model import Fact, Undone
from bridge.policy import shortened
from bridge.store.changing import Talk


class SecondThoughts:
    """One for the process."""

    def __init__(self, house: House, changes: Changes) -> None:
        self._house = house
        self._changes = changes

    def _talk(self, transport: str, jid: str, local: str) -> Talk:
        return Talk(transport, jid, self._house.address_of(transport, local).canonical)

    async def send_now(self, transport: str, jid: str, local: str) -> str:
        """Let what waits for this contact go at once. Raises Denied."""
        count = await self._changes.send_now(self._talk(transport, jid, local))
        if not count:
            raise Denied(tr("Nothing waits here; it has gone already."), "item-not-found", "cancel")
        return trn("Sent.", "{number} messages sent.", count)

    async def undo(self, transport: str, jid: str, local: str) -> str:
        """Take back the newest message to this contact, if it has not gone. Raises Denied."""
        undone = await self._changes.undo(self._talk(transport, jid, local))
        if undone is None:
            raise Denied(tr("Too late: everything here has gone already."), "item-not-found", "cancel")
        return tr("Taken back, not sent: {text}", text=shortened(undone.body))

    async def cancel(self, transport: str, jid: str, local: str, stanza_id: str = "") -> str:
        """Take back the message with this id; without one, give up what is still being tried, or else
        take back the newest that has not gone. Raises Denied."""
        talk = self._talk(transport, jid, local)
        if not stanza_id:
            given_up = await self._changes.give_up(talk)
            return _given_up(given_up) if given_up else await self.undo(transport, jid, local)
        done = await self._changes.cancel(talk, stanza_id)
        if done.refused or not done.undone:
            reason = done.refused or tr("There is nothing left of this message to cancel.")
            raise Denied(reason, "not-allowed", "cancel")
        return tr("Taken back, not sent: {text}", text=shortened(done.undone[0].body))

    async def status_of(self, transport: str, jid: str, local: str, stanza_id: str = "") -> list[Fact]:
        """What is known of the user's message with this id, or of the newest to this contact; oldest
        first. Raises Denied."""
        return await self._changes.facts(self._talk(transport, jid, local), stanza_id)


def _given_up(undone: Sequence[Undone]) -> Phrase:
    if any(not one.certain for one in undone):
        return tr("Given up. An earlier attempt may have arrived all the same; nobody can say.")
    return trn("Given up; it was not sent.", "{number} messages given up; they were not sent.", len(undone))
