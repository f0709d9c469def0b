"""The SMS transport: texts out by the provider's API, answers and reports in by its web-hooks.

Puts the pieces together; what they decide stands in numbers, segments, refusals, forms and webhook.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

import structlog
from twilio.request_validator import RequestValidator

from adapters.sms import forms, numbers, refusals, segments, webhook
from adapters.sms.bindings import PATIENCE, Bindings, match, reaches_back
from adapters.sms.parse import parse
from adapters.sms.settings import SmsSettings
from adapters.sms.twilio import Listed, NotListed, Text, Twilio, connected
from bridge.kit import TransportSettings
from bridge.model import Address, Delivery, DeliveryId, Outcome, Report
from bridge.ports import (
    Capabilities,
    Context,
    Fate,
    Inbox,
    MaybeSent,
    Parser,
    ReceiptOn,
    Refused,
    Scope,
    Sent,
    TryLater,
    WebRequest,
    WebResponse,
)

log = structlog.get_logger()

_LISTED = 50  # texts between two numbers that are looked through for one in doubt
_IN_DOUBT = MaybeSent("It can't be told yet whether this text went out.")
_STOPPED = TryLater("The gateway's SMS side is not running at the moment.", scope=Scope.OUTLET)


class SmsAdapter:
    """An Adapter that TakesWebhooks, Reconciles and TellsHealth (bridge.ports)."""

    Settings: ClassVar[type[TransportSettings]] = SmsSettings

    def __init__(
        self, settings: SmsSettings, context: Context, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._context = context
        self._clock = clock
        self._bindings = Bindings()
        self._door = webhook.Door(
            context.transport,
            context.public_url,
            RequestValidator(settings.auth_token.get_secret_value()),
            context.derive_key("sms-callback"),
        )
        self._twilio: Twilio | None = None
        self._inbox: Inbox | None = None

    @classmethod
    def from_settings(cls, settings: Any, context: Context) -> Self:
        return cls(settings, context)

    @property
    def capabilities(self) -> Capabilities:
        # Without a public URL nobody can report a delivery: then the provider's 201 has to do.
        heard = ReceiptOn.DELIVERED if self._context.public_url else ReceiptOn.SENT
        return Capabilities(
            identity=("gateway", "sms"),
            repeatable=False,
            receipt_on=heard,
            concurrency=30,
            batch=1,
            longest_text=segments.LONGEST_PART,
        )

    def canonical(self, text: str) -> Address:
        return numbers.canonical(text, self._settings.region)

    def own_addresses(self, jid: str) -> Sequence[str]:
        return self._settings.numbers

    def parts(self, body: str) -> list[str]:
        """What one message becomes: each part is a delivery, and joined they are the body."""
        return segments.parts(body)

    def parser(self) -> Parser:
        return parse

    def health(self) -> str:
        if not self._context.public_url:
            return "gateway.public_url is not set: texts to our numbers and delivery reports can't reach us."
        return self._twilio.trouble if self._twilio else ""

    @asynccontextmanager
    async def running(self, inbox: Inbox) -> AsyncIterator[None]:
        settings = self._settings
        async with connected(
            settings.account_sid,
            settings.auth_token.get_secret_value(),
            settings.api_url,
            settings.timeout_seconds,
        ) as self._twilio:
            self._inbox = inbox
            try:
                yield
            finally:
                self._inbox = self._twilio = None

    # --- out ---

    async def send(self, batch: Sequence[Delivery]) -> Mapping[DeliveryId, Fate]:
        fates: dict[DeliveryId, Fate] = {}
        held: set[str] = set()
        for delivery in batch:
            if delivery.lane in held:
                continue
            fates[delivery.id] = fate = await self._send_one(delivery)
            if not isinstance(fate, Sent):
                held.add(delivery.lane)
        return fates

    async def _send_one(self, delivery: Delivery) -> Fate:
        text = self._text(delivery)
        if isinstance(text, Refused):
            return text
        if self._twilio is None:
            return _STOPPED
        self._bindings.settle(delivery.id)
        fate = await self._twilio.submit(text)
        match fate:
            case Sent(remote_id=sid):
                self._bindings.bind(delivery.id, sid)
            case MaybeSent():
                self._bindings.doubt(delivery.id, self._clock())
        code = fate.code if isinstance(fate, Refused) else ""
        log.info("text tried", delivery=delivery.id, fate=type(fate).__name__, code=code)
        return fate

    def _text(self, delivery: Delivery) -> Text | Refused:
        """The API call that a delivery becomes, or why there is none."""
        if numbers.kind_of(delivery.recipient) not in (
            numbers.AddressKind.E164,
            numbers.AddressKind.SHORT_CODE,
        ):
            return Refused(
                "This is a one-way sender: its texts can be read, not answered.", condition="not-allowed"
            )
        pieces = self.parts(delivery.message.body if delivery.message else "")
        if not "".join(pieces).strip():
            return Refused(refusals.MEANINGS[21602].sentence, condition="not-acceptable", error_type="modify")
        if len(pieces) != delivery.parts:
            return Refused(refusals.MEANINGS[21617].sentence, condition="not-acceptable", error_type="modify")
        return Text(
            sender=numbers.for_api(delivery.sender),
            recipient=numbers.for_api(delivery.recipient),
            body=pieces[delivery.part - 1],
            status_callback=self._door.callback_url(delivery.id),
            validity_seconds=int(self._settings.validity_hours * 3600),
        )

    async def find(self, delivery: Delivery) -> Fate:
        """What became of a text whose fate is unknown: a call-back has told its SID, or the provider's
        list shows it, or it certainly is not there."""
        if sid := self._bindings.sid_of(delivery.id):
            return Sent(sid)
        text = self._text(delivery)
        if isinstance(text, Refused):
            return text
        if self._twilio is None:
            return _IN_DOUBT
        waited = self._bindings.doubted_for(delivery.id, self._clock())
        try:
            listed = await self._twilio.listed(text.sender, text.recipient, _LISTED)
        except NotListed as error:
            log.info("list not read", delivery=delivery.id, error=str(error))
            return _IN_DOUBT
        taken = self._bindings.taken((one.sid for one in listed), but=delivery.id)
        if found := match(listed, text.body, delivery.recorded_at, taken):
            return await self._found(delivery.id, found)
        # A fresh list may not show it yet, and a full one may not reach back far enough.
        if waited < PATIENCE or not reaches_back(listed, delivery.recorded_at, _LISTED):
            return _IN_DOUBT
        self._bindings.settle(delivery.id)
        return TryLater("The provider did not take the text; it goes again.", after=0.0)

    async def _found(self, delivery: DeliveryId, text: Listed) -> Fate:
        self._bindings.bind(delivery, text.sid)
        if text.status in ("failed", "undelivered", "canceled"):
            code = str(text.error_code) if text.error_code else text.status
            return Refused(refusals.of_failure(text.error_code), code=code)
        if text.status in ("delivered", "read") and self._inbox is not None:
            # Its call-back came while nobody listened, and does not come again: the receipt goes now.
            arrived = Report(
                self._context.transport, Outcome.DELIVERED, remote_id=text.sid, delivery_id=delivery
            )
            await self._inbox.report([arrived])
        return Sent(text.sid)

    # --- in ---

    async def webhook(self, request: WebRequest) -> WebResponse:
        try:
            hook, form = self._door.admit(request)
            if self._inbox is None:
                return WebResponse(status=503, body=b"The gateway is starting or stopping.")
            if hook is webhook.Hook.MESSAGE:
                return await self._take_text(form, self._inbox)
            return await self._take_status(form, request.query, self._inbox)
        except webhook.Rejected as rejected:
            log.warning("web-hook rejected", status=rejected.response.status, reason=str(rejected))
            return rejected.response
        except forms.UnreadableForm as error:
            log.warning("web-hook unreadable", reason=str(error))
            return WebResponse(status=400, body=b"The form lacks something.")

    async def _take_text(self, form: Mapping[str, str], inbox: Inbox) -> WebResponse:
        incoming = forms.incoming(form, self._context.transport, self._settings.region, self._clock())
        if await inbox.knows(incoming.recipient):
            await inbox.accept([incoming])
        else:
            # 200 all the same: a refusal would only be repeated, or shown as our fault.
            log.warning("text for a number of nobody", sid=incoming.remote_id)
        return webhook.TWIML_NOTHING

    async def _take_status(self, form: Mapping[str, str], query: str, inbox: Inbox) -> WebResponse:
        found = forms.status(form, self._settings.region)
        if found is None:
            return webhook.NOTED
        delivery = self._door.delivery_in(query)
        proves_nothing_new = delivery is None or self._bindings.knows(found.sid)
        if found.outcome is None and proves_nothing_new:
            return webhook.NOTED
        if self._twilio is not None and found.outcome is Outcome.FAILED:
            self._twilio.carrier_refused(form.get("From", ""), found.code)
        report = forms.report(found, self._context.transport)
        await inbox.report([replace(report, delivery_id=delivery)])
        if delivery is not None:
            self._bindings.bind(delivery, found.sid)
        return webhook.NOTED
