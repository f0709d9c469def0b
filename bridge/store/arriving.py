"""Records what comes from outside: messages that are for users, and the deliveries that take them there."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, update

from bridge.i18n import Phrase, translate
from bridge.model import Attachment, Direction, Incoming, Kind
from bridge.options import LEAD
from bridge.store import blobs, floods, mutes, reactions, strangers
from bridge.store.admitting import Arrived, let_in
from bridge.store.attaching import deliveries_of
from bridge.store.conversations import Found, conversations_with
from bridge.store.drafts import Ground
from bridge.store.groups import Groups
from bridge.store.leads import Leads
from bridge.store.many import insert_rows
from bridge.store.own_addresses import Reached
from bridge.store.placing import Placing
from bridge.store.posting import note_lists
from bridge.store.routing import route
from bridge.store.rows import Lane, delivery_row, in_lane, pack, unpack
from bridge.store.tables import contacts, deliveries
from bridge.store.threads import MOST_IDS, Thread, Wanted

_LONGEST_NAME = 256
Lines = Mapping[tuple[str, str], Any]  # rows of lines by transport and address


def record(
    connection: Connection,
    incoming: Sequence[Incoming],
    lines: Lines,
    grounds: Mapping[str, Ground],
    now: float,
) -> list[Lane]:
    """Record messages for users. Answers lanes to ring."""
    incoming = [_in_their_language(one, lines) for one in incoming]
    chats = chats_of(connection, incoming, lines, now)
    incoming, found = [one for one, _ in chats], [conversation for _, conversation in chats]
    owners = [lines[one.transport, one.recipient] for one in incoming]
    arrived = let_in(connection, incoming, owners, found, grounds)
    if not arrived:
        return []
    fast = floods.too_fast(connection, arrived, now)
    groups = Groups(connection, {one.found.contact_id for one in arrived if one.group is not None})
    threaded = [one for one in arrived if grounds[one.incoming.transport].threaded]
    placing = Placing(connection, [wanted_by(one.incoming, one.found) for one in threaded], now)
    leads, reached = Leads(connection, now), Reached(connection)
    for one in arrived:
        _place(connection, placing, groups, leads, reached, one, grounds[one.incoming.transport])
    groups.save()
    message_ids = placing.insert(from_outside=True, unseen=fast)
    lanes = _queue(connection, arrived, placing.rows, message_ids, now)
    _keep_files(connection, arrived, message_ids)
    leads.hold_loops(message_ids)
    note_lists(connection, arrived)
    _note_names(connection, arrived)
    lanes += floods.keep(connection, arrived, message_ids, fast, now)
    lanes += strangers.keep_back(connection, arrived, message_ids, now)
    mutes.park(connection, arrived, message_ids, now)
    return lanes


def chats_of(
    connection: Connection, incoming: Sequence[Incoming], lines: Lines, now: float
) -> list[tuple[Incoming, Found]]:
    """The messages with their conversations, which are made where there are none yet."""
    users = [lines[one.transport, one.recipient].user_id for one in incoming]
    routed = [
        (user, one)
        for user, one in zip(users, route(connection, incoming, users), strict=True)
        if one is not None
    ]
    wanted = [(user, one.incoming.transport, one.chat, "") for user, one in routed]
    found = conversations_with(connection, wanted, now)
    return [(one.incoming, conversation) for (_, one), conversation in zip(routed, found, strict=True)]


def _in_their_language(one: Incoming, lines: Lines) -> Incoming:
    """What our own side has to say, in the language of who gets it: before and among what was written,
    and below it. What people wrote is no phrase, and stays."""
    if not (one.notices or isinstance(one.body, Phrase) or isinstance(one.lead, Phrase)):
        return one
    line = lines[one.transport, one.recipient]
    language = line.language or line.spoken
    body, lead = (
        translate(text, language) if isinstance(text, Phrase) else text for text in (one.body, one.lead)
    )
    said = [translate(notice, language) for notice in one.notices]
    return replace(one, body="\n".join([body, *said] if body else said), lead=lead, notices=())


def wanted_by(one: Incoming, conversation: Found) -> Wanted:
    """By what a message from outside knows its thread."""
    return Wanted(conversation.id, "", one.subject, None, one.references)


def message_row(one: Incoming, conversation: Found, thread: Thread | None) -> dict[str, Any]:
    """What the row of a message from outside says, whoever wrote it."""
    uid = str(uuid.uuid4())
    return {
        "uid": uid.replace("-", ""),
        "transport": one.transport,
        "conversation_id": conversation.id,
        "stanza_id": uid,
        "remote_id": one.remote_id,
        "in_reply_to": one.references[-1] if one.references else "",
        "refs": " ".join(one.references[-MOST_IDS:]),
        "thread": thread.name if thread is not None else "",
        "subject": one.subject,
        "memo": pack(one.memo),
        "body": one.body,
        "written_at": one.written_at,
        "wants_receipt": False,
    }


def _place(
    connection: Connection,
    placing: Placing,
    groups: Groups,
    leads: Leads,
    reached: Reached,
    one: Arrived,
    ground: Ground,
) -> None:
    incoming, conversation = one.incoming, one.found
    thread, began = None, True
    if ground.threaded:
        thread, began = placing.thread_of_mail(wanted_by(incoming, conversation))
    row = message_row(incoming, conversation, thread) | {
        "direction": Direction.IN,
        "from_jid": f"{conversation.local}@{ground.jid}",
        "to_jid": one.line.jid,
        "parts_left": 1,
        "files": len(incoming.attachments),
    }
    placing.put(row, thread)
    reacts = reactions.options(connection, conversation.id, incoming.reaction) if incoming.reaction else {}
    entry = groups.enter(conversation, one.group, incoming.sender.canonical) if one.group else None
    lead = leads.options(
        incoming, conversation, thread, began=began, entry=entry, language=one.owner.language
    )
    if elsewhere := reached.lead(one.line, conversation):
        lead = {**lead, LEAD: elsewhere + lead.get(LEAD, "")}
    row["options"] = pack(reacts or lead)


def _queue(
    connection: Connection,
    arrived: Sequence[Arrived],
    rows: Sequence[dict[str, Any]],
    message_ids: Sequence[int],
    now: float,
) -> list[Lane]:
    """Insert the deliveries; their lanes."""
    lanes: list[Lane] = []
    queued: list[dict[str, Any]] = []
    for one, row, message_id in zip(arrived, rows, message_ids, strict=True):
        lane = in_lane(one.incoming.transport, one.found.id)
        lanes.append(lane)
        delivery = delivery_row(
            lane,
            Kind.MESSAGE,
            message_id,
            sender=row["from_jid"],
            sender_name=one.incoming.sender_name,
            recipient=row["to_jid"],
            stanza_id=row["stanza_id"],
            now=now,
        )
        said = unpack(row["options"]).get(LEAD, "") + one.incoming.body
        queued += deliveries_of(delivery, said, one.incoming.attachments)
    insert_rows(connection, deliveries, queued)
    return lanes


def _note_names(connection: Connection, arrived: Sequence[Arrived]) -> None:
    """What contacts call themselves. Several people in one chat have no name of their own."""
    before = {one.found.contact_id: one.found.said for one in arrived}
    said = {
        one.found.contact_id: name[:_LONGEST_NAME]
        for one in arrived
        if (name := one.incoming.sender_name) and not one.found.size and one.group is None
    }
    for contact_id, name in said.items():
        if name != before[contact_id]:
            connection.execute(update(contacts).where(contacts.c.id == contact_id).values(said=name))


def _keep_files(connection: Connection, arrived: Sequence[Arrived], message_ids: Sequence[int]) -> None:
    incoming = [one.incoming for one in arrived]
    blobs.attach(connection, [(id_, one.attachments) for id_, one in zip(message_ids, incoming, strict=True)])
    originals = [(id_, one.original) for id_, one in zip(message_ids, incoming, strict=True)]
    blobs.keep_originals(connection, [(id_, it) for id_, it in originals if isinstance(it, Attachment)])
