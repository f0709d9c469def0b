"""Texts out: through the real client to a stand-in that is held against Twilio's own file."""

import asyncio
import random
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from adapters.sms import refusals
from bridge.demo.texts import BadGateway, Drop, Fault, Goes, Hang, Refuse, Throttle
from bridge.model import DeliveryId, Outcome
from bridge.ports import Fate, MaybeSent, ReceiptOn, Refused, Scope, Sent, TryLater
from tests.support.sms import ACCOUNT, ALICE, OURS, TOKEN, Rig, context, delivery, rig, settings


async def test_a_text_reaches_the_phone_and_its_reports_come_back_bound() -> None:
    async with rig() as it:
        fate = await it.send(delivery("Running late, back at 6 – ok? 😀"))
        await it.inbox.until(lambda: len(it.inbox.reports) == 2)
        (text,) = it.twilio.sent_to(ALICE)
        assert fate == Sent(text.sid)
        assert await it.twilio.phone(ALICE).shows(1) == ["Running late, back at 6 – ok? 😀"]
        assert [report.outcome for report in it.inbox.reports] == [Outcome.SENT, Outcome.DELIVERED]
        assert {(report.delivery_id, report.remote_id) for report in it.inbox.reports} == {(1, text.sid)}


async def test_twilio_is_asked_as_its_own_file_says() -> None:
    async with rig() as it:
        await it.send(delivery("hello"))
        form = parse_qs(it.twilio.exchanges[0].form)
        assert it.contract.requests == {"POST /2010-04-01/Accounts/{AccountSid}/Messages.json": 1}
        assert form["To"] == [ALICE]
        assert form["From"] == [OURS]
        assert form["Body"] == ["hello"]
        assert form["ValidityPeriod"] == ["14400"]
        assert form["StatusCallback"][0].startswith(f"{it.public_url}/hooks/sms/status?d=1&s=")


async def test_the_contract_notices_what_twilio_would_not_understand() -> None:
    async with rig() as it:
        await it.send(delivery("hello"))
        good = it.twilio.exchanges[0]
        it.contract.check(replace(good, form=good.form + "&Urgent=yes"))
        it.contract.check(replace(good, form=good.form.replace("14400", "soon")))
        it.contract.check(replace(good, answer=b'{"status": "flying"}'))
        it.contract.check(replace(good, headers={"Content-Type": good.headers["Content-Type"]}))
        it.contract.check(replace(good, path="/2010-04-01/Messages.json"))
        assert len(it.contract.faults) == 5
        it.contract.faults.clear()


@pytest.mark.parametrize(
    ("fault", "fate", "scope"),
    [
        (Refuse(21211), Refused, None),
        (Refuse(20003, status=401), TryLater, Scope.OUTLET),
        (Refuse(20005, status=403), TryLater, Scope.OUTLET),
        (Refuse(21611, status=429), TryLater, Scope.DELIVERY),
        (Refuse(14107, status=429), TryLater, Scope.DELIVERY),
        (Throttle(), TryLater, Scope.OUTLET),
        (BadGateway(), MaybeSent, None),
        (BadGateway(status=503), MaybeSent, None),
        (BadGateway(status=404), TryLater, Scope.OUTLET),  # not Twilio: api_url is wrong
        (BadGateway(status=302), TryLater, Scope.OUTLET),
        (Refuse(20500, status=500), MaybeSent, None),
        (Drop(), MaybeSent, None),
        (Hang(5), MaybeSent, None),
    ],
)
async def test_each_answer_has_one_fate(fault: Fault, fate: type[Fate], scope: Scope | None) -> None:
    async with rig(transport_settings={"timeout_seconds": 0.5}) as it:
        it.twilio.fail(ALICE, fault)
        found = await it.send(delivery("hello"))
        assert isinstance(found, fate)
        assert scope is None or (isinstance(found, TryLater) and found.scope is scope)
        await it.twilio.until(lambda: len(it.twilio.exchanges) > 0)
        assert len(it.twilio.exchanges) == 1  # nothing is ever posted twice by itself


async def test_a_page_in_place_of_the_201_leaves_the_fate_open() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, BadGateway(status=201, taken=True))
        assert isinstance(await it.send(delivery("hello")), MaybeSent)
        assert it.contract.faults  # Twilio would not answer so, and the contract says it
        it.contract.faults.clear()


