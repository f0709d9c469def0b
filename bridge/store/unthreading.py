"""What second thoughts do to a thread: its name may change, and it forgets a mail that never went."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, select, update

from bridge.store.envelopes import is_text, lines_of
from bridge.store.tables import messages, threads

Name = Callable[[str], str]  # what a thread is called that begins with a text; "" for no name


def first_text(connection: Connection, carrier: Any) -> str:
    return next((line.body for line in lines_of(connection, carrier.id) if is_text(line)), "")


def rename(connection: Connection, carrier: Any, before: str, name: Name) -> None:
    """A thread that was called after the text that has changed, and that nothing else has used yet, is
    called after what stands there now."""
    after = first_text(connection, carrier)
    if carrier.thread_id is None or not name(before) or before == after:
        return
    thread = connection.execute(select(threads).where(threads.c.id == carrier.thread_id)).one_or_none()
    if thread is None or thread.ids.split() != [carrier.remote_id]:
        return
    if thread.subject == carrier.subject == name(before):
        subject = name(after)
        connection.execute(update(threads).where(threads.c.id == thread.id).values(subject=subject))
        connection.execute(update(messages).where(messages.c.id == carrier.id).values(subject=subject))


def leave_thread(connection: Connection, carrier: Any) -> None:
    """A mail that never went is named by no later one; a thread that has nothing else is not continued."""
    if carrier.thread_id is None or not carrier.remote_id:
        return
    thread = connection.execute(select(threads).where(threads.c.id == carrier.thread_id)).one_or_none()
    if thread is None:
        return
    ids = [id_ for id_ in thread.ids.split() if id_ != carrier.remote_id]
    kept: dict[str, Any] = {"ids": " ".join(ids)}
    if not ids and thread.last_in_id is None:
        kept["used_at"] = 0.0
    if thread.answered_id == carrier.answers_id:
        kept["answered_id"] = None  # what it quoted has not been quoted
    connection.execute(update(threads).where(threads.c.id == thread.id).values(**kept))
    later = connection.execute(
        select(messages.c.id, messages.c.refs, messages.c.in_reply_to).where(
            messages.c.conversation_id == carrier.conversation_id,
            messages.c.id > carrier.id,
            messages.c.refs.contains(carrier.remote_id, autoescape=True),
        )
    ).all()
    for row in later:
        refs = [id_ for id_ in row.refs.split() if id_ != carrier.remote_id]
        parent = row.in_reply_to if row.in_reply_to != carrier.remote_id else (refs[-1] if refs else "")
        connection.execute(
            update(messages).where(messages.c.id == row.id).values(refs=" ".join(refs), in_reply_to=parent)
        )
