"""Puts a batch of messages at their places: each into its thread, then all into the record."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection

from bridge.store.rows import insert_messages
from bridge.store.threads import Thread, Threads, Wanted


class Placing:
    """For the messages of one transaction, in their order: a thread, a row (`put`), at last `insert`."""

    def __init__(self, connection: Connection, wanted: Sequence[Wanted], now: float) -> None:
        """`wanted` are those of messages that have threads."""
        self._connection = connection
        self._threads = Threads(connection, wanted, now)
        self._thread_of: list[Thread | None] = []
        self.rows: list[dict[str, Any]] = []

    def thread_of_line(self, wanted: Wanted, subject: str) -> Thread:
        """The thread of a user's line, which may begin one with this subject."""
        return self._threads.continued_by_line(wanted) or self._threads.begin(
            wanted.conversation_id, wanted.name, subject
        )

    def thread_of_mail(self, wanted: Wanted) -> tuple[Thread, bool]:
        """The thread of a message from outside, and whether it begins it."""
        continued = self._threads.continued_by_mail(wanted)
        if continued is not None:
            return continued, False
        return self._threads.begin(wanted.conversation_id, uuid.uuid4().hex, wanted.subject), True

    def put(self, row: dict[str, Any], thread: Thread | None) -> None:
        """The next message. What follows it may continue its thread, by its remote id too."""
        self.rows.append(row)
        self._thread_of.append(thread)
        if thread is not None:
            self._threads.use(thread, row["remote_id"])

    def insert(self, *, from_outside: bool = False, unseen: Collection[int] = ()) -> list[int]:
        """Insert the messages, and the threads that they begin before them. Answers the messages' ids,
        in order. What comes `from_outside` is the newest in its thread that can be answered, but not what
        the user will not see yet: at the places `unseen`."""
        self._threads.number()
        for row, thread in zip(self.rows, self._thread_of, strict=True):
            row["thread_id"] = thread.id if thread is not None else None
        ids = insert_messages(self._connection, self.rows)
        newest = {
            row["thread_id"]: id_
            for at, (row, id_) in enumerate(zip(self.rows, ids, strict=True))
            if at not in unseen
        }
        self._threads.save(newest if from_outside else None)
        return ids