@pytest.mark.parametrize(
    ("header", "after"),
    [("7", 7.0), ("999999", 3600.0), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
async def test_retry_after_is_honoured(header: str, after: float | None) -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Throttle(header))
        fate = await it.send(delivery("hello"))
        assert isinstance(fate, TryLater)
        assert fate.after == after


async def test_nobody_at_the_address_is_a_matter_of_the_outlet() -> None:
    async with rig() as it:
        api_url = it.twilio.api_url
    async with rig(transport_settings={}) as it:
        adapter = type(it.adapter)(settings(api_url=api_url), context(it.public_url))
        async with adapter.running(it.inbox):
            fate = (await adapter.send([delivery("hello")]))[DeliveryId(1)]
        assert isinstance(fate, TryLater)
        assert fate.scope is Scope.OUTLET


@pytest.mark.parametrize("code", sorted(refusals.MEANINGS))
def test_every_code_has_a_sentence_for_people(code: int) -> None:
    meaning = refusals.MEANINGS[code]
    assert meaning.sentence.endswith(".")
    assert str(code) not in meaning.sentence  # the code comes after the words


@pytest.mark.parametrize(
    ("code", "condition", "words"),
    [
        (21211, "item-not-found", "check the digits"),
        (21408, "not-allowed", "country"),
        (21610, "not-allowed", "opted out"),
        (21614, "item-not-found", "landline"),
        (30003, "recipient-unavailable", "off or out of coverage"),
        (30004, "not-allowed", "does not take texts"),
        (30005, "item-not-found", "not in service"),
        (30006, "item-not-found", "landline"),
        (30007, "policy-violation", "spam"),
        (30008, "remote-server-not-found", "did not say why"),
        (30032, "policy-violation", "not registered"),
        (30034, "policy-violation", "not registered"),
        (14107, "policy-violation", "two machines"),
        (29999, "undefined-condition", "refused this text"),
    ],
)
async def test_a_refused_code_is_told_in_words_and_kept_for_the_admin(
    code: int, condition: str, words: str
) -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Refuse(code))
        fate = await it.send(delivery("hello"))
        assert isinstance(fate, Refused)
        assert (fate.condition, fate.code) == (condition, str(code))
        assert words in fate.reason
        assert fate.reason.endswith(f"({code})")


async def test_the_admin_learns_of_bad_credentials_until_they_work() -> None:
    async with rig() as it:
        assert it.adapter.health() == ""
        it.twilio.fail(ALICE, Refuse(20003, status=401))
        await it.send(delivery("hello"))
        assert "auth_token" in it.adapter.health()
        await it.send(delivery("hello"))
        assert it.adapter.health() == ""


async def test_the_admin_learns_of_an_unregistered_number_from_a_report() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Goes(("sent", "undelivered"), 30034))
        await it.send(delivery("hello"))
        await it.inbox.until(lambda: len(it.inbox.reports) == 2)
        report = it.inbox.reports[-1]
        assert (report.outcome, report.code) == (Outcome.FAILED, "30034")
        assert "not registered" in report.reason
        assert OURS in it.adapter.health()


async def test_without_a_public_url_the_201_is_all_there_will_be() -> None:
    async with rig(public=False) as it:
        await it.send(delivery("hello"))
        assert "StatusCallback" not in it.twilio.exchanges[0].form
        assert it.adapter.capabilities.receipt_on is ReceiptOn.SENT
        assert "public_url" in it.adapter.health()


async def test_a_long_text_goes_in_parts_one_delivery_each() -> None:
    body = "word " * 340
    async with rig() as it:
        pieces = it.adapter.parts(body)
        for part in (1, 2):
            fate = await it.send(delivery(body, part, part=part, parts=2))
            assert isinstance(fate, Sent)
        assert len(pieces) == 2
        assert [text.body for text in it.twilio.sent_to(ALICE)] == pieces
        assert "".join(pieces) == body


@pytest.mark.parametrize(
    ("body", "recipient", "words"),
    [
        ("x" * 1601, ALICE, "too long"),
        (" \n", ALICE, "empty"),
        ("hello", "mybank", "one-way"),
        ("hello", "whatsapp:+15551234567", "one-way"),
    ],
)
async def test_what_can_not_go_is_refused_without_asking_twilio(
    body: str, recipient: str, words: str
) -> None:
    async with rig() as it:
        fate = await it.send(delivery(body, recipient=recipient))
        assert isinstance(fate, Refused)
        assert words in fate.reason
        assert not it.twilio.exchanges


async def test_a_short_code_is_reached_without_its_context() -> None:
    async with rig() as it:
        assert isinstance(await it.send(delivery("STOP", recipient="72975;phone-context=+1")), Sent)
        assert it.twilio.sent_to("72975")


