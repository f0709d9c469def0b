"""Second thoughts: corrections, retractions, holds of first texts, /undo and /cancel, notes about delays."""

from collections.abc import AsyncIterator

import pytest

from bridge.events import Denied
from bridge.model import Delivery, Kind
from bridge.ports import Fate, MaybeSent, Refused, Scope, Sent, TryLater
from bridge.store import claiming, queue, recording
from bridge.store.engine import Store
from tests.bridge.exchange import ALICE, PLUMBER, Exchange
from tests.bridge.records import GROUNDS, incoming

ME = "mira@localhost"


@pytest.fixture
async def here(store: Store) -> AsyncIterator[Exchange]:
    exchange = Exchange(store)
    async with exchange.dispatching():
        yield exchange


@pytest.fixture
async def at_once(store: Store) -> AsyncIterator[Exchange]:
    """Without windows and holds."""
    exchange = Exchange(store, coalesce=0.0, first_hold=0.0)
    async with exchange.dispatching():
        yield exchange


# --- corrections ---


async def test_a_correction_inside_the_window_edits_the_line(here: Exchange) -> None:
    first, second = await here.say("Helo Alice", "how are you?")
    (fixed,) = await here.say("Hello Alice", replaces=first)
    here.later(30)
    await here.mail.gets("Hello Alice\nhow are you?")
    await here.told_by_mail.told(Kind.RECEIPT, first, second, fixed)
    assert here.mail.taken[0].message is not None
    assert here.mail.taken[0].message.subject == "Hello Alice"


@pytest.mark.parametrize("named", ["the first", "the last"])
async def test_a_line_may_be_corrected_again(here: Exchange, named: str) -> None:
    """XEP-0308 names the original each time; some clients name the correction before."""
    (first,) = await here.say("Helo")
    (again,) = await here.say("Hallo", replaces=first)
    await here.say("Hello", replaces=first if named == "the first" else again)
    here.later(30)
    await here.mail.gets("Hello")


async def test_a_correction_begins_the_wait_anew(here: Exchange) -> None:
    (first,) = await here.say("Helo")
    here.later(20)
    await here.say("Hello", replaces=first)
    here.later(20)
    assert here.mail.taken == []
    here.later(10)
    await here.mail.gets("Hello")


async def test_a_correction_in_the_same_breath_edits_too(here: Exchange) -> None:
    line = here.line("Helo")
    assert (
        await here.gateway.carry_out(
            "mail", [line, here.line("Hello", replaces=line.stanza_id), here.line("you")]
        )
        == [None] * 3
    )
    here.later(30)
    await here.mail.gets("Hello\nyou")


async def test_a_correction_that_a_client_repeats_changes_nothing(here: Exchange) -> None:
    (first,) = await here.say("Helo")
    fix = here.line("Hello", replaces=first)
    await here.gateway.carry_out("mail", [fix, fix])
    here.later(30)
    await here.mail.gets("Hello")
    await here.gateway.carry_out("mail", [fix])
    await here.say("next")
    here.later(30)
    await here.mail.gets("Hello", "next")


async def test_a_correction_of_what_has_gone_follows_it_up_in_the_same_thread(here: Exchange) -> None:
    (first,) = await here.say("At nine")
    here.later(30)
    await here.mail.gets("At nine")
    (fixed,) = await here.say("At ten", replaces=first)
    here.later(30)
    await here.mail.gets("At nine", "Correction: At ten")
    await here.told_by_mail.told(Kind.RECEIPT, first, fixed)
    before, after = (one.message for one in here.mail.taken)
    assert before is not None
    assert after is not None
    assert after.in_reply_to == before.remote_id
    assert after.options == {"correction": first}


async def test_a_follow_up_that_waits_is_corrected_itself(here: Exchange) -> None:
    (first,) = await here.say("At nine")
    here.later(30)
    await here.mail.gets("At nine")
    await here.say("At tne", replaces=first)
    await here.say("At ten", replaces=first)
    here.later(30)
    await here.mail.gets("At nine", "Correction: At ten")


async def test_texts_are_followed_up_too(at_once: Exchange) -> None:
    (first,) = await at_once.text("At nine")
    await at_once.sms.gets("At nine")
    await at_once.text("At ten", replaces=first)
    await at_once.sms.gets("At nine", "Correction: At ten")


async def test_a_correction_of_what_nobody_knows_is_a_message(here: Exchange) -> None:
    await here.say("Hello", replaces="never-seen")
    here.later(30)
    await here.mail.gets("Hello")


