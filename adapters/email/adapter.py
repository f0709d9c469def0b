"""Email as the gateway sees it: joins the parts of this package, and decides nothing itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

from adapters.email import (
    addresses,
    answering,
    attaching,
    compose,
    memo,
    senders,
    subjects,
    tokens,
    undelivered,
    visible_text,
)
from adapters.email.account_sending import AccountSender
from adapters.email.accounts import Desk, NoAccount
from adapters.email.catch_all import CatchAll
from adapters.email.compose import Letterhead
from adapters.email.imap_client import ImapLogin
from adapters.email.own_account import Places, Seal, form
from adapters.email.parse import MailParser
from adapters.email.providers import Provider, Spot
from adapters.email.settings import AccountProvider, Accounts, EmailSettings, read_host_port
from adapters.email.smtp_in import Check, Door, Handler, Limits, listening
from adapters.email.smtp_out import Submitter
from adapters.email.smtp_pool import Pool, Smarthost
from adapters.email.sourced import SourcedParser
from bridge.i18n import filled, tr
from bridge.kit import TransportSettings
from bridge.model import Address, Delivery, DeliveryId, Kind, together
from bridge.options import PROOF
from bridge.ports import (
    AccountField,
    AccountState,
    Addressed,
    BadAccount,
    BadAddress,
    Capabilities,
    CheckedAccount,
    Context,
    Displayed,
    Fate,
    FileUnavailable,
    Inbox,
    Outward,
    Parser,
    ReceiptOn,
    Refused,
    Sent,
    TryLater,
)

if TYPE_CHECKING:
    from adapters.email.signing import Signer

_MEGABYTE = 1_000_000
_WITH_FILES = 2  # mails with files at a time: each is in memory as a whole
_NO_ACCOUNT = tr("Your mail account is not at hand here just now. It will be tried again automatically.")
_NO_LONGER = tr(
    "Your mail account {address} is not here any more, so this was not sent. Send it again: it goes from "
    "the address that you have now."
)
_FOR_ACCOUNTS = 20  # mails on their way through users' own servers, at a time


class EmailAdapter:
    """One [transport.NAME] with adapter = "email"."""

    Settings: ClassVar[type[TransportSettings]] = EmailSettings

    def __init__(self, settings: EmailSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._domain = settings.domains[0]
        self._smarthost = _smarthost(settings)
        self._pool = Pool(self._smarthost, time.monotonic)
        self._heavy = asyncio.Semaphore(_WITH_FILES)
        self._submitter = Submitter(self._pool, self._smarthost)
        self._signer = _signer(settings)
        self._token_key = context.derive_key(tokens.PURPOSE)
        self._catch_all = _catch_all(settings, context.transport)
        self._desk = _desk(settings, context)
        self.listens_on: Sequence[tuple[str, int]] = ()  # (host, port)s, while it runs
        self.capabilities = Capabilities(
            identity=("gateway", "smtp"),
            receipt_on=ReceiptOn.SENT,
            # Users' own servers may be slow: they must not take the places of the smarthost.
            concurrency=self._smarthost.connections + (_FOR_ACCOUNTS if self._desk is not None else 0),
            subjects=True,
            attachments=True,
            reactions=True,
            coalesce_seconds=settings.coalesce_seconds,
            corrections=True,
        )

    @classmethod
    def from_settings(cls, settings: EmailSettings, context: Context) -> Self:
        return cls(settings, context)

    def canonical(self, text: str) -> Address:
        pretended = senders.pretended(text)
        if pretended:
            raise BadAddress(
                tr(
                    "Nothing proves that this came from {address}, so no answer goes there from this chat. "
                    "If you know better, write to that address itself.",
                    address=pretended,
                ),
                condition="not-acceptable",
            )
        try:
            return _address(text.strip())
        except addresses.NotAnAddress as error:
            raise BadAddress(str(error), correct=error.correct) from error

    def own_addresses(self, jid: str) -> Sequence[str]:
        served = self._settings.user_domain or self._context.domain
        return addresses.own_addresses(jid, served, self._settings.address, self._settings.domains)

    def addressed(self, outward: Outward) -> Addressed:
        return answering.addressed(outward)

    def first_subject(self, body: str) -> str:
        return subjects.from_body(body)

    def remote_id(self, uid: str) -> str:
        return compose.message_id(uid, self._domain)

    def parser(self) -> Parser:
        return SourcedParser(
            MailParser(self._settings.domains, self._context.derive_key(tokens.PURPOSE), self._settings.spam)
        )

    def read_out(self, raw: bytes) -> str:
        return visible_text.whole(raw)

    def health(self) -> str:
        return self._submitter.trouble or (self._catch_all.trouble if self._catch_all is not None else "")

    def account_form(self) -> Sequence[AccountField]:
        return form() if self._desk is not None else ()

    async def check_account(self, fields: Mapping[str, str]) -> CheckedAccount:
        if self._desk is None:
            raise BadAccount(tr("Accounts of your own cannot be used here."))
        return await self._desk.check(fields)

    async def renew_account(self, sealed: bytes, password: str) -> CheckedAccount:
        if self._desk is None:
            raise BadAccount(tr("Accounts of your own cannot be used here."))
        return await self._desk.renew(sealed, password)

    def account_state(self, sealed: bytes) -> AccountState:
        return self._desk.state(sealed) if self._desk is not None else AccountState("", "")

    def accounts_changed(self) -> None:
        if self._desk is not None:
            self._desk.changed()

    async def displayed(self, messages: Sequence[Displayed]) -> None:
        if self._desk is not None:
            self._desk.displayed(messages)

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        """As the port says. The recipients of one message go in one SMTP transaction."""
        fates: dict[DeliveryId, Fate] = {}
        stuck: set[str] = set()
        for group in _by_message(batch):
            if group[0].lane in stuck:
                continue
            fates |= await self._send_one(group)
            if not all(isinstance(fates[delivery.id], Sent) for delivery in group):
                stuck.add(group[0].lane)
        return fates

    async def _send_one(self, group: Sequence[Delivery]) -> dict[DeliveryId, Fate]:
        message = group[0].message
        if message is None:
            return {one.id: Refused(tr("There is no text in this. Nothing was sent.")) for one in group}
        if group[0].kind is Kind.ERROR:
            mail = undelivered.report(group[0], message, self._domain)
            return await self._submit(group, mail, f"postmaster@{self._domain}")
        group = self._from_us(group) if PROOF in message.options else group
        letterhead = self._letterhead(group[0].sender, message.uid)
        if not message.attachments:
            return await self._submit(group, compose.to_email(group, message, letterhead))
        async with self._heavy:
            try:
                message, enclosed = await attaching.gather(self._context.files, message)
            except FileUnavailable as problem:
                return {one.id: problem.fate for one in group}
            mail = compose.to_email(group, message, letterhead)
            mail = await asyncio.to_thread(attaching.attach, mail, enclosed)
            return await self._submit(group, mail)

    async def _submit(
        self, group: Sequence[Delivery], mail: compose.Mail, author: str = ""
    ) -> dict[DeliveryId, Fate]:
        author = author or group[0].sender
        try:
            submitter = await self._submitter_for(author)
        except NoAccount:
            return {one.id: Refused(filled(_NO_LONGER, address=author)) for one in group}
        if submitter is None:
            return {one.id: TryLater(_NO_ACCOUNT) for one in group}
        if self._signer is not None and self._signer.signs(author):
            mail = await asyncio.to_thread(self._signer.signed, mail)
        by_recipient = await submitter.submit(mail)
        return {one.id: _named(by_recipient[one.recipient], one) for one in group}

    def _letterhead(self, line: str, uid: str) -> Letterhead:
        """Our own addresses carry a token where reports and answers come back to."""
        if line.rpartition("@")[2] not in self._settings.domains:
            return Letterhead(self._domain, language=self._context.language)
        token = tokens.address(self._token_key, line, uid)
        reply_to = token if self._settings.outbound.reply_token else ""
        return Letterhead(self._domain, token, reply_to, self._context.language)

    def _from_us(self, group: Sequence[Delivery]) -> Sequence[Delivery]:
        """A code that proves an address goes by our own smarthost: whoever brings an account may well run
        its server, and would read there what is for somebody else."""
        if group[0].sender.rpartition("@")[2] in self._settings.domains:
            return group
        return [replace(one, sender=f"postmaster@{self._domain}", sender_name="") for one in group]

    async def _submitter_for(self, sender: str) -> Submitter | AccountSender | None:
        """The smarthost for our own addresses, its own server for every other; None if that is not at hand.
        Raises NoAccount."""
        if sender.rpartition("@")[2] in self._settings.domains:
            return self._submitter
        if self._desk is None:
            raise NoAccount
        return await self._desk.sender(sender)

    @asynccontextmanager
    async def running(self, inbox: Inbox) -> AsyncIterator[None]:
        tidying = asyncio.create_task(self._pool.tidy())
        try:
            async with self._listening(inbox), self._fetching(inbox):
                yield
        finally:
            tidying.cancel()
            with suppress(asyncio.CancelledError):
                await tidying
            await self._pool.close()

    @asynccontextmanager
    async def _fetching(self, inbox: Inbox) -> AsyncIterator[None]:
        """Mailboxes are followed, the catch-all's and users' own."""
        async with AsyncExitStack() as stack:
            if self._desk is not None:
                await stack.enter_async_context(self._desk.running(inbox))
            if self._catch_all is not None:
                following = asyncio.create_task(self._catch_all.run(inbox, time.time))
                stack.push_async_callback(_end, following)
            yield

    @asynccontextmanager
    async def _listening(self, inbox: Inbox) -> AsyncIterator[None]:
        inbound = self._settings.inbound
        if inbound is None:
            yield
            return
        limits = Limits(message_bytes=inbound.max_megabytes * _MEGABYTE)
        door = Door(
            self._context.transport,
            self._settings.domains,
            inbound.trusted,
            inbound.protocol == "lmtp",
            limits,
            inbound.authserv_id,
            inbound.verifies,
            inbound.on_fail == "refuse",
            self._settings.spam != "ignore",
        )
        host, port = read_host_port(inbound.listen)
        handler = Handler(inbox, door, time.time, _sender_check() if inbound.verifies else None)
        async with listening(host, port, handler, door, self._domain) as self.listens_on:
            yield


def _address(text: str) -> Address:
    if addresses.is_group_name(text):
        return Address(text, text)
    people = addresses.canonical_people(text)
    return replace(together(people), original=text) if len(people) > 1 else Address(people[0], text)


def _smarthost(settings: EmailSettings) -> Smarthost:
    out = settings.outbound
    return Smarthost(
        host=out.host,
        port=out.port,
        tls=out.tls,
        username=out.username,
        password=out.password.get_secret_value(),
        our_name=settings.domains[0],
    )


def _signer(settings: EmailSettings) -> "Signer | None":
    dkim = settings.outbound.dkim
    if dkim is None:
        return None
    # Not at the top, as below.
    from adapters.email.signing import Signer

    return Signer(dkim.domain, dkim.selector, dkim.key.get_secret_value())


def _sender_check() -> Check:
    # Not at the top: it loads resolvers and signatures, a third of a second that most gateways need not.
    from adapters.email.checking import sender_check

    return sender_check()


def _catch_all(settings: EmailSettings, transport: str) -> CatchAll | None:
    box = settings.mailbox
    if box is None:
        return None
    login = ImapLogin(box.host, box.port, box.tls, box.username, box.password.get_secret_value())
    return CatchAll(transport, settings.domains, login, box.folder, box.max_megabytes * _MEGABYTE)


def _desk(settings: EmailSettings, context: Context) -> Desk | None:
    accounts = settings.accounts
    if not accounts.allowed:
        return None
    seal = Seal([context.derive_key("accounts")])
    return Desk(context.transport, settings.domains, seal, _places(accounts), accounts.most)


def _places(accounts: Accounts) -> Places:
    named = {domain: _provider(one) for one in accounts.provider for domain in one.domains}
    return Places(accounts.hosts, named=named, domains=accounts.domains)


def _provider(one: AccountProvider) -> Provider:
    imap, smtp = (
        Spot(*read_host_port(where), tls)
        for where, tls in ((one.imap, one.imap_tls), (one.smtp, one.smtp_tls))
    )
    return Provider(imap, smtp, one.proves, alone=len(one.domains) == 1)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _named(fate: Fate, delivery: Delivery) -> Fate:
    """What became of one of several recipients says of whom it speaks."""
    to = delivery.message.memo.get(memo.TO, "") if delivery.message is not None else ""
    several = "," in to or (delivery.message is not None and memo.CC in delivery.message.memo)
    if several and isinstance(fate, TryLater | Refused) and delivery.recipient not in fate.reason:
        return replace(fate, reason=tr("{who}: {reason}", who=delivery.recipient, reason=fate.reason))
    return fate


def _by_message(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """Deliveries side by side that carry the same message, in their order."""
    groups: list[list[Delivery]] = []
    for delivery in batch:
        last = groups[-1][-1] if groups else None
        same = (
            last is not None
            and last.message is not None
            and delivery.message is not None
            and last.message.id == delivery.message.id
            and last.lane == delivery.lane
        )
        if same:
            groups[-1].append(delivery)
        else:
            groups.append([delivery])
    return groups
