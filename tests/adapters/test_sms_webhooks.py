"""Texts and reports in: signed as Twilio signs, over loopback HTTP, through the adapter's door."""

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

import aiohttp
import pytest

from bridge.demo.texts import Goes, signature
from bridge.model import Outcome
from bridge.ports import TakesWebhooks, TellsHealth, WebRequest, WebResponse
from tests.support.sms import ALICE, OURS, TOKEN, Rig, delivery, rig, shown

TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
SID = "SM" + "0" * 32


def signed(it: Rig, path: str, form: list[tuple[str, str]], query: str = "") -> WebRequest:
    """A request as Twilio would make it."""
    url = it.public_url + path + (f"?{query}" if query else "")
    return WebRequest(
        method="POST",
        path=path,
        query=query,
        headers={
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": signature(TOKEN, url, form),
        },
        body=urlencode(form).encode(),
        peer="127.0.0.1",
    )


def text_form(**changes: str) -> list[tuple[str, str]]:
    fields = {"MessageSid": SID, "From": ALICE, "To": OURS, "Body": "hello", "NumMedia": "0", "FromCity": ""}
    return list({**fields, **changes}.items())


def status_form(status: str, **changes: str) -> list[tuple[str, str]]:
    return list({"MessageSid": SID, "MessageStatus": status, "From": OURS, "To": ALICE, **changes}.items())


def full_disk() -> None:
    raise OSError("disk full")


async def test_an_answer_from_the_phone_comes_in() -> None:
    async with rig() as it:
        post = await it.twilio.phone(ALICE).reply("Grüße, 5 € & more = 100% 😀\nok", to=OURS)
        (incoming,) = it.inbox.accepted
        assert (post.status, post.answer) == (200, TWIML)
        assert incoming.sender.canonical == ALICE
        assert incoming.recipient == OURS
        assert incoming.body == "Grüße, 5 € & more = 100% 😀\nok"
        assert incoming.dedupe == incoming.remote_id == next(iter(it.twilio.texts))
        assert incoming.transport == "sms"


async def test_the_answer_waits_for_the_record() -> None:
    async with rig() as it:
        async with it.inbox.changed:  # the inbox can't finish while this is held
            asking = asyncio.create_task(it.adapter.webhook(signed(it, "/hooks/sms/message", text_form())))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not asking.done()
        answer = await asking
        assert answer == WebResponse(200, "text/xml", TWIML.encode())


async def test_what_could_not_be_recorded_is_not_acknowledged() -> None:
    async with rig() as it:
        it.inbox.before = full_disk
        with pytest.raises(OSError, match="disk full"):
            await it.adapter.webhook(signed(it, "/hooks/sms/message", text_form()))


async def test_a_proxy_s_headers_change_nothing() -> None:
    async with rig() as it:
        form = text_form()
        good = signed(it, "/hooks/sms/message", form)
        forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "host": "inner:8480"}
        answer = await it.adapter.webhook(replace(good, headers={**good.headers, **forwarded}))
        assert answer.status == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"headers": {"content-type": "application/x-www-form-urlencoded"}}, 403),
        (
            {"headers": {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "wrong"}},
            403,
        ),
        (
            {"headers": {"content-type": "application/json", "x-twilio-signature": "wrong"}, "body": b"{}"},
            403,
        ),
        ({"body": b"MessageSid=forged"}, 403),
        ({"body": b"\xff\xfe"}, 403),
        ({"body": b"Body=%ff"}, 403),
        ({"body": b"&".join(b"a%d=" % n for n in range(600))}, 403),
        ({"body": b"Body=" + b"x" * (256 * 1024)}, 413),
        ({"query": "extra=1"}, 403),
        ({"method": "GET"}, 405),
        ({"path": "/hooks/sms/other"}, 404),
        ({"path": "/hooks/sms/message/"}, 404),
        ({"path": "/hooks/mail/message"}, 404),
        ({"path": "/hooks/sms/%6dessage"}, 404),
    ],
)
async def test_what_twilio_did_not_sign_gets_no_further(changes: dict[str, object], status: int) -> None:
    async with rig() as it:
        good = signed(it, "/hooks/sms/message", text_form())
        answer = await it.adapter.webhook(replace(good, **changes))
        assert answer.status == status
        assert TOKEN.encode() not in answer.body
        assert not it.inbox.accepted


async def test_a_stranger_s_post_is_refused_over_http() -> None:
    async with rig() as it, aiohttp.ClientSession() as session:
        url = f"{it.public_url}/hooks/sms/message"
        async with session.post(url, data=dict(text_form())) as answer:
            assert answer.status == 403
        async with session.post(url, json={"Body": "hi"}, headers={"X-Twilio-Signature": "x"}) as answer:
            assert answer.status == 403
        async with session.get(url) as answer:
            assert answer.status == 405


async def test_without_a_public_url_the_door_stays_shut() -> None:
    async with rig(public=False) as it:
        answer = await it.adapter.webhook(signed(it, "/hooks/sms/message", text_form()))
        assert answer.status == 403


async def test_a_number_that_is_not_ours_is_answered_and_dropped() -> None:
    async with rig() as it:
        answer = await it.adapter.webhook(signed(it, "/hooks/sms/message", text_form(To="+15550009999")))
        assert answer.status == 200
        assert not it.inbox.accepted


