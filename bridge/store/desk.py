"""What users ask about and set for themselves: choices, contacts, old messages, what became of one."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, true, update

from bridge.model import Attachment, Contact, Direction, State
from bridge.options import PROOF
from bridge.store.conversations import contact_of
from bridge.store.floods import SHOW
from bridge.store.rows import pack, unpack
from bridge.store.tables import (
    attachments,
    contacts,
    conversation_contacts,
    conversations,
    deliveries,
    lines,
    messages,
    users,
)

_NOT_PROOF = ~messages.c.options.contains(f'"{PROOF}"')


def choose(connection: Connection, transport: str, jid: str, key: str, value: str) -> None:
    """Set one of a user's own settings on a transport; an empty value takes it back to the default."""
    row = connection.execute(
        select(lines.c.id, lines.c.choices)
        .join(users, users.c.id == lines.c.user_id)
        .where(users.c.jid == jid, lines.c.transport == transport)
    ).one_or_none()
    if row is None:
        return
    choices = unpack(row.choices) | {key: value}
    kept = {name: text for name, text in choices.items() if text}
    connection.execute(update(lines).where(lines.c.id == row.id).values(choices=pack(kept)))


def choose_language(connection: Connection, jid: str, language: str) -> None:
    connection.execute(update(users).where(users.c.jid == jid).values(language=language))


def spoke(connection: Connection, jid: str, language: str) -> None:
    """The language of the last command that was typed. A choice stays above it."""
    connection.execute(update(users).where(users.c.jid == jid).values(spoken=language))


def languages(connection: Connection) -> dict[str, str]:
    """What each user reads."""
    rows = connection.execute(select(users.c.jid, users.c.language, users.c.spoken))
    return {row.jid: row.language or row.spoken for row in rows}


def chosen_language(connection: Connection, jid: str) -> str:
    """What a user has set; empty if nothing."""
    found = connection.execute(select(users.c.language).where(users.c.jid == jid)).scalar_one_or_none()
    return found or ""


# --- contacts ---


@dataclass(frozen=True, slots=True)
class Known:
    """A contact, and how it stands with the user."""

    contact: Contact
    standing: str
    muted: bool
    muted_until: float = 0.0  # 0: until the user says otherwise
    several: bool = False  # it is many people: a mail's, or a mailing list's

    def is_muted(self, now: float) -> bool:
        return self.muted and (not self.muted_until or self.muted_until > now)


def known(connection: Connection, transport: str, jid: str, address: str = "") -> list[Known]:
    """All contacts of a user, or the one with this canonical address; by name and address."""
    query = (
        select(contacts)
        .join(users, users.c.id == contacts.c.user_id)
        .where(contacts.c.transport == transport, users.c.jid == jid)
        .order_by(func.lower(contacts.c.name), contacts.c.address)
    )
    if address:
        query = query.where(contacts.c.address == address)
    return [_known(row) for row in connection.execute(query)]


def _known(row: Any) -> Known:
    several = bool(row.size or row.list_name)
    return Known(contact_of(row), row.standing, row.muted, row.muted_until, several)


def rename(connection: Connection, contact_id: int, name: str) -> None:
    connection.execute(update(contacts).where(contacts.c.id == contact_id).values(name=name))


# --- messages ---


@dataclass(frozen=True, slots=True)
class Hit:
    """An old message. Times are seconds since 1970."""

    message_id: int
    direction: Direction
    person: str  # name or address of the contact
    address: str  # of the contact, canonical
    body: str
    written_at: float
    stanza_id: str


_HITS = (
    select(
        messages.c.id,
        messages.c.direction,
        messages.c.body,
        messages.c.written_at,
        messages.c.stanza_id,
        contacts.c.name,
        contacts.c.original,
        contacts.c.address,
    )
    .join(conversations, conversations.c.id == messages.c.conversation_id)
    .join(users, users.c.id == conversations.c.user_id)
    .join(conversation_contacts, conversation_contacts.c.conversation_id == conversations.c.id)
    .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
    .where(_NOT_PROOF)
)


def find(
    connection: Connection, transport: str, jid: str, word: str, most: int, address: str = ""
) -> list[Hit]:
    """A user's own messages on a transport that contain a word, newest first; with an address, those with
    that contact. What is held is left out: its sender has not been let in."""
    held = select(deliveries.c.message_id).where(
        deliveries.c.message_id == messages.c.id, deliveries.c.state == State.HELD
    )
    query = (
        _HITS.where(
            users.c.jid == jid,
            messages.c.transport == transport,
            func.lower(messages.c.body).contains(word.lower(), autoescape=True)
            | func.lower(messages.c.subject).contains(word.lower(), autoescape=True),
            ~held.exists(),
            messages.c.envelope_id.is_(None),  # found in the mail that it became a line of
            contacts.c.address == address if address else true(),
        )
        .order_by(messages.c.id.desc())
        .limit(most)
    )
    return [_hit(row) for row in connection.execute(query)]


