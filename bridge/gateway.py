"""The use cases: what happens when a stanza, a raw input, a report or a registration comes in.

Decides who may do what, and records. Sends nothing: whatever follows is a recorded delivery.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import structlog
from sqlalchemy import Connection

from bridge.addressing import to_address, to_local
from bridge.gather import Gather
from bridge.model import Address, Contact, Delivery, DeliveryId, Envelope, Incoming, Line, Message, Report
from bridge.policy import Allowance, wait_in_words
from bridge.ports import Adapter, BadAddress, Inbox, NamesMessages, NamesThreads, ReceiptOn, SplitsText
from bridge.store import asking, inputs, people, recording, reports
from bridge.store.engine import Store
from bridge.store.recording import Draft, Ground
from bridge.store.reports import Heard
from bridge.store.rows import hash_key
from bridge.telemetry import METRICS

log = structlog.get_logger()

_AT_RISK = 60.0  # seconds: what was sent so shortly before a stream broke may not have arrived
_MOST_AT_RISK = 20_000
_KNOWN_FOR = 30.0  # seconds that an answer to RCPT TO is remembered
_MOST_KNOWN = 10_000
_MOST_ALLOWANCES = 10_000
MOST_SUBJECT = 900  # characters; a header line holds 998 bytes (RFC 5322 section 2.1.1)


@dataclass(frozen=True, slots=True)
class Written:
    """A message stanza from a client to a contact's JID."""

    from_bare: str
    from_full: str
    local: str  # node of the contact's JID as it came, still escaped
    stanza_id: str
    body: str
    origin_id: str = ""  # XEP-0359
    subject: str = ""
    thread: str = ""
    reply_to: str = ""  # XEP-0461: id of the stanza that is answered
    wants_receipt: bool = False
    options: Mapping[str, str] = field(default_factory=dict)  # what a command asked for


@dataclass(frozen=True, slots=True)
class ClientReceipt:
    """XEP-0184 from a client: it has our stanza."""

    from_bare: str
    stanza_id: str


@dataclass(frozen=True, slots=True)
class ClientError:
    """An error stanza that answers one of ours."""

    from_bare: str  # whom we had written to
    stanza_id: str
    condition: str
    error_type: str


@dataclass(eq=False)
class Denied(Exception):
    """A request that is refused: becomes an error stanza (RFC 6120 section 8.3)."""

    text: str  # a sentence that helps
    condition: str = "not-acceptable"
    error_type: str = "modify"
    gone: str = ""  # the local part (escaped) that was probably meant: becomes <gone>xmpp:JID</gone>


@dataclass(frozen=True, slots=True)
class Transport:
    """One configured adapter, bound to one component JID."""

    name: str
    jid: str
    secret: str
    adapter: Adapter
    title: str  # shown in disco, e.g. "Email" or "SMS"
    per_minute: int = 60
    per_day: int = 2000
    # Whether the adapter has an optional port, asked once: isinstance of a protocol costs 10 µs.
    names_messages: NamesMessages | None = None
    names_threads: NamesThreads | None = None
    splits_text: SplitsText | None = None

    @classmethod
    def of(
        cls, name: str, jid: str, secret: str, adapter: Adapter, title: str, per_minute: int, per_day: int
    ) -> Self:
        """With the optional ports of its adapter."""
        return cls(
            name,
            jid,
            secret,
            adapter,
            title,
            per_minute,
            per_day,
            adapter if isinstance(adapter, NamesMessages) else None,
            adapter if isinstance(adapter, NamesThreads) else None,
            adapter if isinstance(adapter, SplitsText) else None,
        )


Event = Written | ClientReceipt | ClientError
Ring = Callable[[Iterable[tuple[str, str]]], None]


def _ignore(_lanes: Iterable[tuple[str, str]]) -> None:
    """Nobody dispatches (yet)."""