async def test_a_batch_stops_in_its_lane_at_the_first_that_was_not_sent() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Throttle())
        batch = [delivery("one", 1), delivery("two", 2), delivery("three", 3, lane="another")]
        fates = await it.adapter.send(batch)
        assert {number: type(fate) for number, fate in fates.items()} == {1: TryLater, 3: Sent}


async def test_200_texts_in_a_lane_arrive_in_order_over_an_uneven_line() -> None:
    uneven = random.Random(4)
    async with rig(latency=lambda: uneven.uniform(0, 0.005)) as it:
        for number in range(1, 201):
            await it.send(delivery(f"line {number}", number))
        assert [text.body for text in it.twilio.sent_to(ALICE)] == [f"line {n}" for n in range(1, 201)]


async def test_a_stopped_adapter_keeps_the_text_for_later() -> None:
    async with rig() as it:
        adapter = type(it.adapter)(settings(api_url=it.twilio.api_url), context(it.public_url))
        fates = await adapter.send([delivery("hello")])
        assert isinstance(fates[DeliveryId(1)], TryLater)


# --- fates in doubt ---


@pytest.mark.parametrize("fault", [Drop(taken=True), BadGateway(taken=True), Hang(5, taken=True)])
async def test_a_text_that_was_taken_is_found_and_never_posted_again(fault: Fault) -> None:
    async with rig(public=False, transport_settings={"timeout_seconds": 0.5}) as it:
        it.twilio.fail(ALICE, fault)
        doubtful = delivery("hello", recorded_at=_long_ago(it))
        assert isinstance(await it.send(doubtful), MaybeSent)
        await it.twilio.until(lambda: len(it.twilio.exchanges) == 1)
        found = await it.adapter.find(doubtful)
        assert found == Sent(it.twilio.sent_to(ALICE)[0].sid)
        assert [exchange.method for exchange in it.twilio.exchanges].count("POST") == 1


async def test_a_call_back_alone_binds_a_text_in_doubt() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Drop(taken=True))
        assert isinstance(await it.send(delivery("hello")), MaybeSent)
        await it.inbox.until(lambda: len(it.inbox.reports) == 3)
        (text,) = it.twilio.sent_to(ALICE)
        assert await it.adapter.find(delivery("hello")) == Sent(text.sid)
        assert it.inbox.reports[0].outcome is Outcome.SENT  # `sending` proves that Twilio has it
        assert all(report.delivery_id == 1 for report in it.inbox.reports)
        assert [exchange.method for exchange in it.twilio.exchanges] == ["POST"]  # no list was needed


async def test_a_call_back_before_the_201_is_bound_by_its_url() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Goes(("sending", "sent", "delivered"), early=True))
        fate = await it.send(delivery("hello"))
        assert isinstance(fate, Sent)
        assert [post.status for post in it.twilio.posts] == [204, 204, 204]
        assert {(report.delivery_id, report.remote_id) for report in it.inbox.reports} == {
            (1, fate.remote_id)
        }


async def test_a_text_that_was_not_taken_goes_again_only_after_some_patience() -> None:
    async with rig(public=False) as it:
        it.twilio.fail(ALICE, Drop(taken=False))
        doubtful = delivery("hello")
        assert isinstance(await it.send(doubtful), MaybeSent)
        assert isinstance(await it.adapter.find(doubtful), MaybeSent)
        it.now[0] += 14.9
        assert isinstance(await it.adapter.find(doubtful), MaybeSent)
        it.now[0] += 0.1
        again = await it.adapter.find(doubtful)
        assert isinstance(again, TryLater)
        assert again.scope is Scope.DELIVERY
        assert isinstance(await it.send(doubtful), Sent)
        assert len(it.twilio.sent_to(ALICE)) == 1


async def test_after_a_restart_patience_counts_from_when_the_text_was_handed_over() -> None:
    async with rig(public=False) as it:
        doubtful = delivery("hello")
        await it.handed_over(doubtful)
        after = it.another()
        async with after.running(it.inbox):
            it.now[0] += 20
            assert isinstance(await after.find(doubtful), MaybeSent)
            it.now[0] += 5  # 15 s after the longest that the call may have taken
            assert isinstance(await after.find(doubtful), TryLater)


