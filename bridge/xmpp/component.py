"""One transport's component at the XMPP server: keeps its stream open for ever and hands stanzas on.

Puts the parts together: pipeline (messages), presence and requests (in turn, per user). Holds the one error
boundary: a stanza that cannot be handled gets an error, the others go on.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol
from xml.etree.ElementTree import Element

import structlog

from bridge.commands.model import Reply
from bridge.commands.services import Services
from bridge.events import Asked, ClientError, Denied, Event, Retracted, Transport, Written
from bridge.gateway import Gateway
from bridge.model import Contact
from bridge.xmpp import errors, requests, stanzas, words, xml
from bridge.xmpp.acquaintance import Acquaintance
from bridge.xmpp.bot import Bot
from bridge.xmpp.outlet import Places
from bridge.xmpp.pipeline import Pipeline
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.sending import Sending
from bridge.xmpp.stream import Ended, Stream, StreamLost
from bridge.xmpp.turns import Turns

log = structlog.get_logger()

FIRST_PAUSE = 0.25  # seconds before the stream is opened again
LONGEST_PAUSE = 15.0
CONFLICT_PAUSE = 1.0  # another instance holds this component, or our own half-dead connection does
IDLE = 30.0  # seconds of silence after which a ping asks whether anybody is there
GREETING_AFTER = 1.0  # seconds: what waited in the queue goes first

_MESSAGE = f"{{{xml.COMPONENT}}}message"
_PRESENCE = f"{{{xml.COMPONENT}}}presence"
_IQ = f"{{{xml.COMPONENT}}}iq"

_REMEDIES = {
    "not-authorized": "the secret differs from the one in the XMPP server's configuration of this component",
    "host-unknown": "the XMPP server's configuration has no component of this name",
    "conflict": "the XMPP server has another connection of this component",
}


class XmppSettings(Protocol):
    """Where the XMPP server listens for components, and the host that is pinged there."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def domain(self) -> str: ...


def next_pause(pause: float, ended: Ended | None) -> float:
    """How long to wait before the stream is opened again, after a pause of `pause`. None: no connection."""
    if ended is not None and ended.condition == "conflict":
        return CONFLICT_PAUSE
    if ended is not None and ended.established:
        return FIRST_PAUSE
    return min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)


