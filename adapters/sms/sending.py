"""Texts out: may it go, what exactly goes, and what became of one whose fate is unknown."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import phonenumbers
import structlog

from adapters.sms import guards, numbers, refusals, segments, tapbacks
from adapters.sms.bindings import PATIENCE, Bindings, match
from adapters.sms.guards import Ask, Limits, Looping
from adapters.sms.outgoing_files import Prepared, prepared
from adapters.sms.provider import Hooks, Listed, NotListed, Provider, Text
from adapters.sms.settings import SmsSettings
from bridge.i18n import tr
from bridge.model import Delivery, DeliveryId, Outcome, Report
from bridge.options import REACTION, UNREACTION
from bridge.ports import (
    Context,
    Fate,
    FileUnavailable,
    Inbox,
    MaybeSent,
    NotRemembered,
    Refused,
    Scope,
    Sent,
    TryLater,
)

log = structlog.get_logger()

_IN_DOUBT = MaybeSent(tr("It can't be told yet whether this text went out."))
_STOPPED = TryLater(tr("The gateway's SMS side is not running at the moment."), scope=Scope.OUTLET)
_NO_STORE = TryLater(tr("The gateway can't write to its store at the moment."), scope=Scope.OUTLET)
_MOST_PAIRS = 20_000


@dataclass
class Shared:
    """What both directions of one transport have in hand while it runs."""

    settings: SmsSettings
    context: Context
    hooks: Hooks
    clock: Callable[[], float]
    bindings: Bindings = field(default_factory=Bindings)
    provider: Provider | None = None
    inbox: Inbox | None = None
    heard: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)  # (ours, theirs) → when
    loops: OrderedDict[tuple[str, str], float] = field(default_factory=OrderedDict)  # stopped at

    def hear(self, ours: str, theirs: str) -> None:
        """A contact has written."""
        self.heard[ours, theirs] = self.clock()
        self.heard.move_to_end((ours, theirs))
        if len(self.heard) > _MOST_PAIRS:
            self.heard.popitem(last=False)

    def pool(self, ours: str) -> str:
        """What an opt-out speaks of: a Messaging Service stops all its numbers at once."""
        return self.settings.messaging_service_sid or ours


class Sender:
    """The outward half of the adapter."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._met: OrderedDict[int, None] = OrderedDict()  # conversations that are not new
        settings = shared.settings
        self._limits = Limits(
            settings.validity_hours * 3600, settings.segments_per_day, settings.new_numbers_per_day
        )

    async def send(self, delivery: Delivery) -> Fate:
        shared = self._shared
        text = self.text(delivery)
        if isinstance(text, Refused):
            return text
        if shared.provider is None or shared.inbox is None:
            return _STOPPED
        try:
            decision = await self._decide(delivery, text, shared.inbox)
            if not isinstance(decision, guards.Go):
                return self._told(delivery, decision)
            made = await self._with_files(delivery, text)
            if not isinstance(made, Text):
                return made
            fate = await self._submit(delivery, made, shared.provider)
            await self._learn(delivery, fate)
        except NotRemembered as error:
            log.error("the adapter's memory failed", delivery=delivery.id, error=str(error)[:200])
            return _NO_STORE
        return fate

    def parts(self, body: str) -> list[str]:
        """What one message becomes: each part is a delivery, and joined they are the body."""
        return segments.parts(segments.smart(body) if self._shared.settings.smart_encoding else body)

    def text(self, delivery: Delivery) -> Text | Refused:
        """The API call that a delivery becomes, without its files; or why there is none."""
        if numbers.is_one_way(delivery.recipient):
            return Refused(
                tr("This is a one-way sender: its texts can be read, not answered."), condition="not-allowed"
            )
        if refusal := self._abroad(delivery.recipient):
            return refusal
        pieces = self._pieces(delivery)
        files = delivery.message.attachments if delivery.message and delivery.part == 1 else ()
        if not "".join(pieces).strip() and not files:
            return Refused(refusals.MEANINGS[21602].sentence, condition="not-acceptable", error_type="modify")
        if len(pieces) != delivery.parts:
            return Refused(refusals.MEANINGS[21617].sentence, condition="not-acceptable", error_type="modify")
        return Text(
            sender=numbers.for_api(delivery.sender),
            recipient=numbers.for_api(delivery.recipient),
            body=pieces[delivery.part - 1],
            status_callback=self._shared.hooks.callback_url(delivery.id),
            validity_seconds=int(self._limits.validity),
            reference=self._shared.hooks.reference(
                delivery.id, delivery.message.uid if delivery.message else ""
            ),
        )

    def _pieces(self, delivery: Delivery) -> list[str]:
        message = delivery.message
        options = message.options if message is not None else {}
        if emoji := options.get(REACTION) or options.get(UNREACTION):
            # Phones know a reaction by its very quotation marks: nothing is simplified here.
            about = message.answered.body if message is not None and message.answered else ""
            return [tapbacks.write(emoji, about, removed=not options.get(REACTION))]
        return self.parts(message.body if message is not None else "")

    def _abroad(self, recipient: str) -> Refused | None:
        """Texts to far countries are what a stolen account is good for; short codes are at home."""
        settings = self._shared.settings
        allowed = settings.countries or (settings.region,)
        if "*" in allowed or numbers.kind_of(recipient) is numbers.AddressKind.SHORT_CODE:
            return None
        country = numbers.country_of(recipient)
        if country in allowed or (not country and numbers.calling_code(recipient) in map(_calling, allowed)):
            return None
        return Refused(
            tr(
                "Texts to this country ({country}) are switched off here: the gateway's admin can allow it "
                "(countries).",
                country=country or "?",
            ),
            condition="not-allowed",
            code="country",
        )

    async def _decide(self, delivery: Delivery, text: Text, inbox: Inbox) -> guards.Decision:
        shared = self._shared
        rate = shared.settings.segments_per_second
        now = shared.clock()
        here = segments.measure(text.body).segments
        uid = delivery.message.uid if delivery.message is not None and delivery.parts > 1 else ""
        ask = Ask(
            delivery=delivery.id,
            sender=delivery.sender,
            contact=delivery.recipient,
            pool=shared.pool(delivery.sender),
            jid=delivery.sender_jid,
            segments=here,
            counted=self._counted(delivery) if uid else here,
            rate=guards.usual_rate(delivery.sender) if rate is None else rate,
            first=await self._is_first(delivery, inbox),
            heard_at=shared.heard.get((delivery.sender, delivery.recipient), 0.0),
            recorded_at=delivery.recorded_at,
            now=now,
            over=f"over/{uid}" if uid else "",
        )
        decision: guards.Decision = await shared.context.memory.change(
            ask.keys, partial(guards.decide, ask, self._limits)
        )
        return decision

    def _counted(self, delivery: Delivery) -> int:
        """What a long text is charged: all of it with its first part, so that it goes whole or not."""
        if delivery.part > 1:
            return 0
        return sum(segments.measure(piece).segments for piece in self._pieces(delivery))

    async def _is_first(self, delivery: Delivery, inbox: Inbox) -> bool:
        message = delivery.message
        if message is None or delivery.part > 1 or message.conversation_id in self._met:
            return False
        if await inbox.opens(message):
            return True  # and so is the next one, if this one does not go
        self._met[message.conversation_id] = None
        if len(self._met) > _MOST_PAIRS:
            self._met.popitem(last=False)
        return False

    def _told(self, delivery: Delivery, decision: TryLater | Refused) -> Fate:
        if isinstance(decision, Looping):
            pair = (delivery.sender, delivery.recipient)
            if pair not in self._shared.loops:
                log.error("two machines seem to answer each other", delivery=delivery.id, ours=pair[0])
            self._shared.loops[pair] = self._shared.clock()
            if len(self._shared.loops) > 100:
                self._shared.loops.popitem(last=False)
        return decision

    async def _with_files(self, delivery: Delivery, text: Text) -> Text | TryLater | Refused:
        message = delivery.message
        if message is None or not message.attachments or delivery.part > 1:
            return text
        try:
            ready: Prepared = await prepared(
                message.attachments, self._shared.context.files, self._shared.settings.mms_megabytes
            )
        except FileUnavailable as error:
            return error.fate
        body = "\n".join(line for line in (text.body, *ready.lines) if line)
        if len(body) > segments.LONGEST_PART:
            return Refused(refusals.MEANINGS[21617].sentence, condition="not-acceptable", error_type="modify")
        return replace(text, body=body, media=ready.urls)

    async def _submit(self, delivery: Delivery, text: Text, provider: Provider) -> Fate:
        bindings = self._shared.bindings
        bindings.settle(delivery.id)
        fate = await provider.submit(text)
        match fate:
            case Sent(remote_id=sid):
                bindings.bind(delivery.id, sid)
            case MaybeSent():
                bindings.doubt(delivery.id, self._shared.clock())
        # The dispatcher has a line for each fate; this adds what carriers count.
        log.debug("text tried", delivery=delivery.id, fate=type(fate).__name__, files=len(text.media))
        return fate

    async def _learn(self, delivery: Delivery, fate: Fate) -> None:
        """What a refusal says of the next texts."""
        code = refusals.known_code(fate.code) if isinstance(fate, Refused) else 0
        if code:
            await learn(self._shared, delivery.sender, delivery.recipient, code)

    # --- fates in doubt ---

    async def find(self, delivery: Delivery) -> Fate:
        """What became of a text whose fate is unknown: a call-back has told its SID, or the provider
        shows it, or it certainly is not there."""
        shared = self._shared
        if sid := shared.bindings.sid_of(delivery.id):
            return Sent(sid)
        text = self.text(delivery)
        if isinstance(text, Refused):
            return text
        if shared.provider is None or shared.inbox is None:
            return _IN_DOUBT
        try:
            gone_at = await self._handed_over_at(delivery.id)
            if gone_at is None:
                return TryLater(tr("It had not been handed to the provider; it goes now."), 0.0, Scope.TURN)
            found = await self._look_for(delivery, text, shared.provider, shared.inbox)
        except (NotListed, NotRemembered) as error:
            log.info("list not read", delivery=delivery.id, error=str(error))
            return _IN_DOUBT
        if isinstance(found, Listed):
            return await self._found(delivery.id, found)
        waited = shared.bindings.doubted_for(
            delivery.id, shared.clock(), gone_at + shared.settings.timeout_seconds
        )
        # A fresh list may not show it yet, and a full one may not reach back far enough.
        if waited < PATIENCE or not found:
            return _IN_DOUBT
        shared.bindings.settle(delivery.id)
        return TryLater(tr("The provider did not take the text; it goes again."), after=0.0)

    async def _handed_over_at(self, delivery: DeliveryId) -> float | None:
        key = f"turn/{delivery}"
        turn = await self._shared.context.memory.change([key], lambda known: ({}, known.get(key, {})))
        return turn.get("gone") if isinstance(turn, dict) else None

    async def _look_for(
        self, delivery: Delivery, text: Text, provider: Provider, inbox: Inbox
    ) -> Listed | bool:
        """The text as the provider has it; else whether it would have shown it by now."""
        candidates = await provider.candidates(text, delivery.recorded_at)
        sids = [one.sid for one in candidates.listed]
        bound = await inbox.bound(sids) if sids else {}
        taken = {sid for sid, owner in bound.items() if owner != delivery.id}
        taken |= self._shared.bindings.taken(sids, but=delivery.id)
        files = delivery.message.attachments if delivery.message and delivery.part == 1 else ()
        found = match(candidates.listed, text.body, delivery.recorded_at, taken, bool(files))
        return found if found is not None else candidates.complete

    async def _found(self, delivery: DeliveryId, text: Listed) -> Fate:
        shared = self._shared
        shared.bindings.bind(delivery, text.sid)
        if text.outcome is Outcome.FAILED:
            code = str(text.code) if text.code else "failed"
            return Refused(refusals.of_failure(text.code), *refusals.kind_of_failure(text.code), code)
        if text.outcome is Outcome.DELIVERED and shared.inbox is not None:
            # Its call-back came while nobody listened, and does not come again: the receipt goes now.
            arrived = Report(
                shared.context.transport, Outcome.DELIVERED, remote_id=text.sid, delivery_id=delivery
            )
            await shared.inbox.report([arrived])
        return Sent(text.sid)


async def learn(shared: Shared, sender: str, recipient: str, code: int) -> None:
    """Remember what a code says of the next texts: an opt-out, or a number that carriers refuse."""
    if code == 21610 and recipient:
        key = guards.stop_key(shared.pool(sender), recipient)
        await shared.context.memory.change([key], guards.opt(key, out=True, by="21610", now=shared.clock()))
    elif refusals.is_about_sender(code) and sender:
        await shared.context.memory.change([], guards.pause(sender, code))


def _calling(region: str) -> int:
    return phonenumbers.country_code_for_region(region)
