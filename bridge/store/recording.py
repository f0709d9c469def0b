"""Records what was written, in both directions: messages, the deliveries they cause, and their threads.

Both entrances are one transaction and take lists: what costs is the statement, not the row. Here it is
decided what is recorded at all; how, is written.py's and arriving.py's.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from bridge.model import Incoming
from bridge.store import arriving, own, sharing, written
from bridge.store.drafts import Draft, Ground, Recorded
from bridge.store.owners import lines_by_address, lines_of_users, window_of
from bridge.store.rows import Lane, hash_key, not_seen


def record_out(connection: Connection, drafts: Sequence[Draft], now: float) -> list[Recorded]:
    """Record messages from users. Creates contacts and conversations that are not there yet. Raises
    Misdirected for one that its transport refuses; the others can be recorded without it."""
    lines = lines_of_users(connection, drafts)
    known = [draft for draft in drafts if (draft.transport, draft.jid) in lines]
    fresh = not_seen(connection, [draft.dedupe for draft in known], now)
    todo = [draft for draft in known if not draft.dedupe or draft.dedupe in fresh]
    # Two equal drafts in one batch: only the first is recorded.
    todo = list({draft.dedupe or draft.uid: draft for draft in reversed(todo)}.values())[::-1]
    lanes = written.record(connection, todo, lines, now) if todo else {}
    answers = []
    for draft in drafts:
        line = lines.get((draft.transport, draft.jid))
        window = window_of(draft, line) if line is not None and draft.uid in lanes else 0.0
        answers.append(Recorded(tuple(lanes.get(draft.uid, ())), line is not None, window))
    return answers


def record_in(
    connection: Connection, incoming: Sequence[Incoming], grounds: Mapping[str, Ground], now: float
) -> list[Lane]:
    """Record messages from outside, each on the ground of its transport. Answers lanes to ring.

    One for a recipient that is no line (any more) is left out: RCPT TO has refused it already, or a
    catch-all has brought it.
    """
    there = lines_by_address(connection, incoming)
    lines = {(row.transport, row.address): row for row in there}
    inboxes = _inboxes(there)
    mine = [one for one in incoming if (one.transport, one.recipient) in lines]
    keys = [
        hash_key(one.transport, inboxes[one.transport, one.recipient], one.dedupe) if one.dedupe else ""
        for one in mine
    ]
    fresh = not_seen(connection, keys, now)
    todo: dict[str, Incoming] = {}
    for one, key in zip(mine, keys, strict=True):
        if not key or key in fresh:
            todo.setdefault(key or uuid.uuid4().hex, one)
    by_users = [one for one in todo.values() if one.own]
    others = [one for one in todo.values() if not one.own]
    others = sharing.hand_out(connection, others, there, lines)
    lanes = arriving.record(connection, others, lines, grounds, now) if others else []
    return lanes + (own.record(connection, by_users, lines, grounds, now) if by_users else [])


def _inboxes(rows: Sequence[Any]) -> dict[tuple[str, str], str]:
    """Where what comes for an address is looked for twice: under the first address of its line, since what
    names two addresses of one user is shown once. An address that several share stands for itself."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row.transport, row.address)
        found[key] = row.address if key in found else row.first
    return found
