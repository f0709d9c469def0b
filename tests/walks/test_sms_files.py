"""Pictures by text, both ways, through real servers."""

from collections.abc import AsyncIterator, Callable

import pytest

from bridge.demo.prosody import PrivateProsody
from bridge.demo.texts import MmsFile
from bridge.demo.world import SMS
from tests.adapters.test_sms_media import picture
from tests.support.client import body_of, error_text
from tests.walks.gateway import PLUMBER, PLUMBER_JID, World, world
from tests.walks.test_files import OOB_URL, PICTURE, got, put, with_upload


@pytest.fixture
async def uploading(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    server = with_upload(fresh_prosody)
    settings = f'fetch_allow = ["127.0.0.1:{server.http_port}"]'
    sms = {"media_allow": ["localhost"], "mms_megabytes": 0.1}
    async with world(server, settings=settings, sms=sms) as here:
        yield here


async def test_a_picture_by_text_is_shown_in_the_chat_and_deleted_at_the_carrier(uploading: World) -> None:
    mira = await uploading.user(on=(SMS,))
    number = await uploading.number_of(mira)
    files = [MmsFile("image/png", PICTURE), MmsFile("image/jpeg", b"")]
    await uploading.carrier.phone(PLUMBER).reply("The tap", to=number, media=files)
    text = await mira.message_from(PLUMBER_JID)
    assert body_of(text) == "The tap\n(A picture came with this text. It is empty.)"
    shown = await mira.message_from(PLUMBER_JID)
    url = shown.xml.findtext(OOB_URL)
    assert url is not None
    assert "twilio" not in url
    assert uploading.carrier.api_url not in url
    assert await got(url) == PICTURE
    (kept,) = [text for text in uploading.carrier.texts.values() if text.inbound]
    await uploading.carrier.until(lambda: kept.media == ())
    assert uploading.carrier.given_away == []


async def test_a_picture_of_the_user_s_is_fetched_by_the_carrier_from_us(uploading: World) -> None:
    mira = await uploading.user(on=(SMS,))
    small = picture(200, 100)
    url = await put(mira, "tap.jpg", "image/jpeg", small)
    shared = f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"
    await mira.receipt_for(mira.say(PLUMBER_JID, url, extra=shared))
    (bubble,) = uploading.carrier.phone(PLUMBER).screen
    assert (bubble.text, [one.data for one in bubble.files]) == ("", [small])


async def test_a_photo_too_large_goes_smaller_with_a_link_that_gives_the_full_one(uploading: World) -> None:
    mira = await uploading.user(on=(SMS,))
    full = picture(900, 700)
    assert len(full) > 100_000
    url = await put(mira, "beach.jpg", "image/jpeg", full)
    shared = f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"
    await mira.receipt_for(mira.say(PLUMBER_JID, url, extra=shared), within=30)
    (bubble,) = uploading.carrier.phone(PLUMBER).screen
    (small,) = bubble.files
    assert len(small.data) <= 100_000
    label, _, link = bubble.text.partition(": ")
    assert label == "Full size"
    assert link.startswith(f"{uploading.gateway.public_url}/files/")
    assert await got(link) == full


async def test_what_phones_do_not_take_is_refused_in_a_sentence(uploading: World) -> None:
    mira = await uploading.user(on=(SMS,))
    url = await put(mira, "plan.zip", "application/zip", b"PK\x03\x04" + b"\0" * 100)
    shared = f"<x xmlns='jabber:x:oob'><url>{url}</url></x>"
    error = await mira.error_for(mira.say(PLUMBER_JID, url, extra=shared))
    assert "application/zip" in error_text(error)
    assert uploading.carrier.sent_to(PLUMBER) == []
