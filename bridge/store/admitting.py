"""Who is let in: what comes from outside is judged by whom it is for, where it stands and who wrote it.

Decided by policy.admission; here is what that must know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, select

from bridge.model import Group, Incoming
from bridge.options import MEMO_SPAM, PAUSED, STRANGERS
from bridge.policy import ALLOWED, BLOCKED, Admission, admission
from bridge.store.conversations import Found
from bridge.store.rows import unpack
from bridge.store.tables import contacts, members
from bridge.telemetry import METRICS


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose line it is, as far as letting in goes."""

    user_id: int
    transport: str
    jid: str  # bare
    language: str
    gateway: str  # JID of the transport's component
    policy: str  # for unknown senders
    paused: bool


def owner_of(row: Any, transport: str, gateway: str, default: str) -> Owner:
    """From a row with user_id, jid, language, spoken and choices."""
    choices = unpack(row.choices)
    return Owner(
        row.user_id,
        transport,
        row.jid,
        row.language or row.spoken,
        gateway,
        choices.get(STRANGERS, default),
        bool(choices.get(PAUSED)),
    )


def judge(owner: Owner, address: str, standing: str, *, muted: bool) -> Admission:
    """What happens to what somebody writes to the owner."""
    return admission(address, standing, owner.policy, set_aside=muted or owner.paused)


class Defaults(Protocol):
    """What is needed of a transport."""

    @property
    def jid(self) -> str: ...
    @property
    def strangers(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message from outside that was let in, and how far."""

    incoming: Incoming
    line: Any  # the row of its recipient
    found: Found
    owner: Owner
    verdict: Admission
    standing: str  # of who wrote it

    @property
    def group(self) -> Group | None:
        """The people of the chat that it stands in, where those are several."""
        return self.incoming.group if self.found.address != self.incoming.sender.canonical else None


def let_in(
    connection: Connection,
    incoming: Sequence[Incoming],
    rows: Sequence[Any],
    found: Sequence[Found],
    grounds: Mapping[str, Defaults],
) -> list[Arrived]:
    """Judge what came; what comes from blocked senders is left out. In a chat of several it is the one who
    wrote that is known or not, whoever else got it."""
    writers = _writers(connection, incoming, rows)
    arrived = []
    for one, row, conversation in zip(incoming, rows, found, strict=True):
        ground = grounds[one.transport]
        owner = owner_of(row, one.transport, ground.jid, ground.strangers)
        writer = writers.get((row.user_id, one.transport, one.sender.canonical), "")
        shut = BLOCKED in (writer, conversation.standing)
        standing = BLOCKED if shut else conversation.standing or writer
        verdict = judge(owner, one.sender.canonical, standing, muted=conversation.muted)
        if is_spam(one, standing) and verdict in (Admission.SHOW, Admission.ASK):
            verdict = Admission.HOLD  # without a word: a wave of it is not announced
        if verdict is Admission.DROP:
            METRICS.dropped.labels(one.transport).inc()
        else:
            arrived.append(Arrived(one, row, conversation, owner, verdict, standing))
    return arrived


SPAM = "spam"  # deliveries.waits_for of what is held for that


def is_spam(one: Incoming, standing: str) -> bool:
    """Whether a message is held because its server takes it for spam: never of somebody who is known."""
    return one.memo.get(MEMO_SPAM) == "hold" and standing != ALLOWED


def _writers(
    connection: Connection, incoming: Sequence[Incoming], rows: Sequence[Any]
) -> dict[tuple[int, str, str], str]:
    """How those stand with the users who wrote to several: by user, transport and address."""
    wanted = [(row.user_id, one) for one, row in zip(incoming, rows, strict=True) if one.group is not None]
    if not wanted:
        return {}
    known = connection.execute(
        select(contacts.c.user_id, contacts.c.transport, contacts.c.address, contacts.c.standing).where(
            contacts.c.user_id.in_({user for user, _ in wanted}),
            contacts.c.transport.in_({one.transport for _, one in wanted}),
            contacts.c.address.in_({one.sender.canonical for _, one in wanted}),
        )
    )
    return {(row.user_id, row.transport, row.address): row.standing for row in known}


def who_wrote(connection: Connection, contact_ids: Sequence[int]) -> dict[int, list[Any]]:
    """Those of chats of several who have written there: rows (address, name, standing), in order."""
    rows = connection.execute(
        select(members.c.contact_id, members.c.address, members.c.name, _writer.c.standing)
        .join(contacts, contacts.c.id == members.c.contact_id)
        .outerjoin(
            _writer,
            (_writer.c.user_id == contacts.c.user_id)
            & (_writer.c.transport == contacts.c.transport)
            & (_writer.c.address == members.c.address),
        )
        .where(members.c.contact_id.in_(contact_ids), members.c.wrote)
        .order_by(members.c.position)
    )
    wrote: dict[int, list[Any]] = {}
    for row in rows:
        wrote.setdefault(row.contact_id, []).append(row)
    return wrote


_writer = contacts.alias("writer")
