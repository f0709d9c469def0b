"""What becomes of a mail that goes out, through a real SMTP server that answers by script."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.email import adapter as email_adapter
from adapters.email.adapter import EmailAdapter
from adapters.email.addresses import without_token
from adapters.email.settings import EmailSettings
from adapters.email.smtp_out import Submitter
from adapters.email.smtp_pool import Pool
from bridge.model import Delivery
from bridge.ports import Fate, Refused, Scope, Sent, TryLater
from tests.adapters.contract import MemoryInbox, context, delivery, message
from tests.adapters.test_email_contract import TABLE
from tests.support import mail as far_end
from tests.support.mail import HANG_UP, SAY_NOTHING, Smarthost, smarthost

LINE = "mira@chat.example.org"
ALICE = "alice@example.com"


@pytest.fixture(autouse=True, params=[False, True], ids=["one by one", "pipelined"])
def pipelining(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """All of it at both kinds of servers."""
    monkeypatch.setattr(far_end, "PIPELINING", request.param)
    return bool(request.param)


@asynccontextmanager
async def adapter_for(host: Smarthost, *, hasty: bool = False, **changes: Any) -> AsyncIterator[EmailAdapter]:
    table = {**TABLE, "outbound": {"host": "127.0.0.1", "port": host.port, **changes.pop("outbound", {})}}
    made = EmailAdapter.from_settings(EmailSettings.model_validate(table), context())
    quick = {"connect_timeout": 0.5, "command_timeout": 0.5, "data_timeout": 0.5} if hasty else {}
    settings = replace(made._smarthost, **quick, **changes)
    made._smarthost = settings
    made._pool = Pool(settings, asyncio.get_running_loop().time)
    made._submitter = Submitter(made._pool, settings)
    async with made.running(MemoryInbox()):
        yield made


def to(recipient: str = ALICE, body: str = "Running late", **changes: Any) -> Delivery:
    return delivery(recipient, sender=LINE, message=message(body), **changes)


async def fate_of(made: EmailAdapter, one: Delivery) -> Fate:
    return (await made.send([one]))[one.id]


async def fate(one: Delivery | None = None, *, hasty: bool = False, **scripts: Any) -> tuple[Fate, str]:
    """The fate of one delivery at a smarthost with this script, and what the admin is told."""
    async with smarthost(**scripts) as host, adapter_for(host, hasty=hasty) as made:
        return await fate_of(made, one or to()), made.health()


# --- taken ---


async def test_a_mail_arrives_as_it_was_composed() -> None:
    async with smarthost() as host, adapter_for(host) as made:
        one = to()
        found = await fate_of(made, one)
        (arrived,) = host.mails
    assert found == Sent(made.remote_id(one.message.uid if one.message else ""))
    assert without_token(arrived.sender) == LINE
    assert arrived.recipients == (ALICE,)
    assert arrived.message["message-id"] == found.remote_id
    assert arrived.message["from"].addresses[0].display_name == "Mira Berg"
    assert arrived.text == "Running late\r\n"


async def test_lines_that_begin_with_a_dot_arrive() -> None:
    async with smarthost() as host, adapter_for(host) as made:
        await fate_of(made, to(body=".\n..\n.hidden\nend"))
    assert host.mails[0].text == ".\r\n..\r\n.hidden\r\nend\r\n"


async def test_recipients_of_one_message_share_a_transaction_and_have_fates_of_their_own() -> None:
    one = message()
    batch = [delivery(f"{name}@example.com", sender=LINE, message=one) for name in ("ann", "bob", "cleo")]
    refuse = {"bob@example.com": "550 5.1.1 unknown", "cleo@example.com": "451 4.7.1 greylisted"}
    async with smarthost(on_rcpt=refuse.get) as host, adapter_for(host) as made:
        fates = await made.send(batch)
    assert [type(fates[each.id]) for each in batch] == [Sent, Refused, TryLater]
    (arrived,) = host.mails
    assert arrived.recipients == ("ann@example.com",)


# --- not taken, by words ---


REFUSALS: Sequence[tuple[str, str, str, str, str]] = [
    # at, answer, sentence, condition, code
    (
        "on_rcpt",
        "550 5.1.1 <landlrod@web.de>: unknown",
        "landlrod@web.de does not exist there. Check the spelling. (550 5.1.1)",
        "item-not-found",
        "550 5.1.1",
    ),
    (
        "on_rcpt",
        "550 Requested action not taken: mailbox unavailable",
        "landlrod@web.de does not exist there. Check the spelling. (550)",
        "item-not-found",
        "550",
    ),
    (
        "on_rcpt",
        "552 5.2.2 over quota",
        "The mailbox of landlrod@web.de is full. Reach them another way. (552 5.2.2)",
        "resource-constraint",
        "552 5.2.2",
    ),
    (
        "on_rcpt",
        "554 5.7.1 Spam \x07 not welcome",
        "web.de does not take this mail. It says: “Spam not welcome” (554 5.7.1)",
        "policy-violation",
        "554 5.7.1",
    ),
    (
        "on_rcpt",
        "556 5.1.10 null MX",
        "web.de takes no mail at all. Check the spelling. (556 5.1.10)",
        "remote-server-not-found",
        "556 5.1.10",
    ),
    (
        "on_mail",
        "550 5.1.8 sender domain has no MX",
        "web.de does not accept your own address. Tell the admin of this gateway. (550 5.1.8)",
        "forbidden",
        "550 5.1.8",
    ),
    (
        "on_data",
        "552 5.3.4 too big",
        "This mail is too large for web.de. Send less, or a link. (552 5.3.4)",
        "not-acceptable",
        "552 5.3.4",
    ),
    (
        "on_data",
        "550 5.7.26 unauthenticated",
        "web.de does not believe that this mail is yours. Tell the admin of this gateway. (550 5.7.26)",
        "forbidden",
        "550 5.7.26",
    ),
    (
        "on_data",
        "554 " + "blah " * 100,
        "web.de refused this mail. It says: “" + ("blah " * 100)[:119] + "…” (554)",
        "policy-violation",
        "554",
    ),
]


@pytest.mark.parametrize(("at", "answer", "sentence", "condition", "code"), REFUSALS)
async def test_a_refusal_is_told_in_words_first_and_code_last(
    at: str, answer: str, sentence: str, condition: str, code: str
) -> None:
    found, health = await fate(to("landlrod@web.de"), **{at: lambda argument: answer})
    assert isinstance(found, Refused)
    assert (found.reason, found.condition, found.code) == (sentence, condition, code)
    assert health == ""


@pytest.mark.parametrize(
    ("at", "answer", "scope"),
    [
        ("on_rcpt", "451 4.7.1 Greylisted, come back", Scope.DELIVERY),
        ("on_rcpt", "452 4.2.2 Mailbox full", Scope.DELIVERY),
        ("on_rcpt", "450 no", Scope.DELIVERY),
        ("on_mail", "451 4.1.8 your DNS is slow", Scope.DELIVERY),
        ("on_data", "451 4.3.2 scanner is busy", Scope.OUTLET),
        ("on_mail", "452 4.3.1 disk full", Scope.OUTLET),
        ("on_mail", "421 4.3.2 shutting down", Scope.OUTLET),
        ("on_rcpt", "421 4.7.0 too many", Scope.OUTLET),
        ("on_data", "421 4.7.0 too many", Scope.OUTLET),
        ("on_mail", "530 5.7.0 Authentication required", Scope.OUTLET),
        ("on_mail", "354 what", Scope.DELIVERY),
    ],
)
async def test_what_may_succeed_later_is_tried_again(at: str, answer: str, scope: Scope) -> None:
    found, health = await fate(**{at: lambda argument: answer})
    assert isinstance(found, TryLater)
    assert found.scope is scope
    assert found.reason.endswith((".", ")"))
    assert bool(health) == (scope is Scope.OUTLET)


# --- the line breaks ---


@pytest.mark.parametrize("what", [HANG_UP, SAY_NOTHING])
@pytest.mark.parametrize("at", ["on_mail", "on_rcpt"])
async def test_a_line_that_breaks_before_the_mail_pauses_the_outlet(at: str, what: str) -> None:
    found, health = await fate(hasty=True, **{at: lambda argument: what})
    assert isinstance(found, TryLater)
    assert found.scope is Scope.OUTLET
    assert health


@pytest.mark.parametrize("what", [HANG_UP, SAY_NOTHING])
async def test_a_line_that_breaks_after_the_mail_counts_as_an_attempt_and_repeats_the_same_mail(
    what: str,
) -> None:
    one = to()
    answers = iter([what])
    async with (
        smarthost(after_data=lambda text: next(answers, None)) as host,
        adapter_for(host, hasty=True) as made,
    ):
        first = await fate_of(made, one)
        second = await fate_of(made, one)
    assert isinstance(first, TryLater)
    assert first.scope is Scope.DELIVERY
    assert isinstance(second, Sent)
    assert len({mail.message["message-id"] for mail in host.mails}) == 1


async def test_a_closed_port_pauses_the_outlet_and_tells_the_admin_where_to_look() -> None:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(smarthost())
        port = host.port
        await stack.aclose()
        host.port = port
        async with adapter_for(host) as made:
            found = await fate_of(made, to())
            assert isinstance(found, TryLater)
            assert found.scope is Scope.OUTLET
            assert made.health().startswith(f"cannot connect to 127.0.0.1:{port}: ")
            assert "outbound" in made.health()
        async with smarthost(port=port), adapter_for(host) as made:
            assert isinstance(await fate_of(made, to()), Sent)
            assert made.health() == ""


async def test_a_name_that_nobody_knows_pauses_the_outlet(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", nobody)
    async with adapter_for(Smarthost(port=25)) as made:
        found = await fate_of(made, to())
        assert isinstance(found, TryLater)
        assert found.scope is Scope.OUTLET
        assert "Name or service not known" in made.health()


@pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "554 5.7.1 blocked by our list"])
async def test_a_server_that_greets_with_a_no_pauses_the_outlet(greeting: str) -> None:
    found, health = await fate(greeting=greeting)
    assert isinstance(found, TryLater)
    assert found.scope is Scope.OUTLET
    assert greeting[:3] in health


async def test_trouble_is_over_with_the_next_mail_that_is_taken() -> None:
    answers = iter(["421 4.3.2 later"])
    async with smarthost(on_mail=lambda address: next(answers, None)) as host, adapter_for(host) as made:
        await fate_of(made, to())
        assert made.health()
        assert isinstance(await fate_of(made, to()), Sent)
        assert made.health() == ""


# --- connections ---


async def test_one_connection_carries_many_mails() -> None:
    async with smarthost() as host, adapter_for(host) as made:
        for number in range(30):
            assert isinstance(await fate_of(made, to(body=f"line {number}")), Sent)
    assert host.connections == 1
    assert host.commands.count("QUIT") == 1


async def test_a_connection_is_closed_after_so_many_mails() -> None:
    async with smarthost() as host, adapter_for(host, mails_each=5) as made:
        for _ in range(11):
            await fate_of(made, to())
    assert [mail.connection for mail in host.mails] == [1] * 5 + [2] * 5 + [3]


async def test_never_more_connections_than_allowed() -> None:
    async with smarthost() as host, adapter_for(host, connections=3) as made:
        fates = await asyncio.gather(*(fate_of(made, to(lane=f"here:out:{number}")) for number in range(40)))
    assert all(isinstance(one, Sent) for one in fates)
    assert len(host.mails) == 40
    assert host.most_at_once <= 3


async def test_a_rested_connection_that_the_server_closed_is_replaced_unseen() -> None:
    answers = iter([None, HANG_UP])
    async with smarthost(on_mail=lambda address: next(answers, None)) as host, adapter_for(host) as made:
        fates = [await fate_of(made, to()) for _ in range(3)]
    assert [type(one) for one in fates] == [Sent, Sent, Sent]
    assert host.connections == 2


async def test_a_connection_that_rests_too_long_says_goodbye() -> None:
    async with smarthost() as host, adapter_for(host, idle_seconds=0.02) as made:
        await fate_of(made, to())
        await host.until(lambda: "QUIT" in host.commands)
        assert isinstance(await fate_of(made, to()), Sent)
    assert host.connections == 2


async def test_a_refused_mail_leaves_its_connection_fit_for_the_next() -> None:
    refuse = {"bad@example.com": "550 5.1.1 unknown"}
    async with smarthost(on_rcpt=refuse.get) as host, adapter_for(host) as made:
        for _ in range(3):
            assert isinstance(await fate_of(made, to("bad@example.com")), Refused)
            assert isinstance(await fate_of(made, to()), Sent)
    assert host.connections == 1


async def test_a_mail_that_fells_its_connection_spoils_no_other() -> None:
    fell = {"poison@example.com": HANG_UP}
    async with smarthost(on_rcpt=fell.get) as host, adapter_for(host, connections=2) as made:
        batch = [
            to("poison@example.com" if number % 3 == 0 else ALICE, lane=f"l{number}") for number in range(12)
        ]
        fates = await asyncio.gather(*(fate_of(made, one) for one in batch))
    for one, found in zip(batch, fates, strict=True):
        assert isinstance(found, Sent if one.recipient == ALICE else TryLater)
    assert len(host.mails) == 8


async def test_a_send_that_is_cut_off_gives_back_its_place() -> None:
    waiting = asyncio.Event()

    def stall(address: str) -> str | None:
        if address != "slow@example.com":
            return None
        waiting.set()
        return SAY_NOTHING

    async with smarthost(on_rcpt=stall) as host, adapter_for(host, connections=1) as made:
        task = asyncio.create_task(fate_of(made, to("slow@example.com")))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await fate_of(made, to()), Sent)


async def test_a_lane_keeps_its_order_while_others_pass() -> None:
    async with smarthost() as host, adapter_for(host) as made:
        lanes = [[to(body=f"{lane}:{line}", lane=f"l{lane}") for line in range(10)] for lane in range(5)]
        await asyncio.gather(*(made.send(batch) for batch in lanes))
    for lane in range(5):
        lines = [mail.text.strip() for mail in host.mails if mail.text.startswith(f"{lane}:")]
        assert lines == [f"{lane}:{line}" for line in range(10)]


async def test_what_comes_after_a_delay_is_left_for_later() -> None:
    greylist = {"grey@example.com": "451 4.7.1 later"}
    async with smarthost(on_rcpt=greylist.get) as host, adapter_for(host) as made:
        batch = [to(), to("grey@example.com"), to(), to(lane="another")]
        fates = await made.send(batch)
    assert [type(fates[one.id]) if one.id in fates else None for one in batch] == [Sent, TryLater, None, Sent]
    assert len(host.mails) == 2


# --- what needs more than plain SMTP ---


async def test_an_address_beyond_ascii_goes_where_smtputf8_is_spoken() -> None:
    async with smarthost(smtputf8=True) as host, adapter_for(host) as made:
        assert isinstance(await fate_of(made, to("müller@example.com")), Sent)
    assert host.mails[0].recipients == ("müller@example.com",)
    assert "SMTPUTF8" in host.mails[0].options


async def test_an_address_beyond_ascii_is_refused_clearly_where_it_is_not() -> None:
    found, _ = await fate(to("müller@example.com"))
    assert isinstance(found, Refused)
    assert found.reason.startswith("müller@example.com or your own address has letters outside ASCII")


async def test_a_quoted_address_arrives_in_one_piece() -> None:
    async with smarthost() as host, adapter_for(host) as made:
        assert isinstance(await fate_of(made, to('"a <b> \\"c\\""@example.com')), Sent)
    assert host.mails[0].recipients == ('"a <b> \\"c\\""@example.com',)


async def test_a_mail_over_the_servers_limit_is_refused_before_it_is_sent() -> None:
    found, _ = await fate(to(body="x\n" * 3000), size=1000)
    assert isinstance(found, Refused)
    assert found.reason == "This mail is too large for example.com. Send less, or a link. (552)"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    subprocess.run(
        ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return cert, key


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_login_over_tls(certificate: tuple[Path, Path], tls: str) -> None:
    outbound = {"tls": tls, "username": "gateway", "password": "pass phrase"}
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    options = {"starttls" if tls == "starttls" else "implicit_tls": server_context(certificate)}
    async with (
        smarthost(login=("gateway", "pass phrase"), **options) as host,
        adapter_for(host, outbound=outbound, tls_context=trusting) as made,
    ):
        assert isinstance(await fate_of(made, to()), Sent), made.health()
        assert isinstance(await fate_of(made, to()), Sent)
    assert host.connections == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_believed(certificate: tuple[Path, Path]) -> None:
    async with (
        smarthost(starttls=server_context(certificate)) as host,
        adapter_for(host, outbound={"tls": "starttls"}) as made,
    ):
        found = await fate_of(made, to())
        assert isinstance(found, TryLater)
        assert found.scope is Scope.OUTLET
        assert made.health().startswith("no TLS with")
    assert not host.mails


async def test_a_server_without_starttls_gets_no_mail() -> None:
    async with smarthost() as host, adapter_for(host, outbound={"tls": "starttls"}) as made:
        found = await fate_of(made, to())
        assert isinstance(found, TryLater)
        assert "STARTTLS" in made.health()


async def test_a_refused_login_pauses_the_outlet_and_names_the_settings() -> None:
    outbound = {"username": "gateway", "password": "wrong"}
    async with smarthost(login=("gateway", "right")) as host, adapter_for(host, outbound=outbound) as made:
        found = await fate_of(made, to())
        assert isinstance(found, TryLater)
        assert found.scope is Scope.OUTLET
        assert "refused our login (535)" in made.health()
        assert "wrong" not in made.health() + found.reason


def test_the_module_that_joins_the_parts_opens_nothing_when_built() -> None:
    table = {**TABLE, "inbound": {"listen": "127.0.0.1:0"}}
    made = email_adapter.EmailAdapter.from_settings(EmailSettings.model_validate(table), context())
    assert made.listens_on == ()
