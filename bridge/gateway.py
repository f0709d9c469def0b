"""The use cases: what happens when a stanza, a raw input, a report or a registration comes in.

Decides who may do what, and records. Sends nothing: whatever follows is a recorded delivery.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from bridge.addressing import to_address, to_local
from bridge.changes import Changes
from bridge.events import (
    Asked,
    ChatState,
    ClientError,
    Denied,
    Displayed,
    Event,
    Retracted,
    Transport,
    Written,
)
from bridge.files import Filing
from bridge.gather import Gather
from bridge.i18n import Languages, Phrase, tr, translate, trn
from bridge.model import (
    Address,
    Contact,
    Delivery,
    DeliveryId,
    Envelope,
    Fact,
    Incoming,
    Line,
    Message,
    Report,
    Undone,
)
from bridge.options import CORRECTION, REACTION, SUBJECT
from bridge.policy import Allowance, is_short_code, shortened, wait_in_words
from bridge.ports import (
    Account,
    Accounts,
    BadAccount,
    BadAddress,
    Inbox,
    ReceiptOn,
    shared_addresses,
)
from bridge.sources import Sources
from bridge.store import asking, desk, inputs, invites, people, recording, reports, strangers
from bridge.store.attaching import message_stanza
from bridge.store.changing import Changed, Retraction, Talk
from bridge.store.directing import Misdirected
from bridge.store.engine import Store
from bridge.store.outward import Step, carry
from bridge.store.recording import Draft, Ground, Recorded
from bridge.store.reports import Heard
from bridge.store.rows import Lane, hash_key
from bridge.store.unthreading import Name
from bridge.telemetry import METRICS

log = structlog.get_logger()

_AT_RISK = 60.0  # seconds: what was sent so shortly before a stream broke may not have arrived
_MOST_AT_RISK = 20_000
_KNOWN_FOR = 30.0  # seconds that an answer to RCPT TO is remembered
_MOST_KNOWN = 10_000
_MOST_ALLOWANCES = 10_000
MOST_SUBJECT = 900  # characters; a header line holds 998 bytes (RFC 5322 section 2.1.1)


Ring = Callable[[Iterable[tuple[str, str]]], None]
Newcomer = Callable[[Line], None]


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
        files: Filing | None = None,
        clock: Callable[[], float] = time.time,
        language: str = "",
    ) -> None:
        self.transports = transports
        self.languages = Languages(language)
        self.newcomer: dict[str, Newcomer] = {}  # by transport: who was registered by their first word
        self.ring: Ring = _ignore
        self.ring_intake: Callable[[], None] = lambda: None
        self._store = store
        self._files = files
        self._allow = frozenset(allow)
        self._clock = clock
        self.grounds = {
            name: Ground(one.jid, one.adapter.capabilities.subjects, one.strangers)
            for name, one in transports.items()
        }
        self.receipts_on_sent = {
            name: one.adapter.capabilities.receipt_on is ReceiptOn.SENT for name, one in transports.items()
        }
        self.sources = Sources(
            store,
            {name: one.adapter for name, one in transports.items()},
            {name: one.jid for name, one in transports.items()},
            clock,
        )
        # Through us, since whoever builds the rest sets our bells later.
        self.sources.ring = lambda lanes: self.ring(lanes)
        self.sources.ring_intake = lambda: self.ring_intake()
        names = {
            name: one.names_threads.first_subject if one.names_threads else lambda _: ""
            for name, one in transports.items()
        }
        self.changes = Changes(store, names, clock)
        self.changes.ring = lambda lanes: self.ring(lanes)
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
        steps: list[Step] = []
        places: list[int] = []
        heard: list[Heard] = []
        displayed: dict[str, list[str]] = {}
        for place, event in enumerate(events):
            if isinstance(event, Written | Retracted | ChatState):
                try:
                    step = self._step(transport, event, now)
                except Denied as denied:
                    answers[place] = denied
                    continue
                if step is not None:
                    steps.append(step)
                    places.append(place)
            elif isinstance(event, Displayed):
                displayed.setdefault(event.from_bare, []).append(message_stanza(event.stanza_id))
            else:
                condition = event.condition if isinstance(event, ClientError) else ""
                heard.append(Heard(transport, event.from_bare, event.stanza_id, condition))
        if steps or heard:
            recorded = await self._carry(transport, steps, heard, now)
            unknown = []
            for place, step, one in zip(places, steps, recorded, strict=True):
                if isinstance(one, Changed):
                    answers[place] = Denied(one.refused, "not-allowed", "cancel") if one.refused else None
                elif isinstance(one.refused, strangers.AsksFirst):
                    answers[place] = Asked(str(one.refused))
                elif one.refused is not None:
                    answers[place] = Denied(str(one.refused), one.refused.condition, "cancel")
                elif not one.registered:
                    unknown.append(place)
                elif isinstance(step, Draft):
                    self.changes.recorded(step, one, now)
            if unknown:
                verdicts = await self._first_words(transport, [events[place] for place in unknown])
                for place, verdict in zip(unknown, verdicts, strict=True):
                    answers[place] = verdict
        for jid, stanza_ids in displayed.items():
            await self.sources.displayed(transport, jid, stanza_ids)
        return answers

    async def _recorded(
        self, steps: Sequence[Step], heard: Sequence[Heard], untouched: frozenset[Lane], now: float
    ) -> list[Recorded | Changed]:
        """One transaction for all of it; again without a message that its transport refuses."""
        refused: dict[str, Recorded] = {}
        while True:
            left = [step for step in steps if _uid(step) not in refused]
            try:
                done = await self._store.do(_record, left, heard, self.changes.names, untouched, now)
            except Misdirected as error:
                if all(_uid(step) != error.uid for step in left):
                    raise
                refused[error.uid] = Recorded(refused=error.why)
            else:
                answers = iter(done)
                return [refused.get(_uid(step)) or next(answers) for step in steps]

    async def _carry(
        self, transport: str, steps: Sequence[Step], heard: Sequence[Heard], now: float
    ) -> list[Recorded | Changed]:
        """One transaction. What is to be taken back must not be sent meanwhile."""
        talks = [step.talk for step in steps if isinstance(step, Retraction)]
        async with self.changes.reach(talks) as untouched:
            recorded = await self._recorded(steps, heard, untouched, now)
        METRICS.stanzas_recorded.labels(transport).inc(len(steps))
        self.ring(lane for one in recorded for lane in one.lanes)
        return recorded

    def _step(self, transport: str, event: Written | Retracted | ChatState, now: float) -> Step | None:
        """What an event asks of the record; None if nothing. Raises Denied."""
        if isinstance(event, Written):
            if REACTION in event.options and not self.transports[transport].adapter.capabilities.reactions:
                return None  # clients expect nothing
            return self._draft(transport, event, now)
        try:
            talk = Talk(transport, event.from_bare, self.address_of(transport, event.local).canonical)
        except Denied:
            return None  # nothing was ever sent there
        if isinstance(event, ChatState):
            return self.changes.typing(talk, event.composes, now)
        to_jid = f"{event.local}@{self.transports[transport].jid}"
        return Retraction(
            talk, event.from_full, to_jid, event.stanza_id, event.target, event.wants_receipt
        )

    async def _first_words(self, transport: str, events: Sequence[Event]) -> list[Denied | None]:
        """Register those who may, and record what they wrote; their next words find them registered."""
        mine = [event for event in events if isinstance(event, Written)]
        new: set[str] = set()
        for jid, event in {event.from_bare: event for event in mine}.items():
            if await self.admit(transport, jid, self.languages.of(jid, event.language)) is not None:
                new.add(jid)
        if not new:
            return [self.not_registered(transport) for _ in events]
        again = await self.carry_out(transport, [event for event in mine if event.from_bare in new])
        verdicts = iter(again)
        return [next(verdicts) if e.from_bare in new else self.not_registered(transport) for e in mine]

    async def admit(self, transport: str, jid: str, language: str) -> Line | None:
        """Register somebody whom the settings or an invitation admit, unless they once left. None if not."""
        if not self.may_use(jid) and not await self._store.look(invites.is_invited, jid, self._clock()):
            return None
        if await self._store.look(people.has_left, transport, jid):
            return None
        try:
            line = await self.register(transport, jid, name="", language=language)
        except Denied:
            return None
        if transport in self.newcomer:
            self.newcomer[transport](line)
        return line

    def _draft(self, transport: str, written: Written, now: float) -> Draft:
        """Check a message and put it into words of the record. Raises Denied."""
        where = self.transports[transport]
        address = self.address_of(transport, written.local)
        self._allow_one(where, written.from_bare, now)
        uid = uuid.uuid4().hex
        identity = written.origin_id or written.stanza_id
        adapter = where.adapter
        body, files = written.body, written.files
        if files and not adapter.capabilities.attachments:
            body, files = "\n".join([body, *_links(written)] if body else _links(written)), ()
        draft = Draft(
            transport=transport,
            jid=written.from_bare,
            from_jid=written.from_full,
            to_jid=f"{written.local}@{where.jid}",
            local=written.local,
            address=address,
            uid=uid,
            stanza_id=written.stanza_id,
            dedupe=hash_key(
                "xmpp",
                transport,
                written.from_bare,
                address.canonical,
                identity,
                written.body,
                *_links(written),
            )
            if identity
            else "",
            body=body,
            wants_receipt=written.wants_receipt,
            remote_id=where.names_messages.remote_id(uid) if where.names_messages else "",
            subject=" ".join((written.subject or written.options.get(SUBJECT, "")).split())[:MOST_SUBJECT],
            thread=written.thread[:256],
            reply_to=message_stanza(written.reply_to),
            parts=_parts(where, body),
            threaded=adapter.capabilities.subjects,
            first_subject=where.names_threads.first_subject(body or files[0].name)
            if where.names_threads and (body or files)
            else "",
            files=files,
            options=written.options,
            direct=where.addresses.addressed if where.addresses else None,
            coalesce=adapter.capabilities.coalesce_seconds,
            first_hold=0.0 if is_short_code(address.canonical) else adapter.capabilities.first_hold,
            needs_parent=REACTION in written.options,
            replaces=written.replaces,
        )
        return replace(draft, follow_up=self._follow_up(where, draft, written)) if draft.replaces else draft

    def _follow_up(self, transport: Transport, draft: Draft, written: Written) -> Draft:
        """What goes out if the message that this corrects has gone already."""
        options = {**draft.options, CORRECTION: written.replaces}
        if transport.adapter.capabilities.corrections:
            return replace(draft, options=options)
        language = self.languages.of(written.from_bare, written.language)
        body = translate(tr("Correction: {text}", text=draft.body), language)
        return replace(draft, body=body, parts=_parts(transport, body), options=options)

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
                tr(
                    "You have written more than this gateway lets through. Wait {time} and send it again; "
                    "nothing before it is lost.",
                    time=wait_in_words(wait),
                ),
                "resource-constraint",
                "wait",
            )

    @staticmethod
    def not_registered(transport: str) -> Denied:
        return Denied(
            tr("You are not registered here yet. Register with this gateway first, then send it again."),
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

    async def load(self) -> None:
        """At start: what each user reads, so that a refusal need not ask the record."""
        for jid, language in (await self._store.look(desk.languages)).items():
            self.languages.learn(jid, language)

    async def line_of(self, transport: str, jid: str) -> Line | None:
        return await self._store.look(people.line_of, transport, jid)

    async def register(
        self, transport: str, jid: str, *, name: str, address: str = "", token: str = "", language: str = ""
    ) -> Line:
        """Register a bare JID, or edit its registration (name; address if it may choose). `token` is an
        invitation's, `language` what a new user reads. Raises Denied."""
        if not await self._admits(transport, jid, token):
            raise Denied(
                tr("This gateway does not serve your address. Ask its administrator for an invitation."),
                "forbidden",
                "auth",
            )
        return await self._register(transport, jid, name, address, language)

    async def _admits(self, transport: str, jid: str, token: str) -> bool:
        """Whom the settings or an invitation admit, or who is here already."""
        if self.may_use(jid) or await self.line_of(transport, jid) is not None:
            return True
        return await self._store.do(invites.redeem, jid, token, self._clock())

    async def _register(self, transport: str, jid: str, name: str, address: str, language: str) -> Line:
        try:
            candidates = list(self.transports[transport].adapter.own_addresses(jid))
            if address:
                wanted = self.transports[transport].adapter.canonical(address).canonical
                # Who has brought an account has an address that we do not give out, and keeps it.
                present = None if wanted in candidates else await self.line_of(transport, jid)
                if wanted not in candidates and (present is None or present.address != wanted):
                    raise Denied(tr("{address} is not yours to choose here.", address=wanted))
                candidates = [wanted]
        except BadAddress as error:
            raise Denied(str(error)) from error
        name = " ".join(name.split())[:256]
        try:
            line = await self._store.do(
                people.register,
                transport,
                jid,
                name,
                candidates,
                self._clock(),
                move=bool(address),
                language=language or self.languages.of(jid),
                shared=shared_addresses(self.transports[transport].adapter),
            )
        except people.AddressTaken as error:
            raise Denied(
                tr("No address is free for you here at the moment. Ask the administrator of this gateway."),
                "conflict",
                "cancel",
            ) from error
        self._known.clear()
        self.languages.learn(jid, line.language)
        return line

    async def bring_account(
        self, transport: str, jid: str, *, name: str, fields: Mapping[str, str]
    ) -> Line:
        """Make a user's own account elsewhere their line here (the first, or in place of the one before).
        `fields` are what the adapter's `account_form` asks for. Raises Denied; may take a minute."""
        adapter = self.transports[transport].adapter
        if not isinstance(adapter, Accounts) or not adapter.account_form():
            raise Denied(tr("Accounts of your own cannot be used here."), "not-allowed", "cancel")
        if not self.may_use(jid):
            raise Denied(tr("This gateway does not serve your address."), "forbidden", "auth")
        try:
            account = await adapter.check_account(fields)
            line = await self.sources.bring(transport, jid, " ".join(name.split())[:256], account)
        except BadAccount as error:
            raise Denied(str(error)) from error
        except people.AddressTaken as error:
            raise Denied(
                tr("Somebody else here uses this address already."), "conflict", "cancel"
            ) from error
        self._known.clear()
        return line

    async def leave(self, transport: str, jid: str) -> list[Contact]:
        """Remove the registration; answers the contacts that the user had. Raises Denied."""
        gone = await self._store.do(people.leave, transport, jid, self._clock())
        self._known.clear()
        self.sources.accounts_changed(transport)
        if gone is None:
            raise Denied(tr("You are not registered here."), "registration-required", "auth")
        return gone

    async def add_contact(self, transport: str, jid: str, local: str) -> Contact:
        """The user subscribes to a contact's JID. Raises Denied."""
        address = self.address_of(transport, local)
        contact, lanes = await self._store.do(
            _subscribe, transport, jid, address, local, self.grounds[transport], self._clock()
        )
        if contact is None:
            raise self.not_registered(transport)
        self.ring(lanes)
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

    # --- second thoughts; each answers a sentence ---

    def _talk(self, transport: str, jid: str, local: str) -> Talk:
        return Talk(transport, jid, self.address_of(transport, local).canonical)

    async def send_now(self, transport: str, jid: str, local: str) -> str:
        """Let what waits for this contact go at once. Raises Denied."""
        count = await self.changes.send_now(self._talk(transport, jid, local))
        if not count:
            raise Denied(tr("Nothing waits here; it has gone already."), "item-not-found", "cancel")
        return trn("Sent.", "{number} messages sent.", count)

    async def undo(self, transport: str, jid: str, local: str) -> str:
        """Take back the newest message to this contact, if it has not gone. Raises Denied."""
        undone = await self.changes.undo(self._talk(transport, jid, local))
        if undone is None:
            raise Denied(tr("Too late: everything here has gone already."), "item-not-found", "cancel")
        return tr("Taken back, not sent: {text}", text=shortened(undone.body))

    async def cancel(self, transport: str, jid: str, local: str, stanza_id: str = "") -> str:
        """Take back the message with this id; without one, give up what is still being tried, or else
        take back the newest that has not gone. Raises Denied."""
        talk = self._talk(transport, jid, local)
        if not stanza_id:
            given_up = await self.changes.give_up(talk)
            return _given_up(given_up) if given_up else await self.undo(transport, jid, local)
        done = await self.changes.cancel(talk, stanza_id)
        if done.refused or not done.undone:
            reason = done.refused or tr("There is nothing left of this message to cancel.")
            raise Denied(reason, "not-allowed", "cancel")
        return tr("Taken back, not sent: {text}", text=shortened(done.undone[0].body))

    async def status_of(self, transport: str, jid: str, local: str, stanza_id: str = "") -> list[Fact]:
        """What is known of the user's message with this id, or of the newest to this contact; oldest
        first. Raises Denied."""
        return await self.changes.facts(self._talk(transport, jid, local), stanza_id)

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
        kept = await self._files.keep_all(gathered) if self._files is not None else gathered
        self.ring(await self._store.do(recording.record_in, kept, self.grounds, self._clock()))
        return [None] * len(gathered)

    async def _report(self, gathered: list[Report]) -> list[None]:
        self.ring(
            await self._store.do(reports.report, gathered, self.receipts_on_sent, self._clock())
        )
        return [None] * len(gathered)


