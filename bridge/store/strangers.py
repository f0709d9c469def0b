"""Senders whom a user does not know: what they write is kept, the user is asked, and decides.

Who may through is decided by policy.admission. What is kept has its deliveries already, in the state
held; a decision makes them due, in their order, or cancels them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from bridge.i18n import Phrase, tr, translate, trn
from bridge.model import Address, ContactId, Kind, Note, State
from bridge.policy import ALLOWED, BLOCKED, Admission
from bridge.store.admitting import SPAM, Arrived, Owner, is_spam, judge, owner_of, who_wrote
from bridge.store.conversations import Found, ensure_contact, is_muted
from bridge.store.rows import Lane, delivery_row, pack_note
from bridge.store.tables import (
    contacts,
    conversation_contacts,
    deliveries,
    lines,
    messages,
    users,
)

GATHER = 60.0  # seconds between two announcements: a wave of spam is one of them
_MOST_NAMED = 10
_MOST_LISTED = 1_000  # strangers in one list


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody who wrote and waits to be let in."""

    contact_id: ContactId
    address: str
    name: str  # as they call themselves; may be empty
    subject: str  # of their first message
    number: int  # what the user types; 0 before they were announced
    messages: int
    others: int = 0  # how many others it went to, in a chat of several
    spam: bool = False  # the mail server takes the first of it for that


def keep_back(
    connection: Connection, arrived: Sequence[Arrived], message_ids: Sequence[int], now: float
) -> list[Lane]:
    """Of messages that were recorded, hold those that are not to be shown, and ask those whom to ask.
    Answers lanes to ring."""
    held = [id_ for id_, one in zip(message_ids, arrived, strict=True) if one.verdict is not Admission.SHOW]
    if not held:
        return []
    connection.execute(
        update(deliveries)
        .where(deliveries.c.message_id.in_(held), deliveries.c.state.in_((State.READY, State.WAITING)))
        .values(state=State.HELD)
    )
    spam = [
        id_
        for id_, one in zip(message_ids, arrived, strict=True)
        if one.verdict is Admission.HOLD and is_spam(one.incoming, one.standing)
    ]
    if spam:
        these = deliveries.c.message_id.in_(spam) & (deliveries.c.waits_for == "")
        connection.execute(update(deliveries).where(these).values(waits_for=SPAM))
    behind = {one.found.contact_id for one in arrived if one.verdict is not Admission.SHOW}
    connection.execute(update(contacts).where(contacts.c.id.in_(behind)).values(waiting=True))
    asked = {
        (one.owner.user_id, one.owner.transport): one.owner for one in arrived if one.verdict is Admission.ASK
    }
    return [lane for owner in asked.values() for lane in announce(connection, owner, now)]


