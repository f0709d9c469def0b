"""Users' own mail accounts through real Dovecot and Prosody: brought, proven, used, mended, removed."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import pytest

from bridge.demo.chat_user import ChatUser, error_text, is_chat
from bridge.demo.prosody import PrivateProsody
from bridge.demo.world import MAIL
from tests.support.client import body_of
from tests.support.mail import Smarthost, smarthost
from tests.support.servers_mail import Dovecot
from tests.walks.gateway import (
    AFTER_CRASH,
    ALICE,
    ALICE_JID,
    BOB,
    BOB_JID,
    MAIL_DOMAIN,
    PROSODY_PRIVILEGE,
    World,
    letter,
    world,
)
from tests.walks.mailbox import PASSWORD, count, deliver, put_into_sent, read_it, seen, sent_texts, until

COMMANDS = "http://jabber.org/protocol/commands"
FIELD, NOTE = "{jabber:x:data}field", f"{{{COMMANDS}}}note"
CODE = re.compile(r"\b\d{6}\b")
OWN = "mira@family.example"

# Whoever logs in at the family's server is believed; at the clinic's, a code is asked for.
ACCOUNTS = """
[transport.mail.accounts]
allowed = true
hosts = ["127.0.0.1"]
domains = ["family.example", "clinic.example"]
[[transport.mail.accounts.provider]]
domains = ["family.example"]
imap = "127.0.0.1:{imap}"
imap_tls = "none"
smtp = "127.0.0.1:{smtp}"
smtp_tls = "none"
proves = true
[[transport.mail.accounts.provider]]
domains = ["clinic.example"]
imap = "127.0.0.1:{imap}"
imap_tls = "none"
smtp = "127.0.0.1:{smtp}"
smtp_tls = "none"
"""


@dataclass
class Here:
    walk: World
    post_office: Dovecot
    provider: Smarthost  # who sends for the accounts


@pytest.fixture
def post_office() -> Iterator[Dovecot]:
    """A Dovecot of the test's own, to be killed at will."""
    with Dovecot(dict.fromkeys(("mira", "noor"), PASSWORD)) as server:
        yield server


@pytest.fixture
async def here(prosody: PrivateProsody, post_office: Dovecot) -> AsyncIterator[Here]:
    async with around(prosody, post_office) as made:
        yield made


@asynccontextmanager
async def around(server: PrivateProsody, post_office: Dovecot, login: str = OWN) -> AsyncIterator[Here]:
    async with smarthost(login=(login, PASSWORD)) as provider:
        extra = ACCOUNTS.format(imap=post_office.imap_port, smtp=provider.port)
        async with world(server, extra=extra) as walk:
            yield Here(walk, post_office, provider)


# --- the two ways in ---


async def execute(user: ChatUser, *, action: str = "", session: str = "", **values: str) -> Element:
    """One step of the ad-hoc command."""
    fields = "".join(
        f"<field var='{name}'><value>{escape(value)}</value></field>" for name, value in values.items()
    )
    form = f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>" if session else ""
    about = "".join(
        f" {name}='{text}'" for name, text in (("action", action), ("sessionid", session)) if text
    )
    payload = f"<command xmlns='{COMMANDS}' node='account'{about}>{form}</command>"
    found = (await user.ask(MAIL, "set", payload, within=30)).find(f"{{{COMMANDS}}}command")
    assert found is not None
    return found


async def in_form(user: ChatUser, what: str, **values: str) -> Element:
    """The command with one choice and the form that follows."""
    first = await execute(user)
    session = first.get("sessionid", "")
    second = await execute(user, session=session, action="next", what=what)
    return await execute(user, session=session, action="complete", **values) if values else second


def note(command: Element) -> str:
    return command.findtext(NOTE) or ""


async def tell(user: ChatUser, text: str, containing: str = "") -> str:
    user.say(MAIL, text, receipt=False)
    return body_of(await user.message_from(MAIL, containing=containing, within=30))


async def somebody(here: Here, name: str = "mira") -> ChatUser:
    """Registered, and welcomed."""
    user = await here.walk.user(name, on=(MAIL,))
    await user.message_from(MAIL, containing="Welcome")
    return user


