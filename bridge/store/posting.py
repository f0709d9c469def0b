"""Lines that reach more people than their writer may think: the first to a mailing list, a new thread to
everybody of a large chat. They go when the user has said so."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, update

from bridge.i18n import tr
from bridge.options import MEMO_LIST, POSTS
from bridge.ports import BadAddress
from bridge.store.admitting import Arrived
from bridge.store.conversations import Found
from bridge.store.tables import contacts

MANY = 5  # people: above this the user is asked first


class AsksFirst(BadAddress):
    """A message was about to go to many people, and its writer may not know. Says to whom."""


def note_lists(connection: Connection, arrived: Sequence[Arrived]) -> None:
    """Remember which contacts are mailing lists."""
    for one in arrived:
        name = one.incoming.memo.get(MEMO_LIST, "")
        if name and not one.found.list_name:
            mine = update(contacts).where(contacts.c.id == one.found.contact_id)
            connection.execute(mine.where(contacts.c.list_name == "").values(list_name=name[:256]))


def may_post(connection: Connection, found: Found, options: Mapping[str, str]) -> AsksFirst | None:
    """Whether a message may go to this contact: why not yet, if it is a mailing list."""
    if not found.list_name:
        return None
    if POSTS not in options:
        return AsksFirst(
            tr(
                "Posts to {name}. /yes within 5 min, or /to ADDRESS TEXT for one person alone.",
                name=found.list_name,
            )
        )
    connection.execute(update(contacts).where(contacts.c.id == found.contact_id).values(posts=True))
    return None
