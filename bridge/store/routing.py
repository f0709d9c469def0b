"""Into which chat a message goes that came to one user among several people.

A thread stays where it is, also when somebody is added or left out; else the people decide: one chat for
each set of them. Who may continue a thread is decided here, so that a guessed id lets no stranger in.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, select

from bridge.model import Address, Direction, Group, Incoming, together
from bridge.store.tables import (
    contacts,
    conversation_contacts,
    conversations,
    line_addresses,
    lines,
    members,
    messages,
)
from bridge.store.threads import MOST_IDS

_Key = tuple[int, str, str]  # user, transport, remote id or address


@dataclass(frozen=True, slots=True)
class Routed:
    """A message, and the chat that it goes into. The user's own addresses are not of its group."""

    incoming: Incoming
    chat: Address

    @property
    def among(self) -> Group | None:
        """The people of the chat, where those are several."""
        return self.incoming.group if self.chat.canonical != self.incoming.sender.canonical else None


def belongs(writer: str, people: Collection[str], known: Collection[str]) -> bool:
    """Whether a mail that answers one of a chat is let into that chat: its writer is one of those who have
    been in it (`known`), or writes to most of them. Whoever knows an id alone is not."""
    return writer in known or 2 * len(set(people) & set(known)) >= max(len(known), 2)


def route(connection: Connection, incoming: Sequence[Incoming], users: Sequence[int]) -> list[Routed | None]:
    """The chat of each message; `users` are their recipients. None: it is what the user has sent, come
    back by way of some group's address."""
    if not any(one.group is not None for one in incoming):
        return [Routed(one, one.sender) for one in incoming]
    return _Router(connection, incoming, users).routed


class _Router:
    """What must be known of earlier messages and of the users' own addresses, as a batch goes on."""

    def __init__(self, connection: Connection, incoming: Sequence[Incoming], users: Sequence[int]) -> None:
        pairs = [(one, user) for one, user in zip(incoming, users, strict=True) if one.group is not None]
        owners = {user for _, user in pairs}
        self._own = _own_addresses(connection, owners)
        self._sent: set[_Key] = set()
        self._chats: dict[_Key, str] = {}  # by what has gone through them
        self._known: dict[_Key, dict[str, None]] = {}  # who is, or was, in a chat of several
        self._look_up(connection, pairs, owners)
        self.routed = [self._routed(one, user) for one, user in zip(incoming, users, strict=True)]

    def _look_up(
        self, connection: Connection, pairs: Sequence[tuple[Incoming, int]], owners: Collection[int]
    ) -> None:
        ids = {id_ for one, _ in pairs for id_ in (*one.references[-MOST_IDS:], one.remote_id) if id_}
        rows = connection.execute(_BY_ID, {"ids": list(ids), "users": list(owners)}).all() if ids else ()
        several = {row.id: (row.user_id, row.transport, row.address) for row in rows if row.size}
        for row in rows:
            key = (row.user_id, row.transport, row.remote_id)
            self._chats[key] = row.address
            if row.direction == Direction.OUT:
                self._sent.add(key)
        if several:
            for contact_id, address in connection.execute(_MEMBERS, {"contacts": list(several)}):
                self._known.setdefault(several[contact_id], {})[address] = None

    def _routed(self, one: Incoming, user: int) -> Routed | None:
        if one.group is None:
            return Routed(one, one.sender)
        own = self._own.get((user, one.transport), frozenset())
        by_us = one.sender.canonical in own
        if by_us and not one.own and (user, one.transport, one.remote_id) in self._sent:
            return None
        one = replace(one, group=_without(one.group, own))
        chat = self._chat(one, user, by_us=by_us or one.own)
        if one.remote_id:
            self._chats.setdefault((user, one.transport, one.remote_id), chat.canonical)
        if one.group is not None and chat.canonical != one.sender.canonical:
            known = self._known.setdefault((user, one.transport, chat.canonical), {})
            known.update(dict.fromkeys(one.group.people))
        return Routed(one, chat)

    def _chat(self, one: Incoming, user: int, *, by_us: bool) -> Address:
        group = one.group
        if group is None:
            return one.sender
        earlier = [
            self._chats[user, one.transport, id_]
            for id_ in reversed(one.references)
            if (user, one.transport, id_) in self._chats
        ]
        for chat in earlier:
            known = self._known.get((user, one.transport, chat))
            if known and (by_us or belongs(one.sender.canonical, group.people, known)):
                return Address(chat, chat)
        if len(group.people) < 2:
            return one.sender
        if group.named or one.own:
            return together(group.people, group.mark)
        people = [chat for chat in earlier if (user, one.transport, chat) not in self._known]
        if not people:
            return one.sender  # a blind copy, or a forward: nobody is to see us among the others
        # It answers what we have, and reached us by an alias that it was sent to, as all answers will:
        # who writes them differs, whom they are written to does not.
        return together({*group.people} - {one.sender.canonical} | {people[-1]}, group.mark)


def _without(group: Group, own: Collection[str]) -> Group | None:
    kept = {address: name for address, name in group.people.items() if address not in own}
    if len(kept) == len(group.people):
        return group
    if len(kept) < 2:
        return None
    return replace(group, people=kept, count=group.count - (len(group.people) - len(kept)))


def _own_addresses(
    connection: Connection, users: Collection[int]
) -> Mapping[tuple[int, str], frozenset[str]]:
    own: dict[tuple[int, str], set[str]] = {}
    for row in connection.execute(_OWN, {"users": list(users)}):
        own.setdefault((row.user_id, row.transport), set()).add(row.address)
    return {key: frozenset(found) for key, found in own.items()}


_OWN = (
    select(lines.c.user_id, line_addresses.c.transport, line_addresses.c.address)
    .join(lines, lines.c.id == line_addresses.c.line_id)
    .where(lines.c.user_id.in_(bindparam("users", expanding=True)))
)
_BY_ID = (
    select(
        conversations.c.user_id,
        messages.c.transport,
        messages.c.remote_id,
        messages.c.direction,
        contacts.c.id,
        contacts.c.address,
        contacts.c.size,
    )
    .join(conversations, conversations.c.id == messages.c.conversation_id)
    .join(conversation_contacts, conversation_contacts.c.conversation_id == conversations.c.id)
    .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
    .where(
        messages.c.remote_id.in_(bindparam("ids", expanding=True)),
        messages.c.remote_id != "",
        conversations.c.user_id.in_(bindparam("users", expanding=True)),
    )
    .order_by(messages.c.id)
)
_MEMBERS = (
    select(members.c.contact_id, members.c.address)
    .where(members.c.contact_id.in_(bindparam("contacts", expanding=True)))
    .order_by(members.c.position)
)
