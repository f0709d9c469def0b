"""The twenty cases of the SMS design that must come out right, each by its number and name.

Those that several processes and a chat client are needed for go through real servers and the gateway as
a process; the others through the adapter, real HTTP and the stand-in. All hold Twilio to its own file.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from adapters.sms import segments
from bridge.demo.chat_user import ChatUser
from bridge.demo.gateway_process import ACCOUNT_SID
from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import BadGateway, Drop, Goes, Hang, MmsFile, Refuse, Text, new_sid
from bridge.demo.world import SMS, sms_contact
from bridge.model import Outcome
from bridge.ports import MaybeSent, Refused, Scope, Sent, TryLater
from tests.support.client import body_of, error_text
from tests.support.sms import ALICE, OURS, Rig, delivery, rig, shown
from tests.walks.gateway import PLUMBER, PLUMBER_JID, World, world

SILENT = Goes(())
SECOND = "+15550001001"
BOB = "+15557654321"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
OMEMO = (
    "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AAAA</payload></encrypted>"
)


@pytest.fixture
async def walk(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    async with world(fresh_prosody()) as here:
        yield here


def receipts(user: ChatUser) -> int:
    return len([one for one in user.heard if one.xml.find("{urn:xmpp:receipts}received") is not None])


def errors(user: ChatUser) -> list[str]:
    return [error_text(one) for one in user.heard if one.xml.get("type") == "error"]


def states(walk: World) -> list[str]:
    """Of all texts that went out, as the record has them."""
    with record(walk) as connection:
        return [
            row[0]
            for row in connection.execute("SELECT state FROM deliveries WHERE outlet = 'sms' ORDER BY id")
        ]


def record(walk: World) -> contextlib.closing[sqlite3.Connection]:
    path = walk.gateway.folder / "data" / "passerelle.db"
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


async def locked(walk: World, seconds: float) -> None:
    """Somebody else holds the database's lock for so long."""
    with record(walk) as connection:
        connection.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(seconds)
        connection.execute("ROLLBACK")


def posts(it: Rig) -> int:
    return [exchange.method for exchange in it.twilio.exchanges].count("POST")