def _record(
    connection: Connection,
    steps: Sequence[Step],
    heard: Sequence[Heard],
    names: Mapping[str, Name],
    untouched: frozenset[Lane],
    now: float,
) -> list[Recorded | Changed]:
    """One transaction for all that a stream brought."""
    if heard:
        reports.hear(connection, heard, now)
    return carry(connection, steps, names, untouched, now) if steps else []


def _links(written: Written) -> list[str]:
    return [one.source for one in written.files]


def _subscribe(
    connection: Connection, transport: str, jid: str, address: Address, local: str, ground: Ground, now: float
) -> tuple[Contact | None, list[Lane]]:
    """A contact whom the user adds is let in, and so is what it has written already."""
    contact = people.subscribe(connection, transport, jid, address, local, now)
    owner = strangers.owner(connection, jid, transport, ground.jid, ground.strangers)
    return contact, strangers.reconsider(connection, owner, now) if owner is not None else []


def _uid(step: Step) -> str:
    return step.uid if isinstance(step, Draft) else ""


def _given_up(undone: Sequence[Undone]) -> Phrase:
    if any(not one.certain for one in undone):
        return tr("Given up. An earlier attempt may have arrived all the same; nobody can say.")
    return trn("Given up; it was not sent.", "{number} messages given up; they were not sent.", len(undone))