async def bring(user: ChatUser, address: str = OWN) -> None:
    """The account, followed and up to date."""
    answer = await in_form(user, "bring", address=address, password=PASSWORD, servers="0")
    assert f"You write from {address} from now on" in note(answer)

    async def up_to_date() -> bool:
        return "up to date" in await tell(user, "account", address)

    await until(up_to_date, 15)


# --- an account at work ---


async def test_an_account_reads_and_sends_and_keeps_what_was_sent(here: Here) -> None:
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "years ago")))
    mira = await somebody(here)
    await bring(mira)
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "are you coming?")))
    stanza = await mira.message_from(ALICE_JID)
    assert "are you coming?" in body_of(stanza)
    await mira.receipt_for(mira.say(ALICE_JID, "On my way"))
    (mail,) = here.provider.mails
    assert mail.sender == OWN, "no token of ours in an address that is not ours"
    assert mail.message["From"] == f"Mira <{OWN}>"
    assert mail.message["Reply-To"] is None
    assert mail.text.strip().startswith("On my way")
    assert here.walk.mail.mails == []
    # Unread until the user has read it.
    assert await _count(here, "SEEN") == 0
    mira.send_xml(
        f"<message to='{ALICE_JID}' type='chat' id='d1'>"
        f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{stanza['id']}'/></message>"
    )
    await seen(here.post_office, "mira", 1)

    async def kept() -> bool:
        return len(await _sent(here)) == 1

    await until(kept, 15)
    await mira.receipt_for(mira.say(ALICE_JID, "Almost there"))

    async def both_kept() -> bool:
        return len(await _sent(here)) == 2

    await until(both_kept, 15)
    assert len(mira.bodies_from(ALICE_JID)) == 1, "what was said here is not shown again"


async def _sent(here: Here) -> list[str]:
    return await asyncio.to_thread(sent_texts, here.post_office, "mira")


async def _count(here: Here, which: str) -> int:
    return await asyncio.to_thread(count, here.post_office, "mira", which)


async def test_what_a_provider_keeps_by_itself_is_not_kept_twice(here: Here) -> None:
    def keep_it(text: str) -> None:
        put_into_sent(here.post_office, "mira", text.encode())

    here.provider.after_data = keep_it
    mira = await somebody(here)
    await bring(mira)
    for words in ("one", "two"):
        await mira.receipt_for(mira.say(ALICE_JID, words))
    here.provider.after_data = lambda text: None
    await mira.receipt_for(mira.say(ALICE_JID, "three"))

    async def three() -> bool:
        return len(await _sent(here)) >= 3

    await until(three, 15)
    assert [text.splitlines()[0] for text in await _sent(here)] == ["one", "two", "three"]


async def test_a_thread_goes_on_from_what_was_sent_elsewhere(here: Here) -> None:
    old = letter(OWN, BOB, "an old one", message_id="<old@x.example>")
    await asyncio.to_thread(put_into_sent, here.post_office, "mira", bytes(old))
    mira = await somebody(here)
    await bring(mira)
    written = letter(OWN, BOB, "Shall we?", message_id="<elsewhere@family.example>", subject="Picnic")
    await asyncio.to_thread(put_into_sent, here.post_office, "mira", bytes(written))
    assert "Shall we?" in body_of(await mira.message_from(BOB_JID, within=15))
    answer = letter(BOB, OWN, "With pleasure", subject="Re: Picnic")
    answer["In-Reply-To"] = "<elsewhere@family.example>"
    await deliver(here.post_office, "mira", bytes(answer))
    assert "With pleasure" in body_of(await mira.message_from(BOB_JID))
    await mira.receipt_for(mira.say(BOB_JID, "At three"))
    mail = here.provider.mails[0].message
    assert "<elsewhere@family.example>" in mail["References"]
    assert mail["Subject"] == "Re: Picnic"
    assert len(mira.bodies_from(BOB_JID)) == 2


# --- whose address it is ---