async def test_a_signed_form_without_its_sid_is_no_text() -> None:
    async with rig() as it:
        for path in ("/hooks/sms/message", "/hooks/sms/status"):
            answer = await it.adapter.webhook(signed(it, path, [("Body", "hello")]))
            assert answer.status == 400


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"Body": "look", "NumMedia": "1", "MediaContentType0": "image/jpeg"}, "look\n(A picture came"),
        ({"Body": "", "NumMedia": "1", "MediaContentType0": "video/mp4"}, "(A video came"),
        ({"Body": "", "NumMedia": "2", "MediaContentType0": "text/vcard"}, "(A file came"),
        ({"Body": ""}, "(an empty text)"),
        ({"Body": "x", "NumMedia": "many"}, "x"),
    ],
)
async def test_files_are_told_of(changes: dict[str, str], body: str) -> None:
    async with rig() as it:
        answer = await it.adapter.webhook(signed(it, "/hooks/sms/message", text_form(**changes)))
        assert answer.status == 200
        await it.inbox.until(lambda: bool(it.inbox.accepted))
        assert shown(it.inbox.accepted[0]).startswith(body)


@pytest.mark.parametrize(
    ("sender", "canonical", "name"),
    [
        ("72975", "72975;phone-context=+1", ""),
        ("MYBANK", "mybank", "MYBANK"),
        ("+5215512345678", "+5215512345678", ""),
    ],
)
async def test_any_sender_is_taken(sender: str, canonical: str, name: str) -> None:
    async with rig() as it:
        await it.adapter.webhook(signed(it, "/hooks/sms/message", text_form(From=sender)))
        (incoming,) = it.inbox.accepted
        assert (incoming.sender.canonical, incoming.sender_name) == (canonical, name)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("sent", Outcome.SENT),
        ("delivered", Outcome.DELIVERED),
        ("read", Outcome.DELIVERED),
        ("undelivered", Outcome.FAILED),
        ("failed", Outcome.FAILED),
        ("canceled", Outcome.FAILED),
        ("queued", None),
        ("accepted", None),
        ("sending", None),
        ("received", None),
        ("something new", None),
    ],
)
async def test_each_status_is_a_report_or_nothing(status: str, outcome: Outcome | None) -> None:
    async with rig() as it:
        answer = await it.adapter.webhook(signed(it, "/hooks/sms/status", status_form(status)))
        assert answer == WebResponse(204)
        found = [(report.outcome, report.remote_id, report.delivery_id) for report in it.inbox.reports]
        assert found == ([(outcome, SID, None)] if outcome else [])


async def test_a_failure_is_told_in_words_with_twilio_s_code() -> None:
    async with rig() as it:
        form = status_form("undelivered", ErrorCode="30005")
        await it.adapter.webhook(signed(it, "/hooks/sms/status", form))
        (report,) = it.inbox.reports
        assert report.reason == "This number is not in service: check the digits. (30005)"
        assert (report.code, report.recipient) == ("30005", ALICE)


async def test_a_failure_without_a_code_is_told_all_the_same() -> None:
    async with rig() as it:
        await it.adapter.webhook(signed(it, "/hooks/sms/status", status_form("failed")))
        assert it.inbox.reports[0].reason == "The carrier could not deliver this text."


@pytest.mark.parametrize(
    "query",
    ["d=1", "d=1&s=", "d=1&s=forged", "d=x&s=y", "d=-1&s=y", f"d={'9' * 30}&s=y", "s=only", "d=²&s=ü"],
)
async def test_a_delivery_is_named_only_by_a_mark_of_ours(query: str) -> None:
    async with rig() as it:
        await it.adapter.webhook(signed(it, "/hooks/sms/status", status_form("sent"), query))
        assert [report.delivery_id for report in it.inbox.reports] == [None]


async def test_a_mark_of_one_delivery_does_not_name_another() -> None:
    async with rig() as it:
        await it.send(delivery("hello", 1))
        await it.inbox.until(lambda: len(it.inbox.reports) == 2)
        url = it.twilio.sent_to(ALICE)[0].status_callback
        query = url.partition("?")[2].replace("d=1&", "d=2&")
        await it.adapter.webhook(signed(it, "/hooks/sms/status", status_form("failed"), query))
        assert it.inbox.reports[-1].delivery_id is None


async def test_reports_out_of_order_and_repeated_are_all_acknowledged() -> None:
    async with rig() as it:
        it.twilio.fail(ALICE, Goes(("delivered", "sent", "delivered", "sent")))
        await it.send(delivery("hello"))
        await it.inbox.until(lambda: len(it.inbox.reports) == 4)
        await it.twilio.until(lambda: len(it.twilio.posts) == 4)
        assert {post.status for post in it.twilio.posts} == {204}


async def test_a_gateway_that_is_stopping_says_so() -> None:
    async with rig() as it:
        request = signed(it, "/hooks/sms/message", text_form())
    assert (await it.adapter.webhook(request)).status == 503


async def test_the_adapter_has_the_optional_parts_of_the_port() -> None:
    async with rig() as it:
        assert isinstance(it.adapter, TakesWebhooks)
        assert isinstance(it.adapter, TellsHealth)


async def test_a_text_to_a_group_names_the_others_where_twilio_does() -> None:
    form = text_form(Body="party?", OtherRecipients0="+12025550150", OtherRecipients1="+12025550151")
    async with rig() as it:
        await it.adapter.webhook(signed(it, "/hooks/sms/message", form))
        assert shown(it.inbox.accepted[0]) == (
            "party?\n(To a group, with +12025550150, +12025550151. An answer reaches this person alone.)"
        )
