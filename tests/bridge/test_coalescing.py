"""Lines that become one mail: the window, who joins, what each line is told; across crashes too."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from bridge.events import ChatState
from bridge.gateway import Gateway
from bridge.model import Kind
from bridge.ports import Refused, Scope, Sent, TryLater
from bridge.store import desk, recording
from bridge.store.engine import Store
from tests.bridge.exchange import ALICE, Exchange
from tests.bridge.records import GROUNDS, incoming


@pytest.fixture
async def here(store: Store) -> AsyncIterator[Exchange]:
    exchange = Exchange(store)
    async with exchange.dispatching():
        yield exchange


async def test_quick_lines_are_one_mail_and_each_has_its_receipt(here: Exchange) -> None:
    ids = await here.say("Hello Alice")
    here.later(5)
    ids += await here.say("is the flat still free?", "Mira")
    here.later(29)
    assert here.mail.taken == []
    here.later(1)
    await here.mail.gets("Hello Alice\nis the flat still free?\nMira")
    await here.told_by_mail.told(Kind.RECEIPT, *ids)


async def test_the_window_ends_two_minutes_after_the_first_line(here: Exchange) -> None:
    for n in range(5):
        await here.say(str(n))
        here.later(25)
    await here.mail.gets("0\n1\n2\n3\n4")


async def test_a_window_that_was_left_open_too_long_takes_nothing_in(here: Exchange) -> None:
    here.dispatcher.halt("mail", True)
    await here.say("one")
    here.later(31)
    await here.say("two")
    here.dispatcher.halt("mail", False)
    await here.mail.gets("one")
    here.later(30)
    await here.mail.gets("one", "two")


async def test_typing_holds_the_window_open_and_a_pause_lets_it_go(here: Exchange) -> None:
    await here.say("one")
    here.later(20)
    await here.types(True)
    here.later(50)
    assert here.mail.taken == []
    await here.types(False)
    here.later(29)
    await here.say("two")
    here.later(21)  # two minutes after the first
    await here.mail.gets("one\ntwo")


async def test_typing_for_ever_holds_it_two_minutes(here: Exchange) -> None:
    await here.say("one")
    await here.types(True)
    here.later(119)
    assert here.mail.taken == []
    here.later(1)
    await here.mail.gets("one")


async def test_a_second_window_has_its_own_two_minutes(here: Exchange) -> None:
    await here.say("one")
    here.later(30)
    await here.mail.gets("one")
    here.later(80)
    await here.say("two")  # 110 s after the first
    await here.types(True)
    here.later(60)
    await here.say("three")
    here.later(30)
    await here.mail.gets("one", "two\nthree")


async def test_a_pause_counts_though_the_typing_came_with_the_line(here: Exchange) -> None:
    """Recorded together: a client that types on at once."""
    await here.say("one")
    here.later(5)
    line, composing = here.line("two", ALICE), ChatState("mira@localhost", ALICE, composes=True)
    await here.gateway.carry_out("mail", [line, composing])
    here.later(10)
    await here.types(False)
    here.later(30)
    await here.mail.gets("one\ntwo")


async def test_a_pause_without_typing_changes_nothing(here: Exchange) -> None:
    await here.say("one")
    here.later(20)
    await here.types(False)
    here.later(10)
    await here.mail.gets("one")


async def test_without_a_window_each_line_goes_at_once(store: Store) -> None:
    exchange = Exchange(store, coalesce=0.0)
    async with exchange.dispatching():
        await exchange.say("one", "two")
        await exchange.mail.gets("one", "two")


@pytest.mark.parametrize(("chosen", "waits"), [("0", 0), ("60", 60), ("nonsense", 30)])
async def test_a_user_may_choose_another_window(here: Exchange, chosen: str, waits: int) -> None:
    await choose(here.gateway, here.store, chosen)
    await here.say("one")
    if waits:
        here.later(waits - 1)
        assert here.mail.taken == []
        here.later(1)
    await here.mail.gets("one")


async def choose(gateway: Gateway, store: Store, seconds: str) -> None:
    await store.do(desk.choose, "mail", "mira@localhost", "coalesce", seconds)


async def test_lines_that_do_not_belong_together_go_apart_and_in_order(here: Exchange) -> None:
    await here.say("one")
    await here.say("two", subject="The car")
    await here.say("three", options={"all": "1"})
    await here.say("four", options={"all": "1"})
    here.later(30)
    await here.mail.gets("one", "two", "three\nfour")


async def test_an_answer_to_another_mail_goes_apart(here: Exchange) -> None:
    mails = [incoming("one"), incoming("two")]
    await here.store.do(recording.record_in, mails, GROUNDS, here.clock())
    here.later(0)
    await here.told_by_mail.gets("one", "two")
    first, second = (one.stanza_id for one in here.told_by_mail.taken)
    await here.say("to the second", reply_to=second)
    await here.say("still to the second")
    await here.say("to the first", reply_to=first)
    here.later(30)
    await here.mail.gets("to the second\nstill to the second", "to the first")
    replies = [one.message.in_reply_to for one in here.mail.taken if one.message]
    assert replies == [mails[1].remote_id, mails[0].remote_id]


async def test_answering_a_line_of_ones_own_that_waits_joins_it(here: Exchange) -> None:
    (first,) = await here.say("one")
    await here.say("two", reply_to=first)
    here.later(30)
    await here.mail.gets("one\ntwo")


async def test_contacts_have_windows_of_their_own(here: Exchange) -> None:
    await here.say("one")
    await here.say("uno", to=r"bob\40example.com")
    await here.say("two")
    here.later(30)
    await here.mail.until(lambda: len(here.mail.taken) == 2)
    assert sorted(here.mail.bodies) == ["one\ntwo", "uno"]


async def test_a_line_that_a_client_repeats_is_in_the_mail_once(here: Exchange) -> None:
    line = here.line("one")
    await here.gateway.carry_out("mail", [line, line])
    await here.gateway.carry_out("mail", [line])
    await here.say("two")
    here.later(30)
    await here.gateway.carry_out("mail", [line])
    await here.mail.gets("one\ntwo")


async def test_a_window_outlives_the_process_and_an_overdue_one_closes_at_once(store: Store) -> None:
    exchange = Exchange(store)
    async with exchange.dispatching():
        ids = await exchange.say("one", "two")
    async with exchange.dispatching():
        ids += await exchange.say("three")
    exchange.clock.now += 600
    async with exchange.dispatching():
        await exchange.mail.gets("one\ntwo\nthree")
        await exchange.told_by_mail.told(Kind.RECEIPT, *ids)


async def test_what_is_closed_is_joined_by_nothing(here: Exchange) -> None:
    """The mail server is away: the same mail is tried again, and later lines are another."""
    here.mail.answer = lambda delivery: TryLater("greylisted", after=60.0)
    await here.say("one")
    here.later(30)
    await here.mail.until(lambda: here.mail.begun == 1)
    await here.say("two")
    here.mail.answer = lambda delivery: Sent("<x@far>")
    here.later(61)
    await here.mail.gets("one", "two")


async def test_a_refusal_is_told_of_each_line(here: Exchange) -> None:
    here.mail.answer = lambda delivery: Refused("Alice does not exist there.", "item-not-found")
    ids = await here.say("one", "two")
    here.later(30)
    await here.told_by_mail.told(Kind.ERROR, *ids)


async def test_a_mail_of_many_lines_names_one_message_in_its_thread(here: Exchange) -> None:
    await here.say("one", "two")
    here.later(30)
    await here.mail.gets("one\ntwo")
    await here.say("three")
    here.later(30)
    await here.mail.until(lambda: len(here.mail.taken) == 2)
    first, second = (one.message for one in here.mail.taken)
    assert first is not None
    assert second is not None
    assert second.references == (first.remote_id,)
    assert (first.subject, second.subject) == ("one", "one")


async def test_send_now_ends_the_wait(here: Exchange) -> None:
    await here.say("one", "two")
    assert await here.gateway.send_now("mail", "mira@localhost", ALICE) == "Sent."
    await here.say("three")
    await here.mail.gets("one\ntwo")


async def test_a_hundred_lines_are_a_mail(here: Exchange) -> None:
    await here.say(*(str(n) for n in range(101)))
    await here.mail.gets("\n".join(str(n) for n in range(100)))


async def test_the_lines_of_a_mail_are_found_by_index(store: Store) -> None:
    def plan(connection: Connection) -> str:
        if connection.dialect.name != "sqlite":
            return ""
        rows = connection.execute(
            text("EXPLAIN QUERY PLAN SELECT * FROM messages WHERE id = 5 OR envelope_id = 5 ORDER BY id")
        )
        return " ".join(row.detail for row in rows)

    assert "SCAN messages" not in await store.look(plan)


async def test_a_mail_server_that_is_away_keeps_the_window_too(here: Exchange) -> None:
    here.mail.answer = lambda delivery: TryLater("away", after=0.0, scope=Scope.OUTLET)
    await here.say("one")
    here.later(30)
    await here.mail.until(lambda: here.mail.begun >= 1)
    here.mail.answer = lambda delivery: Sent("<x@far>")
    here.later(5)
    await here.mail.gets("one")
