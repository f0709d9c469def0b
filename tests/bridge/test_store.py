"""The record on SQLite and PostgreSQL: what is written, handed out, settled and told."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select, text

from bridge.model import Envelope, Kind, Outcome, Report, State
from bridge.policy import RetryPolicy, after_attempt
from bridge.ports import Fate, MaybeSent, Refused, Scope, Sent, TryLater
from bridge.store import claiming, inputs, people, recording, reports, settling
from bridge.store.claiming import Claimed
from bridge.store.engine import Store, StoreFailed, StoreLocked, database_url, locked, make_engine
from bridge.store.reports import Heard
from bridge.store.schema import SchemaTooNew, SchemaTooOld, known_revisions, migrate, require_current
from bridge.store.settling import Settlement
from bridge.store.tables import deliveries, intake, metadata
from tests.bridge.records import GROUNDS, RECEIPTS_ON_SENT, draft, incoming

RETRY = RetryPolicy()
NOW = 1_000.0


async def claimed(store: Store, outlet: str, now: float = NOW, per_lane: int = 50) -> list[Claimed]:
    lanes = await store.look(claiming.open_lanes, outlet)
    found = await store.look(claiming.claim, outlet, list(lanes), now, per_lane)
    return [one for batch in found.by_lane.values() for one in batch]


async def settled(store: Store, one: Claimed, fate: Fate, now: float = NOW, repeatable: bool = True) -> Any:
    verdict = after_attempt(one.delivery, one.first_tried_at, fate, now, RETRY, repeatable=repeatable)
    return await store.do(settling.settle, [Settlement(one, verdict, repeatable)], now)


async def notes(store: Store, transport: str = "mail") -> list[tuple[Kind, str, str]]:
    """What the user is told: kind, id of the stanza it is about, text."""
    found = await claimed(store, f"xmpp:{transport}", now=1e9)
    return [
        (one.delivery.kind, one.delivery.note.stanza_id, one.delivery.note.text)
        for one in found
        if one.delivery.note is not None
    ]


@pytest.mark.parametrize("stepwise", [False, True])
def test_the_migrations_make_what_the_tables_say(url: str, *, stepwise: bool) -> None:
    """Whether an empty database is made at once or step by step."""
    assert migrate(url, stepwise=stepwise) == (None, known_revisions()[-1])
    assert migrate(url) == (known_revisions()[-1], known_revisions()[-1])
    require_current(url)
    with make_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_without_schema_names_the_command_that_helps(url: str) -> None:
    with pytest.raises(SchemaTooOld, match="passerelle migrate"):
        require_current(url)


def test_a_newer_schema_is_left_alone(url: str) -> None:
    migrate(url)
    with make_engine(url).connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="newer passerelle"):
        migrate(url)


async def test_a_message_is_recorded_with_its_delivery_and_lane(store: Store) -> None:
    one = draft("Hello Alice")
    (answer,) = await store.do(recording.record_out, [one], NOW)
    (lane,) = answer.lanes
    assert lane[0] == "mail"
    (found,) = await claimed(store, "mail")
    delivery = found.delivery
    assert (delivery.sender, delivery.sender_name) == ("mira@chat.example", "Mira")
    assert delivery.recipient == "alice@example.com"
    assert delivery.message is not None
    assert (delivery.message.body, delivery.message.remote_id) == ("Hello Alice", one.remote_id)
    assert delivery.sender_jid == "mira@localhost"


async def test_a_repeat_is_recorded_once_and_still_answered_as_recorded(store: Store) -> None:
    one = draft("once")
    first = await store.do(recording.record_out, [one, one], NOW)
    again = await store.do(recording.record_out, [draft("once", dedupe=one.dedupe)], NOW)
    assert [a.registered for a in (*first, *again)] == [True, True, True]
    assert len(await claimed(store, "mail")) == 1


async def test_who_is_not_registered_is_told_so_and_nothing_is_kept(store: Store) -> None:
    stranger = draft(jid="eve@localhost")
    (answer,) = await store.do(recording.record_out, [stranger], NOW)
    assert not answer.registered
    assert await claimed(store, "mail") == []
    # Registering later, the same stanza is not taken for a repeat.
    await store.do(people.register, "mail", "eve@localhost", "Eve", ["eve@chat.example"], NOW)
    await store.do(recording.record_out, [stranger], NOW)
    assert len(await claimed(store, "mail")) == 1


async def test_lines_of_a_thread_name_the_mails_before_them(store: Store) -> None:
    first, second = draft("one"), draft("two")
    await store.do(recording.record_out, [first, second], NOW)
    answer = incoming("three", references=(first.remote_id, second.remote_id))
    await store.do(recording.record_in, [answer], GROUNDS, NOW)
    third = draft("four")
    await store.do(recording.record_out, [third], NOW)
    found = [one.delivery.message for one in await claimed(store, "mail")]
    assert [m.in_reply_to for m in found if m] == ["", first.remote_id, answer.remote_id]
    assert found[2] is not None
    assert found[2].references == (first.remote_id, second.remote_id, answer.remote_id)


async def test_a_new_subject_begins_a_new_thread(store: Store) -> None:
    await store.do(recording.record_out, [draft("one", subject="Flat"), draft("two")], NOW)
    await store.do(recording.record_out, [draft("three", subject="Car"), draft("four")], NOW)
    found = [one.delivery.message for one in await claimed(store, "mail") if one.delivery.message]
    assert [(m.body, m.subject, bool(m.in_reply_to)) for m in found] == [
        ("one", "Flat", False),
        ("two", "Flat", True),
        ("three", "Car", False),
        ("four", "Car", True),
    ]


async def test_a_swipe_reply_chooses_the_mail_that_is_answered(store: Store) -> None:
    mails = [incoming("one"), incoming("two")]
    await store.do(recording.record_in, mails, GROUNDS, NOW)
    arrived = [one.delivery for one in await claimed(store, "xmpp:mail")]
    await store.do(recording.record_out, [draft("to the first", reply_to=arrived[0].stanza_id)], NOW)
    (out,) = await claimed(store, "mail")
    assert out.delivery.message is not None
    assert out.delivery.message.in_reply_to == mails[0].remote_id


async def test_a_guessed_id_lets_nobody_into_another_conversation(store: Store) -> None:
    secret = draft("for Alice alone", subject="Secret plan")
    await store.do(recording.record_out, [secret], NOW)
    stranger = incoming("hey", sender="mallory@example.net", references=(secret.remote_id,))
    await store.do(recording.record_in, [stranger], GROUNDS, NOW)
    await store.do(recording.record_out, [draft("who are you", to="mallory@example.net")], NOW)
    out = next(
        one.delivery.message
        for one in await claimed(store, "mail")
        if one.delivery.recipient == "mallory@example.net"
    )
    assert out is not None
    assert secret.remote_id not in out.references
    assert out.subject != "Secret plan"


async def test_the_same_mail_twice_is_one_message(store: Store) -> None:
    one = incoming("hi")
    await store.do(recording.record_in, [one, one], GROUNDS, NOW)
    await store.do(recording.record_in, [one], GROUNDS, NOW)
    (found,) = await claimed(store, "xmpp:mail")
    assert found.delivery.sender == r"alice\40example.com@mail.localhost"
    assert found.delivery.recipient == "mira@localhost"


async def test_what_is_for_nobody_here_is_left_out(store: Store) -> None:
    lanes = await store.do(recording.record_in, [incoming(recipient="nobody@chat.example")], GROUNDS, NOW)
    assert lanes == []


async def test_addresses_that_fold_to_one_node_get_nodes_of_their_own(store: Store) -> None:
    for address in ("straße@example.com", "strasse@example.com"):
        # The server's nodeprep makes both the same node.
        one = draft("hi", to=address, local="strasse%example.com")
        await store.do(recording.record_out, [one], NOW)
    assert {one.delivery.recipient for one in await claimed(store, "mail")} == {
        "straße@example.com",
        "strasse@example.com",
    }


# --- claiming and settling ---


async def test_a_sent_mail_is_receipted_to_the_resource_that_wrote_it(store: Store) -> None:
    one = draft()
    await store.do(recording.record_out, [one], NOW)
    (found,) = await claimed(store, "mail")
    lanes = await settled(store, found, Sent(one.remote_id))
    assert [lane[0] for lane in lanes] == ["xmpp:mail"]
    (note,) = await claimed(store, "xmpp:mail")
    assert note.delivery.kind is Kind.RECEIPT
    assert note.delivery.sender == one.to_jid
    assert note.delivery.recipient == "mira@localhost/phone"
    assert note.delivery.note is not None
    assert note.delivery.note.stanza_id == one.stanza_id
    assert await claimed(store, "mail") == []


async def test_nobody_gets_a_receipt_who_did_not_ask(store: Store) -> None:
    await store.do(recording.record_out, [draft(wants_receipt=False)], NOW)
    (found,) = await claimed(store, "mail")
    assert await settled(store, found, Sent()) == []


async def test_a_refused_mail_is_an_error_with_its_sentence(store: Store) -> None:
    one = draft()
    await store.do(recording.record_out, [one], NOW)
    (found,) = await claimed(store, "mail")
    await settled(store, found, Refused("Alice does not exist there.", "item-not-found", "cancel", "5.1.1"))
    assert await notes(store) == [(Kind.ERROR, one.stanza_id, "Alice does not exist there.")]


async def test_a_message_in_parts_gets_one_receipt_after_the_last(store: Store) -> None:
    one = draft(transport="sms", to="+15551234567", parts=3)
    await store.do(recording.record_out, [one], NOW)
    parts = await claimed(store, "sms")
    assert [p.delivery.part for p in parts] == [1, 2, 3]
    for part in parts:
        assert await settled(store, part, Sent(f"SM{part.delivery.part}"), repeatable=False) == []
    told = [Report("sms", Outcome.DELIVERED, f"SM{n}") for n in (3, 1, 2)]
    await store.do(reports.report, told[:2], RECEIPTS_ON_SENT, NOW)
    assert await notes(store, "sms") == []
    await store.do(reports.report, told[2:], RECEIPTS_ON_SENT, NOW)
    assert [kind for kind, _, _ in await notes(store, "sms")] == [Kind.RECEIPT]


async def test_one_bad_part_is_one_error(store: Store) -> None:
    one = draft(transport="sms", to="+15551234567", parts=3)
    await store.do(recording.record_out, [one], NOW)
    for part in await claimed(store, "sms"):
        await settled(store, part, Refused("The number cannot be reached."), repeatable=False)
    assert await notes(store, "sms") == [(Kind.ERROR, one.stanza_id, "The number cannot be reached.")]


@pytest.mark.parametrize(
    "order",
    [(Outcome.SENT, Outcome.DELIVERED), (Outcome.DELIVERED, Outcome.SENT), (Outcome.DELIVERED,) * 3],
)
async def test_call_backs_in_any_order_are_one_receipt(store: Store, order: tuple[Outcome, ...]) -> None:
    await store.do(recording.record_out, [draft(transport="sms", to="+15551234567")], NOW)
    (found,) = await claimed(store, "sms")
    await settled(store, found, Sent("SM1"), repeatable=False)
    for outcome in order:
        await store.do(reports.report, [Report("sms", outcome, "SM1")], RECEIPTS_ON_SENT, NOW)
    assert [kind for kind, _, _ in await notes(store, "sms")] == [Kind.RECEIPT]


async def test_a_call_back_that_overtakes_the_answer_is_not_undone_by_it(store: Store) -> None:
    await store.do(recording.record_out, [draft(transport="sms", to="+15551234567")], NOW)
    (found,) = await claimed(store, "sms")
    told = Report("sms", Outcome.DELIVERED, "SM1", delivery_id=found.delivery.id)
    await store.do(reports.report, [told], RECEIPTS_ON_SENT, NOW)
    await settled(store, found, Sent("SM1"), repeatable=False)
    assert [kind for kind, _, _ in await notes(store, "sms")] == [Kind.RECEIPT]
    assert await claimed(store, "sms", now=1e9) == []


async def test_a_bounce_after_the_receipt_is_an_error_and_a_line_in_the_chat(store: Store) -> None:
    one = draft()
    await store.do(recording.record_out, [one], NOW)
    (found,) = await claimed(store, "mail")
    await settled(store, found, Sent(one.remote_id))
    bounce = Report("mail", Outcome.FAILED, one.remote_id, reason="The mailbox is full.")
    await store.do(reports.report, [bounce], RECEIPTS_ON_SENT, NOW)
    assert [(kind, text) for kind, _, text in await notes(store)] == [
        (Kind.RECEIPT, ""),
        (Kind.ERROR, "The mailbox is full."),
        (Kind.NOTICE, "✗ The mailbox is full."),
    ]


async def test_what_waits_keeps_its_lane_back_for_ten_minutes_only(store: Store) -> None:
    await store.do(recording.record_out, [draft("one"), draft("two")], NOW)
    first, _ = await claimed(store, "mail")
    await settled(store, first, TryLater("The mailbox is busy.", after=3600.0))
    assert await claimed(store, "mail", NOW + 599) == []
    (second,) = await claimed(store, "mail", NOW + 601)
    assert second.delivery.message is not None
    assert second.delivery.message.body == "two"
    lanes = await store.look(claiming.open_lanes, "mail")
    found = await store.look(claiming.claim, "mail", list(lanes), NOW + 599, 50)
    assert list(found.wake_at.values()) == [NOW + 600]


async def test_what_was_claimed_for_good_is_in_doubt_after_a_crash(store: Store) -> None:
    await store.do(recording.record_out, [draft(transport="sms", to="+15551234567")], NOW)
    lanes = list(await store.look(claiming.open_lanes, "sms"))
    found = await store.do(claiming.claim_for_good, "sms", lanes, NOW, 1)
    assert len(found.by_lane) == 1
    assert (await store.do(claiming.claim_for_good, "sms", lanes, NOW, 1)).by_lane == {}
    assert await store.do(claiming.recover, "sms", NOW + 5) == 1
    (again,) = await claimed(store, "sms", NOW + 5)
    assert again.delivery.uncertain
    await settled(store, again, MaybeSent("no answer"), NOW + 5, repeatable=False)
    (still,) = await claimed(store, "sms", NOW + 700)
    await settled(store, still, MaybeSent("No answer came."), NOW + 700, repeatable=False)
    ((kind, _, words),) = await notes(store, "sms")
    assert kind is Kind.ERROR
    assert "Nobody can say" in words


# --- from the XMPP side ---


async def test_a_clients_receipt_settles_and_only_its_own_message(store: Store) -> None:
    await store.do(recording.record_in, [incoming("hi")], GROUNDS, NOW)
    (found,) = await claimed(store, "xmpp:mail")
    await settled(store, found, Sent())
    stanza_id = found.delivery.stanza_id
    await store.do(reports.hear, [Heard("mail", "eve@localhost", stanza_id)], NOW)
    assert await _state(store, found) == State.SENT
    await store.do(reports.hear, [Heard("mail", "mira@localhost", stanza_id)], NOW)
    assert await _state(store, found) == State.DELIVERED
    assert await store.do(reports.say_again, [found.delivery.id], NOW) == []


async def test_an_error_for_an_offline_user_waits_until_they_are_back(store: Store) -> None:
    await store.do(recording.record_in, [incoming("hi")], GROUNDS, NOW)
    (found,) = await claimed(store, "xmpp:mail")
    await settled(store, found, Sent())
    heard = Heard("mail", "mira@localhost", found.delivery.stanza_id, "service-unavailable")
    await store.do(reports.hear, [heard], NOW)
    assert await claimed(store, "xmpp:mail", NOW + 10) == []
    assert await store.do(reports.came_back, "xmpp:mail", "mira@localhost", NOW + 20) != []
    (again,) = await claimed(store, "xmpp:mail", NOW + 20)
    assert again.delivery.stanza_id == found.delivery.stanza_id


async def test_a_receipt_that_waits_for_a_user_goes_when_they_are_back(store: Store) -> None:
    await store.do(recording.record_out, [draft()], NOW)
    (found,) = await claimed(store, "mail")
    await settled(store, found, Sent())
    (note,) = await claimed(store, "xmpp:mail")
    await settled(store, note, TryLater("offline", after=3600.0, scope=Scope.RECIPIENT))
    assert await claimed(store, "xmpp:mail", NOW + 10) == []
    assert await store.do(reports.came_back, "xmpp:mail", "mir@localhost", NOW + 20) == []
    assert await store.do(reports.came_back, "xmpp:mail", "mira@localhost", NOW + 20) != []
    (again,) = await claimed(store, "xmpp:mail", NOW + 20)
    assert again.delivery.kind is Kind.RECEIPT


async def test_what_may_be_lost_with_a_stream_goes_again_to_clients_that_send_receipts(store: Store) -> None:
    await store.do(recording.record_in, [incoming("one"), incoming("two")], GROUNDS, NOW)
    one, two = await claimed(store, "xmpp:mail")
    for found in (one, two):
        await settled(store, found, Sent())
    ids = [one.delivery.id, two.delivery.id]
    assert await store.do(reports.say_again, ids, NOW) == []
    await store.do(reports.hear, [Heard("mail", "mira@localhost", one.delivery.stanza_id)], NOW)
    assert len(await store.do(reports.say_again, ids, NOW)) == 1
    (again,) = await claimed(store, "xmpp:mail")
    assert again.delivery.stanza_id == two.delivery.stanza_id


async def _state(store: Store, one: Claimed) -> str:
    return await store.look(
        lambda connection: connection.execute(
            select(deliveries.c.state).where(deliveries.c.id == one.delivery.id)
        ).scalar_one()
    )


# --- people ---


async def test_registering_twice_edits_and_the_second_user_is_untouched(store: Store) -> None:
    await store.do(people.register, "mail", "tom@localhost", "Tom", ["tom@chat.example"], NOW)
    line = await store.do(people.register, "mail", "mira@localhost", "Mira B", ["x@chat.example"], NOW)
    assert (line.name, line.address) == ("Mira B", "mira@chat.example")
    assert len(await store.look(people.lines_on, "mail")) == 2


async def test_a_taken_address_passes_to_the_next_candidate(store: Store) -> None:
    pool = ["+15550001000", "+15550001001"]
    line = await store.do(people.register, "sms", "tom@localhost", "", pool, NOW)
    assert line.address == "+15550001001"
    with pytest.raises(people.AddressTaken):
        await store.do(people.register, "sms", "eve@localhost", "", pool, NOW)
    assert await store.look(people.summary_of, "eve@localhost") is None


async def test_leaving_takes_everything_along_but_the_other_transport(store: Store) -> None:
    await store.do(recording.record_out, [draft(), draft(transport="sms", to="+15551234567")], NOW)
    assert await store.do(people.leave, "mail", "mira@localhost", NOW) == []
    assert await claimed(store, "mail") == []
    assert len(await claimed(store, "sms")) == 1
    assert await store.do(people.leave, "mail", "mira@localhost", NOW) is None


# --- intake ---


async def test_inputs_are_kept_in_order_until_they_are_done(store: Store) -> None:
    envelope = Envelope("mail", "a@example.com", ("mira@chat.example",), NOW, "127.0.0.1")
    await store.do(inputs.keep, [(b"one", envelope), (b"two", envelope)])
    found = await store.look(inputs.oldest, 10, 1 << 20)
    assert [(one.raw, one.envelope) for one in found] == [(b"one", envelope), (b"two", envelope)]
    assert len(await store.look(inputs.oldest, 10, 1)) == 1
    await store.do(inputs.done, [found[0].id])
    await store.do(inputs.set_aside, [found[1].id])
    assert await store.look(inputs.oldest, 10, 1 << 20) == []
    assert await store.look(lambda c: c.execute(select(func.count()).select_from(intake)).scalar_one()) == 1


# --- transactions ---


async def test_one_bad_transaction_hurts_no_other_in_the_same_commit(store: Store) -> None:
    def good(connection: Connection, body: bytes) -> None:
        connection.execute(
            insert(intake).values(transport="mail", raw=body, envelope="{}", received_at=NOW)
        )

    def bad(connection: Connection) -> None:
        good(connection, b"half")
        raise ValueError("no")

    def broken(connection: Connection) -> None:
        good(connection, b"half")
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    works = [(good, b"1"), (bad,), (good, b"2"), (broken,), (good, b"3")]
    calls = [store.do(function, *arguments) for function, *arguments in works]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    nothing = type(None)
    assert [type(answer) for answer in answers] == [nothing, ValueError, nothing, StoreFailed, nothing]
    rows = await store.look(lambda c: [bytes(raw) for raw in c.execute(select(intake.c.raw)).scalars()])
    assert rows == [b"1", b"2", b"3"]


async def test_a_full_disk_takes_nothing_back_that_was_reported_safe(tmp_path: Path) -> None:
    url = database_url("sqlite", tmp_path)
    migrate(url)

    def write(connection: Connection, size: int) -> None:
        connection.execute(text("PRAGMA max_page_count = 200"))  # 800 KiB: holds for this connection only
        connection.execute(
            insert(intake).values(transport="mail", raw=b"x" * size, envelope="{}", received_at=NOW)
        )

    async with Store(url) as store:
        sizes = [100, 10_000_000, 100, 10_000_000, 100]
        answers = await asyncio.gather(*(store.do(write, size) for size in sizes), return_exceptions=True)
        good = [size for size, answer in zip(sizes, answers, strict=True) if answer is None]
        assert good == [100, 100, 100]
    with sqlite3.connect(tmp_path / "passerelle.db") as connection:
        assert connection.execute("SELECT count(*) FROM intake").fetchone() == (3,)
    connection.close()


def test_a_second_gateway_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StoreLocked, match="another passerelle"), locked(tmp_path):
        pass


