"""Mail that is handed in, by Python's own SMTP client and by raw sockets."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.email.adapter import EmailAdapter
from adapters.email.settings import EmailSettings
from adapters.email.smtp_in import Door, Handler, Limits, listening
from tests.adapters.contract import MemoryInbox, context
from tests.adapters.test_email_contract import TABLE
from tests.support.mail import client, hand_in

MIRA = "mira@chat.example.org"
BOB = "bob@chat.example.org"
RAW = b"From: alice@example.com\r\nSubject: Hi\r\n\r\nHello\r\n.\r\n..dots\r\nend\r\n"


@asynccontextmanager
async def listener(inbox: MemoryInbox, *, lmtp: bool = False, **limits: Any) -> AsyncIterator[int]:
    """Listens for the inbox; gives the port."""
    door = Door("here", ("chat.example.org",), lmtp=lmtp, limits=Limits(**limits))
    async with listening(
        "127.0.0.1", 0, Handler(inbox, door, lambda: 1_700_000_000.0), door, "mx.test"
    ) as bound:
        yield bound[0][1]


def inbox(**changes: Any) -> MemoryInbox:
    return MemoryInbox({MIRA, BOB}, **changes)


class Dialogue:
    """A raw connection, one answer at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def answer(self) -> str:
        lines = []
        async with asyncio.timeout(10):
            while True:
                line = (await self._reader.readline()).decode().rstrip("\r\n")
                lines.append(line)
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def say(self, text: str | bytes) -> str:
        self._writer.write((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return await self.answer()

    async def begin(self, *recipients: str) -> None:
        await self.say("MAIL FROM:<alice@example.com>")
        for one in recipients or (MIRA,):
            await self.say(f"RCPT TO:<{one}>")
        assert (await self.say("DATA")).startswith("354")


@asynccontextmanager
async def dialogue(port: int, *, greet: str = "EHLO tester") -> AsyncIterator[Dialogue]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    one = Dialogue(reader, writer)
    try:
        await one.answer()
        if greet:
            await one.say(greet)
        yield one
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


# --- taken ---


async def test_a_mail_is_recorded_as_it_came_with_its_envelope() -> None:
    box = inbox()
    async with listener(box) as port:
        refused = await asyncio.to_thread(hand_in, port, "alice@example.com", [MIRA, BOB], RAW)
    assert refused == {}
    ((raw, envelope),) = box.taken
    assert raw == RAW
    assert (envelope.transport, envelope.sender, envelope.recipients) == (
        "here",
        "alice@example.com",
        (MIRA, BOB),
    )
    assert (envelope.peer, envelope.received_at) == ("127.0.0.1", 1_700_000_000.0)


async def test_nobody_hears_250_before_it_is_on_disk() -> None:
    class SlowInbox(MemoryInbox):
        async def take_in(self, raw: bytes, envelope: Any) -> None:
            asked.set()
            await written.wait()
            await super().take_in(raw, envelope)

    asked, written = asyncio.Event(), asyncio.Event()
    box = SlowInbox({MIRA})
    async with listener(box) as port, dialogue(port) as talk:
        await talk.begin()
        answer = asyncio.create_task(talk.say("Hello\r\n."))
        await asked.wait()
        done, _ = await asyncio.wait({answer}, timeout=0.05)
        assert not done
        written.set()
        assert (await answer).startswith("250 ")
    assert len(box.taken) == 1


async def test_many_mails_come_over_one_connection() -> None:
    def send(port: int) -> None:
        with client(port) as session:
            for number in range(50):
                session.sendmail("alice@example.com", [MIRA], RAW + b"%d\r\n" % number)

    box = inbox()
    async with listener(box) as port:
        await asyncio.to_thread(send, port)
    assert [raw.split()[-1] for raw, _ in box.taken] == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("MIRA@Chat.Example.Org", MIRA),
        ("mira+token@chat.example.org", MIRA),
        ("postmaster@chat.example.org", "postmaster@chat.example.org"),
        ("abuse@chat.example.org", "abuse@chat.example.org"),
        ("Postmaster", "postmaster@chat.example.org"),
        ('"mira"@chat.example.org', MIRA),
    ],
)
async def test_each_spelling_of_an_address_of_ours_is_accepted(path: str, line: str) -> None:
    box = inbox()
    async with listener(box) as port, dialogue(port) as talk:
        await talk.begin(path)
        assert (await talk.say(b"Hello\r\n.")).startswith("250 ")
    ((_, envelope),) = box.taken
    assert envelope.recipients == (line,)
    if "+" in path:
        assert envelope.headers == {f"rcpt:{MIRA}": path}


