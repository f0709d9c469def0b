"""Alice, who has nothing but email: a mail server that takes her mail, and her mail program's answers.

Speaks real SMTP both ways and knows nothing of the gateway or of chat.
"""

import asyncio
import email
import email.policy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid, parseaddr
from functools import cached_property
from typing import Self

import aiosmtplib
from aiosmtpd.smtp import SMTP, Envelope, Session

from bridge.demo.private import LOOPBACK, HeldPorts

UNKNOWN_RECIPIENT = "550 5.1.1 <{address}>: there is no such mailbox here"
TRY_SECONDS = 30.0  # how long her mail server tries to hand an answer over


@dataclass(frozen=True)
class Letter:
    """A mail as it came in. Not slotted, since the parsed form is kept once it was asked for."""

    sender: str  # envelope sender
    recipients: tuple[str, ...]
    raw: bytes

    @cached_property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, with line ends of one character and no blank line at its end."""
        part = self.message.get_body(("plain",))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n").rstrip("\n")


class Correspondent:
    """A mailbox behind a server on a port of loopback; an async context manager that listens inside.

    Mail for anybody else is refused with 550 5.1.1. Her answers go to `deliver_to`, a port of loopback.
    """

    def __init__(self, name: str, address: str, deliver_to: int) -> None:
        self.name = name
        self.address = address
        self.letters: list[Letter] = []
        self.refused: list[str] = []  # recipients that do not exist
        self.auto_answer: Callable[[Letter], str] | None = None
        self.on_letter: Callable[[Letter], None] | None = None
        self.held_back = asyncio.Event()  # a mail is here, to its last byte, and has no 250 yet
        self.cut_off = asyncio.Event()  # whoever brought that mail is gone
        self._deliver_to = deliver_to
        self._held = HeldPorts(1)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._news = asyncio.Condition()
        self._answers: set[asyncio.Task[EmailMessage]] = set()

    @property
    def port(self) -> int:
        return self._held.numbers[0]

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open.set()
        await self.go_away()
        for answer in list(self._answers):
            answer.cancel()
            with suppress(asyncio.CancelledError):
                await answer
        self._held.release()

    # --- her mail server ---

    async def go_away(self) -> None:
        """Stop listening: connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def come_back(self) -> None:
        """Listen on the same port (again)."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, LOOPBACK, self.port)

    def hold(self) -> None:
        """Be slow: take mail in, but say no 250 until `release`."""
        self._open.clear()
        self.held_back.clear()
        self.cut_off.clear()

    def release(self) -> None:
        self._open.set()

    def _protocol(self) -> SMTP:
        return SMTP(self, hostname="mx.example.com", ident="Alice's mail server", enable_SMTPUTF8=True)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.lower() != self.address:
            self.refused.append(address)
            return UNKNOWN_RECIPIENT.format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient ok"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if not self._open.is_set():
            self.held_back.set()
            try:
                await self._open.wait()
            except asyncio.CancelledError:  # aiosmtpd does so when the connection is lost
                self.cut_off.set()
                raise
        raw = envelope.original_content or b""
        letter = Letter(envelope.mail_from or "", tuple(envelope.rcpt_tos), raw)
        self.letters.append(letter)
        async with self._news:
            self._news.notify_all()
        if self.on_letter:
            self.on_letter(letter)
        if self.auto_answer:
            answer = asyncio.create_task(self.answer(letter, self.auto_answer(letter)))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)
        return "250 2.0.0 Taken"

    async def handle_exception(self, error: Exception) -> str:
        return f"451 4.3.0 Alice's mail server stumbled: {type(error).__name__}"

    # --- Alice ---

    async def letter(self, *, containing: str, within: float = 15.0) -> Letter:
        """The first letter whose text contains something, come or to come. Raises TimeoutError."""

        def found() -> Letter | None:
            return next((letter for letter in self.letters if containing in letter.text), None)

        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: found() is not None)
        letter = found()
        assert letter is not None
        return letter

    async def answer(self, letter: Letter, text: str) -> EmailMessage:
        """Answer as mail programs do, quoting below; tried for half a minute, as a mail server does."""
        reply = compose_answer(letter, self.name, self.address, text)
        await self._submit(reply)
        return reply

    async def _submit(self, mail: EmailMessage) -> None:
        async with asyncio.timeout(TRY_SECONDS):
            while True:
                try:
                    await aiosmtplib.send(mail, hostname=LOOPBACK, port=self._deliver_to, start_tls=False)
                except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, OSError):
                    await asyncio.sleep(0.25)
                else:
                    return


def compose_answer(letter: Letter, name: str, address: str, text: str) -> EmailMessage:
    """An answer in the form that Thunderbird and its kin give it: Re:, thread headers, quote below."""
    original = letter.message
    writer, writer_address = parseaddr(str(original["Reply-To"] or original["From"]))
    own_id = str(original["Message-ID"])
    subject = letter.subject
    reply = EmailMessage()
    reply["From"] = formataddr((name, address))
    reply["To"] = formataddr((writer, writer_address))
    reply["Subject"] = subject if subject.lower().startswith("re:") else f"Re: {subject}"
    reply["Date"] = formatdate(localtime=True)
    reply["Message-ID"] = make_msgid(domain=address.partition("@")[2])
    reply["In-Reply-To"] = own_id
    reply["References"] = f"{original['References'] or ''} {own_id}".strip()
    quoted = "\n".join(f"> {line}".rstrip() for line in letter.text.split("\n"))
    reply.set_content(f"{text}\n\nOn {original['Date']}, {writer or writer_address} wrote:\n{quoted}\n")
    return reply