class Gateway:
    """One for the process; `ring` and `ring_intake` are set by who builds the rest."""

    def __init__(
        self,
        store: Store,
        transports: Mapping[str, Transport],
        allow: Sequence[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.transports = transports
        self.ring: Ring = _ignore
        self.ring_intake: Callable[[], None] = lambda: None
        self._store = store
        self._allow = frozenset(allow)
        self._clock = clock
        self.grounds = {
            name: Ground(one.jid, one.adapter.capabilities.subjects) for name, one in transports.items()
        }
        self.receipts_on_sent = {
            name: one.adapter.capabilities.receipt_on is ReceiptOn.SENT for name, one in transports.items()
        }
        self._allowances: dict[tuple[str, str], Allowance] = {}
        self._at_risk: dict[str, deque[tuple[float, DeliveryId]]] = {}
        self._known: dict[tuple[str, str], float] = {}
        self._keeping: Gather[tuple[bytes, Envelope], None] = Gather(self._keep)
        self._accepting: Gather[Incoming, None] = Gather(self._accept)
        self._reporting: Gather[Report, None] = Gather(self._report)

    # --- hot path: one call for all that a stream's pipeline gathered, in order ---

    async def carry_out(self, transport: str, events: Sequence[Event]) -> list[Denied | None]:
        """Record all of it in one transaction. Answers, in order: None = recorded (or a repeat of
        what was recorded), Denied = tell the sender so by an error stanza with the original id.
        Raises only when the store fails; then nothing of it was recorded."""
        now = self._clock()
        answers: list[Denied | None] = [None] * len(events)
        drafts: list[Draft] = []
        places: list[int] = []
        heard: list[Heard] = []
        for place, event in enumerate(events):
            if isinstance(event, Written):
                try:
                    drafts.append(self._draft(transport, event, now))
                    places.append(place)
                except Denied as denied:
                    answers[place] = denied
            else:
                condition = event.condition if isinstance(event, ClientError) else ""
                heard.append(Heard(transport, event.from_bare, event.stanza_id, condition))
        if drafts or heard:
            recorded = await self._store.do(_record, drafts, heard, now)
            METRICS.stanzas_recorded.labels(transport).inc(len(drafts))
            self.ring(lane for one in recorded for lane in one.lanes)
            for place, one in zip(places, recorded, strict=True):
                if not one.registered:
                    answers[place] = self.not_registered(transport)
        return answers

    def _draft(self, transport: str, written: Written, now: float) -> Draft:
        """Check a message and put it into words of the record. Raises Denied."""
        where = self.transports[transport]
        address = self.address_of(transport, written.local)
        self._allow_one(where, written.from_bare, now)
        uid = uuid.uuid4().hex
        identity = written.origin_id or written.stanza_id
        adapter = where.adapter
        return Draft(
            transport=transport,
            jid=written.from_bare,
            from_jid=written.from_full,
            to_jid=f"{written.local}@{where.jid}",
            local=written.local,
            address=address,
            uid=uid,
            stanza_id=written.stanza_id,
            dedupe=hash_key(
                "xmpp", transport, written.from_bare, address.canonical, identity, written.body
            )
            if identity
            else "",
            body=written.body,
            wants_receipt=written.wants_receipt,
            remote_id=where.names_messages.remote_id(uid) if where.names_messages else "",
            subject=" ".join(written.subject.split())[:MOST_SUBJECT],
            thread=written.thread[:256],
            reply_to=written.reply_to,
            parts=_parts(where, written.body),
            threaded=adapter.capabilities.subjects,
            first_subject=where.names_threads.first_subject(written.body) if where.names_threads else "",
            options=written.options,
        )

    def _allow_one(self, transport: Transport, jid: str, now: float) -> None:
        allowance = self._allowances.get((transport.name, jid))
        if allowance is None:
            if len(self._allowances) >= _MOST_ALLOWANCES:
                self._allowances = {k: a for k, a in self._allowances.items() if not a.full(now)}
            allowance = Allowance(transport.per_minute, transport.per_day, now)
            self._allowances[transport.name, jid] = allowance
        wait = allowance.take(now)
        if wait:
            raise Denied(
                f"You have written more than this gateway lets through. Wait {wait_in_words(wait)} and send "
                "it again; nothing before it is lost.",
                "resource-constraint",
                "wait",
            )

    @staticmethod
    def not_registered(transport: str) -> Denied:
        return Denied(
            "You are not registered here yet. Register with this gateway in your client, then send it again.",
            "registration-required",
            "auth",
        )

    # --- people ---

    def address_of(self, transport: str, local: str) -> Address:
        """Unescape and canonicalise the node of a contact's JID. Raises Denied."""
        try:
            return self.transports[transport].adapter.canonical(to_address(local))
        except BadAddress as error:
            if error.correct:
                raise Denied(str(error), "gone", "cancel", gone=to_local(error.correct)) from error
            raise Denied(str(error), error.condition, "cancel") from error

    def may_use(self, jid: str) -> bool:
        """Whether the settings admit a bare JID."""
        return bool(self._allow & {"*", jid, jid.rpartition("@")[2]})

    async def line_of(self, transport: str, jid: str) -> Line | None:
        return await self._store.look(people.line_of, transport, jid)

    async def register(self, transport: str, jid: str, *, name: str, address: str = "") -> Line:
        """Register a bare JID, or edit its registration (name; address if it may choose). Raises Denied."""
        if not self.may_use(jid):
            raise Denied(
                "This gateway does not serve your address. Ask its administrator to let you in.",
                "forbidden",
                "auth",
            )
        try:
            candidates = list(self.transports[transport].adapter.own_addresses(jid))
            if address:
                wanted = self.transports[transport].adapter.canonical(address).canonical
                if wanted not in candidates:
                    raise Denied(f"{address} is not yours to choose here. Leave the field as it was.")
                candidates = [wanted]
        except BadAddress as error:
            raise Denied(str(error)) from error
        name = " ".join(name.split())[:256]
        try:
            line = await self._store.do(
                people.register, transport, jid, name, candidates, self._clock(), move=bool(address)
            )
        except people.AddressTaken as error:
            raise Denied(
                "No address is free for you here at the moment. Ask the administrator of this gateway.",
                "conflict",
                "cancel",
            ) from error
        self._known.clear()
        return line

    async def leave(self, transport: str, jid: str) -> list[Contact]:
        """Remove the registration; answers the contacts that the user had. Raises Denied."""
        gone = await self._store.do(people.leave, transport, jid)
        self._known.clear()
        if gone is None:
            raise Denied("You are not registered here.", "registration-required", "auth")
        return gone

    async def add_contact(self, transport: str, jid: str, local: str) -> Contact:
        """The user subscribes to a contact's JID. Raises Denied."""
        address = self.address_of(transport, local)
        contact = await self._store.do(people.subscribe, transport, jid, address, local, self._clock())
        if contact is None:
            raise self.not_registered(transport)
        return contact

    async def drop_contact(self, transport: str, jid: str, local: str) -> None:
        """The user unsubscribes: the contact stays known, its presence is no longer sent."""
        address = self.address_of(transport, local)
        await self._store.do(people.unsubscribe, transport, jid, address.canonical)

    async def contacts_of(self, transport: str, jid: str) -> list[Contact]:
        """Those whose presence the user sees."""
        return await self._store.look(people.contacts_of, transport, jid)

    async def users_of(self, transport: str) -> list[str]:
        """Bare JIDs of all who are registered: to be probed at start, told at stop."""
        return [line.jid for line in await self._store.look(people.lines_on, transport)]

    # --- what waits for a user, or may not have reached one ---

    async def came_back(self, transport: str, jid: str) -> None:
        """The user is available now: what waited for that is due."""
        self.ring(await self._store.do(reports.came_back, f"xmpp:{transport}", jid, self._clock()))

    def note_sent(self, outlet: str, deliveries: Sequence[Delivery]) -> None:
        """Messages that the XMPP server has read: for a minute they are at risk."""
        if not outlet.startswith("xmpp:"):
            return
        now = self._clock()
        recent = self._at_risk.setdefault(outlet, deque(maxlen=_MOST_AT_RISK))
        recent.extend((now, delivery.id) for delivery in deliveries)
        while recent and recent[0][0] < now - _AT_RISK:
            recent.popleft()

    async def stream_broke(self, transport: str) -> None:
        """The component's stream ended without a clean close: what was sent within the last minute
        without a receipt, to users whose clients send receipts, is due again."""
        recent = self._at_risk.pop(f"xmpp:{transport}", ())
        since = self._clock() - _AT_RISK
        ids = [id_ for at, id_ in recent if at >= since]
        lanes: set[tuple[str, str]] = set()
        for start in range(0, len(ids), 500):
            lanes.update(
                await self._store.do(reports.say_again, ids[start : start + 500], self._clock())
            )
        self.ring(lanes)

    def new_name(self) -> str:
        """A UUID for a stanza of ours."""
        return str(uuid.uuid4())

    # --- from outside ---

    def inbox(self, transport: str) -> Inbox:
        """The gateway as this transport's adapter sees it."""
        return _TransportInbox(self, transport)

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        await self._keeping.put((raw, envelope))

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        await self._accepting.put_all(incoming)

    async def report(self, told: Sequence[Report]) -> None:
        await self._reporting.put_all(told)

    async def knows(self, transport: str, recipient: str) -> bool:
        now = self._clock()
        if self._known.get((transport, recipient), 0.0) > now:
            return True
        if await self._store.look(people.line_with_address, transport, recipient) is None:
            return False
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[transport, recipient] = now + _KNOWN_FOR
        return True

    def forget_lines(self) -> None:
        """Somebody else may have changed who is registered."""
        self._known.clear()

    async def bound(self, transport: str, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        return await self._store.look(asking.bound, transport, remote_ids)

    async def recorded(self, transport: str, remote_ids: Sequence[str]) -> set[str]:
        return await self._store.look(asking.recorded, transport, remote_ids)

    async def opens(self, message: Message) -> bool:
        return await self._store.look(asking.opens, message.conversation_id, message.id)

    async def presume(self) -> None:
        """Give the receipts of what went long ago and was never reported on."""
        now = self._clock()
        for name, transport in self.transports.items():
            after = transport.adapter.capabilities.presume_after
            if after is not None:
                while lanes := await self._store.do(asking.presume, name, now - after, now):
                    self.ring(lanes)

    async def _keep(self, gathered: list[tuple[bytes, Envelope]]) -> list[None]:
        await self._store.do(inputs.keep, gathered)
        self.ring_intake()
        return [None] * len(gathered)

    async def _accept(self, gathered: list[Incoming]) -> list[None]:
        self.ring(await self._store.do(recording.record_in, gathered, self.grounds, self._clock()))
        return [None] * len(gathered)

    async def _report(self, gathered: list[Report]) -> list[None]:
        self.ring(
            await self._store.do(reports.report, gathered, self.receipts_on_sent, self._clock())
        )
        return [None] * len(gathered)


def _record(
    connection: Connection, drafts: Sequence[Draft], heard: Sequence[Heard], now: float
) -> list[recording.Recorded]:
    """One transaction for all that a stream brought."""
    if heard:
        reports.hear(connection, heard, now)
    return recording.record_out(connection, drafts, now) if drafts else []


def _parts(transport: Transport, body: str) -> int:
    """How many deliveries a text becomes. Raises Denied when it is too long for the transport."""
    if transport.splits_text is not None:
        return max(len(transport.splits_text.parts(body)), 1)
    longest = transport.adapter.capabilities.longest_text
    if longest is not None and len(body) > longest:
        raise Denied(
            f"This is too long: {len(body)} characters, and at most {longest} go through. Send it in parts."
        )
    return 1


class _TransportInbox:
    """bridge.ports.Inbox for one transport."""

    def __init__(self, gateway: Gateway, transport: str) -> None:
        self._gateway = gateway
        self._transport = transport

    async def take_in(self, raw: bytes, envelope: Envelope) -> None:
        await self._gateway.take_in(raw, envelope)

    async def accept(self, incoming: Sequence[Incoming]) -> None:
        await self._gateway.accept(incoming)

    async def report(self, told: Sequence[Report]) -> None:
        await self._gateway.report(told)

    async def knows(self, recipient: str) -> bool:
        return await self._gateway.knows(self._transport, recipient)

    async def bound(self, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        return await self._gateway.bound(self._transport, remote_ids)

    async def recorded(self, remote_ids: Sequence[str]) -> set[str]:
        return await self._gateway.recorded(self._transport, remote_ids)

    async def opens(self, message: Message) -> bool:
        return await self._gateway.opens(message)