class Component(Sending):
    """`read` turns a message stanza into a value; tests let it fail for one of them. Without `services`
    there are no commands."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        settings: XmppSettings,
        *,
        read: Callable[[Element], stanzas.Reading] = stanzas.read,
        services: Services | None = None,
    ) -> None:
        super().__init__()
        self.transport = transport
        self.jid = transport.jid
        self.privilege = Privilege(transport.jid)
        self._gateway = gateway
        self._settings = settings
        self._read = read
        self._up = asyncio.Event()
        self._stopping = asyncio.Event()
        self._finished = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._recording: asyncio.Task[None] | None = None
        self._full: set[str] = set()  # who asks not to read on
        self._pipeline = Pipeline(
            transport.name,
            partial(gateway.carry_out, transport.name),
            self._refuse,
            partial(self._hold, "pipeline"),
        )
        self._turns = Turns(partial(self._hold, "turns"))
        self.acquaintance = Acquaintance(transport, gateway, services, self.privilege, self, self._soon)
        self._presence, rosters = self.acquaintance.presence, self.acquaintance.rosters
        self._bot = Bot(transport, gateway, services, self, self._presence, rosters, self._pipeline)
        gateway.newcomer[transport.name] = self._bot.welcome
        rosters.welcome = self._bot.welcome_late
        self._requests = requests.answered(transport, gateway, services, self, self._bot, self.acquaintance)
        if services is not None:
            known = services.wishes.cards
            known.changed.setdefault(transport.name, []).append(self._looks_changed)
            known.introduced.setdefault(transport.name, []).append(self._introduced)

    def puts_files(self, places: Places) -> None:
        """Where files that belong to the gateway's own answers are put."""
        self._bot.places = places

    # --- life ---

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Component"]:
        """Connected for as long as it is entered, but for the server's own absences."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run(), name=f"xmpp {self.jid}")
            try:
                yield self
            finally:
                await self.stop(5.0)

    async def run(self) -> None:
        """Stay connected and record what comes, until `stop`."""
        self._stream = Stream(self.jid, self.transport.secret, self._settings.domain, self)
        try:
            async with asyncio.TaskGroup() as group:
                self._recording = group.create_task(self._pipeline.run())
                self._connecting = group.create_task(self._stay_connected())
                await asyncio.wait([self._connecting])
                await self._pipeline.drained()
                self._recording.cancel()
        finally:
            self._stream.abort()
            await self._turns.cancel()
            self._finished.set()

    async def stop(self, grace: float, *, farewell: bool = False) -> None:
        """End the stream and record what still comes, for at most `grace` seconds.

        With `farewell` users are told that the transport is gone; not for a restart, which would make
        every roster flap. Afterwards `run` returns.
        """
        self._stopping.set()
        self._up.set()  # nobody need wait any longer: `connected` is what counts
        if self._connecting is None or self._finished.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._close(grace, farewell)
                await self._finished.wait()
        if not self._finished.is_set() and self._recording is not None:
            self._connecting.cancel()
            self._recording.cancel()

    async def _close(self, grace: float, farewell: bool) -> None:
        if self._stream is None or self._connecting is None:
            return
        if not self._stream.established:
            self._connecting.cancel()
            return
        await self._turns.drained()
        if farewell:
            with suppress(StreamLost):
                await self._presence.farewell()
        await self._stream.close(grace)

    @property
    def connected(self) -> bool:
        return self._stream is not None and self._stream.established

    def is_online(self, user: str) -> bool:
        """Whether a user (bare JID) is known to be available."""
        return self.acquaintance.is_there(user)

    async def wait_connected(self, patience: float | None = None) -> bool:
        """Wait for an established stream; False when there is none within `patience` seconds, or no more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._up.wait()
        return self.connected

    async def _stay_connected(self) -> None:
        pause = FIRST_PAUSE / 2
        while not self._stopping.is_set():
            ended = await self._one_stream()
            if self._stopping.is_set():
                return
            pause = next_pause(pause, ended)
            log.warning(
                "not connected to the XMPP server",
                transport=self.transport.name,
                again_in=pause,
                condition=ended.condition if ended else "no connection",
                remedy=_REMEDIES.get(ended.condition, "") if ended else "",
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.8, 1.0)):
                    await self._stopping.wait()

    async def _one_stream(self) -> Ended | None:
        """Open the stream and stay until its end. None when nobody listens there."""
        stream = self._stream
        if stream is None:
            return None
        try:
            established = await stream.open(self._settings.host, self._settings.port)
        except (OSError, TimeoutError) as error:
            log.debug("connecting failed", transport=self.transport.name, error=str(error))
            return None
        if established:
            await self._live(stream)
        ended = await stream.ended()
        if ended.established and not ended.clean:
            await self._tell_broken()
        return ended

    async def _live(self, stream: Stream) -> None:
        """What goes on while a stream lives."""
        log.info("connected to the XMPP server", transport=self.transport.name)
        self._up.set()
        work = (self._keep_alive(stream), self._greet(), *self.acquaintance.chores())
        chores = [asyncio.create_task(self._chore(one)) for one in work]
        try:
            self._flush()
            await stream.ended()
        finally:
            if not self._stopping.is_set():
                self._up.clear()
            self.acquaintance.forget()
            self.privilege.forget()
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)

    async def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        """The error boundary around what a stream needs beside its stanzas."""
        try:
            await work
        except StreamLost:
            return
        except Exception as error:
            log.error("a chore of a stream failed", transport=self.transport.name, exc_info=error)

    async def _keep_alive(self, stream: Stream) -> None:
        """A peer that vanished says nothing: ask it."""
        loop = asyncio.get_running_loop()
        while True:
            silent = loop.time() - stream.last_heard
            if silent >= IDLE:
                await stream.prove()
            else:
                await asyncio.sleep(IDLE - silent)

    async def _greet(self) -> None:
        await asyncio.sleep(GREETING_AFTER)
        await self._presence.greet()

    async def _tell_broken(self) -> None:
        try:
            await self._gateway.stream_broke(self.transport.name)
        except Exception as error:
            log.error(
                "what a broken stream lost is not due again", transport=self.transport.name, exc_info=error
            )

    # --- who a contact is ---

    def _looks_changed(self, user: str, contacts: Sequence[Contact]) -> None:
        self.acquaintance.rosters.look(user)
        self._soon(user, partial(self._presence.look_again, user, contacts))

    def _introduced(self, user: str, locals_: Sequence[str]) -> None:
        reply = Reply("", introduces=tuple(locals_))
        self._soon(user, partial(self._bot.follow, user, reply))

    def _soon(self, user: str, work: Callable[[], Awaitable[None]]) -> None:
        self._turns.put(user, partial(self._unasked, work))

    async def _unasked(self, work: Callable[[], Awaitable[None]]) -> None:
        """The error boundary around what no stanza asked for."""
        try:
            await work()
        except StreamLost:
            log.debug("the stream ended before what was due", transport=self.transport.name)
        except Exception as error:
            log.error("what nobody asked for failed", transport=self.transport.name, exc_info=error)

    # --- receiving (the stream's Listener) ---

    def receive(self, stanza: Element) -> bool:
        """Hand a stanza to whom it concerns, without waiting. False leaves it to slixmpp, which drops it."""
        if stanza.tag == _MESSAGE:
            self._receive_message(stanza)
            return True
        if stanza.tag == _PRESENCE:
            if (work := self._presence.take(stanza)) is not None:
                self._in_turn(stanza, work)
            return True
        if stanza.tag == _IQ and stanza.get("type") in ("get", "set"):
            handle = self._requests.get(stanza[0].tag) if len(stanza) == 1 else None
            if handle is not None:
                if not self._is_too_much(stanza):
                    self._in_turn(stanza, partial(handle, stanza))
            else:
                # RFC 6120 sections 8.2.3 and 8.4: one payload; what nobody knows is not served.
                self._answer_error(stanza, errors.NOT_SERVED if len(stanza) == 1 else errors.MALFORMED)
            return True
        return False

    def _receive_message(self, stanza: Element) -> None:
        reading = self._read(stanza)
        if (reading is None and self.privilege.take(stanza)) or self.privilege.is_echo(stanza):
            return
        self.acquaintance.heard(stanza, reading)
        if isinstance(reading, Written) and reading.local in ("", words.ALIAS):
            if not self._is_too_much(stanza):
                self._in_turn(stanza, partial(self._bot.at_gateway, reading))
        elif isinstance(reading, Written) and self._bot.concerns(reading):
            if not self._is_too_much(stanza) and (work := self._bot.take(reading)) is not None:
                self._in_turn(stanza, work)
        elif isinstance(reading, Denied):
            self._answer_error(stanza, reading)
        elif isinstance(reading, ClientError) and (
            watched := self._watched.get((reading.stanza_id, reading.from_bare))
        ):
            delivery, told = watched
            told(delivery, reading)
        elif reading is not None:
            self._pipeline.put(reading)

    def _is_too_much(self, stanza: Element) -> bool:
        """Whether its sender has asked for so much already that this is refused (and has been told)."""
        if not self._turns.is_full(xml.bare(stanza.get("from", ""))):
            return False
        self._answer_error(stanza, errors.TOO_MUCH)
        return True

    def _in_turn(self, stanza: Element, work: Callable[[], Awaitable[None]]) -> None:
        self._turns.put(xml.bare(stanza.get("from", "")), partial(self._bounded, stanza, work))

    async def _bounded(self, stanza: Element, work: Callable[[], Awaitable[None]]) -> None:
        """The error boundary around what a stanza asks for."""
        try:
            await work()
        except StreamLost:
            log.debug("the stream ended before an answer", transport=self.transport.name)
        except Denied as denied:
            self._answer_error(stanza, denied)
        except Exception as error:
            self.failed(stanza, error)

    def failed(self, stanza: Element, error: Exception) -> None:
        """Handling this stanza raised: it gets an error, the others go on."""
        kind = xml.name_of(stanza.tag)
        log.error("a stanza could not be handled", transport=self.transport.name, kind=kind, exc_info=error)
        self._answer_error(stanza, errors.OURS)

    def _answer_error(self, stanza: Element, denied: Denied) -> None:
        kind = xml.name_of(stanza.tag)
        if kind in ("message", "presence", "iq") and errors.is_answerable(kind, stanza.attrib):
            language = self._gateway.languages.of(
                xml.bare(stanza.get("from", "")), stanza.get(xml.LANGUAGE, "")
            )
            self.reply(errors.answer(kind, stanza.attrib, denied, self.jid, language))

    def _refuse(self, event: Event, denied: Denied) -> None:
        """Only what somebody wrote is answered; an error is never answered by an error."""
        if isinstance(event, Written | Retracted):
            if isinstance(denied, Asked) and isinstance(event, Written):
                self._turns.put(event.from_bare, self._bot.ask_first(event, denied))
                return
            about = {"from": event.from_full, "to": f"{event.local}@{self.jid}", "id": event.stanza_id}
            language = self._gateway.languages.of(event.from_bare, getattr(event, "language", ""))
            self.reply(errors.answer("message", about, denied, self.jid, language))

    # --- flow ---

    def full(self, is_full: bool) -> None:
        """What we write is not being read: what we read would only make more of it."""
        self._hold("writing", is_full)

    def _hold(self, who: str, held: bool) -> None:
        before = bool(self._full)
        (self._full.add if held else self._full.discard)(who)
        if bool(self._full) != before and self._stream is not None:
            self._stream.hold(not before)
