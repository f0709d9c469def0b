"""The demo's phone and the stand-in behind it, as a person and the official client see them."""

import asyncio

import pytest
from twilio.request_validator import RequestValidator

from bridge.demo.texts import signature
from tests.support.sms import ALICE, OURS, TOKEN, delivery, rig


async def test_a_conversation_on_the_screen() -> None:
    async with rig() as it:
        phone = it.twilio.phone(ALICE)
        await it.send(delivery("Coming?"))
        assert await phone.shows(1) == ["Coming?"]
        assert (await phone.reply("Yes, at six")).status == 200
        assert [(bubble.text, bubble.mine, bubble.other) for bubble in phone.screen] == [
            ("Coming?", False, OURS),
            ("Yes, at six", True, OURS),
        ]
        assert it.inbox.accepted[0].sender.canonical == ALICE


async def test_a_phone_that_nobody_wrote_to_must_say_to_whom() -> None:
    async with rig() as it:
        with pytest.raises(ValueError, match="say to whom"):
            await it.twilio.phone(ALICE).reply("hello?")


async def test_a_web_hook_is_tried_again_while_the_gateway_is_away() -> None:
    async with rig(tries=5) as it:
        failures = iter([OSError("away"), OSError("away")])

        def away() -> None:
            if error := next(failures, None):
                raise error

        it.inbox.before = away
        post = await it.twilio.phone(ALICE).reply("hello", to=OURS)
        assert post.status == 200
        assert [one.status for one in it.twilio.posts] == [500, 500, 200]
        assert [incoming.body for incoming in it.inbox.accepted] == ["hello"]


async def test_waiting_for_what_does_not_come_ends() -> None:
    async with rig() as it:
        with pytest.raises(TimeoutError):
            await it.twilio.phone(ALICE).shows(1, seconds=0.05)


async def test_leaving_the_stand_in_ends_what_is_on_its_way() -> None:
    async with rig(pause=60.0) as it:
        await it.send(delivery("hello"))
        assert it.twilio.sent_to(ALICE)[0].status == "queued"
    assert not [task for task in asyncio.all_tasks() if "_travel" in repr(task)]


@pytest.mark.parametrize("form", [[], [("b", "2"), ("a", "1")], [("Body", ""), ("Straße", "ü & =")]])
def test_its_signature_is_the_one_that_the_official_package_expects(form: list[tuple[str, str]]) -> None:
    url = "https://gateway.example.org/hooks/sms/status?d=1&s=x"
    assert RequestValidator(TOKEN).validate(url, dict(form), signature(TOKEN, url, form))
