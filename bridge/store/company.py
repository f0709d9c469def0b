"""Lines that users write in chats of several people: what they answer, and what users are told of whom
they go to. A plain line answers one mail, and goes to who wrote that alone; who did not expect it must
never reach everybody."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bridge.i18n import Phrase, tr, trn
from bridge.model import Direction
from bridge.options import ALL, CORRECTION, POSTS, REACTION, RSVP
from bridge.store import names
from bridge.store.conversations import Found
from bridge.store.floods import SHOW
from bridge.store.groups import Groups
from bridge.store.posting import MANY, AsksFirst
from bridge.store.tables import contacts, deliveries, messages
from bridge.store.threads import Thread

_NAMED = 2
_LONGEST = 320
_SAYS_IT_ITSELF = (ALL, CORRECTION, REACTION, RSVP)


@dataclass(slots=True, eq=False)
class Company:
    """The chat of several people that lines are written in, as they change it within a transaction."""

    contact_id: int
    people: Mapping[str, str]  # who is in it now: address → name
    called: Mapping[str, str]  # those, and who was in it before
    newest: Any  # row (id, memo, thread_id) of the newest mail that the user has seen there; None: none came
    unseen: bool  # there are newer ones, which are kept
    goes_to: str  # whom a plain line goes to, as the user was told last
    told: bool = field(default=False)

    def thread_id(self) -> int | None:
        """The thread that a line continues which says nothing of one, if that is not the newest."""
        return self.newest.thread_id if self.unseen and self.newest is not None else None

    def answer(self, thread: Thread, subject: str) -> None:
        """A line that begins a thread only since the last one has rested answers the newest mail all the
        same. One that begins it by a subject of its own goes to everybody."""
        if thread.last_in_id is None and not thread.ids and self.newest is not None and not subject:
            thread.last_in_id, thread.last_in_memo = self.newest.id, self.newest.memo
            thread.changed = True

    def why_not_yet(
        self, options: Mapping[str, str], recipients: Sequence[str], thread: Thread | None
    ) -> AsksFirst | None:
        """Whether a line may begin a thread to everybody here: why not yet, if they are many."""
        begins = thread is not None and not thread.ids and thread.last_in_id is None
        if not begins or self.newest is None or len(recipients) <= MANY or POSTS in options:
            return None
        called = [names.label(one, self.called) for one in recipients[:_NAMED]]
        return AsksFirst(
            tr(
                "Reaches {count} people ({names}, +{more}). /yes within 5 min.",
                count=len(recipients),
                names=", ".join(called),
                more=len(recipients) - _NAMED,
            )
        )

    def tell(self, options: Mapping[str, str], recipients: Sequence[str]) -> Phrase | None:
        """What the user should know of whom a line goes to: once, and again when that changes."""
        whom = ",".join(recipients)[:_LONGEST]
        if self.newest is None or whom == self.goes_to or any(one in options for one in _SAYS_IT_ITSELF):
            return None
        first, self.goes_to, self.told = not self.goes_to, whom, True
        called = [names.label(one, self.called) for one in recipients]
        if len(called) > 1:
            few, more = names.shared(called, 3)
            if more:
                return trn(
                    "Goes to {names} and {number} more.",
                    "Goes to {names} and {number} more.",
                    more,
                    names=few,
                )
            return tr("Goes to {names}.", names=few)
        if first:
            return tr("Goes to {names} alone; /all answers everybody.", names=called[0])
        return tr("Goes to {names} alone.", names=called[0])


def companies(connection: Connection, found: Collection[Found]) -> dict[int, Company]:
    """Those among these conversations that are with several people, by contact."""
    several = {one.contact_id: one for one in found if one.size}
    if not several:
        return {}
    groups = Groups(connection, several.keys())
    return {
        id_: Company(
            id_,
            groups.present(id_),
            groups.names(id_),
            newest := connection.execute(_NEWEST, {"conversation": one.id}).one_or_none(),
            _has_newer(connection, one.id, newest),
            one.goes_to,
        )
        for id_, one in several.items()
    }


def _has_newer(connection: Connection, conversation: int, newest: Any) -> bool:
    """Whether there are mails which are kept, newer than the newest that was shown."""
    after = newest.id if newest is not None else 0
    return connection.execute(_KEPT, {"conversation": conversation, "after": after}).first() is not None


def save(connection: Connection, those: Collection[Company]) -> None:
    """Write what users were told."""
    for one in those:
        if one.told:
            mine = update(contacts).where(contacts.c.id == one.contact_id)
            connection.execute(mine.values(goes_to=one.goes_to))


_held = (
    select(deliveries.c.id)
    .where(deliveries.c.message_id == messages.c.id, deliveries.c.waits_for == SHOW)
    .exists()
)
_CAME = select(messages.c.id, messages.c.memo, messages.c.thread_id).where(
    messages.c.conversation_id == bindparam("conversation"), messages.c.direction == Direction.IN
)
_NEWEST = _CAME.where(~_held).order_by(messages.c.id.desc()).limit(1)
_KEPT = _CAME.where(_held, messages.c.id > bindparam("after")).limit(1)