async def test_a_server_that_nobody_vouches_for_proves_nothing(here: Here) -> None:
    theirs = "mira@clinic.example"
    here.provider.login = (theirs, PASSWORD)
    mira = await somebody(here)
    own = here.walk.address_of(mira)
    answer = note(await in_form(mira, "bring", address=theirs, password=PASSWORD, servers="0"))
    assert "a code is on its way there" in answer
    assert own in await tell(mira, "account", "You write from")
    (mail,) = await here.walk.mail.now.arrived(1)
    assert mail.recipients == (theirs,)
    code = CODE.search(mail.text)
    assert code is not None
    wrong = "000000" if code[0] != "000000" else "000001"
    assert "not the code" in await tell(mira, f"account {wrong}")
    assert theirs in await tell(mira, f"account {code[0]}", "Proven")
    await mira.receipt_for(mira.say(ALICE_JID, "from my own account"))
    assert here.provider.mails[-1].sender == theirs
    assert "not the code" in await tell(mira, f"account {code[0]}"), "it is good once"


async def test_nobody_reads_the_code_that_is_for_somebody_else(here: Here) -> None:
    """Who has an account may run its server: a code for another address must not pass there."""
    mira = await somebody(here)
    await bring(mira)
    # Any password will do for an account of one's own at a server of one's own.
    here.provider.login = ("mira@clinic.example", PASSWORD)
    form = {"address": "director@clinic.example", "username": "mira@clinic.example", "password": PASSWORD}
    others = dict.fromkeys(("imap_host", "imap_port", "imap_tls", "smtp_host", "smtp_port", "smtp_tls"), "")
    first = await execute(mira)
    session = first.get("sessionid", "")
    await execute(mira, session=session, action="next", what="bring")
    needed = {"address": form["address"], "password": PASSWORD, "servers": "1"}
    await execute(mira, session=session, action="next", **needed)
    last = await execute(
        mira, session=session, action="complete", username=form["username"], **others,
        smtp_username="", smtp_password="",
    )  # fmt: skip
    assert "a code is on its way" in note(last)
    (mail,) = await here.walk.mail.now.arrived(1)
    assert mail.recipients == ("director@clinic.example",)
    assert mail.message["From"] == f"postmaster@{MAIL_DOMAIN}"
    assert here.provider.mails == []


async def test_an_account_that_is_somebody_elses_here_is_refused(here: Here) -> None:
    mira, noor = await somebody(here), await somebody(here, "noor")
    await bring(mira)
    answer = await in_form(noor, "bring", address=OWN, password=PASSWORD, servers="0")
    assert "Somebody else here uses this address" in note(answer)


async def test_what_does_not_work_is_said_beside_the_form(here: Here) -> None:
    mira = await somebody(here)
    first = await execute(mira)
    session = first.get("sessionid", "")
    form = await execute(mira, session=session, action="next", what="bring")
    kinds = {one.get("var"): one.get("type") for one in form.iter(FIELD)}
    assert kinds["password"] == "text-private"
    for words, changes in {
        "Your mailbox does not open": {"password": "wrong one"},
        "is no email address": {"address": "mira"},
        "this gateway's own": {"address": f"mira@{MAIL_DOMAIN}"},
        "Accounts at bank.example cannot be used here": {"address": "mira@bank.example"},
        "missing": {"password": ""},
    }.items():
        filled = {"address": OWN, "password": PASSWORD, "servers": "0", **changes}
        answer = await execute(mira, session=session, action="complete", **filled)
        assert words in note(answer)
        assert answer.get("status") == "executing"
        assert "wrong one" not in ElementTree.tostring(answer, encoding="unicode")
    here.provider.login = ("mira", "another")
    filled = {"address": OWN, "password": PASSWORD, "servers": "0"}
    answer = await execute(mira, session=session, action="complete", **filled)
    assert "refused the login: check name and password for sending" in note(answer)