async def test_a_correction_of_what_was_refused_is_a_message(at_once: Exchange) -> None:
    at_once.mail.answer = lambda delivery: Refused("No such mailbox.")
    (first,) = await at_once.say("Helo")
    await at_once.told_by_mail.told(Kind.ERROR, first)
    at_once.mail.answer = lambda delivery: Sent()
    await at_once.say("Hello", replaces=first)
    await at_once.mail.gets("Hello")


async def test_nobody_corrects_a_line_of_another_conversation(here: Exchange) -> None:
    (first,) = await here.say("for Alice")
    await here.say("for Bob", to=r"bob\40example.com", replaces=first)
    here.later(30)
    await here.mail.until(lambda: len(here.mail.taken) == 2)
    assert sorted(here.mail.bodies) == ["for Alice", "for Bob"]


# --- retractions ---


async def test_a_retraction_inside_the_window_takes_the_line_out(here: Exchange) -> None:
    first, second, third = await here.say("Hello", "you fool", "my friend")
    assert await here.retract(second) is None
    assert await here.retract(second) is None  # a client that says it twice
    here.later(30)
    await here.mail.gets("Hello\nmy friend")
    await here.told_by_mail.told(Kind.RECEIPT, first, third)


async def test_the_first_line_may_go_and_its_subject_with_it(here: Exchange) -> None:
    first, second = await here.say("Oops", "Hello")
    assert await here.retract(first) is None
    here.later(30)
    await here.mail.gets("Hello")
    await here.told_by_mail.told(Kind.RECEIPT, second)
    assert here.mail.taken[0].message is not None
    assert here.mail.taken[0].message.subject == "Hello"


async def test_when_all_lines_are_taken_back_nothing_goes(here: Exchange) -> None:
    first, second = await here.say("one", "two")
    assert await here.retract(second) is None
    assert await here.retract(first) is None
    here.later(60)
    await here.say("three")
    here.later(30)
    await here.mail.gets("three")
    message = here.mail.taken[0].message
    assert message is not None
    assert (message.references, message.subject) == ((), "three")  # nobody ever saw the thread before
    assert here.told_by_mail.notes(Kind.ERROR) == []


async def test_a_corrected_line_is_taken_back_with_its_correction(here: Exchange) -> None:
    (first,) = await here.say("Helo")
    await here.say("Hello", replaces=first)
    assert await here.retract(first) is None
    here.later(120)
    assert (await here.store.look(queue.list_open)) == []
    assert here.mail.taken == []


async def test_a_retraction_that_asks_for_a_receipt_gets_one(here: Exchange) -> None:
    (first,) = await here.say("one")
    assert await here.retract(first, wants_receipt=True) is None
    await here.told_by_mail.until(lambda: len(here.told_by_mail.notes(Kind.RECEIPT)) == 1)
    assert here.told_by_mail.notes(Kind.RECEIPT)[0].startswith("r")


async def test_what_has_gone_cannot_be_taken_back(at_once: Exchange) -> None:
    (first,) = await at_once.say("one")
    await at_once.told_by_mail.told(Kind.RECEIPT, first)
    denied = await at_once.retract(first)
    assert denied is not None
    assert denied.text.startswith("Already sent 2023-11-14 ")
    assert denied.text.endswith("; it can't be taken back.")


async def test_what_is_being_sent_cannot_be_taken_back(at_once: Exchange) -> None:
    at_once.mail.gate.clear()
    first, behind = await at_once.say("one", "two")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    for one in (first, behind):
        denied = await at_once.retract(one)
        assert denied is not None
        assert "just now" in denied.text
    at_once.mail.gate.set()
    await at_once.mail.gets("one", "two")


async def test_what_waits_its_turn_in_the_queue_is_taken_back(at_once: Exchange) -> None:
    at_once.mail.answer = lambda delivery: TryLater("greylisted", after=60.0)
    (first,) = await at_once.say("one")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    second, third = await at_once.say("two", "three")
    await settled(at_once)
    assert await at_once.retract(second) is None
    at_once.mail.answer = lambda delivery: Sent()
    at_once.later(61)
    await at_once.mail.gets("one", "three")
    await at_once.told_by_mail.told(Kind.RECEIPT, first, third)
    message = at_once.mail.taken[1].message
    assert message is not None
    assert len(message.references) == 1


async def settled(here: Exchange) -> None:
    """Until the first in the queue has been written down as waiting."""

    async def waits() -> bool:
        if not any(one.attempts for one in await here.store.look(queue.list_open)):
            return False
        # Written down; out of the dispatcher's hands a moment later.
        lanes = [("mail", lane) for lane in await here.store.look(claiming.open_lanes, "mail")]
        with here.dispatcher.untouched(lanes) as free:
            return len(free) == len(lanes)

    for _ in range(500):
        if await waits():
            return
    raise AssertionError("nothing was settled")


