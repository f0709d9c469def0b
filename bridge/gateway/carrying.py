"""The hot path: what a stream's pipeline gathered goes into the record, in order, in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from bridge.changes import Changes
from bridge.events import Asked, ChatState, ClientError, Denied, Displayed, Event, Retracted, Written
from bridge.gateway.allowances import Allowances
from bridge.gateway.drafting import draft
from bridge.gateway.house import House, not_registered
from bridge.i18n import tr
from bridge.options import REACTION
from bridge.ports import BadAddress, Capabilities
from bridge.sources import Sources
from bridge.store import reports
from bridge.store.attaching import message_stanza
from bridge.store.changing import Changed, Retraction, Talk
from bridge.store.directing import Misdirected
from bridge.store.drafts import Draft, Recorded
from bridge.store.engine import is_about_input
from bridge.store.outward import Step, carry
from bridge.store.posting import AsksFirst
from bridge.store.reports import Heard
from bridge.store.rows import Lane
from bridge.store.unthreading import Name
from bridge.telemetry import METRICS

log = structlog.get_logger()

_NOT_SAVED = tr("This message could not be saved. Write it in other words, or tell your administrator.")

# Transport, bare JID and language → whether who writes first is registered now.
Admit = Callable[[str, str, str], Awaitable[object | None]]


@dataclass(slots=True)
class _Batch:
    """What a stream brought, by what it asks of the record."""

    answers: list[Denied | None]
    steps: list[Step] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of the steps, among the events
    heard: list[Heard] = field(default_factory=list)
    displayed: dict[str, list[str]] = field(default_factory=dict)  # stanza ids by bare JID


class Carrying:
    """One for the process."""

    def __init__(self, house: House, changes: Changes, sources: Sources, admit: Admit) -> None:
        self._house = house
        self._changes = changes
        self._sources = sources
        self._admit = admit
        self._allowances = Allowances()

    async def carry_out(self, transport: str, events: Sequence[Event]) -> list[Denied | None]:
        """Record all of it in one transaction. Answers, in order: None = recorded (or a repeat of
        what was recorded), Denied = tell the sender so by an error stanza with the original id.
        Raises only when the store fails; then nothing of it was recorded."""
        now = self._house.clock()
        batch = self._sorted(transport, events, now)
        if batch.steps or batch.heard:
            recorded = await self._carry(transport, batch, now)
            unknown = self._answer(batch, recorded, now)
            if unknown:
                verdicts = await self._first_words(transport, [events[place] for place in unknown])
                for place, verdict in zip(unknown, verdicts, strict=True):
                    batch.answers[place] = verdict
        for jid, stanza_ids in batch.displayed.items():
            await self._sources.displayed(transport, jid, stanza_ids)
        return batch.answers

    def _sorted(self, transport: str, events: Sequence[Event], now: float) -> _Batch:
        batch = _Batch([None] * len(events))
        for place, event in enumerate(events):
            if isinstance(event, Written | Retracted | ChatState):
                try:
                    step = self._step(transport, event, now)
                except Denied as denied:
                    batch.answers[place] = denied
                    continue
                if step is not None:
                    batch.steps.append(step)
                    batch.places.append(place)
            elif isinstance(event, Displayed):
                batch.displayed.setdefault(event.from_bare, []).append(message_stanza(event.stanza_id))
            else:
                condition = event.condition if isinstance(event, ClientError) else ""
                batch.heard.append(Heard(transport, event.from_bare, event.stanza_id, condition))
        return batch

    def _step(self, transport: str, event: Written | Retracted | ChatState, now: float) -> Step | None:
        """What an event asks of the record; None if nothing. Raises Denied."""
        where = self._house.transports[transport]
        if isinstance(event, Written):
            if REACTION in event.options and not _takes(where.adapter.capabilities, event.options[REACTION]):
                return None  # clients expect nothing
            address = self._house.address_of(transport, event.local)
            self._allowances.take(where, event.from_bare, now)
            self._changes.wrote(Talk(transport, event.from_bare, address.canonical))
            return draft(self._house, where, event, address)
        try:
            address = self._house.address_of(transport, event.local)
        except Denied:
            return None  # nothing was ever sent there
        talk = Talk(transport, event.from_bare, address.canonical)
        if isinstance(event, ChatState):
            return self._changes.typing(talk, event.composes, now)
        to_jid = f"{event.local}@{where.jid}"
        return Retraction(talk, event.from_full, to_jid, event.stanza_id, event.target, event.wants_receipt)

    async def _carry(self, transport: str, batch: _Batch, now: float) -> list[Recorded | Changed]:
        """One transaction. What is to be taken back must not be sent meanwhile."""
        talks = [step.talk for step in batch.steps if isinstance(step, Retraction)]
        async with self._changes.reach(talks) as untouched:
            recorded = await self._recorded(batch, untouched, now)
        METRICS.stanzas_recorded.labels(transport).inc(len(batch.steps))
        self._house.ring(lane for one in recorded for lane in one.lanes)
        return recorded

    async def _recorded(
        self, batch: _Batch, untouched: frozenset[Lane], now: float
    ) -> list[Recorded | Changed]:
        """One transaction for all of it; again without a message that its transport refuses."""
        refused: dict[str, Recorded] = {}
        names = self._changes.names
        while True:
            left = [step for step in batch.steps if _uid(step) not in refused]
            try:
                done = await self._house.store.do(_record, left, batch.heard, names, untouched, now)
            except Misdirected as error:
                if all(_uid(step) != error.uid for step in left):
                    raise
                refused[error.uid] = Recorded(refused=error.why)
            except Exception as error:
                if len(batch.steps) == 1 or not is_about_input(error):
                    raise
                log.error("messages could not be recorded together", count=len(left), exc_info=error)
                if batch.heard:
                    await self._house.store.do(reports.hear, batch.heard, now)
                return [
                    refused.get(_uid(step)) or await self._alone(step, untouched, now) for step in batch.steps
                ]
            else:
                answers = iter(done)
                return [refused.get(_uid(step)) or next(answers) for step in batch.steps]

    async def _alone(self, step: Step, untouched: frozenset[Lane], now: float) -> Recorded | Changed:
        """One whose neighbours may have been what could not be recorded."""
        try:
            done = await self._house.store.do(_record, [step], (), self._changes.names, untouched, now)
        except Misdirected as error:
            return Recorded(refused=error.why)
        except Exception as error:
            log.error("a message could not be recorded", exc_info=error)
            return Recorded(refused=BadAddress(_NOT_SAVED, condition="internal-server-error"))
        return done[0]

    def _answer(self, batch: _Batch, recorded: Sequence[Recorded | Changed], now: float) -> list[int]:
        """Fill in the answers. Answers the places of those whose writers are not registered."""
        unknown = []
        for place, step, one in zip(batch.places, batch.steps, recorded, strict=True):
            if isinstance(one, Recorded) and not one.registered and one.refused is None:
                unknown.append(place)
                continue
            batch.answers[place] = _verdict(one)
            if isinstance(step, Draft) and isinstance(one, Recorded) and one.refused is None:
                self._changes.recorded(step, one, now)
        return unknown

    async def _first_words(self, transport: str, events: Sequence[Event]) -> list[Denied | None]:
        """Register those who may, and record what they wrote; their next words find them registered."""
        mine = [event for event in events if isinstance(event, Written)]
        new: set[str] = set()
        for jid, event in {event.from_bare: event for event in mine}.items():
            language = self._house.languages.of(jid, event.language)
            if await self._admit(transport, jid, language) is not None:
                new.add(jid)
        if not new:
            return [not_registered() for _ in events]
        again = await self.carry_out(transport, [event for event in mine if event.from_bare in new])
        verdicts = iter(again)
        return [next(verdicts) if event.from_bare in new else not_registered() for event in mine]


def _takes(able: Capabilities, emoji: str) -> bool:
    """Whether a transport can say this reaction; empty: that the one before is taken back."""
    return able.reactions if emoji else able.unreactions


def _record(
    connection: Connection,
    steps: Sequence[Step],
    heard: Sequence[Heard],
    names: Mapping[str, Name],
    untouched: frozenset[Lane],
    now: float,
) -> list[Recorded | Changed]:
    if heard:
        reports.hear(connection, heard, now)
    return carry(connection, steps, names, untouched, now) if steps else []


def _uid(step: Step) -> str:
    return step.uid if isinstance(step, Draft) else ""


def _verdict(one: Recorded | Changed) -> Denied | None:
    """What the writer hears at once; None if it is recorded."""
    if isinstance(one, Changed):
        return Denied(one.refused, "not-allowed", "cancel") if one.refused else None
    if isinstance(one.refused, AsksFirst):
        return Asked(str(one.refused))
    return Denied(str(one.refused), one.refused.condition, "cancel") if one.refused is not None else None
