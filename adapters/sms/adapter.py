"""The SMS transport: texts out by the provider's API, answers and reports in by its web-hooks.

Puts the pieces together: sending and receiving, and the provider that the settings name.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

from adapters.sms import guards, numbers, providers, segments
from adapters.sms.parse import parse
from adapters.sms.receiving import Receiver
from adapters.sms.sending import Sender, Shared
from adapters.sms.settings import SmsSettings
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
    Sent,
    WebRequest,
    WebResponse,
)

_LOOP_TOLD = guards.DAY  # seconds that the admin is told of a loop


class SmsAdapter:
    """An Adapter, and SplitsText, TakesWebhooks, Reconciles, SharesAddresses, SetsUpProvider, TellsHealth,
    KnowsOneWay."""

    Settings: ClassVar[type[TransportSettings]] = SmsSettings

    def __init__(
        self, settings: SmsSettings, context: Context, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._context = context
        self._shared = Shared(settings, context, providers.hooks(settings, context), clock)
        self._sender = Sender(self._shared)
        self._receiver = Receiver(self._shared)

    @classmethod
    def from_settings(cls, settings: Any, context: Context) -> Self:
        return cls(settings, context)

    @property
    def capabilities(self) -> Capabilities:
        # Where nobody can report a delivery, by web-hook or by being asked, the provider's 201 has to do.
        asked = self._settings.provider == "twilio" and self._settings.poll_seconds > 0
        heard = ReceiptOn.DELIVERED if self._context.public_url or asked else ReceiptOn.SENT
        return Capabilities(
            identity=("gateway", "sms"),
            repeatable=False,
            receipt_on=heard,
            concurrency=40,
            batch=1,
            longest_text=segments.LONGEST_PART,
            attachments=self._settings.provider == "twilio" and bool(self._context.public_url),
            presume_after=self._settings.receipt_after_hours * 3600 if heard is ReceiptOn.DELIVERED else None,
            reactions=True,
            unreactions=True,
            first_hold=self._settings.hold_first_seconds,
            addresses=self._settings.numbers_per_user,
            # The phone's app posts pictures whole, in base64; Twilio names where they are.
            webhook_bytes=int(self._settings.media_megabytes * 1_500_000)
            if self._settings.provider == "android"
            else 0,
        )

    def canonical(self, text: str) -> Address:
        return numbers.canonical(text, self._settings.region)

    def is_one_way(self, address: str) -> bool:
        if address.startswith("+"):
            return False
        try:
            return numbers.is_one_way(self.canonical(address).canonical)
        except BadAddress:
            return False

    def own_addresses(self, jid: str) -> Sequence[str]:
        return self._settings.numbers

    def shared(self) -> Set[str]:
        return frozenset(self._settings.shared)

    def parts(self, body: str) -> list[str]:
        """What one message becomes: each part is a delivery."""
        return self._sender.parts(body)

    def parser(self) -> Parser:
        return parse

    def health(self) -> str:
        now = self._shared.clock()
        for (ours, _), at in self._shared.loops.items():
            if now - at < _LOOP_TOLD:
                return (
                    f"Two machines seemed to answer each other by texts from {ours}; the gateway stopped "
                    "them. Look at what writes there by itself."
                )
        if not self._context.public_url:
            return "gateway.public_url is not set: texts to our numbers and delivery reports can't reach us."
        return self._shared.provider.trouble if self._shared.provider else ""

    @asynccontextmanager
    async def running(self, inbox: Inbox) -> AsyncIterator[None]:
        shared = self._shared
        async with providers.connected(self._settings) as shared.provider:
            shared.inbox = inbox
            try:
                async with self._receiver.running():
                    yield
            finally:
                shared.inbox = shared.provider = None

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        fates: dict[DeliveryId, Fate] = {}
        held: set[str] = set()
        for delivery in batch:
            if delivery.lane in held:
                continue
            fates[delivery.id] = fate = await self._sender.send(delivery)
            if not isinstance(fate, Sent):
                held.add(delivery.lane)
        return fates

    async def find(self, delivery: Delivery) -> Fate:
        return await self._sender.find(delivery)

    async def webhook(self, request: WebRequest) -> WebResponse:
        return await self._receiver.webhook(request)

    async def set_up(self, *, apply: bool) -> Sequence[str]:
        async with providers.connected(self._settings) as provider:
            return await provider.set_up(self._shared.hooks, apply=apply)