async def test_a_password_typed_as_text_is_taken_and_advised_against(here: Here) -> None:
    mira = await somebody(here)
    asked = await tell(mira, f"account bring {OWN}")
    assert "Password" in asked
    assert "Write it like this" in await tell(mira, "account somehow")
    asked = await tell(mira, f"konto bringen {OWN}")
    assert "Passwort" in asked
    assert await tell(mira, "settings language en", "Saved")
    asked = await tell(mira, f"account bring {OWN}")
    assert "menu of commands" in asked
    answer = await tell(mira, "not this one")
    assert "does not open" in answer
    assert "delete (retract)" in answer
    await tell(mira, f"account bring {OWN}")
    answer = await tell(mira, PASSWORD)
    assert f"You write from {OWN}" in answer
    assert "delete (retract)" in answer
    prompts = [one for one in mira.heard if body_of(one)]
    assert all(PASSWORD not in body_of(one) for one in prompts)
    assert all(one.xml.find("{urn:xmpp:hints}no-store") is not None for one in prompts[-4:])
    assert PASSWORD not in here.walk.log
    database = (here.walk.gateway.folder / "data").rglob("*.db*")
    assert all(PASSWORD.encode() not in path.read_bytes() for path in database)


# --- trouble ---


async def test_a_changed_password_is_told_once_and_what_waits_goes_when_it_is_mended(here: Here) -> None:
    mira, noor = await somebody(here), await somebody(here, "noor")
    await bring(mira)
    users = here.post_office.folder / "users"
    await asyncio.to_thread(here.post_office.stop)
    users.write_text(users.read_text().replace(f"mira:{{PLAIN}}{PASSWORD}", "mira:{PLAIN}changed"))
    await asyncio.to_thread(here.post_office.start)
    here.provider.login = (OWN, "changed")
    notice = await mira.message_from(MAIL, containing="does not open any more", within=AFTER_CRASH)
    assert OWN in body_of(notice)
    waits = mira.say(ALICE_JID, "into the void")
    began = time.monotonic()
    await noor.receipt_for(noor.say(ALICE_JID, "I am well"), within=5)
    assert time.monotonic() - began < 5, "one broken account costs nobody else"
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "while it was shut")))
    assert "does not open any more" in await tell(mira, "account", OWN)
    answer = await in_form(mira, "password", password="changed")
    assert f"{OWN} opens again" in note(answer)
    await mira.receipt_for(waits, within=15)
    assert "while it was shut" in body_of(await mira.message_from(ALICE_JID, within=15))
    told = [body for body in mira.bodies_from(MAIL) if body.startswith("✗")]
    assert len(told) == 1


async def test_a_dovecot_killed_in_idle_and_the_gateway_killed_lose_and_repeat_nothing(here: Here) -> None:
    mira = await somebody(here)
    await bring(mira)
    await asyncio.to_thread(here.post_office.kill)
    await asyncio.to_thread(here.post_office.start)
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "after the first")))
    await mira.message_from(ALICE_JID, containing="after the first", within=AFTER_CRASH)
    await here.walk.kill()
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "while you were dead")))
    await here.walk.start()
    await mira.message_from(ALICE_JID, containing="while you were dead", within=AFTER_CRASH)
    await mira.receipt_for(mira.say(ALICE_JID, "still here"), within=AFTER_CRASH)
    assert here.provider.mails[-1].sender == OWN
    # What was on its way when the gateway died may be said again, under the same id.
    assert len({one["id"] for one in mira.heard if is_chat(one, ALICE_JID)}) == 2


async def test_an_account_that_is_removed_leaves_nothing_behind(here: Here) -> None:
    mira = await somebody(here)
    before = here.walk.address_of(mira)
    await bring(mira)
    tried = asyncio.Event()

    def later(address: str) -> str:
        tried.set()
        return "451 4.3.2 Later"

    here.provider.on_mail = later
    too_late = mira.say(ALICE_JID, "too late")
    async with asyncio.timeout(10):
        await tried.wait()
    assert "does not come here any more" in await tell(mira, "account remove")
    assert f"you write from {before} again" in await tell(mira, "yes", "Done")
    await mira.receipt_for(mira.say(BOB_JID, "from here again"))
    assert here.walk.mail.mails[-1].sender.startswith("mira")
    await deliver(here.post_office, "mira", bytes(letter(ALICE, OWN, "not for you any more")))
    assert "You write from" in await tell(mira, "account", before)
    await mira.receipt_for(mira.say(ALICE_JID, "again"), within=15)
    assert [one.sender for one in here.provider.mails] == []
    assert "not here any more" in error_text(await mira.error_for(too_late, within=60))


