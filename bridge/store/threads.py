"""Threads of conversations: which one a message belongs to, and which mails it names.

A thread knows its subject, its XEP-0201 name and the remote ids of its latest messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from bridge.store.many import Many, among
from bridge.store.tables import messages, threads

# A thread that has rested for so long is not continued (USERS.md).
RESTS = 30 * 86400.0
MOST_IDS = 20  # remote ids that a thread keeps: enough for every mail program's threading


@dataclass(slots=True, eq=False)
class Thread:
    """One thread as it grows within a transaction."""

    conversation_id: int
    name: str
    subject: str
    used_at: float
    id: int | None = None  # None until `Threads.number`
    ids: list[str] = field(default_factory=list)
    last_in_id: int | None = None
    last_in_memo: str = ""
    answered_id: int | None = None  # what a line of the user's answered last
    changed: bool = False

    def append(self, remote_id: str, now: float) -> None:
        if remote_id:
            self.ids.append(remote_id)
            if len(self.ids) > MOST_IDS:
                del self.ids[1]  # the first one names the thread, the last ones are answered
        self.used_at = now
        self.changed = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """By what a message may know its thread. Empty values select nothing."""

    conversation_id: int
    name: str = ""
    subject: str = ""
    thread_id: int | None = None
    references: tuple[str, ...] = ()


class Threads:
    """Those threads of some conversations that a batch of messages may continue."""

    def __init__(self, connection: Connection, wanted: Sequence[Wanted], now: float) -> None:
        self._connection = connection
        self._now = now
        self._open: dict[int, list[Thread]] = {one.conversation_id: [] for one in wanted}
        self._by_reference = self._referred(wanted)
        if wanted:
            self._load(wanted)

    def _referred(self, wanted: Sequence[Wanted]) -> dict[tuple[int, str], int]:
        """Thread ids by conversation and remote id."""
        references = {reference for one in wanted for reference in one.references[-MOST_IDS:]}
        if not references:
            return {}
        rows = self._connection.execute(
            _REFERRED, {"conversations": list(self._open), "references": list(references)}
        )
        return {(row.conversation_id, row.remote_id): row.thread_id for row in rows}

    def _load(self, wanted: Sequence[Wanted]) -> None:
        ids = {one.thread_id for one in wanted if one.thread_id is not None} | set(
            self._by_reference.values()
        )
        rows = self._connection.execute(
            _LOAD,
            {
                "conversations": list(self._open),
                "since": self._now - RESTS,
                "names": list({one.name for one in wanted if one.name}),
                "subjects": list({one.subject for one in wanted if one.subject}),
                "ids": list(ids),
            },
        )
        # By position: a row's attribute costs a microsecond.
        for id_, conversation_id, name, subject, ids, last_in_id, answered_id, used_at, memo in rows:
            self._open[conversation_id].append(
                Thread(
                    conversation_id,
                    name,
                    subject,
                    used_at,
                    id_,
                    ids.split(),
                    last_in_id,
                    memo or "",
                    answered_id,
                )
            )

    def continued_by_line(self, wanted: Wanted) -> Thread | None:
        """The thread that a user's line continues: what it answers, its name, its subject, else the one
        used last. A client's new thread name alone begins nothing: some take one for each window."""
        mine = self._open[wanted.conversation_id]
        for thread in mine:
            if wanted.thread_id is not None and thread.id == wanted.thread_id:
                return thread
        for thread in reversed(mine):
            if wanted.subject:
                if thread.subject == wanted.subject:
                    return thread
            elif wanted.name and thread.name == wanted.name:
                return thread
        return mine[-1] if mine and not wanted.subject else None

    def continued_by_mail(self, wanted: Wanted) -> Thread | None:
        """The thread of a mail: by its references, newest first, else by its subject. Only threads of
        its own conversation count, so that a guessed id lets no stranger into another's."""
        mine = self._open[wanted.conversation_id]
        for reference in reversed(wanted.references):
            found = self._by_reference.get((wanted.conversation_id, reference))
            for thread in mine:
                if reference in thread.ids or (found is not None and thread.id == found):
                    return thread
        if wanted.subject:
            return next((thread for thread in reversed(mine) if thread.subject == wanted.subject), None)
        return None

    def begin(self, conversation_id: int, name: str, subject: str) -> Thread:
        thread = Thread(conversation_id, name, subject, self._now, changed=True)
        self._open[conversation_id].append(thread)
        return thread

    def use(self, thread: Thread, remote_id: str) -> None:
        """A message of this thread has this remote id. The thread used last stands last."""
        thread.append(remote_id, self._now)
        mine = self._open[thread.conversation_id]
        if mine[-1] is not thread:
            mine.remove(thread)
            mine.append(thread)

    def number(self) -> None:
        """Insert the new threads, so that messages can name them."""
        new = [thread for mine in self._open.values() for thread in mine if thread.id is None]
        if not new:
            return
        ids = self._connection.execute(
            _BEGIN,
            [
                {
                    "conversation_id": thread.conversation_id,
                    "name": thread.name,
                    "subject": thread.subject,
                    "used_at": thread.used_at,
                }
                for thread in new
            ],
        ).scalars()
        for thread, id_ in zip(new, ids, strict=True):
            thread.id = id_

    def save(self, newest_in: Mapping[int, int] | None = None) -> None:
        """Write what has changed. `newest_in` gives threads their newest message from outside."""
        rows = []
        for thread in self._changed():
            if newest_in and thread.id is not None and thread.id in newest_in:
                thread.last_in_id = newest_in[thread.id]
            rows.append(
                {
                    "b_id": thread.id,
                    "b_ids": " ".join(thread.ids),
                    "b_used_at": thread.used_at,
                    "b_subject": thread.subject,
                    "b_last_in_id": thread.last_in_id,
                    "b_answered_id": thread.answered_id,
                }
            )
        _SAVE.run(self._connection, rows)

    def _changed(self) -> Iterable[Thread]:
        return (thread for mine in self._open.values() for thread in mine if thread.changed)