async def test_a_line_with_a_plus_of_its_own_comes_before_tokens() -> None:
    box = MemoryInbox({MIRA, "mira+home@chat.example.org"})
    async with listener(box) as port:
        await asyncio.to_thread(hand_in, port, "a@example.com", ["mira+home@chat.example.org"], RAW)
    assert box.taken[0][1].recipients == ("mira+home@chat.example.org",)


async def test_a_report_from_nobody_is_accepted() -> None:
    box = inbox()
    async with listener(box) as port:
        await asyncio.to_thread(hand_in, port, "", [MIRA], RAW)
    assert box.taken[0][1].sender == ""


# --- refused ---


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("nobody@chat.example.org", "550 5.1.1 "),
        ("nobody+mira@chat.example.org", "550 5.1.1 "),
        ("alice@example.com", "550 5.7.1 "),
        ("postmaster@example.com", "550 5.7.1 "),
        ("mira%example.com@chat.example.org", "550 5.1.1 "),
        ("@chat.example.org:alice@example.com", "550 5.7.1 "),
        ("", "5"),
    ],
)
async def test_never_a_relay(path: str, answer: str) -> None:
    async with listener(inbox()) as port, dialogue(port) as talk:
        await talk.say("MAIL FROM:<alice@example.com>")
        assert (await talk.say(f"RCPT TO:<{path}>")).startswith(answer)
        assert (await talk.say("DATA")).startswith("503 ")


async def test_an_address_that_is_no_text_is_refused_and_harms_nobody() -> None:
    async with listener(inbox()) as port, dialogue(port) as talk:
        await talk.say(b"MAIL FROM:<al\xffice@example.com> SMTPUTF8")
        assert (await talk.say(b"RCPT TO:<mi\xffra@chat.example.org>")).startswith("550 ")
        assert (await talk.say("RCPT TO:<mira@chat.example.org>")).startswith("250 ")
        await talk.say("DATA")
        assert (await talk.say(b"Hello\r\n.")).startswith("250 ")


class _DiskFull(OSError):
    pass


@pytest.mark.parametrize(
    "error",
    [RuntimeError("password=hunter2"), ConnectionResetError("password=hunter2"), _DiskFull(28, "hunter2")],
)
async def test_our_own_trouble_is_a_451_that_tells_nothing(error: Exception) -> None:
    failing = True

    def trouble() -> None:
        if failing:
            raise error

    box = inbox(before=trouble)
    async with listener(box) as port, dialogue(port) as talk:
        await talk.say("MAIL FROM:<alice@example.com>")
        if not isinstance(error, ConnectionError):
            answer = await talk.say(f"RCPT TO:<{MIRA}>")
            assert answer.startswith("451 4.3.0 ")
            assert "hunter2" not in answer
        failing = False
        assert (await talk.say(f"RCPT TO:<{MIRA}>")).startswith("250 ")
        assert (await talk.say("DATA")).startswith("354")
        failing = True
        answer = await talk.say(b"Hello\r\n.")
        assert answer.startswith("451 4.3.0 ")
        assert "hunter2" not in answer
        failing = False
        await talk.begin()
        assert (await talk.say(b"Hello again\r\n.")).startswith("250 ")
    assert len(box.taken) == 1


async def test_a_hundred_recipients_and_no_more() -> None:
    box = MemoryInbox({f"user{number}@chat.example.org" for number in range(102)})
    async with listener(box) as port:
        everybody = [f"user{number}@chat.example.org" for number in range(102)]
        refused = await asyncio.to_thread(hand_in, port, "alice@example.com", everybody, RAW)
    assert len(box.taken[0][1].recipients) == 100
    assert {answer[0] for answer in refused.values()} == {452}
    assert all(answer[1].startswith(b"4.5.3 ") for answer in refused.values())


@pytest.mark.parametrize(
    ("limits", "answer"), [({"connections": 2}, "421 4.3.2 "), ({"connections_each": 2}, "421 4.7.0 ")]
)
async def test_too_many_connections_are_sent_away(limits: dict[str, int], answer: str) -> None:
    async with listener(inbox(), **limits) as port:
        async with dialogue(port), dialogue(port) as second:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.read()).decode().startswith(answer)
            writer.close()
            assert (await second.say("NOOP")).startswith("250")
            assert (await second.say("QUIT")).startswith("221")
        async with dialogue(port) as again:
            assert (await again.say("NOOP")).startswith("250")