def pending(connection: Connection, user_id: int, transport: str) -> list[Stranger]:
    """Who waits to be let in, in the order in which they wrote. Of more than a list holds those whom the
    user has not been asked about come first."""
    held = (
        select(
            conversation_contacts.c.contact_id,
            func.min(deliveries.c.id).label("first"),
            func.count().label("messages"),
        )
        .join(contacts, contacts.c.id == conversation_contacts.c.contact_id)
        .join(messages, messages.c.conversation_id == conversation_contacts.c.conversation_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(
            contacts.c.user_id == user_id,
            contacts.c.transport == transport,
            contacts.c.waiting,
            contacts.c.standing == "",
            ~contacts.c.muted,
            deliveries.c.state == State.HELD,
            deliveries.c.kind == Kind.MESSAGE,
        )
        .group_by(conversation_contacts.c.contact_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            contacts.c.id,
            contacts.c.original,
            contacts.c.asked,
            contacts.c.size,
            held.c.first,
            held.c.messages,
            deliveries.c.waits_for,
            deliveries.c.sender_name,
            messages.c.subject,
        )
        .select_from(held)
        .join(contacts, contacts.c.id == held.c.contact_id)
        .join(deliveries, deliveries.c.id == held.c.first)
        .join(messages, messages.c.id == deliveries.c.message_id)
        .order_by(or_(contacts.c.asked != 0, deliveries.c.waits_for == SPAM), held.c.first)
        .limit(_MOST_LISTED)
    )
    found = {
        row.id: Stranger(
            ContactId(row.id),
            row.original,
            row.sender_name,
            row.subject,
            row.asked,
            row.messages,
            max(row.size - 1, 0),
            row.waits_for == SPAM,
        )
        for row in sorted(rows, key=lambda row: row.first)
    }
    return _as_who_wrote(connection, found)


def _as_who_wrote(connection: Connection, waiting: Mapping[int, Stranger]) -> list[Stranger]:
    """A chat of several is known by who wrote there first."""
    several = [id_ for id_, one in waiting.items() if one.others]
    wrote = who_wrote(connection, several) if several else {}
    return [
        replace(one, address=wrote[id_][0].address, name=wrote[id_][0].name or one.name)
        if id_ in wrote
        else one
        for id_, one in waiting.items()
    ]


# --- asking ---


def announce(connection: Connection, owner: Owner, now: float) -> list[Lane]:
    """Tell the user who waits, if somebody is new among them. Answers lanes to ring."""
    waiting = [one for one in pending(connection, owner.user_id, owner.transport) if not one.spam]
    if all(one.number for one in waiting):
        return []
    numbered = _number(connection, waiting)
    lane = (f"xmpp:{owner.transport}", f"ask/{owner.user_id}")
    text = announcement(numbered, owner.language)
    mine = (deliveries.c.message_id.is_(None), deliveries.c.outlet == lane[0], deliveries.c.lane == lane[1])
    last = connection.execute(
        select(deliveries.c.id, deliveries.c.due_at, deliveries.c.state)
        .where(*mine)
        .order_by(deliveries.c.id.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and last.state == State.WAITING and last.due_at > now:
        note = pack_note(Note("", text))
        connection.execute(update(deliveries).where(deliveries.c.id == last.id).values(note=note))
        return [lane]
    row = delivery_row(
        lane,
        Kind.NOTICE,
        None,
        sender=owner.gateway,
        recipient=owner.jid,
        stanza_id=f"ask-{owner.user_id}-{numbered[-1].contact_id}-{int(now)}",
        note=Note("", text),
        now=now,
    )
    if last is not None and last.due_at > now - GATHER:
        row |= {"state": State.WAITING, "due_at": last.due_at + GATHER}
    connection.execute(insert(deliveries), [row])
    return [lane]


def _number(connection: Connection, waiting: Sequence[Stranger]) -> list[Stranger]:
    """Numbers go on from the highest that is in use, and begin again when nobody waits any more."""
    following = max(one.number for one in waiting) + 1
    numbered = []
    for one in waiting:
        number = one.number
        if not number:
            number, following = following, following + 1
            connection.execute(update(contacts).where(contacts.c.id == one.contact_id).values(asked=number))
        numbered.append(replace(one, number=number))
    return numbered


def announcement(waiting: Sequence[Stranger], language: str) -> str:
    """What the user reads: one sender in a line, several as a list."""
    if len(waiting) == 1:
        one = waiting[0]
        return translate(
            tr("{who}: accept {number} or block {number}?", who=described(one), number=one.number), language
        )
    heads = [f"{one.number}  {described(one)}" for one in waiting[:_MOST_NAMED]]
    if len(waiting) > _MOST_NAMED:
        heads.append(f"+{len(waiting) - _MOST_NAMED}")
    first: Phrase = trn("{number} new sender:", "{number} new senders:", len(waiting))
    last = tr(
        "Answer for example: accept {one}, block {two}, block rest",
        one=waiting[0].number,
        two=waiting[1].number,
    )
    return "\n".join((translate(first, language), *heads, translate(last, language)))


def described(one: Stranger) -> str:
    """`✉ Jana Berg <jana@x.org> · Flat viewing`, on one line."""
    name = " ".join(one.name.split())[:80]
    who = f"{name} <{one.address}>" if name and name != one.address else one.address
    who += f" (+{one.others})" if one.others else ""
    who = f"{who} ⚠ spam?" if one.spam else who
    subject = " ".join(one.subject.split())[:80]
    return f"✉ {who} · {subject}" if subject else f"✉ {who}"


# --- deciding ---


def stand(connection: Connection, contact_ids: Iterable[int], standing: str) -> None:
    """Whether contacts are allowed, blocked, or unknown again."""
    connection.execute(
        update(contacts).where(contacts.c.id.in_(list(contact_ids))).values(standing=standing, asked=0)
    )


def stand_writers(connection: Connection, contact_ids: Sequence[int], standing: str, now: float) -> None:
    """Of chats of several among these: so stands who wrote there, whom the user was asked about."""
    for contact_id, wrote in who_wrote(connection, contact_ids).items():
        chat = connection.execute(
            select(contacts.c.user_id, contacts.c.transport).where(contacts.c.id == contact_id)
        ).one()
        for one in wrote:
            address = Address(one.address, one.address)
            writer = ensure_contact(connection, chat.user_id, chat.transport, address, "", now)
            stand(connection, [writer], standing)


def welcome_answered(connection: Connection, found: Sequence[Found], now: float) -> dict[int, list[Lane]]:
    """Contacts whom a user has just written to are let in from now on, also those blocked before, and
    what was kept of them goes. Answers lanes to ring, by contact."""
    fresh = {one.contact_id: one for one in found if one.standing != ALLOWED}
    if not fresh:
        return {}
    stand(connection, fresh, ALLOWED)
    return {
        id_: _end_waiting(connection, [id_], _let_go(now))
        for id_, one in fresh.items()
        if one.waiting and not one.muted
    }


def owner(connection: Connection, jid: str, transport: str, gateway: str, default: str) -> Owner | None:
    """The owner of a line; None for who is not registered."""
    row = connection.execute(
        select(lines.c.user_id, lines.c.choices, users.c.jid, users.c.language, users.c.spoken)
        .join(users, users.c.id == lines.c.user_id)
        .where(users.c.jid == jid, lines.c.transport == transport)
    ).one_or_none()
    return owner_of(row, transport, gateway, default) if row is not None else None


def reconsider(connection: Connection, owner: Owner, now: float) -> list[Lane]:
    """Something has changed (a decision, a setting): let go what may go, cancel what is blocked, ask
    about who is left. Answers lanes to ring."""
    waiting = connection.execute(
        select(
            contacts.c.id,
            contacts.c.address,
            contacts.c.standing,
            contacts.c.muted,
            contacts.c.muted_until,
            contacts.c.size,
        ).where(
            contacts.c.user_id == owner.user_id,
            contacts.c.transport == owner.transport,
            contacts.c.waiting,
        )
    ).all()
    wrote = who_wrote(connection, [row.id for row in waiting if row.size])
    suspects = _suspects(connection, [row.id for row in waiting])
    verdicts = [
        (row.id, _judge_again(owner, row, wrote.get(row.id, ()), now, suspect=row.id in suspects))
        for row in waiting
    ]
    lanes: list[Lane] = []
    for verdict, values in (
        (Admission.SHOW, _let_go(now)),
        (Admission.DROP, {"state": State.CANCELLED, "settled_at": now}),
    ):
        ids = [id_ for id_, its in verdicts if its is verdict]
        if ids:
            lanes += _end_waiting(connection, ids, values)
    if any(verdict is Admission.ASK for _, verdict in verdicts):
        lanes += announce(connection, owner, now)
    return lanes


def _let_go(now: float) -> dict[str, Any]:
    # Recorded anew, so that the time it was kept uses up nobody's patience.
    return {"state": State.READY, "due_at": now, "recorded_at": now}


def _suspects(connection: Connection, contact_ids: Sequence[int]) -> set[int]:
    """Those among contacts of whom something is held as spam."""
    rows = connection.execute(
        select(conversation_contacts.c.contact_id)
        .join(messages, messages.c.conversation_id == conversation_contacts.c.conversation_id)
        .join(deliveries, deliveries.c.message_id == messages.c.id)
        .where(
            conversation_contacts.c.contact_id.in_(contact_ids),
            deliveries.c.state == State.HELD,
            deliveries.c.waits_for == SPAM,
        )
    )
    return set(rows.scalars())


def _judge_again(owner: Owner, contact: Any, wrote: Sequence[Any], now: float, *, suspect: bool) -> Admission:
    """`wrote` are those who have written there, if the contact is several people. A `suspect` of spam is
    let in by name only."""
    standings = {one.standing or "" for one in wrote}
    standing = contact.standing
    if not standing and ALLOWED in standings:
        standing = ALLOWED
    elif not standing and standings == {BLOCKED}:
        standing = BLOCKED
    address = wrote[0].address if wrote else contact.address
    verdict = judge(owner, address, standing, muted=is_muted(contact, now))
    return Admission.HOLD if suspect and standing != ALLOWED and verdict is Admission.SHOW else verdict


def _end_waiting(connection: Connection, contact_ids: Sequence[int], values: dict[str, Any]) -> list[Lane]:
    theirs = (
        select(messages.c.id)
        .join(conversation_contacts, conversation_contacts.c.conversation_id == messages.c.conversation_id)
        .where(conversation_contacts.c.contact_id.in_(contact_ids))
    )
    rows = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id.in_(theirs.scalar_subquery()),
            deliveries.c.state == State.HELD,
            # What came too fast waits for another word, unless it is never to be shown.
            or_(deliveries.c.waits_for.in_(("", SPAM)), values["state"] == State.CANCELLED),
        )
        .values(**values, waits_for="")
        .returning(deliveries.c.outlet, deliveries.c.lane)
    ).all()
    connection.execute(update(contacts).where(contacts.c.id.in_(contact_ids)).values(waiting=False, asked=0))
    return list({(row.outlet, row.lane) for row in rows})