_REFERRED = select(messages.c.conversation_id, messages.c.remote_id, messages.c.thread_id).where(
    among(messages.c.remote_id, "references"),
    messages.c.remote_id != "",
    among(messages.c.conversation_id, "conversations"),
    messages.c.thread_id.is_not(None),
)

_places = (
    select(
        threads.c.id,
        func.row_number()
        .over(
            partition_by=threads.c.conversation_id, order_by=(threads.c.used_at.desc(), threads.c.id.desc())
        )
        .label("place"),
    )
    .where(
        among(threads.c.conversation_id, "conversations"),
        threads.c.used_at > bindparam("since"),
    )
    .subquery()
)
_LOAD = (
    select(
        threads.c.id,
        threads.c.conversation_id,
        threads.c.name,
        threads.c.subject,
        threads.c.ids,
        threads.c.last_in_id,
        threads.c.answered_id,
        threads.c.used_at,
        messages.c.memo,
    )
    .join(_places, _places.c.id == threads.c.id)
    .outerjoin(messages, messages.c.id == threads.c.last_in_id)
    .where(
        or_(
            _places.c.place == 1,
            among(threads.c.name, "names"),
            among(threads.c.subject, "subjects"),
            among(threads.c.id, "ids"),
        )
    )
    .order_by(threads.c.used_at, threads.c.id)
)
_BEGIN = insert(threads).returning(threads.c.id, sort_by_parameter_order=True)
_SAVE = Many(
    update(threads)
    .where(threads.c.id == bindparam("b_id"))
    .values(
        ids=bindparam("b_ids"),
        used_at=bindparam("b_used_at"),
        subject=bindparam("b_subject"),
        last_in_id=bindparam("b_last_in_id"),
        answered_id=bindparam("b_answered_id"),
    ),
    *("b_id", "b_ids", "b_used_at", "b_subject", "b_last_in_id", "b_answered_id"),
)
