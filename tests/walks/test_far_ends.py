"""The far ends themselves: that the private servers and the chat user do what the walks rely on."""

import imaplib
import smtplib
from collections.abc import Callable

import psycopg
import pytest

from bridge.demo.prosody import PrivateProsody
from tests.support.client import ChatServer, NotSeenError, body_of, new_user
from tests.support.servers_mail import Dovecot, Postfix


@pytest.fixture(params=["prosody", "ejabberd"])
def chat_server(request: pytest.FixtureRequest) -> ChatServer:
    return request.getfixturevalue(request.param)


async def test_two_users_talk_and_the_receipt_comes_back(chat_server: ChatServer) -> None:
    async with new_user(chat_server, "mira") as mira, new_user(chat_server, "noor") as noor:
        sent = mira.say(noor.jid, "Good evening <&>")
        heard = await noor.message_from(mira.bare)
        assert body_of(heard) == "Good evening <&>"
        await mira.receipt_for(sent)


async def test_what_does_not_come_is_told_with_what_came_instead(prosody: PrivateProsody) -> None:
    async with new_user(prosody) as mira:
        mira.say(mira.jid, "to myself")
        await mira.message_from(mira.bare)
        with pytest.raises(NotSeenError, match="waited for a receipt"):
            await mira.receipt_for("never-sent", within=0.05)


async def test_a_killed_prosody_comes_back_on_its_ports_with_its_users_and_offline_messages(
    fresh_prosody: Callable[..., PrivateProsody],
) -> None:
    server = fresh_prosody()
    noor = new_user(server, "noor")
    async with new_user(server, "mira") as mira:
        mira.say(noor.bare, "read this later")
        await mira.ask(server.domain, "get", "<ping xmlns='urn:xmpp:ping'/>")
        server.kill()
        await mira.offline.wait()
        server.start()
        await mira.login()
        async with noor:
            assert body_of(await noor.message_from(mira.bare)) == "read this later"


def test_each_database_is_new_and_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert tables == (0,)


def test_postfix_hands_a_mail_to_dovecot_and_imap_shows_it(
    dovecot: Dovecot, start_postfix: Callable[..., Postfix]
) -> None:
    postfix = start_postfix({"*": dovecot.lmtp_port}, protocol="lmtp")
    with imaplib.IMAP4("127.0.0.1", dovecot.imap_port, timeout=10) as imap:
        imap.login("bob", "a password")
        imap.select()
        with smtplib.SMTP("127.0.0.1", postfix.port) as smtp:
            smtp.sendmail("a@b.test", ["bob@chat.test"], b"Subject: through both\r\n\r\nHello\r\n")
        imap.send(b"x1 IDLE\r\n")
        lines = [imap.readline()]
        while b"EXISTS" not in lines[-1]:
            lines.append(imap.readline())
        imap.send(b"DONE\r\n")
        while not lines[-1].startswith(b"x1 OK"):
            lines.append(imap.readline())
        _, found = imap.fetch("*", "(BODY[HEADER.FIELDS (SUBJECT)])")
    assert b"through both" in found[0][1]