# --- what the user writes in another program ---

CARBONS = "urn:xmpp:carbons:2"
SENT = f"{{{CARBONS}}}sent/{{urn:xmpp:forward:0}}forwarded/{{jabber:client}}message"


def written_elsewhere(words: str, number: int = 1) -> bytes:
    return bytes(letter(OWN, BOB, words, message_id=f"<{number}@family.example>", subject="Picnic"))


async def test_own_words_from_elsewhere_are_the_users_own_where_the_server_lets_us(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot
) -> None:
    async with around(fresh_prosody(**PROSODY_PRIVILEGE), post_office) as here:
        await asyncio.to_thread(put_into_sent, post_office, "mira", written_elsewhere("Years ago", 0))
        mira = await somebody(here)
        await mira.ask(mira.bare, "set", f"<enable xmlns='{CARBONS}'/>")
        await bring(mira)
        await asyncio.to_thread(put_into_sent, post_office, "mira", written_elsewhere("Shall we?"))
        carbon = await mira.expect(lambda one: one.xml.find(SENT) is not None, "a carbon", within=20)
        own = carbon.xml.find(SENT)
        assert own is not None
        assert own.findtext("{jabber:client}body") == "Shall we?"
        assert own.get("to") == BOB_JID
        await mira.receipt_for(mira.say(BOB_JID, "And bring a blanket"))
        assert len(here.provider.mails) == 1, "what had been sent elsewhere is not sent again"
        assert mira.bodies_from(BOB_JID) == []


async def test_what_is_read_elsewhere_is_read_here_where_the_server_lets_us(
    fresh_prosody: Callable[..., PrivateProsody], post_office: Dovecot
) -> None:
    async with around(fresh_prosody(**PROSODY_PRIVILEGE), post_office) as here:
        mira = await somebody(here)
        await mira.ask(mira.bare, "set", f"<enable xmlns='{CARBONS}'/>")
        await bring(mira)
        ids = []
        for words in ("first", "second", "third"):
            await deliver(post_office, "mira", bytes(letter(ALICE, OWN, words)))
            ids.append((await mira.message_from(ALICE_JID, containing=words))["id"])

        async def marked() -> str:
            mark = f"{SENT}/{{urn:xmpp:chat-markers:0}}displayed"
            carbon = await mira.expect(lambda one: one.xml.find(mark) is not None, "a mark", within=20)
            found = carbon.xml.find(mark)
            return "" if found is None else found.get("id", "")

        await asyncio.to_thread(read_it, post_office, "mira", "first")
        assert await marked() == ids[0]
        # The second is unread: a mark on the third would speak for it, too.
        await asyncio.to_thread(read_it, post_office, "mira", "third")
        await asyncio.to_thread(read_it, post_office, "mira", "second")
        assert await marked() == ids[2]
        assert here.provider.mails == []


async def test_own_words_from_elsewhere_are_a_line_that_says_so_unless_the_user_wants_none(
    here: Here,
) -> None:
    await asyncio.to_thread(put_into_sent, here.post_office, "mira", written_elsewhere("Years ago", 0))
    mira = await somebody(here)
    await bring(mira)
    await asyncio.to_thread(put_into_sent, here.post_office, "mira", written_elsewhere("Shall we?"))
    line = await mira.message_from(BOB_JID, within=20)
    assert body_of(line) == "✎ You wrote elsewhere: Shall we?"
    assert "Saved" in await tell(mira, "settings elsewhere off")
    await asyncio.to_thread(put_into_sent, here.post_office, "mira", written_elsewhere("In silence", 2))
    await deliver(here.post_office, "mira", bytes(letter(BOB, OWN, "Gladly")))
    assert "Gladly" in body_of(await mira.message_from(BOB_JID, within=20))

    async def recorded() -> bool:
        return "In silence" in await tell(mira, "find silence", "silence")

    await until(recorded, 15)
    assert len(mira.bodies_from(BOB_JID)) == 2
