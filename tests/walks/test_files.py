"""Files both ways through real servers: a picture by mail to the client, a client's upload into a mail."""

import asyncio
import base64
import email
import email.policy
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage

import aiohttp
import pytest

from bridge.demo.chat_user import ChatUser
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from tests.support.client import body_of, error_text
from tests.support.mail import Received, hand_in
from tests.walks.gateway import ALICE, ALICE_JID, World, letter, world

UPLOAD = 'Component "upload.localhost" "http_file_share"\n    http_host = "127.0.0.1"\n{more}'
OOB_URL = "{jabber:x:oob}x/{jabber:x:oob}url"
SHARING = "{urn:xmpp:sfs:0}file-sharing"
SLOT = "urn:xmpp:http:upload:0"
PIXELS = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURE = PIXELS + b"\0" * 40_000  # large enough to be no decoration


NOT_DELIVERED = """From: MAILER-DAEMON@mx.example.net
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {alice}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 unknown
--b
Content-Type: text/rfc822-headers

Message-ID: {about}
Subject: plan.png
--b--
"""


def with_upload(fresh: Callable[..., PrivateProsody], more: str = "") -> PrivateProsody:
    return fresh(extra_hosts=UPLOAD.format(more=more), modules=("http",))


@pytest.fixture
async def uploading(fresh_prosody: Callable[..., PrivateProsody]) -> AsyncIterator[World]:
    """A world whose chat server takes files, and whose gateway may fetch from there."""
    server = with_upload(fresh_prosody)
    async with world(server, settings=f'fetch_allow = ["127.0.0.1:{server.http_port}"]') as here:
        yield here


