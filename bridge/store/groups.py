"""The people of chats of several: who is in one now, who has written there, and what a message changes."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from bridge.model import Group
from bridge.store import names
from bridge.store.conversations import Found
from bridge.store.rows import insert_new
from bridge.store.tables import contacts, members, users

_MOST = 200  # people of one chat that are kept
_LONGEST_NAME = 256


@dataclass(slots=True, eq=False)
class Member:
    """Somebody in a chat of several people, as far as it is known."""

    name: str
    position: int
    gone: bool = False  # left out of the latest mail
    wrote: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A message among several people: how its writer is called there, and who came or went with it."""

    writer: str
    others: tuple[str, ...]  # the names of the others
    unknown: int = 0  # how many others there are beside those
    joined: str = ""  # name and address of a writer who had not been in the chat
    added: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Groups:
    """The people of some chats, as the messages of one transaction change them."""

    def __init__(self, connection: Connection, contact_ids: Collection[int]) -> None:
        self._connection = connection
        self._members: dict[int, dict[str, Member]] = {id_: {} for id_ in contact_ids}
        self._counts: dict[int, int] = {}
        self._unnamed: set[int] = set()
        rows = connection.execute(_LOAD, {"contacts": list(contact_ids)}) if contact_ids else ()
        for row in rows:
            mine = self._members[row.contact_id]
            mine[row.address] = Member(row.name, row.position, row.gone, row.wrote)

    def present(self, contact_id: int) -> dict[str, str]:
        """Who is in a chat now: address → name, in the order in which they came."""
        mine = self._members.get(contact_id, {})
        return {address: one.name for address, one in mine.items() if not one.gone}

    def names(self, contact_id: int) -> dict[str, str]:
        """As `present`, with those who were in it before."""
        return {address: one.name for address, one in self._members.get(contact_id, {}).items()}

    def enter(self, found: Found, group: Group, writer: str) -> Entry:
        """Note a message by `writer` to this group. An earlier name stays: display names are anybody's to
        choose. Of the user's own addresses, from which they may write elsewhere too, none is a member."""
        mine = self._members[found.contact_id]
        opens = not any(one.wrote for one in mine.values())
        # Of a crowd not all are known: who is not may have been in it all the same.
        was_in = writer in mine or writer not in group.people or found.size > len(mine)
        before = set(self.present(found.contact_id))
        for address, name in group.people.items():
            self._note(mine, address, name, anyhow=address == writer)
        if opens:
            self._in_order_of(mine, group)
        if writer in mine:
            mine[writer].wrote = True
        whole = group.named and group.count == len(group.people)
        left = [address for address in before if whole and address not in group.people]
        for address in left:
            mine[address].gone = True
        self._counts[found.contact_id] = group.count
        if not found.name:
            self._unnamed.add(found.contact_id)
        called = self.names(found.contact_id)
        mine_now = [address for address in self.present(found.contact_id) if address != writer]
        added = [address for address in mine_now if address not in before and before]
        return Entry(
            writer=names.label(writer, called),
            others=tuple(called[address] or address for address in mine_now),
            unknown=max(group.count - len(mine_now) - 1, 0),
            joined="" if was_in or not before else names.spelled(writer, called[writer]),
            added=tuple(names.label(address, called) for address in added) if whole else (),
            left=tuple(names.label(address, called) for address in left),
        )

    @staticmethod
    def _note(mine: dict[str, Member], address: str, name: str, *, anyhow: bool) -> None:
        known = mine.get(address)
        if known is None:
            if len(mine) < _MOST or anyhow:
                mine[address] = Member(name[:_LONGEST_NAME], len(mine))
            return
        known.name = known.name or name[:_LONGEST_NAME]
        known.gone = False

    @staticmethod
    def _in_order_of(mine: dict[str, Member], group: Group) -> None:
        """The chat was made for this mail: its writer comes first, then whom the mail names, in its order."""
        ordered = [*group.people, *(address for address in mine if address not in group.people)]
        for position, address in enumerate(one for one in ordered if one in mine):
            mine[address].position = position
            mine[address] = mine.pop(address)

    def save(self) -> None:
        """Write what has changed."""
        for contact_id, count in self._counts.items():
            mine = self._members[contact_id]
            rows = [
                {
                    "contact_id": contact_id,
                    "address": address,
                    "name": one.name,
                    "position": one.position,
                    "gone": one.gone,
                    "wrote": one.wrote,
                }
                for address, one in mine.items()
            ]
            upsert = insert_new(self._connection, members)
            changed = {name: upsert.excluded[name] for name in ("name", "position", "gone", "wrote")}
            self._connection.execute(
                upsert.on_conflict_do_update(index_elements=["contact_id", "address"], set_=changed), rows
            )
            about: dict[str, str | int] = {"size": count}
            if contact_id in self._unnamed:
                about["name"] = names.listed(self.present(contact_id), count)[:_LONGEST_NAME]
            self._connection.execute(update(contacts).where(contacts.c.id == contact_id).values(**about))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a chat of several, as the user may read it."""

    spelled: str  # `Jana Berg <jana@x.org>`
    gone: bool  # the latest mail left them out
    count: int  # how many there are in the chat, who may not all be known


def people_of(connection: Connection, transport: str, jid: str, address: str) -> list[Person]:
    """Who is in a user's chat with this canonical address; empty if it is with one person."""
    rows = connection.execute(
        select(members.c.address, members.c.name, members.c.gone, contacts.c.size)
        .join(contacts, contacts.c.id == members.c.contact_id)
        .join(users, users.c.id == contacts.c.user_id)
        .where(users.c.jid == jid, contacts.c.transport == transport, contacts.c.address == address)
        .order_by(members.c.position)
    )
    return [Person(names.spelled(row.address, row.name), row.gone, row.size) for row in rows]


_LOAD = (
    select(
        members.c.contact_id,
        members.c.address,
        members.c.name,
        members.c.position,
        members.c.gone,
        members.c.wrote,
    )
    .where(members.c.contact_id.in_(bindparam("contacts", expanding=True)))
    .order_by(members.c.position)
)