async def test_case_01_a_post_accepted_and_cut_is_one_text_bound_by_call_back_or_list(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    walk.carrier.fail(PLUMBER, Drop(taken=True))
    await mira.receipt_for(mira.say(PLUMBER_JID, "by call-back"))
    listed = "+12025550177"
    walk.carrier.usual = SILENT
    walk.carrier.fail(listed, Drop(taken=True))
    mira.say(sms_contact(listed), "by list")
    await walk.carrier.until(lambda: len(walk.carrier.sent_to(listed)) == 1)

    async def settled() -> bool:
        return await walk.queue() == []

    await walk.until(settled, 30)
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["by call-back"]
    assert [text.body for text in walk.carrier.sent_to(listed)] == ["by list"]


@pytest.mark.parametrize("taken", [True, False])
async def test_case_02_an_html_502_is_unknown_and_reconciled_not_refused(taken: bool) -> None:
    async with rig(public=False) as it:
        it.twilio.fail(ALICE, BadGateway(taken=taken))
        doubtful = delivery("hello")
        assert isinstance(await it.send(doubtful), MaybeSent)
        it.now[0] += 15
        found = await it.adapter.find(doubtful)
        assert isinstance(found, Sent if taken else TryLater)
        assert posts(it) == 1
        if not taken:
            assert isinstance(await it.send(doubtful), Sent)
        assert [text.body for text in it.twilio.sent_to(ALICE)] == ["hello"]


async def test_case_03_delivered_before_sent_is_one_receipt_and_stays_delivered(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    walk.carrier.fail(PLUMBER, Goes(("delivered", "sent", "delivered", "sending")))
    await mira.receipt_for(mira.say(PLUMBER_JID, "hello"))
    await walk.carrier.until(lambda: len(walk.carrier.posts) == 4)
    await mira.receipt_for(mira.say(PLUMBER_JID, "and again"))
    assert receipts(mira) == 2
    assert states(walk) == ["delivered", "delivered"]


async def test_case_04_a_call_back_before_the_201_is_answered_200_and_bound_once(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    walk.carrier.fail(PLUMBER, Goes(("sending", "sent", "delivered"), early=True))
    await mira.receipt_for(mira.say(PLUMBER_JID, "hello"))
    assert {post.status // 100 for post in walk.carrier.posts} == {2}
    await mira.receipt_for(mira.say(PLUMBER_JID, "next"))
    assert receipts(mira) == 2
    assert len(walk.carrier.sent_to(PLUMBER)) == 2


async def test_case_05_the_same_inbound_twice_50_ms_apart_is_one_message(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    text = Text(new_sid(), ACCOUNT_SID, PLUMBER, number, "once", "received", True, datetime.now(UTC))
    first = asyncio.create_task(walk.carrier.arrives_again(text))
    await asyncio.sleep(0.05)
    both = await asyncio.gather(first, walk.carrier.arrives_again(text))
    assert [post.status for post in both] == [200, 200]
    await mira.message_from(PLUMBER_JID)
    await walk.carrier.phone(PLUMBER).reply("later", to=text.recipient)
    await mira.message_from(PLUMBER_JID, containing="later")
    assert mira.bodies_from(PLUMBER_JID) == ["once", "later"]


async def test_case_06_a_captured_web_hook_a_day_later_is_answered_200_and_nothing_more(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    await walk.carrier.phone(PLUMBER).reply("hello", to=number)
    await mira.message_from(PLUMBER_JID)
    (captured,) = walk.carrier.posts
    await walk.stop()
    with record(walk) as connection:  # a day goes by
        connection.execute("UPDATE seen SET at = at - 86400")
        connection.execute("UPDATE messages SET written_at = written_at - 86400")
    await walk.start()
    again = await walk.carrier.post(captured.url, captured.form)
    assert (again.status, "<Response></Response>" in again.answer) == (200, True)
    await walk.carrier.phone(PLUMBER).reply("later", to=number)
    await mira.message_from(PLUMBER_JID, containing="later")
    assert mira.bodies_from(PLUMBER_JID) == ["hello", "later"]


async def test_case_07_an_empty_body_with_two_files_one_empty_is_one_file_and_one_notice() -> None:
    files = (MmsFile("image/png", PNG), MmsFile("image/jpeg", b""))
    async with rig(transport_settings={"media_allow": ("localhost",)}) as it:
        post = await it.twilio.phone(ALICE).reply("", to=OURS, media=files)
        assert post.status == 200
        await it.inbox.until(lambda: bool(it.inbox.accepted))
        (incoming,) = it.inbox.accepted
        assert [(one.media_type, one.data) for one in incoming.files] == [("image/png", PNG)]
        assert shown(incoming) == "(A picture came with this text. It is empty.)"
        await it.twilio.until(lambda: any(one.method == "DELETE" for one in it.twilio.exchanges))
        assert it.twilio.given_away == []


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (MmsFile("image/png", redirect="http://127.0.0.2:9/x"), "not encrypted"),
        (MmsFile("image/png", redirect="https://10.0.0.1/x"), "private network"),
        (MmsFile("image/png", redirect="https://[::1]/x"), "private network"),
        (MmsFile("image/png", streams=True), "too large"),
    ],
)
async def test_case_08_a_file_from_a_private_place_or_past_the_cap_is_left_out_and_told(
    file: MmsFile, why: str
) -> None:
    async with rig(transport_settings={"media_allow": ("localhost",)}) as it:
        await it.twilio.phone(ALICE).reply("look", to=OURS, media=(file, MmsFile("image/png", PNG)))
        await it.inbox.until(lambda: bool(it.inbox.accepted), 20)
        (incoming,) = it.inbox.accepted
        assert shown(incoming).startswith("look\n(A picture came with this text. The file ")
        assert why in shown(incoming)
        assert [one.data for one in incoming.files] == [PNG]


def test_case_09_segments_are_counted_as_carriers_count_them() -> None:
    assert segments.measure("a" * 159 + "€") == segments.Length(segments.Encoding.GSM7, 161, 2)
    emoji = segments.measure("😀" * 36)
    assert (emoji.encoding, emoji.segments) == (segments.Encoding.UCS2, 2)
    for part in segments.parts("👩‍👩‍👧" * 300, 70):
        part.encode("utf-16")  # no half of a surrogate pair
        assert not part.startswith("\u200d")


async def test_case_09_the_phone_gets_every_letter_whole_and_the_pace_counts_segments() -> None:
    async with rig(transport_settings={"segments_per_second": 1}) as it:
        for number, (body, seconds) in enumerate([("a" * 159 + "€", 2), ("😀" * 36, 2), ("€", 1)], 1):
            before = it.now[0]
            fate = await it.send(delivery(body, number, recorded_at=before))
            assert isinstance(fate, Sent)
            waits = await it.send(delivery("next", 100 + number, recorded_at=before))
            assert isinstance(waits, TryLater)
            assert waits.after == pytest.approx(seconds, abs=0.1)
            it.now[0] += 10
        family = "👩‍👩‍👧" * 300
        parts = it.adapter.parts(family)
        for part in range(1, len(parts) + 1):
            it.now[0] += 60
            one = delivery(family, 200 + part, part=part, parts=len(parts), recorded_at=it.now[0])
            assert isinstance(await it.send(one), Sent)
        texts = [text.body for text in it.twilio.sent_to(ALICE)]
        assert texts[:3] == ["a" * 159 + "€", "😀" * 36, "€"]
        assert "".join(texts[3:]) == family
        assert all(len(text) <= 1600 and not text.startswith("\u200d") for text in texts)


async def test_case_10_1700_characters_go_in_order_with_one_receipt_or_one_error(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    words = "é".join(f" word{n}" for n in range(230))
    assert len(words) > 1700
    await mira.receipt_for(mira.say(PLUMBER_JID, words))
    texts = [text.body for text in walk.carrier.sent_to(PLUMBER)]
    assert "".join("".join(texts).split()) == "".join(words.split())
    assert max(map(len, texts)) <= 1600
    assert receipts(mira) == 1
    walk.carrier.fail(PLUMBER, Goes(("sent", "undelivered"), 30005), Goes(("sent", "undelivered"), 30005))
    bad = mira.say(PLUMBER_JID, words)
    error = await mira.error_for(bad)
    assert "not in service" in error_text(error)
    await mira.receipt_for(mira.say(PLUMBER_JID, "after"))
    assert len([one for one in mira.heard if one.xml.get("type") == "error"]) == 1


async def test_case_11_stop_binds_one_number_alone_and_start_lifts_it() -> None:
    async with rig(numbers=(OURS, SECOND)) as it:
        alice = it.twilio.phone(ALICE)
        await alice.reply("Stop", to=OURS)
        assert "opted out" in shown(it.inbox.accepted[0])
        refused = await it.send(delivery("one", 1))
        assert isinstance(refused, Refused)
        assert "opted out" in refused.reason
        assert posts(it) == 0  # Twilio was not asked
        assert isinstance(await it.send(delivery("two", 2, sender=SECOND)), Sent)
        await alice.reply("STOP", to=OURS)
        assert shown(it.inbox.accepted[-1]) == "STOP"  # the user was told once
        after = it.another()
        async with after.running(it.inbox):
            assert isinstance((await after.send([delivery("three", 3)]))[delivery("three", 3).id], Refused)
        await alice.reply("START", to=OURS)
        assert "opted in again" in shown(it.inbox.accepted[-1])
        assert isinstance(await it.send(delivery("four", 4)), Sent)


async def test_case_11_twilio_s_21610_is_remembered_for_the_pool_of_a_messaging_service() -> None:
    service = "MG" + "0" * 32
    async with rig(numbers=(OURS, SECOND), transport_settings={"messaging_service_sid": service}) as it:
        it.twilio.fail(ALICE, Refuse(21610))
        assert isinstance(await it.send(delivery("one", 1)), Refused)
        assert isinstance(await it.send(delivery("two", 2, sender=SECOND)), Refused)
        assert posts(it) == 1


@pytest.mark.parametrize("body", ["STOP please", "please stop", "Yes", "start with the kitchen"])
async def test_case_12_words_around_it_make_stop_an_ordinary_message(body: str) -> None:
    async with rig() as it:
        await it.twilio.phone(ALICE).reply(body, to=OURS)
        assert it.inbox.accepted[0].body == body
        assert isinstance(await it.send(delivery("hello")), Sent)


async def test_case_13_a_short_code_has_a_jid_of_its_own_and_is_answered(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    code = "72975;phone-context=+1"
    await walk.carrier.phone("72975").reply("Your code is 123456", to=number)
    assert body_of(await mira.message_from(sms_contact(code))) == "Your code is 123456"
    await mira.receipt_for(mira.say(sms_contact(code), "HELP"))
    assert [text.body for text in walk.carrier.sent_to("72975")] == ["HELP"]
    walk.carrier.fail("72975", Refuse(21265))
    error = await mira.error_for(mira.say(sms_contact(code), "and again"))
    assert "short code" in error_text(error)


async def test_case_14_a_named_sender_has_a_stable_jid_and_takes_no_answer(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    await walk.carrier.arrives("MYBANK", number, "Your balance is low")
    await mira.message_from(sms_contact("mybank"))
    await walk.carrier.arrives("MyBank", number, "Again")
    await mira.message_from(sms_contact("mybank"), containing="Again")
    error = await mira.error_for(mira.say(sms_contact("mybank"), "why?"))
    assert "one-way sender" in error_text(error)
    assert len(walk.carrier.exchanges) == len([one for one in walk.carrier.exchanges if one.method == "GET"])


async def test_case_15_sloppy_input_gets_the_right_jid_and_emergencies_a_refusal(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    gone = await mira.error_for(mira.say("12125551212@sms.localhost", "hi"))
    assert gone["error"]["condition"] == "gone"
    assert "+12125551212@sms.localhost" in str(gone)
    refused = await mira.error_for(mira.say("911@sms.localhost", "help"))
    assert "Emergency" in error_text(refused)
    await mira.receipt_for(mira.say("+15551234567@sms.localhost", "hi"))
    assert [text.body for text in walk.carrier.sent_to("+15551234567")] == ["hi"]


async def test_case_16_200_texts_are_paced_by_their_number_in_order_and_disturb_no_other() -> None:
    async with rig(numbers=(OURS, SECOND), transport_settings={"segments_per_second": None}) as it:
        waiting = [
            delivery(f"{n:03} " + "x" * 200, n, recorded_at=1_000.0) for n in range(1, 201)
        ]  # 2 segments
        sent_at: dict[int, float] = {}
        while waiting:
            fate = await it.send(waiting[0])
            if isinstance(fate, TryLater):
                assert fate.scope is Scope.TURN
                assert fate.after is not None
                it.now[0] += fate.after
                continue
            assert isinstance(fate, Sent)
            sent_at[waiting.pop(0).id] = it.now[0]
            if len(sent_at) == 100:  # in the middle of it, after a restart, the other number is free
                after = it.another()
                async with after.running(it.inbox):
                    other = delivery("other", 900, sender=SECOND, recorded_at=it.now[0])
                    assert isinstance((await after.send([other]))[other.id], Sent)
                    again = (await after.send([waiting[0]]))[waiting[0].id]
                    assert isinstance(again, TryLater)  # the bucket outlived the restart
        assert [text.body[:3] for text in it.twilio.sent_to(ALICE) if text.sender == OURS] == [
            f"{n:03}" for n in range(1, 201)
        ]
        assert max(sent_at.values()) - min(sent_at.values()) == pytest.approx(398, abs=2)
        late = delivery("late", 901, recorded_at=it.now[0] - 5 * 3600)
        expired = await it.send(late)
        assert isinstance(expired, Refused)
        assert "in time" in expired.reason


async def test_case_17_two_gateways_answering_each_other_are_stopped_and_the_admin_told() -> None:
    async with rig() as it:
        bob = it.twilio.phone(BOB)
        fate: object = None
        for n in range(1, 40):
            await bob.reply("I am away", to=OURS)
            it.now[0] += 5
            fate = await it.send(delivery("I am away too", n, recipient=BOB, recorded_at=it.now[0]))
            it.now[0] += 5
            if isinstance(fate, Refused):
                break
        assert n == 31
        assert isinstance(fate, Refused)
        assert "two machines" in fate.reason
        assert OURS in it.adapter.health()
        # A person who talks to somebody else is not disturbed; nor is the pair after a rest.
        assert isinstance(await it.send(delivery("hello", 90, recorded_at=it.now[0])), Sent)
        it.now[0] += 301
        assert isinstance(await it.send(delivery("hello", 91, recipient=BOB, recorded_at=it.now[0])), Sent)


@pytest.mark.parametrize("code", [30007, 30034])
async def test_case_18_a_policy_error_is_not_repeated_and_30034_pauses_that_number_alone(code: int) -> None:
    async with rig(numbers=(OURS, SECOND)) as it:
        it.twilio.fail(ALICE, Goes(("sent", "undelivered"), code))
        assert isinstance(await it.send(delivery("one", 1)), Sent)
        await it.inbox.until(lambda: any(one.outcome is Outcome.FAILED for one in it.inbox.reports))
        report = it.inbox.reports[-1]
        assert (report.code, f"({code})" in report.reason) == (str(code), True)
        assert report.condition == "policy-violation"
        next_one = await it.send(delivery("two", 2, recipient=BOB))
        if code == 30034:
            assert isinstance(next_one, Refused)
            assert OURS in it.adapter.health()
            assert posts(it) == 1
            it.now[0] += 901  # it is tried again after a while
            assert isinstance(await it.send(delivery("three", 3, recipient=BOB)), Sent)
        else:
            assert isinstance(next_one, Sent)
        assert isinstance(await it.send(delivery("four", 4, sender=SECOND)), Sent)
        assert len(it.twilio.sent_to(ALICE)) == 2


@pytest.mark.parametrize("fault", [Drop(taken=True), Drop(taken=False), Hang(3.0, taken=True)])
async def test_case_19_killed_between_post_and_commit_loses_nothing_and_doubles_nothing(
    fresh_prosody: Callable[..., PrivateProsody], fault: Drop | Hang
) -> None:
    async with world(fresh_prosody(), carrier={"latency": lambda: 0.3}) as walk:
        mira = await walk.user(on=(SMS,))
        await mira.receipt_for(mira.say(PLUMBER_JID, "before"))
        walk.carrier.fail(PLUMBER, fault)
        said = mira.say(PLUMBER_JID, "through the kill")
        await walk.carrier.until(lambda: walk.carrier.pending > 0)
        await walk.kill()  # the request is with the provider; its answer reaches nobody
        if isinstance(fault, Hang):
            await walk.carrier.until(lambda: len(walk.carrier.sent_to(PLUMBER)) == 2)
        await walk.start()
        await mira.receipt_for(said, within=60)
        await mira.receipt_for(mira.say(PLUMBER_JID, "after"), within=30)
        assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == [
            "before",
            "through the kill",
            "after",
        ]


async def test_case_19_killed_after_the_201_and_before_its_commit_sends_nothing_twice(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), carrier={"latency": lambda: 0.3}) as walk:
        mira = await walk.user(on=(SMS,))
        await mira.receipt_for(mira.say(PLUMBER_JID, "before"))
        walk.carrier.usual = SILENT
        said = mira.say(PLUMBER_JID, "answered, not written down")
        await walk.carrier.until(lambda: walk.carrier.pending > 0)
        with record(walk) as connection:
            connection.execute("BEGIN IMMEDIATE")  # nobody commits any more
            await walk.carrier.until(
                lambda: walk.carrier.exchanges[-1].status == 201 and not walk.carrier.pending
            )
            await walk.kill()
            (state,) = connection.execute(
                "SELECT state FROM deliveries WHERE outlet = 'sms' ORDER BY id DESC LIMIT 1"
            ).fetchone()
            assert state == "claimed"
            connection.execute("ROLLBACK")
        walk.carrier.sent_to(PLUMBER)[1].advance("delivered", None)
        await walk.start()
        await mira.receipt_for(said, within=60)
        assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == [
            "before",
            "answered, not written down",
        ]


async def test_case_19_a_database_locked_for_ten_seconds_delays_and_loses_nothing(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    ann = await walk.user("ann", on=())
    number = await walk.number_of(mira)
    lock = asyncio.create_task(locked(walk, 10.5))
    await asyncio.sleep(0)  # it is taken
    said = mira.say(PLUMBER_JID, "while it was locked")
    text = asyncio.create_task(walk.carrier.phone(PLUMBER).reply("in meanwhile", to=number))
    for _ in range(4):  # the gateway is there all the time: only what must be written waits
        await asyncio.sleep(2)
        async with asyncio.timeout(2):
            await ann.ask(SMS, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    assert not lock.done()
    await lock
    assert (await text).status == 200  # answered late, and only when it was on disk
    await mira.receipt_for(said, within=30)
    await mira.message_from(PLUMBER_JID, containing="in meanwhile", within=30)
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["while it was locked"]
    assert mira.bodies_from(PLUMBER_JID) == ["in meanwhile"]
    assert errors(mira) == []


async def test_case_19_what_came_while_the_gateway_was_down_is_found_at_its_start(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), carrier={"tries": 1}) as walk:
        mira = await walk.user(on=(SMS,))
        number = await walk.number_of(mira)
        walk.carrier.usual = SILENT
        said = mira.say(PLUMBER_JID, "went out")
        await walk.carrier.until(lambda: len(walk.carrier.sent_to(PLUMBER)) == 1)
        await walk.deliveries("sms", "Sent", 1)
        await walk.stop()
        await came_an_hour_ago(walk, number)
        await walk.start()
        await all_is_there(mira, said)


async def test_case_19_what_came_while_the_web_hook_host_was_down_an_hour_is_found_by_looking(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    async with world(fresh_prosody(), carrier={"tries": 1}, sms={"poll_seconds": 1}) as walk:
        mira = await walk.user(on=(SMS,))
        number = await walk.number_of(mira)
        walk.carrier.reachable = False
        said = mira.say(PLUMBER_JID, "went out")
        await walk.carrier.until(lambda: len(walk.carrier.sent_to(PLUMBER)) == 1)
        await came_an_hour_ago(walk, number)
        await all_is_there(mira, said)
        walk.carrier.reachable = True  # what is posted after all comes in no second time
        for text in [one for one in walk.carrier.texts.values() if one.inbound]:
            assert (await walk.carrier.arrives_again(text)).status == 200
        await walk.carrier.phone(PLUMBER).reply("now", to=number)
        await mira.message_from(PLUMBER_JID, containing="now")
        bodies = [body.partition("\n")[0] for body in mira.bodies_from(PLUMBER_JID)]
        assert bodies == ["STOP nagging", "with a picture", "now"]
        assert receipts(mira) == 1


async def came_an_hour_ago(walk: World, number: str) -> None:
    """Two texts, and the call-back of one that went out: nobody heard of them."""
    await walk.carrier.arrives(PLUMBER, number, "STOP nagging", posted=False, ago=3600)
    picture = [MmsFile("image/png", PNG)]
    await walk.carrier.arrives(PLUMBER, number, "with a picture", picture, posted=False, ago=3500)
    walk.carrier.sent_to(PLUMBER)[0].advance("delivered", None)


async def all_is_there(mira: ChatUser, said: str) -> None:
    await mira.message_from(PLUMBER_JID, containing="STOP nagging", within=30)
    await mira.message_from(PLUMBER_JID, containing="with a picture", within=30)
    await mira.receipt_for(said, within=30)


async def test_case_20_what_is_encrypted_is_never_sent_as_a_text(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    fallback = "I sent you an OMEMO encrypted message but your client doesn't seem to support that."
    error = await mira.error_for(mira.say(PLUMBER_JID, fallback, extra=OMEMO))
    assert "ncrypt" in error_text(error)
    await mira.receipt_for(mira.say(PLUMBER_JID, "in the clear"))
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["in the clear"]
