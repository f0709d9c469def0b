"""Users' own accounts and the catch-all: forms, secrets at rest, hosts that may be dialled."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.email import catch_all, headers, own_account
from adapters.email.account_sending import AccountSender
from adapters.email.accounts import AccountWatch, Desk
from adapters.email.compose import Mail
from adapters.email.imap_client import ImapTrouble
from adapters.email.own_account import OwnAccount, Places, Seal, Server, Unreadable, from_form
from adapters.email.providers import Provider, Spot
from adapters.email.smtp_pool import Smarthost
from adapters.email.sourced import PLACE, SENT, SourcedParser
from bridge.model import Address, Envelope, Incoming, LineId
from bridge.ports import Account, BadAccount, Scope, Sent, TryLater
from tests.adapters.contract import MemoryInbox
from tests.support.mail import smarthost

DOMAINS = ("chat.example.org",)
OWN = "mira@family.example"
ACCOUNT = OwnAccount(
    OWN,
    Server("imap.family.example", 993, "implicit", OWN, "the secret"),
    Server("smtp.family.example", 465, "implicit", OWN, "the secret"),
)
KEY, OTHER = b"k" * 32, b"o" * 32


async def public(host: str) -> Sequence[str]:
    return ["8.8.8.8"]


# --- the form ---


def test_an_address_and_a_password_are_enough_for_most_providers() -> None:
    made = from_form({"address": " Mira@Family.example ", "password": "the secret"}, Places(), DOMAINS)
    assert made == ACCOUNT


def test_everything_else_may_be_said() -> None:
    filled = {
        "address": OWN, "password": "p", "username": "mira", "imap_host": "Mail.Family.example",
        "imap_tls": "starttls", "smtp_port": "587", "smtp_tls": "starttls", "smtp_username": "relay",
        "smtp_password": "q",
    }  # fmt: skip
    made = from_form(filled, Places(), DOMAINS)
    assert made.imap == Server("mail.family.example", 143, "starttls", "mira", "p")
    assert made.smtp == Server("smtp.family.example", 587, "starttls", "relay", "q")


def test_what_the_form_asks_for_is_what_is_read() -> None:
    names = [field.name for field in own_account.form()]
    assert len(names) == len(set(names))
    filled = {"address": OWN, "password": "p"} | {
        field.name: field.value for field in own_account.form() if field.value
    }
    assert from_form(filled, Places(), DOMAINS).address == OWN
    assert [field.name for field in own_account.form() if field.secret] == ["password", "smtp_password"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"address": "mira"}, "no email address"),
        ({"address": "mira@chat.example.org"}, "this gateway's own"),
        ({"password": ""}, "password is missing"),
        ({"password": "a\r\nb"}, "line breaks"),
        ({"username": "x" * 600}, "too long"),
        ({"imap_tls": "none"}, "in clear"),
        ({"imap_tls": "ssl"}, "implicit or starttls"),
        ({"imap_port": "imap"}, "port is a number"),
        ({"imap_port": "0"}, "port is a number"),
        ({"smtp_port": "22"}, "not one that mail servers use"),
        ({"imap_host": "imap.family.example/x"}, "is no host"),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_dialled(
    changes: Mapping[str, str], words: str
) -> None:
    with pytest.raises(BadAccount, match=words):
        from_form({"address": OWN, "password": "p", **changes}, Places(), DOMAINS)


# --- where it may be ---


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        (["93.184.215.14"], True),
        (["2606:2800:21f:cb07:6820:80da:af6b:8b2c"], True),
        (["127.0.0.1"], False),
        (["10.1.2.3"], False),
        (["169.254.169.254"], False),
        (["::1"], False),
        (["::ffff:10.0.0.1"], False),
        (["93.184.215.14", "192.168.0.1"], False),
        ([], False),
    ],
)
async def test_only_hosts_on_the_public_internet_are_dialled(found: Sequence[str], allowed: bool) -> None:
    async def lookup(host: str) -> Sequence[str]:
        return found

    places = Places(lookup=lookup)
    if allowed:
        assert await places.resolve("mail.example.com") == "mail.example.com"
        return
    with pytest.raises(ImapTrouble, match="public Internet"):
        await places.resolve("mail.example.com")


async def test_an_admin_names_the_only_hosts_wherever_they_are() -> None:
    places = Places(("10.0.0.5",))
    places.judge("10.0.0.5", 1143, "none")
    assert await places.resolve("10.0.0.5") == "10.0.0.5"
    with pytest.raises(BadAccount, match="cannot be used here"):
        places.judge("imap.example.com", 993, "implicit")


# --- at rest ---


def test_a_sealed_account_hides_everything_and_opens_with_its_key() -> None:
    sealed = Seal([KEY]).close(ACCOUNT)
    assert Seal([KEY]).open(sealed) == ACCOUNT
    for words in (b"secret", b"family", b"mira"):
        assert words not in sealed


def test_after_a_change_of_keys_old_accounts_still_open() -> None:
    sealed = Seal([OTHER]).close(ACCOUNT)
    assert Seal([KEY, OTHER]).open(sealed) == ACCOUNT
    for broken in (sealed[:-3], b"", b"nonsense"):
        with pytest.raises(Unreadable):
            Seal([KEY, OTHER]).open(broken)
    with pytest.raises(Unreadable):
        Seal([KEY]).open(sealed)


def test_secrets_stay_out_of_what_is_printed() -> None:
    login = ACCOUNT.imap_login(Places())
    assert "the secret" not in f"{ACCOUNT!r} {login!r} {ACCOUNT.smarthost('x')!r}"


async def test_an_account_that_cannot_be_opened_is_told_and_costs_nothing_else() -> None:
    box = MemoryInbox(brought=[Account(LineId(1), "mira@localhost", OWN, Seal([OTHER]).close(ACCOUNT))])
    desk = Desk("mail", DOMAINS, Seal([KEY]), Places(lookup=public), 10)
    async with desk.running(box):
        assert await desk.sender(OWN) is None
    ((jid, words),) = box.told
    assert jid == "mira@localhost"
    assert "bring it again" in words


class OnceInbox(MemoryInbox):
    """Says once what is to be said once, as the record does."""

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        keys = self.__dict__.setdefault("keys", set())
        if once not in keys:
            keys.add(once)
            await super().tell(jid, text, once=once)


async def test_a_server_that_is_gone_is_told_once_and_not_at_once() -> None:
    now = [1_000_000.0]
    dead = OwnAccount(
        OWN,
        Server("127.0.0.1", 1, "none", OWN, "p"),
        Server("127.0.0.1", 1, "none", OWN, "p"),
    )
    attempts = 0
    tried_on = asyncio.Event()

    def clock() -> float:
        nonlocal attempts
        attempts += 1
        now[0] += 250
        if box.told:
            tried_on.set()
        return now[0]

    box = OnceInbox()
    account = Account(LineId(7), "mira@localhost", OWN, b"")
    watch = AccountWatch(account, dead, Places(("127.0.0.1",)), box, "here", clock)
    running = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(20), box.changed:
            await box.changed.wait_for(lambda: box.told)
        told_at = attempts
        async with asyncio.timeout(20):
            await tried_on.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert told_at > 2, "a restart of a server is nobody's business"
    ((jid, words),) = box.told
    assert jid == "mira@localhost"
    assert "127.0.0.1 cannot be reached for some time" in words
    assert "nothing is lost" in words


# --- where the servers are, and what a login there proves ---

FAMILY = Provider(Spot("127.0.0.1", 143, "none"), Spot("127.0.0.1", 25, "none"), proves=True)


@pytest.mark.parametrize(
    ("domain", "there", "imap", "smtp"),
    [
        ("family.example", set(), "127.0.0.1:143", "127.0.0.1:25"),
        ("gmail.com", set(), "imap.gmail.com:993", "smtp.gmail.com:465"),
        ("gmx.de", set(), "imap.gmx.net:993", "mail.gmx.net:465"),
        ("icloud.com", set(), "imap.mail.me.com:993", "smtp.mail.me.com:587"),
        (
            "x.example",
            {"imap.x.example", "smtp.x.example"},
            "imap.x.example:993",
            "smtp.x.example:465",
        ),
        ("x.example", {"mail.x.example"}, "mail.x.example:993", "mail.x.example:465"),
        ("x.example", set(), "imap.x.example:993", "smtp.x.example:465"),
    ],
)
async def test_servers_are_found_by_the_domain(domain: str, there: set[str], imap: str, smtp: str) -> None:
    async def lookup(host: str) -> Sequence[str]:
        if host not in there:
            raise OSError
        return ["8.8.8.8"]

    found = await Places(lookup=lookup, named={"family.example": FAMILY}).guess(domain)
    assert f"{found.imap.host}:{found.imap.port}" == imap
    assert f"{found.smtp.host}:{found.smtp.port}" == smtp


@pytest.mark.parametrize(
    ("address", "login", "host", "provider", "proven"),
    [
        ("mira@family.example", "mira@family.example", "127.0.0.1", FAMILY, True),
        ("mira@family.example", "Mira", "127.0.0.1", FAMILY, True),
        ("noor@family.example", "mira@family.example", "127.0.0.1", FAMILY, False),
        ("noor@family.example", "mira", "127.0.0.1", FAMILY, False),
        ("mira@family.example", "mira@family.example", "10.0.0.66", FAMILY, False),
        ("mira@family.example", "mira", "127.0.0.1", replace(FAMILY, alone=False), False),
        ("mira@family.example", "mira@family.example", "127.0.0.1", replace(FAMILY, proves=False), False),
    ],
)
def test_a_login_proves_an_address_only_at_its_trusted_home(
    address: str, login: str, host: str, provider: Provider, proven: bool
) -> None:
    server = Server(host, 143, "none", login, "p")
    assert own_account.is_proven(OwnAccount(address, server, server), provider) is proven


def test_what_other_programs_may_not_read_is_said_before_a_password_is_asked_for() -> None:
    with pytest.raises(BadAccount, match="own programs only"):
        from_form({"address": "mira@proton.me", "password": "p"}, Places(), DOMAINS)
    with pytest.raises(BadAccount, match=r"Possible: family\.example"):
        from_form(
            {"address": OWN.replace("family", "x"), "password": "p"},
            Places(domains=("family.example",)),
            DOMAINS,
        )


# --- sending ---

MAIL = Mail(OWN, ("alice@example.com",), "<1@x.example>", b"Subject: x\r\n\r\nx\r\n", False)


def server_of(port: int, **more: Any) -> Smarthost:
    return Smarthost("127.0.0.1", port, username="mira", password="p", connect_timeout=2.0, **more)


async def test_an_account_sends_through_its_own_server() -> None:
    async with smarthost(login=("mira", "p")) as provider:
        sender = AccountSender(server_of(provider.port), Places(("127.0.0.1",)), lambda: 1.0)
        assert await sender.submit(MAIL) == {"alice@example.com": Sent("<1@x.example>")}
        await sender.pool.close()
    assert provider.mails[0].sender == OWN


async def test_a_server_that_is_away_rests_and_never_pauses_the_outlet() -> None:
    now = 1000.0
    async with smarthost(login=("mira", "p"), on_mail=lambda address: "421 4.3.2 Away") as provider:
        sender = AccountSender(server_of(provider.port), Places(("127.0.0.1",)), lambda: now)
        for _ in range(3):
            (fate,) = (await sender.submit(MAIL)).values()
            assert isinstance(fate, TryLater)
            assert fate.scope is Scope.DELIVERY
            assert "127.0.0.1" in fate.reason
        tried = provider.connections
        now += 60
        provider.on_mail = lambda address: None
        assert isinstance((await sender.submit(MAIL))["alice@example.com"], Sent)
        assert tried == 1
        await sender.pool.close()


async def test_a_wrong_password_for_sending_is_said_to_be_one() -> None:
    async with smarthost(login=("mira", "another")) as provider:
        sender = AccountSender(server_of(provider.port), Places(("127.0.0.1",)), lambda: 1.0)
        (fate,) = (await sender.submit(MAIL)).values()
        assert isinstance(fate, TryLater)
        assert "refuses your password" in fate.reason


# --- whose a mail of the catch-all is ---


@pytest.mark.parametrize(
    ("head", "first"),
    [
        ("To: Mira <mira@chat.example.org>, bob@example.com", ("mira@chat.example.org",)),
        ("To: a@example.com\nCc: noor@CHAT.example.org", ("noor@chat.example.org",)),
        ("X-Original-To: noor@chat.example.org\nTo: mira@chat.example.org", ("noor@chat.example.org",)),
        ("Envelope-To: noor@chat.example.org\nTo: mira@chat.example.org", ("noor@chat.example.org",)),
        ("Delivered-To: gateway@example.org\nTo: mira@chat.example.org", ("mira@chat.example.org",)),
        # The topmost is our own server's; the one below came with the mail.
        (
            "Delivered-To: noor@chat.example.org\nDelivered-To: mira@chat.example.org\nTo: x@y.example",
            ("noor@chat.example.org",),
        ),
        ("To: mira+token@chat.example.org", ("mira+token@chat.example.org",)),
        ("To: undisclosed-recipients:;", ()),
    ],
)
def test_whose_a_mail_is_stands_in_its_head(head: str, first: tuple[str, ...]) -> None:
    raw = head.replace("\n", "\r\n").encode() + b"\r\n\r\nbody\r\n"
    assert next(catch_all.recipients(headers.read(raw), DOMAINS), ()) == first


async def test_tokens_lead_to_their_line() -> None:
    box = MemoryInbox({"mira@chat.example.org"})
    asked = ("mira+token@chat.example.org", "nobody@chat.example.org")
    assert await catch_all.known(box, asked) == {"mira+token@chat.example.org": "mira@chat.example.org"}


# --- reading ---


def read_nothing(raw: bytes, envelope: Envelope) -> Sequence[Incoming]:
    return [Incoming("mail", Address("a@x.example", "a@x.example"), OWN, "hi", "k", 1.0, memo={"from": "a"})]


def test_where_a_mail_lies_is_remembered_with_it() -> None:
    envelope = Envelope("mail", "", (OWN,), 1.0, headers={PLACE: "INBOX:7:5"})
    (one,) = SourcedParser(read_nothing)(b"", envelope)
    assert isinstance(one, Incoming)
    assert one.memo == {"from": "a", PLACE: "INBOX:7:5"}


def test_a_mail_from_the_sent_folder_is_the_users_own_to_each_of_its_people() -> None:
    raw = (
        b"From: Mira <mira@family.example>\r\nTo: Alice <alice@example.com>, mira@family.example\r\n"
        b"Cc: Bob@Example.com\r\nSubject: Re: Picnic\r\nMessage-ID: <1@family.example>\r\n"
        b"In-Reply-To: <0@example.com>\r\n\r\nAt three?\r\n\r\nOn Monday Alice wrote:\r\n> When?\r\n"
    )
    envelope = Envelope("mail", "", (OWN,), 1.0, headers={SENT: "yes"})
    parts = SourcedParser(read_nothing)(raw, envelope)
    assert all(isinstance(one, Incoming) and one.own and one.recipient == OWN for one in parts)
    own = [one for one in parts if isinstance(one, Incoming)]
    assert [one.sender.canonical for one in own] == ["alice@example.com"]
    assert own[0].group is not None
    assert list(own[0].group.people) == ["alice@example.com", "bob@example.com"]
    assert own[0].subject == "Picnic"
    assert own[0].body.startswith("At three?")
    assert own[0].references == ("<0@example.com>",)