async def test_a_line_of_a_closed_mail_stays_in_it(here: Exchange) -> None:
    here.mail.answer = lambda delivery: TryLater("greylisted", after=60.0)
    first, second = await here.say("one", "two")
    here.later(30)
    await here.mail.until(lambda: here.mail.begun == 1)
    await settled(here)
    for one in (first, second):
        denied = await here.retract(one)
        assert denied is not None
        assert "other lines" in denied.text
    here.mail.answer = lambda delivery: Sent()
    here.later(61)
    await here.mail.gets("one\ntwo")


async def test_what_may_have_gone_is_not_said_to_be_taken_back(at_once: Exchange) -> None:
    at_once.mail.answer = lambda delivery: MaybeSent("The line broke.")
    (first,) = await at_once.say("one")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    await settled(at_once)
    denied = await at_once.retract(first)
    assert denied is not None
    assert "may have been sent" in denied.text
    answer = await at_once.gateway.cancel("mail", ME, ALICE)
    assert "may have arrived" in answer
    assert await at_once.store.look(queue.list_open) == []


@pytest.mark.parametrize("target", ["never-seen", "refused"])
async def test_a_retraction_of_what_never_went_has_nothing_to_do(at_once: Exchange, target: str) -> None:
    at_once.mail.answer = lambda delivery: Refused("No such mailbox.")
    (refused,) = await at_once.say("one")
    await at_once.told_by_mail.told(Kind.ERROR, refused)
    assert await at_once.retract(refused if target == "refused" else target) is None


async def test_a_retraction_takes_a_waiting_follow_up_back_and_says_what_has_gone(here: Exchange) -> None:
    (first,) = await here.say("At nine")
    here.later(30)
    await here.mail.gets("At nine")
    await here.told_by_mail.told(Kind.RECEIPT, first)
    await here.say("At ten", replaces=first)
    denied = await here.retract(first)
    assert denied is not None
    assert "Already sent" in denied.text
    here.later(120)
    await here.say("next")
    here.later(30)
    await here.mail.gets("At nine", "next")


# --- the first text to a number ---


async def test_a_first_text_waits_and_says_so(here: Exchange) -> None:
    await here.text("Are you coming?")
    await here.told_by_sms.told(Kind.NOTICE, f"To {PLUMBER}, new. Goes in 10 s; /undo stops it.")
    (notice,) = here.told_by_sms.taken
    assert (notice.sender, notice.recipient) == (f"{PLUMBER}@sms.localhost", "mira@localhost/phone")
    assert notice.note is not None
    assert not notice.note.keep
    await here.text("Hello?")
    here.later(9)
    assert here.sms.taken == []
    here.later(1)
    await here.sms.gets("Are you coming?", "Hello?")
    await here.text("Thanks")
    await here.sms.gets("Are you coming?", "Hello?", "Thanks")
    assert len(here.told_by_sms.notes(Kind.NOTICE)) == 1


async def test_a_first_text_can_be_undone_and_the_next_is_a_first_again(here: Exchange) -> None:
    await here.text("Are you coming?")
    answer = await here.gateway.undo("sms", ME, PLUMBER)
    assert answer == "Taken back, not sent: Are you coming?"
    here.later(20)
    assert here.sms.taken == []
    await here.text("Wrong number")
    await here.told_by_sms.until(lambda: len(here.told_by_sms.notes(Kind.NOTICE)) == 2)
    here.later(10)
    await here.sms.gets("Wrong number")


async def test_a_held_text_is_corrected_for_real(here: Exchange) -> None:
    (first,) = await here.text("Are you comming?")
    await here.text("Are you coming?", replaces=first)
    here.later(10)
    await here.sms.gets("Are you coming?")


async def test_who_wrote_first_is_answered_at_once(here: Exchange) -> None:
    text = incoming("Your parcel", sender=PLUMBER, transport="sms")
    await here.store.do(recording.record_in, [text], GROUNDS, here.clock())
    await here.text("Thanks")
    await here.sms.gets("Thanks")


async def test_a_first_text_goes_at_once_when_asked(here: Exchange) -> None:
    await here.text("Are you coming?", "Hello?")
    assert await here.gateway.send_now("sms", ME, PLUMBER) == "Sent."
    await here.sms.gets("Are you coming?", "Hello?")


async def test_a_held_text_outlives_the_process(store: Store) -> None:
    exchange = Exchange(store)
    async with exchange.dispatching():
        await exchange.text("Are you coming?")
    exchange.clock.now += 60
    async with exchange.dispatching():
        await exchange.sms.gets("Are you coming?")


# --- undo, cancel, why ---