def _parts(transport: Transport, body: str) -> int:
    """How many deliveries a text becomes. Raises Denied when it is too long for the transport."""
    if transport.splits_text is not None:
        return max(len(transport.splits_text.parts(body)), 1)
    longest = transport.adapter.capabilities.longest_text
    if longest is not None and len(body) > longest:
        raise Denied(
            tr(
                "This is too long: {count} characters, and at most {most} go through. Send it in parts.",
                count=len(body),
                most=longest,
            )
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

    async def take_in_all(
        self, items: Sequence[tuple[bytes, Envelope]], cursor: tuple[str, str] | None = None
    ) -> None:
        await self._gateway.sources.take_in_all(self._transport, items, cursor)

    async def cursor(self, name: str) -> str:
        return await self._gateway.sources.cursor(self._transport, name)

    async def accounts(self) -> Sequence[Account]:
        return await self._gateway.sources.accounts(self._transport)

    async def tell(self, jid: str, text: str, *, once: str = "") -> None:
        await self._gateway.sources.tell(self._transport, jid, text, once)

    async def knows(self, recipient: str) -> bool:
        return await self._gateway.knows(self._transport, recipient)

    async def bound(self, remote_ids: Sequence[str]) -> Mapping[str, DeliveryId]:
        return await self._gateway.bound(self._transport, remote_ids)

    async def recorded(self, remote_ids: Sequence[str]) -> set[str]:
        return await self._gateway.recorded(self._transport, remote_ids)

    async def opens(self, message: Message) -> bool:
        return await self._gateway.opens(message)