def _hit(row: Any) -> Hit:
    return Hit(
        row.id,
        Direction(row.direction),
        row.name or row.original,
        row.address,
        row.body,
        row.written_at,
        row.stanza_id,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """An outward message, and whether somebody answered."""

    hit: Hit
    answered_at: float | None  # when the next message from there came


def last_to(
    connection: Connection, transport: str, jid: str, address: str = "", stanza_id: str = ""
) -> Told | None:
    """A message of the user's: the one with this stanza id, else the newest to this address, else the
    newest of all."""
    query = _HITS.where(
        users.c.jid == jid, messages.c.transport == transport, messages.c.direction == Direction.OUT
    )
    if stanza_id:
        query = query.where(messages.c.stanza_id == stanza_id)
    elif address:
        query = query.where(contacts.c.address == address)
    row = connection.execute(query.order_by(messages.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    mine = messages.alias()
    same = select(mine.c.conversation_id).where(mine.c.id == row.id).scalar_subquery()
    answered_at = connection.execute(
        select(func.min(messages.c.written_at)).where(
            messages.c.conversation_id == same,
            messages.c.direction == Direction.IN,
            messages.c.id > row.id,
        )
    ).scalar_one()
    return Told(_hit(row), answered_at)


@dataclass(frozen=True, slots=True)
class LastMail:
    """The newest message from a contact, as far as answering it goes."""

    message_id: int
    stanza_id: str
    memo: dict[str, str]


def last_from(
    connection: Connection, transport: str, jid: str, address: str, stanza_id: str = ""
) -> LastMail | None:
    """The newest message that came in the conversation with this address, or the one with this id. What
    came too fast to be shown the user has not seen."""
    held = select(deliveries.c.message_id).where(
        deliveries.c.message_id == messages.c.id, deliveries.c.waits_for == SHOW
    )
    query = (
        select(messages.c.id, messages.c.stanza_id, messages.c.memo)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .join(users, users.c.id == conversations.c.user_id)
        .join(conversation_contacts, conversation_contacts.c.conversation_id == conversations.c.id)
        .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
        .where(
            users.c.jid == jid,
            messages.c.transport == transport,
            messages.c.direction == Direction.IN,
            contacts.c.address == address,
            ~held.exists(),
        )
        .order_by(messages.c.id.desc())
        .limit(1)
    )
    if stanza_id:
        query = query.where(messages.c.stanza_id == stanza_id)
    row = connection.execute(query).first()
    return LastMail(row.id, row.stanza_id, unpack(row.memo)) if row is not None else None


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file that somebody sent or got."""

    attachment: Attachment
    person: str  # name or address of the contact
    written_at: float


def files_of(connection: Connection, transport: str, jid: str, address: str, most: int) -> list[OldFile]:
    """A user's files on a transport, newest first; of one contact, if there is an address."""
    held = select(deliveries.c.message_id).where(
        deliveries.c.message_id == messages.c.id, deliveries.c.state == State.HELD
    )
    query = (
        _HITS.join(attachments, attachments.c.message_id == messages.c.id)
        .add_columns(
            attachments.c.id.label("file_id"),
            attachments.c.name.label("file"),
            attachments.c.media_type,
            attachments.c.blob,
            attachments.c.size,
            attachments.c.source,
        )
        .where(
            users.c.jid == jid,
            messages.c.transport == transport,
            attachments.c.position > 0,
            ~held.exists(),
        )
        .order_by(attachments.c.id.desc())
        .limit(most)
    )
    if address:
        query = query.where(contacts.c.address == address)
    return [
        OldFile(
            Attachment(row.file, row.media_type, row.blob or "", row.size, row.source, id=row.file_id),
            row.name or row.original,
            row.written_at,
        )
        for row in connection.execute(query)
    ]


# --- leaving ---


@dataclass(frozen=True, slots=True)
class Belongings:
    """What goes when a user leaves a transport."""

    contacts: int
    messages: int
    unsent: int  # deliveries that are still to go out


def belongings(connection: Connection, transport: str, user_id: int) -> Belongings:
    theirs = (conversations.c.user_id == user_id) & (conversations.c.transport == transport)
    known_people = connection.execute(
        select(func.count())
        .select_from(contacts)
        .where(contacts.c.user_id == user_id, contacts.c.transport == transport)
    ).scalar_one()
    written = connection.execute(
        select(func.count())
        .select_from(messages)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(theirs)
    ).scalar_one()
    unsent = connection.execute(
        select(func.count())
        .select_from(deliveries)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(
            theirs,
            deliveries.c.outlet == transport,
            deliveries.c.state.in_((State.READY, State.WAITING, State.CLAIMED, State.DOUBT)),
        )
    ).scalar_one()
    return Belongings(known_people, written, unsent)
