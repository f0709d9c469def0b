"""What stands before a message from outside: who an unknown sender is, subjects where they say something
new, what has changed; loops of programs; reports on several recipients; raw mails that are kept."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bridge.model import Attachment, Kind, Outcome, Report
from bridge.options import FACT, KNOWN_SUBJECT, LEAD, MEMO_AUTO, MEMO_TOPIC, REPLIED
from bridge.ports import Sent
from bridge.store import blobs, recording, reports
from bridge.store.engine import Store
from bridge.store.rows import unpack
from bridge.store.tables import messages
from bridge.xmpp import stanzas
from tests.bridge.records import GROUNDS, RECEIPTS_ON_SENT, draft, incoming
from tests.bridge.test_store import NOW, claimed, notes, settled


async def arrive(store: Store, *messages: Any, now: float = NOW) -> list[Any]:
    """What the chat gets of these, as options and text."""
    await store.do(recording.record_in, list(messages), GROUNDS, now)
    found = await claimed(store, "xmpp:mail", now)
    for one in found:
        await settled(store, one, Sent())
    return [one.delivery for one in found if one.delivery.kind is Kind.MESSAGE]


def shown(delivery: Any) -> str:
    return delivery.message.options.get(LEAD, "") + delivery.message.body


async def test_an_unknown_sender_is_introduced_once(store: Store) -> None:
    jana = {"sender": "jana@x.example", "sender_name": "Jana Berg", "subject": "Flat viewing"}
    first, second = await arrive(store, incoming("Thursday?", **jana), incoming("Or Friday?", **jana))
    assert shown(first) == "✉ Jana Berg <jana@x.example> · Flat viewing\nThursday?"
    assert shown(second) == "Or Friday?"
    (third,) = await arrive(store, incoming("And?", **{**jana, "subject": "Keys"}))
    assert shown(third) == "✉ Keys\nAnd?"


@pytest.mark.parametrize("policy", ["everyone", "ask", "contacts"])
async def test_a_stranger_is_introduced_under_every_policy(store: Store, policy: str) -> None:
    jana = incoming("Thursday?", "jana@x.example", sender_name="Jana Berg", subject="Flat viewing")
    grounds = {**GROUNDS, "mail": replace(GROUNDS["mail"], strangers=policy)}
    await store.do(recording.record_in, [jana], grounds, NOW)
    (options,) = await store.look(_options)
    assert unpack(options)[LEAD] == "✉ Jana Berg <jana@x.example> · Flat viewing\n"


def _options(connection: Connection) -> list[str]:
    return list(connection.execute(select(messages.c.options)).scalars())


async def test_a_subject_is_shown_where_it_says_something_new(store: Store) -> None:
    one = draft("Running late", first_subject="Running late")
    await store.do(recording.record_out, [one], NOW)
    (answer,) = await arrive(
        store, incoming("No problem.", subject="Running late", references=(one.remote_id,))
    )
    assert shown(answer) == "No problem."
    assert answer.message.options == {KNOWN_SUBJECT: "1"}
    assert "<subject>" not in stanzas.write(answer, "mail.localhost", NOW)
    (changed,) = await arrive(
        store, incoming("By the way …", subject="Keys", references=(answer.message.remote_id,))
    )
    assert shown(changed) == "✉ Keys\nBy the way …"
    written = stanzas.write(changed, "mail.localhost", NOW)
    assert "<subject>" not in written, "the text begins with it"
    assert "<body>✉ Keys\nBy the way …</body>" in written
    (again,) = await arrive(store, incoming("Well", subject="keys", references=(changed.message.remote_id,)))
    assert shown(again) == "Well"


async def test_a_mail_that_is_only_a_subject_says_it_once(store: Store) -> None:
    await store.do(recording.record_out, [draft()], NOW)
    (found,) = await arrive(store, incoming("Call me", subject="Call me"))
    assert shown(found) == "Call me"


async def test_texts_have_no_subjects_and_need_no_introduction(store: Store) -> None:
    await store.do(recording.record_in, [incoming("hi", "+15551234567", transport="sms")], GROUNDS, NOW)
    (found,) = await claimed(store, "xmpp:sms")
    assert shown(found.delivery) == "hi"


async def test_what_has_changed_of_a_topic_is_told(store: Store) -> None:
    await store.do(recording.record_out, [draft()], NOW)
    before = {MEMO_TOPIC: "viewing-1", f"{FACT}when": "Thu 27 Nov 15:00", f"{FACT}where": "Hauptstr. 5"}
    after = {**before, f"{FACT}when": "Thu 27 Nov 16:00"}
    first, second, third = await arrive(
        store,
        incoming("📅 Viewing", memo=before),
        incoming("📅 Other", memo={MEMO_TOPIC: "viewing-10"}),
        incoming("(nothing new)", memo=before),
    )
    assert [shown(one) for one in (first, second, third)] == ["📅 Viewing", "📅 Other", "(nothing new)"]
    (changed,) = await arrive(store, incoming("📅 Changed: Viewing", memo=after))
    assert shown(changed) == "(Before: Thu 27 Nov 15:00)\n📅 Changed: Viewing"


async def test_programs_that_answer_each_other_are_not_shown_for_ever(store: Store) -> None:
    await store.do(recording.record_out, [draft()], NOW)
    away = [incoming(f"Away {n}", memo={MEMO_AUTO: REPLIED}, written_at=NOW) for n in range(15)]
    assert len(await arrive(store, *away)) == 10
    assert await arrive(store, incoming("Away", memo={MEMO_AUTO: REPLIED}, written_at=NOW)) == []
    assert len(await arrive(store, incoming("It is me"))) == 1
    later = incoming("Away", memo={MEMO_AUTO: REPLIED}, written_at=NOW + 4000)
    assert len(await arrive(store, later, now=NOW + 4000)) == 1


async def test_a_delay_is_told_once_and_a_failure_after_it(store: Store) -> None:
    one = draft()
    await store.do(recording.record_out, [one], NOW)
    (found,) = await claimed(store, "mail")
    await settled(store, found, Sent(one.remote_id))
    assert [kind for kind, _, _ in await notes(store)] == [Kind.RECEIPT]
    slow = Report("mail", Outcome.DELAYED, one.remote_id, None, "alice@example.com", "x.org is slow.")
    await store.do(reports.report, [slow, slow], RECEIPTS_ON_SENT, NOW)
    gone = Report("mail", Outcome.FAILED, one.remote_id, None, "alice@example.com", "Given up.")
    await store.do(reports.report, [gone, slow], RECEIPTS_ON_SENT, NOW)
    told = await notes(store)
    assert (Kind.NOTICE, one.stanza_id, "⏳ x.org is slow.") in told
    assert sum(text.startswith("⏳") for _, _, text in told) == 1
    assert (Kind.ERROR, one.stanza_id, "Given up.") in told


async def test_reports_on_several_recipients_of_one_mail_all_count(store: Store) -> None:
    one = draft(to="Alice@Example.com")
    await store.do(recording.record_out, [one], NOW)
    (found,) = await claimed(store, "mail")
    await settled(store, found, Sent(one.remote_id))
    told = [
        Report("mail", Outcome.FAILED, one.remote_id, None, who, "Gone.")
        for who in ("somebody.else@example.com", "alice@example.com")
    ]
    assert await store.look(reports.knows, told[1])
    assert not await store.look(reports.knows, Report("mail", Outcome.FAILED, "<unknown@x>"))
    await store.do(reports.report, told, RECEIPTS_ON_SENT, NOW)
    assert [kind for kind, _, _ in await notes(store)].count(Kind.ERROR) == 1


async def test_a_raw_mail_is_kept_and_not_shown_among_the_files(store: Store) -> None:
    await store.do(recording.record_out, [draft()], NOW)
    raw = Attachment("message.eml", "message/rfc822", "ab" * 24, 5)
    photo = Attachment("a.jpg", "image/jpeg", "cd" * 24, 5)
    await store.do(blobs.name, [raw, photo], NOW, NOW + 1000)
    await store.do(recording.record_in, [incoming("cut", original=raw, attachments=(photo,))], GROUNDS, NOW)
    (text, file) = await claimed(store, "xmpp:mail")
    assert (text.delivery.kind, file.delivery.kind) == (Kind.MESSAGE, Kind.FILE)
    message = text.delivery.message
    assert message is not None
    assert [one.name for one in message.attachments] == ["a.jpg"]
    found = await store.look(blobs.original, message.id, NOW)
    assert found is not None
    assert (found.name, found.blob) == ("message.eml", raw.blob)
    assert await store.look(blobs.original, message.id, NOW + 2000) is None