async def test_a_mail_that_says_it_is_too_large_is_refused_at_once() -> None:
    async with listener(inbox(), message_bytes=1000) as port, dialogue(port) as talk:
        assert (await talk.say("MAIL FROM:<alice@example.com> SIZE=1001")).startswith("552 5.3.4 ")
        assert (await talk.say("MAIL FROM:<alice@example.com> SIZE=1000")).startswith("250 ")


@pytest.mark.parametrize("filling", [b"x" * 998 + b"\r\n", b"\r\n", b".\r\n.", b"y" * 50_000, b"..\r\n"])
async def test_a_mail_that_is_too_large_is_refused_after_its_end(filling: bytes) -> None:
    box = inbox()
    async with listener(box, message_bytes=100_000) as port, dialogue(port) as talk:
        await talk.begin()
        content = filling * (150_000 // len(filling))
        # A dot in front of each line, as SMTP asks.
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        assert (await talk.say(b"z" + stuffed + b"\r\n.")).startswith("552 5.3.4 ")
        await talk.begin()
        assert (await talk.say(b"small\r\n.")).startswith("250 ")
    assert [raw for raw, _ in box.taken] == [b"small\r\n"]


async def test_mails_that_are_too_large_together_come_later() -> None:
    box = inbox()
    async with listener(box, all_bytes=150_000) as port, dialogue(port) as first, dialogue(port) as second:
        await first.begin()
        first._writer.write(b"x" * 99_998 + b"\r\n")
        await first._writer.drain()
        await second.begin()
        answers = [await second.say(b"y" * 99_998 + b"\r\n."), await first.say(b".")]
        assert sorted(answer[:9] for answer in answers) == ["250 2.0.0", "452 4.3.1"]
        await second.begin()
        assert (await second.say(b"y" * 99_998 + b"\r\n.")).startswith("250 ")


async def test_silence_ends_a_connection() -> None:
    async with listener(inbox(), silence=0.1) as port, dialogue(port) as talk:
        await talk.begin()
        assert await talk.answer() == ""


# --- what comes as content ---


@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"])
async def test_nothing_but_crlf_dot_crlf_ends_a_mail(ending: bytes) -> None:
    box = inbox()
    smuggled = b"Hello" + ending + b"MAIL FROM:<evil@example.com>\r\n"
    async with listener(box) as port, dialogue(port) as talk:
        await talk.begin()
        assert (await talk.say(smuggled + b".")).startswith("250 ")
        assert (await talk.say("NOOP")).startswith("250 ")
    assert len(box.taken) == 1
    assert b"evil@example.com" in box.taken[0][0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b".", b""),
        (b"\r\n.", b"\r\n"),
        (b"..\r\n.", b".\r\n"),
        (b"a\r\n...b\r\n.", b"a\r\n..b\r\n"),
        (b"end of a sentence.\r\n.", b"end of a sentence.\r\n"),
        (b"l" * 200_000 + b"\r\n.", b"l" * 200_000 + b"\r\n"),
        (b"\xff\x00\xfe\r\n.", b"\xff\x00\xfe\r\n"),
    ],
)
async def test_content_is_kept_octet_by_octet(sent: bytes, kept: bytes) -> None:
    box = inbox()
    async with listener(box) as port, dialogue(port) as talk:
        await talk.begin()
        assert (await talk.say(sent)).startswith("250 ")
    assert box.taken[0][0] == kept


async def test_an_end_in_pieces_is_still_an_end() -> None:
    box = inbox()
    async with listener(box) as port, dialogue(port) as talk:
        await talk.begin()
        for piece in (b"Hello", b"\r", b"\n", b".", b"\r"):
            talk._writer.write(piece)
            await talk._writer.drain()
            await asyncio.sleep(0.002)
        talk._writer.write(b"\n")
        assert (await talk.answer()).startswith("250 ")
    assert box.taken[0][0] == b"Hello\r\n"


# --- words and manners ---


async def test_it_says_what_it_can_and_nothing_else() -> None:
    async with listener(inbox()) as port, dialogue(port, greet="") as talk:
        offered = (await talk.say("EHLO tester")).split("\n")
    assert sorted(line[4:].split()[0] for line in offered[1:]) == [
        "8BITMIME",
        "HELP",
        "PIPELINING",
        "SIZE",
        "SMTPUTF8",
    ]