async def test_a_text_that_was_claimed_but_never_handed_over_goes_at_once() -> None:
    async with rig(public=False) as it:
        claimed = delivery("hello")
        fate = await it.adapter.find(claimed)
        assert isinstance(fate, TryLater)
        assert (fate.after, fate.scope) == (0.0, Scope.TURN)
        assert not it.twilio.exchanges  # nobody need be asked


async def test_the_same_words_twice_are_never_bound_to_one_sid_after_a_restart() -> None:
    async with rig(public=False) as it:
        first, second = delivery("ok", 1), delivery("ok", 2)
        assert isinstance(await it.send(first), Sent)
        (text,) = it.twilio.sent_to(ALICE)
        it.inbox.bindings[text.sid] = first.id  # what the record says
        await it.handed_over(second)
        after = it.another()
        async with after.running(it.inbox):
            it.now[0] += 60
            assert isinstance(await after.find(second), TryLater)


async def test_the_same_words_sent_before_are_not_taken_for_the_text_in_doubt() -> None:
    async with rig(public=False) as it:
        recorded_at = _long_ago(it)
        assert isinstance(await it.send(delivery("ok", 1, recorded_at=recorded_at)), Sent)
        it.twilio.fail(ALICE, Drop(taken=False))
        doubtful = delivery("ok", 2, recorded_at=recorded_at)
        assert isinstance(await it.send(doubtful), MaybeSent)
        it.now[0] += 15
        assert isinstance(await it.adapter.find(doubtful), TryLater)


async def test_words_from_before_the_text_was_written_are_not_it() -> None:
    async with rig(public=False) as it:
        assert isinstance(await it.send(delivery("ok", 1)), Sent)
        other = it.another()
        async with other.running(it.inbox):
            (text,) = it.twilio.sent_to(ALICE)
            later = delivery("ok", 2, recorded_at=text.created.timestamp() + 60)
            await it.handed_over(later)
            assert isinstance(await other.find(later), MaybeSent)
            it.now[0] += 25
            assert isinstance(await other.find(later), TryLater)


async def test_a_long_history_does_not_leave_a_text_in_doubt_for_ever() -> None:
    async with rig(public=False) as it:
        for number in range(1, 61):
            await it.send(delivery(f"line {number}", number))
        newest = it.twilio.sent_to(ALICE)[-1].created.timestamp()
        covered = delivery("hello", 100, recorded_at=newest + 60)
        crowded = delivery("hello", 101, recorded_at=newest - 3600)  # 50 texts since: it may be hidden
        for doubtful in (covered, crowded):
            await it.handed_over(doubtful)
            assert isinstance(await it.adapter.find(doubtful), MaybeSent)
        it.now[0] += 25
        assert isinstance(await it.adapter.find(covered), TryLater)
        assert isinstance(await it.adapter.find(crowded), MaybeSent)


async def test_a_list_that_can_not_be_read_leaves_the_doubt() -> None:
    async with rig(public=False) as it:
        api_url = it.twilio.api_url
        doubtful = delivery("hello")
        await it.handed_over(doubtful)
    adapter = it.another(api_url=api_url)
    async with adapter.running(it.inbox):
        assert isinstance(await adapter.find(doubtful), MaybeSent)
        it.now[0] += 3600
        assert isinstance(await adapter.find(doubtful), MaybeSent)


async def test_a_text_found_failed_is_refused_with_its_reason() -> None:
    async with rig(public=False) as it:
        it.twilio.usual = Goes(("failed",), 30005)
        it.twilio.fail(ALICE, Drop(taken=True))
        doubtful = delivery("hello", recorded_at=_long_ago(it))
        await it.send(doubtful)
        await it.twilio.until(lambda: it.twilio.sent_to(ALICE)[0].status == "failed")
        fate = await it.adapter.find(doubtful)
        assert isinstance(fate, Refused)
        assert (fate.code, "not in service" in fate.reason) == ("30005", True)


async def test_texts_to_many_go_side_by_side() -> None:
    async with rig(latency=lambda: 0.5) as it:
        batch = [delivery("hi", n, lane=f"lane {n}", recipient=f"+1555123{n:04}") for n in range(1, 31)]
        sending = asyncio.gather(*map(it.send, batch))
        await it.twilio.until(lambda: it.twilio.pending > 10)
        assert all(isinstance(fate, Sent) for fate in await sending)


def test_the_account_s_secrets_stay_out_of_what_is_shown() -> None:
    shown = repr(settings())
    assert TOKEN not in shown
    assert ACCOUNT in shown


def _long_ago(it: Rig) -> float:
    """A moment before anything that the stand-in takes, as its clock is the real one."""
    return it.now[0]
