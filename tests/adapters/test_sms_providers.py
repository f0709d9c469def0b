"""Every provider of texts passes the same: Twilio, what speaks like it, and a phone of one's own."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from aiohttp import web

from adapters.sms import android
from adapters.sms.adapter import SmsAdapter
from adapters.sms.settings import SmsSettings
from bridge.demo.phone import TwilioStandIn
from bridge.demo.texts import BadGateway, Drop, Fault, Goes, Hang, MmsFile, Refuse, Throttle, signature
from bridge.model import Delivery, Outcome
from bridge.ports import Context, Fate, Forgetful, MaybeSent, Refused, Scope, Sent, TryLater, WebRequest
from tests.adapters.contract import AdapterContract, FarEnd, MemoryInbox
from tests.support import twilio_contract
from tests.support.android import AndroidStandIn
from tests.support.sms import ACCOUNT, ALICE, OURS, TOKEN, delivery, shown

SECOND = "+15550001001"
PROJECT = "8e2b6c0a-0c1e-4a53-9a3c-7f1d5a1f0b2c"
KEY = "a signing key"
ANDROID: Mapping[str, Any] = {
    "adapter": "sms", "jid": "sms.example.org", "secret": "s", "provider": "android", "username": "sms",
    "password": "p", "signing_key": KEY, "api_url": "http://127.0.0.1:1", "numbers": [OURS],
    "segments_per_second": 0,
}  # fmt: skip
TWILIO: Mapping[str, Any] = {
    "adapter": "sms", "jid": "sms.example.org", "secret": "s", "account_sid": ACCOUNT, "auth_token": TOKEN,
    "api_url": "http://127.0.0.1:1", "numbers": [OURS], "segments_per_second": 0, "poll_seconds": 0,
}  # fmt: skip
PROVIDERS = ("twilio", "signalwire", "android")


@dataclass
class World:
    adapter: SmsAdapter
    inbox: MemoryInbox
    far: Any  # TwilioStandIn or AndroidStandIn: both have fail, usual, sent_to, until
    now: list[float]
    says: Callable[[str], Any]  # the phone texts us
    again: Callable[[], Any]  # its last text is posted once more
    table: Mapping[str, Any]
    context: Context
    base: str

    async def send(self, one: Delivery) -> Fate:
        return (await self.adapter.send([one]))[one.id]

    def with_other_login(self) -> SmsAdapter:
        table = {**self.table, "auth_token": "wrong", "password": "wrong"}
        return SmsAdapter(SmsSettings.model_validate(table), self.context)


@pytest.fixture(params=PROVIDERS)
async def it(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world(request.param) as here:
        yield here


@asynccontextmanager
async def world(
    provider: str, *, old: bool = False, numbers: Sequence[str] = (OURS,), **settings: Any
) -> AsyncIterator[World]:
    twilio_contract.prepare()
    contract = twilio_contract.Report()
    async with AsyncExitStack() as stack:
        base, serve = await stack.enter_async_context(hooks())
        far: Any
        if provider == "android":
            far = AndroidStandIn(OURS, "sms", "p", KEY, old=old)
            table = {**ANDROID, "api_url": await stack.enter_async_context(far.running())}
        else:
            account = ACCOUNT if provider == "twilio" else PROJECT
            check = contract.check if provider == "twilio" else None  # the file wants Twilio's own SIDs
            # SignalWire: below a path of its own, and web-hooks signed with another key than the token.
            way: Any = {} if provider == "twilio" else {"base": "/api/laml", "signing_key": KEY}
            far = TwilioStandIn(account, TOKEN, {OURS: f"{base}/hooks/sms/message"}, check=check, **way)
            url = await stack.enter_async_context(far.running())
            table = {**TWILIO, "account_sid": account, "api_url": url}
            table |= {"signing_key": KEY} if way else {}
        now = [1_000.0]
        context = Context(
            "sms", "example.org", base, lambda purpose: sha256(purpose.encode()).digest(),
            memory=Forgetful(lambda: now[0]),
        )  # fmt: skip
        table |= {
            "numbers": numbers,
            **settings,
            "segments_per_day": 0,
            "new_numbers_per_day": 0,
            "timeout_seconds": 1.0,
        }
        adapter = SmsAdapter(SmsSettings.model_validate(table), context, clock=lambda: now[0])
        serve.append(adapter)
        inbox = MemoryInbox(set(numbers))
        await stack.enter_async_context(adapter.running(inbox))
        if provider == "android":
            await adapter.set_up(apply=True)
        yield World(adapter, inbox, far, now, *voice(far), table, context, base)
    assert contract.faults == getattr(far, "faults", []) == []


def voice(far: Any) -> tuple[Callable[[str], Any], Callable[[], Any]]:
    """How the phone at the far end texts us, and how that is told again."""
    if isinstance(far, AndroidStandIn):
        payloads: list[dict[str, Any]] = []

        async def says(body: str) -> None:
            payloads.append(await far.arrives(ALICE, body))

        async def again() -> None:
            await far.emit("sms:received", payloads[-1])  # with a new event id

        return says, again

    async def texts(body: str) -> None:
        await far.phone(ALICE).reply(body, to=OURS)

    async def once_more() -> None:
        await far.arrives_again(list(far.texts.values())[-1])

    return texts, once_more


@asynccontextmanager
async def hooks() -> AsyncIterator[tuple[str, list[SmsAdapter]]]:
    adapters: list[SmsAdapter] = []

    async def handle(request: web.Request) -> web.Response:
        answer = await adapters[0].webhook(
            WebRequest(
                request.method,
                request.rel_url.raw_path,
                request.rel_url.raw_query_string,
                {name.lower(): value for name, value in request.headers.items()},
                await request.read(),
                "127.0.0.1",
            )
        )
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", adapters
    finally:
        await runner.cleanup()


# --- the contract of providers ---


async def test_a_text_goes_out_and_its_reports_come_back_bound(it: World) -> None:
    fate = await it.send(delivery("Running late 😀"))
    assert isinstance(fate, Sent)
    await it.inbox.until(lambda: len(it.inbox.reports) >= 2)
    assert [text.body for text in it.far.sent_to(ALICE)] == ["Running late 😀"]
    assert [one.outcome for one in it.inbox.reports][-2:] == [Outcome.SENT, Outcome.DELIVERED]
    assert {(one.delivery_id, one.remote_id) for one in it.inbox.reports} == {(1, fate.remote_id)}


async def test_a_report_before_the_answer_is_bound_all_the_same(it: World) -> None:
    it.far.fail(ALICE, Goes(("sent", "delivered"), early=True))
    fate = await it.send(delivery("hello"))
    assert isinstance(fate, Sent)
    assert {one.delivery_id for one in it.inbox.reports} == {1}


@pytest.mark.parametrize("fault", [Drop(taken=True), BadGateway(taken=True), Hang(5.0, taken=True)])
async def test_what_was_taken_is_found_and_never_goes_twice(it: World, fault: Fault) -> None:
    it.far.usual = Goes(())
    it.far.fail(ALICE, fault)
    doubtful = delivery("hello")
    assert isinstance(await it.send(doubtful), MaybeSent)
    assert isinstance(await it.adapter.find(doubtful), Sent)
    assert len(it.far.sent_to(ALICE)) == 1


async def test_what_was_not_taken_goes_again_after_some_patience(it: World) -> None:
    it.far.fail(ALICE, Drop(taken=False))
    doubtful = delivery("hello")
    assert isinstance(await it.send(doubtful), MaybeSent)
    assert isinstance(await it.adapter.find(doubtful), MaybeSent)
    it.now[0] += 15
    assert isinstance(await it.adapter.find(doubtful), TryLater)
    assert isinstance(await it.send(doubtful), Sent)
    assert len(it.far.sent_to(ALICE)) == 1


async def test_a_text_that_failed_on_its_way_is_told_in_a_sentence(it: World) -> None:
    it.far.fail(ALICE, Goes(("sent", "failed"), 30005))
    await it.send(delivery("hello"))
    await it.inbox.until(lambda: any(one.outcome is Outcome.FAILED for one in it.inbox.reports))
    (failed,) = [one for one in it.inbox.reports if one.outcome is Outcome.FAILED]
    assert failed.reason[-1] in ".)"
    assert failed.delivery_id == 1


@pytest.mark.parametrize(("fault", "fate"), [(Refuse(21211), Refused), (Throttle(), TryLater)])
async def test_a_refusal_and_a_throttle_are_what_they_are(it: World, fault: Fault, fate: type[Fate]) -> None:
    it.far.fail(ALICE, fault)
    found = await it.send(delivery("hello"))
    assert isinstance(found, fate)
    assert not it.far.sent_to(ALICE)


async def test_a_wrong_login_pauses_everything_and_is_told_to_the_admin(it: World) -> None:
    stranger = it.with_other_login()
    async with stranger.running(it.inbox):
        one = delivery("hello")
        fate = (await stranger.send([one]))[one.id]
        assert isinstance(fate, TryLater)
        assert fate.scope is Scope.OUTLET
        assert stranger.health()


async def test_a_text_comes_in_once_however_often_it_is_told(it: World) -> None:
    await it.says("Grüße 😀")
    await it.again()
    await it.inbox.until(lambda: len(it.inbox.accepted) == 2)
    first, second = it.inbox.accepted
    assert (first.body, first.sender.canonical, first.recipient) == ("Grüße 😀", ALICE, OURS)
    assert first.dedupe == second.dedupe  # the record takes one of them
    await it.says("Grüße 😀, again")
    assert it.inbox.accepted[-1].dedupe != first.dedupe


async def test_stop_is_obeyed_without_asking_the_provider(it: World) -> None:
    await it.says("STOP")
    assert isinstance(await it.send(delivery("hello")), Refused)
    assert not it.far.sent_to(ALICE)


async def test_what_is_not_signed_gets_no_further(it: World) -> None:
    await it.says("hello")
    path = "/hooks/sms/android" if isinstance(it.far, AndroidStandIn) else "/hooks/sms/message"
    forged = WebRequest(
        "POST", path, "", {"content-type": "application/x-www-form-urlencoded"}, b"From=1", ""
    )
    for headers in ({}, {"x-signature": "00", "x-timestamp": "1"}, {"x-twilio-signature": "bm8="}):
        answer = await it.adapter.webhook(replace(forged, headers={**forged.headers, **headers}))
        assert answer.status == 403
    assert len(it.inbox.accepted) == 1


async def test_setting_up_is_told_first_then_done_then_needless() -> None:
    for provider in PROVIDERS:
        async with world(provider) as it:
            if isinstance(it.far, AndroidStandIn):
                it.far.hooks.clear()
            else:
                it.far.numbers[OURS] = "https://elsewhere.example/x"
            before = str(it.far.hooks if isinstance(it.far, AndroidStandIn) else it.far.numbers)
            wanted = await it.adapter.set_up(apply=False)
            assert wanted
            assert str(it.far.hooks if isinstance(it.far, AndroidStandIn) else it.far.numbers) == before
            assert await it.adapter.set_up(apply=True) == wanted
            assert await it.adapter.set_up(apply=False) == []


async def test_a_number_that_the_account_has_not_is_said_before_anything_is_changed() -> None:
    async with world("twilio", numbers=(OURS, SECOND)) as it:
        it.far.numbers[OURS] = "https://elsewhere.example/x"
        with pytest.raises(OSError, match=f"has no number \\{SECOND}"):
            await it.adapter.set_up(apply=True)
        assert it.far.numbers[OURS] == "https://elsewhere.example/x"


@pytest.mark.parametrize("provider", ["twilio", "signalwire"])
async def test_what_web_hooks_have_missed_is_found_on_later_pages_too_and_with_its_files(
    provider: str,
) -> None:
    async with world(provider, media_allow=("localhost",)) as it:
        await it.far.arrives(ALICE, OURS, "look", [MmsFile("image/png", b"a picture")], posted=False)
        for number in range(200):
            await it.far.arrives(ALICE, OURS, f"text {number}", posted=False)
        looking = SmsAdapter(SmsSettings.model_validate({**it.table, "poll_seconds": 300}), it.context)
        async with looking.running(it.inbox):
            await it.inbox.until(lambda: len(it.inbox.accepted) == 201)
            (shown,) = [one for one in it.inbox.accepted if one.body == "look"]
            assert [one.data for one in shown.files] == [b"a picture"]
            await it.far.until(lambda: next(iter(it.far.texts.values())).media == ())
        assert it.far.given_away == []


async def test_a_key_of_its_own_is_what_web_hooks_must_be_signed_with() -> None:
    async with world("signalwire") as it:
        table = {**it.table, "signing_key": ""}
        with_the_token = SmsAdapter(SmsSettings.model_validate(table), it.context)
        form = [("MessageSid", "SM1"), ("From", ALICE), ("To", OURS), ("Body", "hello")]
        url = f"{it.base}/hooks/sms/message"
        body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        for key, let_in in ((KEY, it.adapter), (TOKEN, with_the_token)):
            headers = {"content-type": kind, "x-signalwire-signature": signature(key, url, form)}
            request = WebRequest("POST", "/hooks/sms/message", "", headers, body, "")
            answers = {(await one.webhook(request)).status for one in (it.adapter, with_the_token)}
            assert 403 in answers
            assert (await let_in.webhook(request)).status != 403


# --- the phone's own ways ---


async def test_the_phone_s_clock_may_be_a_little_off_and_no_more() -> None:
    async with world("android") as it:
        body = json.dumps(
            {"event": "sms:received", "payload": {"phoneNumber": ALICE, "message": "hi"}}
        ).encode()
        url = f"{it.base}/hooks/sms/android"
        now = time.time()
        assert await it.far.post(url, body, at=now - 600) == 204
        assert await it.far.post(url, body, at=now - 86_400) == 403
        assert await it.far.post(url, body, key=b"another") == 403
        assert await it.far.post(url, b"[1]") == 400


async def test_national_numbers_of_the_phone_get_their_country_code() -> None:
    async with world("android") as it:
        await it.far.arrives("5551234567", "hi")
        assert it.inbox.accepted[0].sender.canonical == ALICE


async def test_a_second_post_of_the_same_text_is_refused_by_the_phone_itself() -> None:
    async with world("android") as it:
        one = delivery("hello")
        assert await it.send(one) == await it.send(one)
        assert len(it.far.sent_to(ALICE)) == 1
        assert [status for method, _, status in it.far.exchanges if method == "POST"][-2:] == [202, 409]


# --- pictures and several numbers on a phone ---

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 50


async def test_a_picture_message_is_posted_whole_and_comes_in_once() -> None:
    async with world("android") as it:
        part = {"contentType": "image/png", "name": "a.png", "size": 58,
                "data": base64.b64encode(PNG).decode()}  # fmt: skip
        lost = {"contentType": "video/mp4", "name": None, "size": 9, "data": None}
        payload = await it.far.picture_arrives(ALICE, "look", part, lost, subject="Flat")
        await it.far.emit("mms:downloaded", payload)
        first, second = it.inbox.accepted
        assert first.dedupe == second.dedupe
        assert [(one.name, one.data) for one in first.files] == [("a.png", PNG)]
        assert shown(first) == "Flat\nlook\n(A video came with this text. It was not handed over.)"


async def test_an_app_too_old_to_post_pictures_announces_them_and_the_admin_hears_of_it() -> None:
    async with world("android", old=True) as it:
        assert any("update the app" in line for line in await set_up_anew(it))
        await it.far.picture_arrives(ALICE, "look", subject="Flat")
        assert shown(it.inbox.accepted[0]) == "Flat\n(a picture message came; it can be seen on the phone)"
        # The app is updated: pictures come whole from now on, and are announced no more.
        it.far.old = False
        assert any("mms:downloaded" in line for line in await it.adapter.set_up(apply=True))
        assert {one["event"] for one in it.far.hooks.values()} == set(android.EVENTS)
        assert await it.adapter.set_up(apply=False) == []


async def set_up_anew(it: World) -> Sequence[str]:
    it.far.hooks.clear()
    return await it.adapter.set_up(apply=True)


async def test_a_text_comes_to_the_number_that_is_named_or_that_its_sim_has() -> None:
    async with world("android", numbers=(OURS, SECOND), sims={OURS: 1, SECOND: 2}) as it:
        await it.far.arrives(ALICE, "by sim", sim=2)
        await it.far.arrives(ALICE, "by name", sim=1, recipient=SECOND)
        await it.far.arrives(ALICE, "as usual", sim=1)
        assert [one.recipient for one in it.inbox.accepted] == [SECOND, SECOND, OURS]
        await it.send(delivery("hello", sender=SECOND))
        assert it.far.asked[-1]["simNumber"] == 2


async def test_a_text_cancelled_on_the_phone_has_failed() -> None:
    async with world("android") as it:
        it.far.usual = Goes(())
        await it.send(delivery("hello"))
        (text,) = it.far.sent_to(ALICE)
        await it.far.emit("sms:cancelled", {"messageId": text.sid, "phoneNumber": ALICE, "simNumber": 1})
        assert [(one.outcome, one.delivery_id) for one in it.inbox.reports] == [(Outcome.FAILED, 1)]
        assert "cancelled on the phone" in it.inbox.reports[0].reason


NOBODY = "+15550009999"


class TestAndroid(AdapterContract):
    name = "sms"
    table: ClassVar[Mapping[str, Any]] = ANDROID
    typed: ClassVar[Mapping[str, str]] = {ALICE: ALICE, " +1 (555) 123-4567 ": ALICE, "MYBANK": "mybank"}
    nonsense: ClassVar[Sequence[str]] = ("", "12125551212", "911", "+1")
    line = OURS
    stranger = None

    @pytest.fixture
    async def far_end(self) -> AsyncIterator[FarEnd]:
        async with AsyncExitStack() as stack:
            phone = AndroidStandIn(OURS, "sms", "p", KEY)
            phone.always(NOBODY, Refuse(0, message="Invalid phone number"))
            url = await stack.enter_async_context(phone.running())
            yield FarEnd(settings={**ANDROID, "api_url": url}, good=ALICE, bad=NOBODY, leave=stack.aclose)
        await asyncio.sleep(0)
        assert phone.faults == []