async def got(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def put(user: ChatUser, name: str, kind: str, data: bytes) -> str:
    """Upload a file as clients do (XEP-0363); answers its URL."""
    request = f"<request xmlns='{SLOT}' filename='{name}' size='{len(data)}' content-type='{kind}'/>"
    answer = await user.ask("upload.localhost", "get", request)
    to, headers = answer.find(f".//{{{SLOT}}}put"), {}
    assert to is not None
    for header in to:
        headers[header.get("name", "")] = header.text or ""
    headers["Content-Type"] = kind
    async with (
        aiohttp.ClientSession() as session,
        session.put(to.get("url", ""), data=data, headers=headers) as done,
    ):
        assert done.status in (200, 201)
    place = answer.find(f".//{{{SLOT}}}get")
    assert place is not None
    return place.get("url", "")


def with_picture(walk: World, user: ChatUser, text: str, *, name: str = "flat.png") -> EmailMessage:
    mail = letter(ALICE, walk.address_of(user), text)
    mail.add_attachment(PICTURE, maintype="image", subtype="png", filename=name)
    return mail


def attached(mail: Received) -> list[tuple[str | None, str, bytes]]:
    parsed = email.message_from_bytes(mail.raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return [
        (one.get_filename(), one.get_content_type(), one.get_payload(decode=True))  # type: ignore[misc]
        for one in parsed.iter_attachments()
    ]


async def test_a_picture_by_mail_is_shown_in_the_chat_and_can_be_fetched(uploading: World) -> None:
    mira = await uploading.user(on=(MAIL,))
    await uploading.hand_in(mira, with_picture(uploading, mira, "Here is the flat."))

    text = await mira.message_from(ALICE_JID)
    assert "Here is the flat." in body_of(text)
    picture = await mira.message_from(ALICE_JID)
    url = picture.xml.findtext(OOB_URL)
    assert url is not None
    assert body_of(picture) == url
    assert f":{uploading.server.http_port}/" in url  # type: ignore[union-attr]
    assert url.endswith("/flat.png")
    assert await got(url) == PICTURE
    sharing = picture.xml.find(SHARING)
    assert sharing is not None
    assert sharing.get("disposition") == "inline"
    told = {one.tag.rpartition("}")[2]: one.text for one in sharing.iter() if one.text}
    assert told == {"media-type": "image/png", "name": "flat.png", "size": str(len(PICTURE))}


async def test_without_an_upload_service_the_gateway_gives_the_file_out_itself(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    await walk.hand_in(mira, with_picture(walk, mira, "Here it is.", name="../größe.png"))

    assert "Here it is." in body_of(await mira.message_from(ALICE_JID))
    url = (await mira.message_from(ALICE_JID)).xml.findtext(OOB_URL)
    assert url is not None
    assert url.startswith(f"{walk.gateway.public_url}/files/")
    assert await got(url) == PICTURE
    async with aiohttp.ClientSession() as session, session.head(url) as head:
        assert head.headers["Content-Disposition"].startswith("attachment; filename=")
        assert "filename*=UTF-8''gr%C3%B6%C3%9Fe.png" in head.headers["Content-Disposition"]
        assert int(head.headers["Content-Length"]) == len(PICTURE)


async def test_a_full_quota_keeps_no_file_back(fresh_prosody: Callable[..., PrivateProsody]) -> None:
    server = with_upload(fresh_prosody, "    http_file_share_daily_quota = 1000\n")
    async with world(server) as walk:
        mira = await walk.user(on=(MAIL,))
        await walk.hand_in(mira, with_picture(walk, mira, "Too much?"))
        await mira.message_from(ALICE_JID, containing="Too much?")
        url = (await mira.message_from(ALICE_JID)).xml.findtext(OOB_URL) or ""
        assert url.startswith(f"{walk.gateway.public_url}/files/")
        assert await got(url) == PICTURE


async def test_what_a_user_shares_is_attached_to_the_mail(uploading: World) -> None:
    mira = await uploading.user(on=(MAIL,))
    url = await put(mira, "plan.png", "image/png", PICTURE)

    sent = mira.say(ALICE_JID, url, extra=f"<x xmlns='jabber:x:oob'><url>{url}</url></x>")
    await mira.receipt_for(sent)
    (mail,) = uploading.mail.mails
    assert attached(mail) == [("plan.png", "image/png", PICTURE)]
    assert mail.message["Subject"] == "plan.png"
    assert "127.0.0.1" not in mail.text


async def test_a_link_into_a_private_network_is_refused_with_a_reason(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    url = f"https://127.0.0.1:{walk.gateway.admin_port}/metrics"
    sent = mira.say(ALICE_JID, url, extra=f"<x xmlns='jabber:x:oob'><url>{url}</url></x>")
    assert "private network" in error_text(await mira.error_for(sent))
    assert walk.mail.mails == []


async def test_an_encrypted_file_is_refused_with_what_to_do(walk: World) -> None:
    mira = await walk.user(on=(MAIL,))
    sent = mira.say(ALICE_JID, "aesgcm://upload.example.org/x/cat.jpg#00112233")
    assert "encryption" in error_text(await mira.error_for(sent))


async def test_a_picture_survives_a_kill_before_it_was_shown(uploading: World) -> None:
    mira = await uploading.user(on=(MAIL,))
    await mira.logout()
    await uploading.hand_in(mira, with_picture(uploading, mira, "Before the crash."))
    await uploading.kill()
    await uploading.start()
    await mira.login()
    await mira.message_from(ALICE_JID, containing="Before the crash.", within=40)
    url = (await mira.message_from(ALICE_JID, within=40)).xml.findtext(OOB_URL)
    assert url is not None
    assert await got(url) == PICTURE


async def test_a_report_about_a_mail_that_is_only_a_file_finds_it(uploading: World) -> None:
    mira = await uploading.user(on=(MAIL,))
    url = await put(mira, "plan.png", "image/png", PICTURE)
    sent = mira.say(ALICE_JID, url, extra=f"<x xmlns='jabber:x:oob'><url>{url}</url></x>")
    await mira.receipt_for(sent)
    (mail,) = uploading.mail.mails
    report = NOT_DELIVERED.format(about=mail.message["Message-ID"], alice=ALICE).encode()
    refused = await asyncio.to_thread(hand_in, uploading.gateway.smtp_port, "", [mail.sender], report)
    assert refused == {}
    assert f"{ALICE} does not exist there" in error_text(await mira.error_for(sent))
