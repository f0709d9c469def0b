"""Finds the message that a reaction from outside is about, by its remote id or that message's words; and
which reaction a user takes back."""

from sqlalchemy import Connection, select

from bridge.model import Direction, Reaction
from bridge.options import REACTION, REACTS_TO
from bridge.store.rows import unpack
from bridge.store.tables import messages

_LOOKED_THROUGH = 200  # messages of the conversation, newest first
_ENOUGH = 20  # letters by which a part of a longer message is known
_ELLIPSES = ("…", "...")


def options(connection: Connection, conversation_id: int, reaction: Reaction) -> dict[str, str]:
    """Message.options that make the message a reaction; empty when what it is about is not found."""
    wanted = [messages.c.conversation_id == conversation_id, messages.c.stanza_id != ""]
    if reaction.remote_id:
        wanted += [messages.c.remote_id == reaction.remote_id, messages.c.remote_id != ""]
    rows = connection.execute(
        select(messages.c.stanza_id, messages.c.body)
        .where(*wanted)
        .order_by(messages.c.id.desc())
        .limit(_LOOKED_THROUGH)
    )
    for row in rows:
        if reaction.remote_id or is_about(reaction.quoted, row.body):
            return {REACTS_TO: row.stanza_id, REACTION: "" if reaction.removed else reaction.emoji}
    return {}


def of_user(connection: Connection, conversation_id: int, message_id: int) -> str:
    """The emoji that the user has about a message; empty if there is none, or it was taken back."""
    said = connection.execute(
        select(messages.c.options)
        .where(
            messages.c.conversation_id == conversation_id,
            messages.c.direction == Direction.OUT,
            messages.c.answers_id == message_id,
            messages.c.options.contains(f'"{REACTION}":'),
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return unpack(said).get(REACTION, "")


def is_about(quoted: str, body: str) -> bool:
    """Whether a quotation is of this text: carriers and phones change quotes, dashes and spaces."""
    quoted = quoted.strip()
    cut = quoted.endswith(_ELLIPSES)
    for ellipsis in _ELLIPSES:
        quoted = quoted.removesuffix(ellipsis)
    wanted, known = _letters(quoted), _letters(body)
    if not wanted:
        return quoted.strip() == body.strip() and bool(quoted.strip())
    if wanted == known or (cut and known.startswith(wanted)):
        return True
    return len(wanted) >= _ENOUGH and wanted in known  # one part of a long message


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()