async def test_undo_takes_the_newest_line_back(here: Exchange) -> None:
    await here.say("one", "two")
    assert await here.gateway.undo("mail", ME, ALICE) == "Taken back, not sent: two"
    here.later(30)
    await here.mail.gets("one")
    await here.told_by_mail.until(lambda: len(here.told_by_mail.notes(Kind.RECEIPT)) == 1)
    with pytest.raises(Denied, match="gone already"):
        await here.gateway.undo("mail", ME, ALICE)
    with pytest.raises(Denied, match="gone already"):
        await here.gateway.send_now("mail", ME, ALICE)


async def test_cancel_takes_one_message_back_by_its_id(here: Exchange) -> None:
    first, _ = await here.say("one", "two")
    assert await here.gateway.cancel("mail", ME, ALICE, first) == "Taken back, not sent: one"
    with pytest.raises(Denied, match="nothing left"):
        await here.gateway.cancel("mail", ME, ALICE, first)
    here.later(30)
    await here.mail.gets("two")


async def test_cancel_gives_up_what_is_still_being_tried(at_once: Exchange) -> None:
    at_once.mail.answer = lambda delivery: TryLater("greylisted", after=3600.0)
    await at_once.say("one")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    await settled(at_once)
    assert await at_once.gateway.cancel("mail", ME, ALICE) == "Given up; it was not sent."
    assert await at_once.store.look(queue.list_open) == []
    at_once.mail.answer = lambda delivery: Sent()
    await at_once.say("two")
    await at_once.mail.gets("two")


async def test_why_tells_what_happened_and_when(at_once: Exchange) -> None:
    def answer(delivery: Delivery) -> Fate:
        return TryLater("greylisted", after=60.0) if at_once.mail.begun == 1 else Sent("<id@far>")

    at_once.mail.answer = answer
    (first,) = await at_once.say("one")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    await settled(at_once)
    known = await at_once.gateway.status_of("mail", ME, ALICE)
    assert [(fact.what, fact.text) for fact in known][-1] == ("waits", "greylisted")
    at_once.later(61)
    await at_once.told_by_mail.told(Kind.RECEIPT, first)
    known = await at_once.gateway.status_of("mail", ME, ALICE, first)
    assert [fact.what for fact in known] == ["written", "tried", "sent"]
    assert known[-1].remote_id == "<id@far>"
    assert await at_once.gateway.status_of("mail", ME, ALICE, "never-seen") == []


# --- delays ---


async def test_a_message_that_does_not_get_through_is_spoken_of_once(at_once: Exchange) -> None:
    at_once.mail.answer = lambda delivery: TryLater("Their server asks to come back later.", after=7200.0)
    await at_once.say("one")
    await at_once.mail.until(lambda: at_once.mail.begun == 1)
    await settled(at_once)
    await at_once.say("two")
    at_once.later(601)
    said = "Still trying: Their server asks to come back later. /cancel gives up."
    await at_once.told_by_mail.told(Kind.NOTICE, said)
    at_once.later(300)
    at_once.later(601)
    await at_once.say("hello", to=r"bob\40example.com")
    await at_once.mail.until(lambda: at_once.mail.begun >= 3)
    assert at_once.told_by_mail.notes(Kind.NOTICE) == [said]


async def test_a_far_end_that_is_away_for_long_is_spoken_of_too(at_once: Exchange) -> None:
    away = TryLater("The mail server does not answer.", scope=Scope.OUTLET)
    at_once.mail.answer = lambda delivery: away
    await at_once.say("one")
    await at_once.say("two", to=r"bob\40example.com")
    await at_once.mail.until(lambda: at_once.mail.begun >= 1)
    at_once.later(601)
    said = "Still trying: The mail server does not answer. /cancel gives up."
    await at_once.told_by_mail.told(Kind.NOTICE, said, said)  # one in each chat


# --- reactions ---


async def test_a_reaction_answers_its_message_and_no_other(here: Exchange) -> None:
    await here.store.do(recording.record_in, [incoming("one"), incoming("two")], GROUNDS, here.clock())
    here.later(0)
    await here.told_by_mail.gets("one", "two")
    first = here.told_by_mail.taken[0].stanza_id
    await here.say("👍", reply_to=first, options={"reaction": "👍"})
    await here.say("👍", reply_to="never-seen", options={"reaction": "👍"})
    await here.mail.gets("👍")
    message = here.mail.taken[0].message
    assert message is not None
    assert message.answered is not None
    assert (message.answered.body, message.options) == ("one", {"reaction": "👍"})


async def test_a_reaction_goes_nowhere_where_there_are_none(at_once: Exchange) -> None:
    await at_once.text("👍", reply_to="x", options={"reaction": "👍"})
    await at_once.text("Hello")
    await at_once.sms.gets("Hello")
