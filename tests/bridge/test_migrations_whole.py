"""A record of the first release, with rows of every kind in it, goes on in the present one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, delete, func, inspect, select

from bridge.model import Group, Kind, Note
from bridge.store import cards, claiming, floods, groups, mutes, people, recording, rosters
from bridge.store.engine import make_engine
from bridge.store.rows import pack_note
from bridge.store.schema import migrate
from bridge.store.tables import (
    contacts,
    conversations,
    deliveries,
    line_addresses,
    lines,
    messages,
    metadata,
    threads,
    users,
)
from tests.bridge.records import GROUNDS, draft, incoming
from tests.bridge.test_migrations import make_old

MIRA, OTTO = 1, 2
MAIL, TEXTS, OTTOS = 1, 2, 3  # lines
ALICE, PHONE, STRANGER = 1, 2, 3  # contacts, and conversations with them
ASKED, ANSWER, SECRET, HELD = 1, 2, 3, 4  # messages
NOW = 1_000.0

# What the first release had written, by table, those first that others point to.
ROWS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "users": [
        {"id": MIRA, "jid": "mira@localhost", "language": "de", "created_at": 1.0},
        {"id": OTTO, "jid": "otto@localhost", "created_at": 1.0},
    ],
    "lines": [
        {"id": MAIL, "user_id": MIRA, "transport": "mail", "address": "mira@chat.example", "name": "Mira",
         "choices": '{"coalesce":"0"}', "created_at": 1.0, "shared": False},
        {"id": TEXTS, "user_id": MIRA, "transport": "sms", "address": "+15550001000", "created_at": 1.0,
         "shared": True},
        {"id": OTTOS, "user_id": OTTO, "transport": "sms", "address": "+15550001000", "created_at": 1.0,
         "shared": True},
    ],
    "contacts": [
        {"id": ALICE, "user_id": MIRA, "transport": "mail", "address": "alice@example.com",
         "original": "Alice@example.com", "local": r"alice\40example.com", "name": "Alice",
         "subscribed": True, "standing": "allowed", "created_at": 1.0},
        {"id": PHONE, "user_id": MIRA, "transport": "sms", "address": "+15557654321",
         "original": "+15557654321", "local": "+15557654321", "standing": "allowed", "muted": True,
         "created_at": 1.0},
        {"id": STRANGER, "user_id": MIRA, "transport": "mail", "address": "who@example.com",
         "original": "who@example.com", "local": r"who\40example.com", "waiting": True, "asked": 1,
         "created_at": 1.0},
    ],
    "conversations": [
        {"id": ALICE, "user_id": MIRA, "transport": "mail", "people": str(ALICE), "displayed_id": 1},
        {"id": PHONE, "user_id": MIRA, "transport": "sms", "people": str(PHONE)},
        {"id": STRANGER, "user_id": MIRA, "transport": "mail", "people": str(STRANGER)},
    ],
    "conversation_contacts": [
        {"conversation_id": one, "contact_id": one} for one in (ALICE, PHONE, STRANGER)
    ],
    "threads": [
        {"id": 1, "conversation_id": ALICE, "name": "t1", "subject": "Boats", "ids": "<q@x> <a@x>",
         "last_in_id": ANSWER, "answered_id": None, "used_at": NOW},
    ],
    "messages": [
        {"id": ASKED, "uid": "a" * 32, "transport": "mail", "direction": "out", "conversation_id": ALICE,
         "thread_id": 1, "stanza_id": "s1", "remote_id": "<q@x>", "body": "Boats?", "subject": "Boats",
         "written_at": 900.0, "from_jid": "mira@localhost/phone",
         "to_jid": r"alice\40example.com@mail.localhost", "wants_receipt": True,
         "parts_left": 0, "told": "receipt"},
        {"id": ANSWER, "uid": "b" * 32, "transport": "mail", "direction": "in", "conversation_id": ALICE,
         "thread_id": 1, "stanza_id": "b-2", "remote_id": "<a@x>", "in_reply_to": "<q@x>", "refs": "<q@x>",
         "answers_id": ASKED, "memo": '{"from":"Alice@example.com"}', "body": "Three.", "written_at": 950.0,
         "from_jid": r"alice\40example.com@mail.localhost", "to_jid": "mira@localhost", "files": 1},
        {"id": SECRET, "uid": "c" * 32, "transport": "sms", "direction": "in", "conversation_id": PHONE,
         "stanza_id": "b-3", "remote_id": "SM1", "body": "psst", "written_at": 960.0,
         "from_jid": "+15557654321@sms.localhost", "to_jid": "mira@localhost"},
        {"id": HELD, "uid": "d" * 32, "transport": "mail", "direction": "in", "conversation_id": STRANGER,
         "stanza_id": "b-4", "remote_id": "<w@x>", "body": "Hello you", "written_at": 970.0,
         "from_jid": r"who\40example.com@mail.localhost", "to_jid": "mira@localhost"},
    ],
    "deliveries": [
        {"id": 1, "outlet": "mail", "kind": "message", "lane": f"out/{ALICE}", "message_id": ASKED,
         "sender": "mira@chat.example", "recipient": "alice@example.com", "state": "sent", "due_at": 900.0,
         "recorded_at": 900.0, "settled_at": 901.0, "remote_id": "<q@x>"},
        {"id": 2, "outlet": "xmpp:mail", "kind": "message", "lane": f"in/{ALICE}", "message_id": ANSWER,
         "sender": r"alice\40example.com@mail.localhost", "sender_name": "Alice",
         "recipient": "mira@localhost", "stanza_id": "b-2", "state": "ready", "due_at": 950.0,
         "recorded_at": 950.0},
        {"id": 3, "outlet": "xmpp:sms", "kind": "message", "lane": f"in/{PHONE}", "message_id": SECRET,
         "sender": "+15557654321@sms.localhost", "recipient": "mira@localhost", "stanza_id": "b-3",
         "state": "held", "due_at": 960.0, "recorded_at": 960.0},
        {"id": 4, "outlet": "xmpp:mail", "kind": "message", "lane": f"in/{STRANGER}", "message_id": HELD,
         "sender": r"who\40example.com@mail.localhost", "recipient": "mira@localhost", "stanza_id": "b-4",
         "state": "held", "due_at": 970.0, "recorded_at": 970.0},
        {"id": 5, "outlet": "xmpp:mail", "kind": "receipt", "lane": f"note/{ALICE}", "message_id": ASKED,
         "sender": r"alice\40example.com@mail.localhost", "recipient": "mira@localhost/phone",
         "note": pack_note(Note("s1")), "state": "waiting", "due_at": 905.0, "recorded_at": 905.0},
    ],
    "blobs": [
        {"token": "f" * 48, "name": "boat.png", "media_type": "image/png", "size": 3, "created_at": 950.0,
         "expires_at": 9e9},
    ],
    "attachments": [
        {"id": 1, "message_id": ANSWER, "position": 1, "blob": "f" * 48, "name": "boat.png",
         "media_type": "image/png", "size": 3},
    ],
    "intake": [{"id": 1, "transport": "mail", "raw": b"\x00mail", "envelope": "{}", "received_at": 980.0}],
    "cursors": [{"name": "mail/mailbox/INBOX", "value": "1:7"}],
    "accounts": [{"line_id": MAIL, "address": "mira@chat.example", "sealed": b"\x01", "brought_at": 2.0}],
    "seen": [{"key": "k1", "at": 950.0}],
    "invites": [{"id": 1, "token": "t1", "created_at": 1.0, "expires_at": 9e9}],
    "proofs": [
        {"id": 1, "user_id": MIRA, "transport": "mail", "address": "m@x.org", "code": "c", "sent_at": 1.0},
    ],
    "stops": [{"outlet": "sms", "at": 1.0}],
    "statuses": [{"id": 1, "transport": "sms", "remote_id": "SM9", "outcome": "delivered", "at": 1.0}],
    "adapter_memory": [{"transport": "mail", "key": "k", "value": "{}", "until": 9e9}],
}  # fmt: skip


@pytest.fixture
def filled(url: str) -> str:
    """A database as the first release leaves it."""
    make_old(url, "0001")
    engine = make_engine(url)
    old = MetaData()
    with engine.connect() as connection, connection.begin():
        old.reflect(connection)
        for name, rows in ROWS.items():
            for row in rows:
                connection.execute(old.tables[name].insert().values(**row))
        if connection.dialect.name == "postgresql":
            for name, rows in ROWS.items():
                if "id" in rows[0]:
                    highest = max(row["id"] for row in rows)
                    sequence = func.pg_get_serial_sequence(name, "id")
                    connection.execute(select(func.setval(sequence, highest)))
    engine.dispose()
    assert set(old.tables) - {"alembic_version"} == set(ROWS), "a table of the first release has no rows here"
    return url


def test_nothing_is_lost_and_what_belongs_together_still_does(filled: str) -> None:
    migrate(filled)
    engine = make_engine(filled)
    with engine.connect() as connection, connection.begin():
        for name, rows in ROWS.items():
            table = metadata.tables[name]
            assert connection.execute(select(func.count()).select_from(table)).scalar() == len(rows), name
            for row in rows:
                kept = {key: value for key, value in row.items() if key in table.c}
                found = connection.execute(select(table).filter_by(**kept)).all()
                assert len(found) == 1, (name, row)
        assert connection.execute(select(func.count()).select_from(line_addresses)).scalar() == 3
        _as_described(connection)
        connection.execute(delete(users))
        for table in (lines, line_addresses, contacts, conversations, threads, messages, deliveries):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0, table.name
    engine.dispose()


def _as_described(connection: Connection) -> None:
    """Every foreign key and index is there, also where a table was changed."""
    found = inspect(connection)
    for table in metadata.sorted_tables:
        keys = {
            (tuple(key["constrained_columns"]), key["referred_table"], key["options"].get("ondelete"))
            for key in found.get_foreign_keys(table.name)
        }
        assert keys == {
            (tuple(key.column_keys), key.referred_table.name, key.ondelete)
            for key in table.foreign_key_constraints
        }, table.name
        assert {one.name for one in table.indexes} <= {one["name"] for one in found.get_indexes(table.name)}


def test_conversations_go_on(filled: str) -> None:
    migrate(filled)
    engine = make_engine(filled)
    with engine.connect() as connection, connection.begin():
        lanes = [*claiming.open_lanes(connection, "xmpp:mail")]
        open_now = claiming.claim(connection, "xmpp:mail", lanes, NOW, 10)
        shown = [one.delivery for claimed in open_now.by_lane.values() for one in claimed]
        assert {(one.kind, one.stanza_id) for one in shown} == {(Kind.MESSAGE, "b-2"), (Kind.RECEIPT, "")}
        files = [file.name for one in shown if one.message for file in one.message.attachments]
        assert files == ["boat.png"]

        (recorded,) = recording.record_out(connection, [draft("Which one?")], NOW)
        assert recorded.lanes == (("mail", f"out/{ALICE}"),)
        line = connection.execute(select(messages).order_by(messages.c.id.desc()).limit(1)).one()
        assert (line.conversation_id, line.thread_id, line.subject) == (ALICE, 1, "Boats")
        assert (line.answers_id, line.refs) == (ANSWER, "<q@x> <a@x>")

        mail = incoming("The red one.", references=("<q@x>", line.remote_id), subject="Re: Boats")
        recording.record_in(connection, [mail, incoming("again", "who@example.com")], GROUNDS, NOW)
        text = incoming("hi", "+15557654321", transport="sms")
        recording.record_in(connection, [text], GROUNDS, NOW)
        came = connection.execute(select(messages).order_by(messages.c.id.desc()).limit(4)).all()
        ours = {(one.conversation_id, one.body) for one in came if one.to_jid == "mira@localhost"}
        assert ours == {(ALICE, "The red one."), (STRANGER, "again"), (PHONE, "hi")}
        # Otto shares her number, and neither of them has written to that phone.
        assert [one.body for one in came if one.to_jid == "otto@localhost"] == ["hi"]
    engine.dispose()


def test_contacts_can_do_what_later_releases_brought(filled: str) -> None:
    migrate(filled)
    engine = make_engine(filled)
    with engine.connect() as connection, connection.begin():
        (alice,) = people.contacts_of(connection, "mail", "mira@localhost")
        assert (alice.name, alice.original) == ("Alice", "Alice@example.com")
        cards.rename(connection, alice.id, "Ali")
        known = cards.profile(connection, "mail", "mira@localhost", "alice@example.com")
        assert known is not None
        assert (known.shown, known.said) == ("Ali", "Alice")
        assert [one.called for one in rosters.wanted(connection, "mail", "mira@localhost")] == ["Ali"]

        chat = floods.chat_of(connection, "sms", "mira@localhost", "+15557654321")
        assert chat is not None
        assert chat.conversation_id == PHONE
        mutes.mute(connection, chat, NOW + 60, NOW)

        both = {"alice@example.com": "Alice", "tom@example.com": "Tom"}
        mail = incoming("Both of you?")
        mail = replace(mail, group=Group(both, len(both), named=True))
        recording.record_in(connection, [mail], GROUNDS, NOW)
        there = groups.people_of(connection, "mail", "mira@localhost", "alice@example.com,tom@example.com")
        assert [one.spelled for one in there] == ["Alice <alice@example.com>", "Tom <tom@example.com>"]
    engine.dispose()
