"""Texts when the carrier's side misbehaves: never two for one, never one lost; web-hooks count once."""

import asyncio

import aiohttp

from bridge.demo.phone import Post
from bridge.demo.texts import BadGateway, Drop, Goes, Throttle
from bridge.demo.world import SMS, sms_contact
from tests.support.client import body_of
from tests.walks.gateway import BAKER, BAKER_JID, PLUMBER, PLUMBER_JID, World

SILENT = Goes(())  # taken, and nothing is ever reported


async def test_the_same_web_hook_twice_is_one_message_and_a_captured_one_none(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    plumber = walk.carrier.phone(PLUMBER)

    first = asyncio.create_task(plumber.reply("said once", to=number))
    await asyncio.sleep(0.05)  # SMS.md case 5: 50 ms apart
    await walk.carrier.until(lambda: bool(walk.carrier.texts))
    text = next(iter(walk.carrier.texts.values()))
    again = walk.carrier.arrives_again(text)
    posts: list[Post] = list(await asyncio.gather(first, again))
    assert [post.status for post in posts] == [200, 200]
    assert all(post.answer.endswith("<Response></Response>") for post in posts)
    assert body_of(await mira.message_from(PLUMBER_JID)) == "said once"

    captured = await walk.carrier.arrives_again(text)
    assert captured.status == 200
    assert (await plumber.reply("said later", to=number)).status == 200
    assert body_of(await mira.message_from(PLUMBER_JID)) == "said later"
    assert mira.bodies_from(PLUMBER_JID) == ["said once", "said later"]


async def test_a_web_hook_that_is_not_signed_by_the_carrier_is_refused(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    number = await walk.number_of(mira)
    await walk.carrier.phone(PLUMBER).reply("genuine", to=number)
    genuine = walk.carrier.posts[-1]
    form = [(name, "forged" if name == "Body" else value) for name, value in genuine.form]
    form = [(name, "SM" + "0" * 32 if name.endswith("Sid") else value) for name, value in form]
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"X-Twilio-Signature": "bm90IHRoZSBzaWduYXR1cmU="}):
            async with session.post(walk.gateway.hook, data=form, headers=headers) as answer:
                assert answer.status == 403
        async with session.get(walk.gateway.hook) as answer:
            assert answer.status in (403, 405)
    await walk.carrier.phone(PLUMBER).reply("genuine again", to=number)
    await mira.message_from(PLUMBER_JID, containing="genuine again")
    assert mira.bodies_from(PLUMBER_JID) == ["genuine", "genuine again"]


async def test_whatever_the_provider_does_each_text_goes_exactly_once(walk: World) -> None:
    """A proxy's 502 and a line that is cut, each with the text taken or not, told of by call-back or by
    the list alone; and a 429. One number for each, so that they wait side by side."""
    mira = await walk.user(on=(SMS,))
    told = {  # who hears of it by a call-back
        "+12025550150": BadGateway(taken=True),
        "+12025550151": Drop(taken=True),
    }
    listed = {"+12025550152": BadGateway(taken=True), "+12025550153": Drop(taken=True)}
    not_taken = {"+12025550154": BadGateway(taken=False), "+12025550155": Drop(taken=False)}
    throttled = {"+12025550156": Throttle("1")}
    usual = walk.carrier.usual
    said: dict[str, str] = {}
    for group, way in ((told, usual), (listed, SILENT), (not_taken, usual)):
        walk.carrier.usual = way
        for number, fault in group.items():
            walk.carrier.fail(number, fault)
            said[number] = mira.say(sms_contact(number), f"once to {number}")
        await walk.carrier.until(lambda group=group: all(not walk.carrier._faults[one] for one in group))
    walk.carrier.usual = usual
    for number, fault in throttled.items():
        walk.carrier.fail(number, fault)
        said[number] = mira.say(sms_contact(number), f"once to {number}")

    for number in (*told, *throttled):
        await mira.receipt_for(said[number])
    for number in not_taken:
        await mira.receipt_for(said[number], within=40)

    async def all_settled() -> bool:
        return await walk.queue() == []

    await walk.until(all_settled, 20)
    for number in said:
        assert [text.body for text in walk.carrier.sent_to(number)] == [f"once to {number}"]


async def test_a_text_in_doubt_holds_back_what_follows_it_and_nobody_else(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    walk.carrier.usual = SILENT
    walk.carrier.fail(PLUMBER, Drop(taken=True))
    mira.say(PLUMBER_JID, "first")
    await walk.carrier.until(lambda: walk.carrier.sent_to(PLUMBER) != [])
    walk.carrier.usual = Goes(("sent", "delivered"))
    second = mira.say(PLUMBER_JID, "second")
    await mira.receipt_for(mira.say(BAKER_JID, "nobody waits for the plumber"))
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["first"]
    await mira.receipt_for(second, within=20)
    assert [text.body for text in walk.carrier.sent_to(PLUMBER)] == ["first", "second"]
    assert [text.body for text in walk.carrier.sent_to(BAKER)] == ["nobody waits for the plumber"]


async def test_a_long_text_goes_in_parts_and_has_one_receipt(walk: World) -> None:
    mira = await walk.user(on=(SMS,))
    words = " ".join(f"word{n}" for n in range(400))
    assert len(words) > 1600
    await mira.receipt_for(mira.say(PLUMBER_JID, words))
    texts = [text.body for text in walk.carrier.sent_to(PLUMBER)]
    assert len(texts) > 1
    assert all(len(text) <= 1600 for text in texts)
    assert "".join("".join(texts).split()) == "".join(words.split())
    receipts = [one for one in mira.heard if one.xml.find("{urn:xmpp:receipts}received") is not None]
    assert len(receipts) == 1
