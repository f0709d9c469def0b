"""Email as the gateway sees it: joins the parts of this package, and decides nothing itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Self

from adapters.email import addresses, compose, senders, subjects, tokens
from adapters.email.checking import sender_check
from adapters.email.parse import MailParser
from adapters.email.settings import EmailSettings, read_host_port
from adapters.email.smtp_in import Door, Handler, Limits, listening
from adapters.email.smtp_out import Submitter
from adapters.email.smtp_pool import Pool, Smarthost
from bridge.kit import TransportSettings
from bridge.model import Address, Delivery, DeliveryId
from bridge.ports import (
    BadAddress,
    Capabilities,
    Context,
    Fate,
    Inbox,
    Parser,
    ReceiptOn,
    Refused,
    Sent,
)

_MEGABYTE = 1_000_000


class EmailAdapter:
    """One [transport.NAME] with adapter = "email"."""

    Settings: ClassVar[type[TransportSettings]] = EmailSettings

    def __init__(self, settings: EmailSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._domain = settings.domains[0]
        self._smarthost = _smarthost(settings)
        self._pool = Pool(self._smarthost, time.monotonic)
        self._submitter = Submitter(self._pool, self._smarthost)
        self.listens_on: Sequence[tuple[str, int]] = ()  # (host, port)s, while it runs

    @classmethod
    def from_settings(cls, settings: EmailSettings, context: Context) -> Self:
        return cls(settings, context)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            identity=("gateway", "smtp"),
            receipt_on=ReceiptOn.SENT,
            concurrency=self._smarthost.connections,
            subjects=True,
        )

    def canonical(self, text: str) -> Address:
        pretended = senders.pretended(text)
        if pretended:
            raise BadAddress(
                f"Nothing proves that this came from {pretended}, so no answer goes there from this chat. "
                "If you know better, write to that address itself.",
                condition="not-acceptable",
            )
        try:
            return Address(addresses.canonical(text), text.strip())
        except addresses.NotAnAddress as error:
            raise BadAddress(str(error), correct=error.correct) from error

    def own_addresses(self, jid: str) -> Sequence[str]:
        served = self._settings.user_domain or self._context.domain
        return addresses.own_addresses(jid, served, self._settings.address, self._settings.domains)

    def first_subject(self, body: str) -> str:
        return subjects.from_body(body)

    def remote_id(self, uid: str) -> str:
        return compose.message_id(uid, self._domain)

    def parser(self) -> Parser:
        return MailParser(self._settings.domains, self._context.derive_key(tokens.PURPOSE))

    def health(self) -> str:
        return self._submitter.trouble

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
            return {one.id: Refused("There is no text in this. Nothing was sent.") for one in group}
        mail = compose.to_email(group, message, self._domain)
        by_recipient = await self._submitter.submit(mail)
        return {one.id: by_recipient[one.recipient] for one in group}

    @asynccontextmanager
    async def running(self, inbox: Inbox) -> AsyncIterator[None]:
        tidying = asyncio.create_task(self._pool.tidy())
        try:
            async with self._listening(inbox):
                yield
        finally:
            tidying.cancel()
            with suppress(asyncio.CancelledError):
                await tidying
            await self._pool.close()

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
        )
        host, port = read_host_port(inbound.listen)
        handler = Handler(inbox, door, time.time, sender_check() if inbound.verifies else None)
        async with listening(host, port, handler, door, self._domain) as self.listens_on:
            yield


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