async def test_commands_may_come_all_at_once() -> None:
    box = inbox()
    async with listener(box) as port, dialogue(port) as talk:
        talk._writer.write(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<mira@chat.example.org>\r\nDATA\r\n")
        assert [(await talk.answer())[:3] for _ in range(3)] == ["250", "250", "354"]
        assert (await talk.say(b"Hi\r\n.")).startswith("250 ")
    assert len(box.taken) == 1


async def test_lmtp_answers_for_each_recipient_after_one_commit() -> None:
    def send(port: int) -> dict[str, tuple[int, bytes]]:
        with client(port, lmtp=True) as session:
            return session.sendmail("alice@example.com", [MIRA, "nobody@chat.example.org", BOB], RAW)

    box = inbox()
    async with listener(box, lmtp=True) as port:
        refused = await asyncio.to_thread(send, port)
        async with dialogue(port, greet="") as talk:
            assert (await talk.say("EHLO x")).startswith("500 ")
        async with dialogue(port, greet="LHLO mx.example.com") as talk:
            for command in ("MAIL FROM:<a@example.com>", f"RCPT TO:<{MIRA}>", f"RCPT TO:<{BOB}>"):
                assert (await talk.say(command)).startswith("250 ")
            assert (await talk.say("DATA")).startswith("354 ")
            answers = [await talk.say("Hi again\r\n."), await talk.answer()]
            assert [answer[:3] for answer in answers] == ["250", "250"]
            assert (await talk.say("NOOP")).startswith("250 ")
    assert {address: answer[0] for address, answer in refused.items()} == {"nobody@chat.example.org": 550}
    assert [one[1].recipients for one in box.taken] == [(MIRA, BOB), (MIRA, BOB)]


@pytest.mark.parametrize(
    ("peer", "admitted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.25", True),
        ("::ffff:192.0.2.25", True),
        ("2001:db8::5", True),
        ("192.0.2.26", False),
        ("2001:db9::5", False),
        ("", False),
    ],
)
def test_only_named_relays_come_in(peer: str, admitted: bool) -> None:
    door = Door("here", ("chat.example.org",), trusted=("192.0.2.25/32", "2001:db8::/32"))
    assert door.admits(peer) is admitted


async def test_a_stop_lets_a_mail_finish_and_takes_no_other() -> None:
    class SlowInbox(MemoryInbox):
        async def take_in(self, raw: bytes, envelope: Any) -> None:
            asked.set()
            await written.wait()
            await super().take_in(raw, envelope)

    asked, written = asyncio.Event(), asyncio.Event()
    box = SlowInbox({MIRA})
    running = listener(box)
    port = await running.__aenter__()
    async with dialogue(port) as talk, dialogue(port) as idle:
        await talk.begin()
        answer = asyncio.create_task(talk.say("Hello\r\n."))
        await asked.wait()
        stop = asyncio.create_task(running.__aexit__(None, None, None))
        await asyncio.sleep(0)
        written.set()
        assert (await answer).startswith("250 ")
        await stop
        assert await idle.answer() == ""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert len(box.taken) == 1


async def test_the_adapter_listens_while_it_runs() -> None:
    table = {**TABLE, "inbound": {"listen": "127.0.0.1:0", "max_megabytes": 1}}
    adapter = EmailAdapter.from_settings(EmailSettings.model_validate(table), context())
    box = inbox()
    async with adapter.running(box):
        ((host, port),) = adapter.listens_on
        await asyncio.to_thread(hand_in, port, "alice@example.com", [MIRA], RAW)
        with pytest.raises(smtplib.SMTPSenderRefused, match=r"5\.3\.4"):
            await asyncio.to_thread(hand_in, port, "alice@example.com", [MIRA], b"x\r\n" * 400_000)
    assert host == "127.0.0.1"
    found = adapter.parser()(*box.taken[0])
    assert [one.sender.canonical for one in found if hasattr(one, "sender")] == ["alice@example.com"]


@pytest.mark.parametrize(("spam", "told"), [("mark", "yes"), ("hold", "yes"), ("ignore", None)])
async def test_a_relays_word_on_spam_counts_unless_the_settings_ignore_it(
    spam: str, told: str | None
) -> None:
    table = {**TABLE, "spam": spam, "inbound": {"listen": "127.0.0.1:0"}}
    adapter = EmailAdapter.from_settings(EmailSettings.model_validate(table), context())
    box = inbox()
    async with adapter.running(box):
        port = adapter.listens_on[0][1]
        await asyncio.to_thread(hand_in, port, "a@b.example", [MIRA], b"X-Spam-Flag: YES\r\n\r\nBuy\r\n")
    ((_, envelope),) = box.taken
    assert envelope.headers.get("spam") == told
