"""One XEP-0114 stream: handshake, reading, guarded writing, proof by ping. Knows no use case.

slixmpp frames the stream, and no more: matching stanzas to its handlers and building its stanza objects
costs 40 to 280 µs a message.
"""

import asyncio
import hashlib
import re
import ssl
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, cast
from xml.etree.ElementTree import Element, ParseError

import structlog
from slixmpp import Iq, Message, Presence
from slixmpp.basexmpp import BaseXMPP
from slixmpp.stanza.error import Error
from slixmpp.xmlstream import register_stanza_plugin
from slixmpp.xmlstream.stanzabase import StanzaBase
from slixmpp.xmlstream.tostring import tostring

from bridge.xmpp import xml

log = structlog.get_logger()

OPENING = 10.0  # seconds for the connection, and again for the handshake
PROOF = 20.0  # seconds for a ping's answer, counted while we read
WRITE_BUFFER = 4 * 1024 * 1024  # bytes; past this the peer is not reading

_IQ = f"{{{xml.COMPONENT}}}iq"
_HANDSHAKE = f"{{{xml.COMPONENT}}}handshake"
_STREAM_ERROR = f"{{{xml.STREAM}}}error"
_CLIENT_PREFIX = f"{{{xml.CLIENT}}}"
_COMPONENT_PREFIX = f"{{{xml.COMPONENT}}}"


class StreamLost(ConnectionError):
    """The stream ended, or was not there: nothing is known of what was written and not proven."""


class ForeignSender(ValueError):
    """A stanza of ours without a sender in our domain: servers end the whole stream for it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection came to its end."""

    established: bool  # the handshake had succeeded
    clean: bool  # the server closed the stream, so it has read and passed on what came before
    condition: str = ""  # of the stream error, RFC 6120 section 4.9.3


class Listener(Protocol):
    """Who listens to a stream. Called while reading: nothing here may wait."""

    def receive(self, stanza: Element) -> bool:
        """Take a stanza; False leaves it to slixmpp, which has no use for it."""
        ...

    def failed(self, stanza: Element, error: Exception) -> None:
        """Taking this stanza raised."""
        ...

    def full(self, is_full: bool) -> None:
        """What we write is not being read, or is again."""
        ...


class Stream(BaseXMPP):
    """May be opened again when it has ended.

    Not slixmpp's own ComponentXMPP: that one's constructor loads a TLS context which no component
    uses, 55 ms of every start.
    """

    def __init__(self, jid: str, secret: str, domain: str, listener: Listener) -> None:
        build: Callable[..., None] = super().__init__  # slixmpp leaves it untyped
        build(jid, xml.COMPONENT, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self.is_component = True
        self.stream_header = (
            f"<stream:stream xmlns='{xml.COMPONENT}' xmlns:stream='{xml.STREAM}' to='{xml.attribute(jid)}'>"
        )
        self.stream_footer = "</stream:stream>"
        # Otherwise plugins read every error as feature-not-implemented.
        Error.namespace = xml.COMPONENT
        for stanza in (Message, Iq, Presence):
            register_stanza_plugin(stanza, Error)
        for handler in ("IM", "IMError", "Presence", "Stream Error"):
            self.remove_handler(handler)
        self._jid = jid
        self._secret = secret
        self._domain = domain
        self._listener = listener
        # Our writers put `from` first, slixmpp puts it anywhere in the first tag.
        self._ours = re.compile(
            rf"<(?:message|presence|iq)\b[^>]*? from=(['\"])(?:[^'\"@]+@)?{re.escape(jid)}(?:/[^'\"]*)?\1"
        )
        self._pings: dict[str, asyncio.Future[None]] = {}
        self._asked: dict[str, tuple[str, asyncio.Future[Element]]] = {}  # whom, and the answer
        self._stalled: asyncio.TimerHandle | None = None
        self._held = False
        self._reading_since = 0.0
        self.last_heard = 0.0  # the loop's clock
        self._reset()

    def _reset(self) -> None:
        loop = asyncio.get_running_loop()
        self._up: asyncio.Future[bool] = loop.create_future()
        self._end: asyncio.Future[Ended] = loop.create_future()
        self._closing = False
        self._saw_end = False
        self._condition = ""

    # --- opening and ending ---

    async def open(self, host: str, port: int) -> bool:
        """Connect and shake hands. False when the server ended it (see `ended`).

        Raises OSError or TimeoutError when there is no server.
        """
        self._reset()
        async with asyncio.timeout(OPENING):
            await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        try:
            async with asyncio.timeout(OPENING):
                return await asyncio.shield(self._up)
        except BaseException:
            self.abort()
            raise

    async def ended(self) -> Ended:
        """Wait for the end of the connection."""
        return await asyncio.shield(self._end)

    async def close(self, grace: float) -> None:
        """End our half of the stream and read on until the server ends its own, or `grace` is over."""
        if self.transport is None or self._closing:
            return
        self._write(self.stream_footer)
        self._closing = True
        try:
            async with asyncio.timeout(grace):
                await self.ended()
        except TimeoutError:
            self.abort()

    @property
    def established(self) -> bool:
        return (
            self.transport is not None
            and not self._closing
            and self._up.done()
            and not self._up.cancelled()
            and self._up.result()
        )

    # --- writing ---

    def guard(self, stanza: str) -> None:
        """Raises ForeignSender unless the stanza's `from` is in our domain."""
        if self._ours.match(stanza) is None:
            raise ForeignSender(f"a stanza without a sender in {self._jid} was not sent")

    def write(self, stanzas: Iterable[str]) -> None:
        """Write ready stanzas. Raises ForeignSender (then none was written) or StreamLost."""
        if not self.established:
            raise StreamLost("the stream is not established")
        stanzas = tuple(stanzas)
        for stanza in stanzas:
            self.guard(stanza)
        self._write("".join(stanzas))

    def _write(self, text: str) -> None:
        if self.transport is None:
            raise StreamLost("there is no connection")
        self.transport.write(text.encode())

    def send(self, data: StanzaBase | str, use_filters: bool = True) -> None:
        """How slixmpp's plugins send: at once, without its queue, and guarded like all the rest."""
        text = (
            data
            if isinstance(data, str)
            else tostring(data.xml, xmlns=self.default_ns, stream=self, top_level=True)
        )
        try:
            self.write((text,))
        except StreamLost:
            log.debug("an answer came too late for its stream", transport=self._jid)

    async def prove(self, stanzas: Iterable[str] = ()) -> None:
        """Write stanzas and a ping to the server in one go; returns when the server has read them all.

        The answer, be it a result or an error, comes after every error that the stanzas met at once
        (XEP-0199). Unanswered, it ends the stream. Raises StreamLost.
        """
        ping = uuid.uuid4().hex
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stanza = (
            f"<iq from='{self._jid}' to='{self._domain}' type='get' id='{ping}'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>"
        )
        self.write((*stanzas, stanza))
        self._pings[ping] = answered
        try:
            await self._answer_within(answered)
        finally:
            self._pings.pop(ping, None)

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element:
        """Ask by an IQ of kind get or set, in the name of one of our JIDs. Answers the whole answer, be it
        a result or an error. Raises StreamLost, or TimeoutError after `patience` seconds."""
        identity = uuid.uuid4().hex
        answered: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        stanza = (
            f"<iq from='{xml.attribute(sender)}' to='{xml.attribute(to)}' type='{kind}' id='{identity}'>"
            f"{payload}</iq>"
        )
        self.write((stanza,))
        self._asked[identity] = (to, answered)
        try:
            async with asyncio.timeout(patience):
                return await answered
        finally:
            self._asked.pop(identity, None)

    async def _answer_within(self, answered: asyncio.Future[None]) -> None:
        """A pause of our own reading (the store is slow) is not the server's silence: it is not counted."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            silent_since = max(began, self._reading_since)
            wait = PROOF if self._held else silent_since + PROOF - loop.time()
            if wait <= 0:
                log.warning("the server did not answer a ping, so the stream is ended", transport=self._jid)
                self.abort()
                raise StreamLost("the server did not answer a ping")
            await asyncio.wait([answered], timeout=wait)
            if answered.done():
                return answered.result()

    # --- reading ---

    def hold(self, held: bool) -> None:
        """Stop or resume reading, so that the server keeps what we cannot record yet."""
        self._held = held
        if not held:
            self._reading_since = asyncio.get_running_loop().time()
        if self.transport is None or self.transport.is_closing():
            return
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def data_received(self, data: bytes | str) -> None:
        """Like slixmpp's, but it never logs what it could not parse, and a parse error ends the stream."""
        if self.parser is None:
            return
        self.last_heard = asyncio.get_running_loop().time()
        try:
            self.parser.feed(data)
            for event, element in cast(Iterator[tuple[str, Element]], self.parser.read_events()):
                self._element(event, element)
        except ParseError:
            log.warning("the server sent what is no XML, so the stream is ended", transport=self._jid)
            self.abort()

    def _element(self, event: str, element: Element) -> None:
        if event == "start":
            if self.xml_depth == 0:
                self.xml_root = element
                self.start_stream_handler(element)
            self.xml_depth += 1
            return
        self.xml_depth -= 1
        if self.xml_depth == 1:
            self._spawn_event(element)
            if self.xml_root is not None:
                self.xml_root.clear()  # or it would hold every stanza that ever came
        elif self.xml_depth == 0:
            self._saw_end = True
            self.abort()

    def start_stream_handler(self, element: Element) -> None:
        """XEP-0114 section 3: the hash of the stream's id and the secret."""
        self.stream_id = element.get("id", "")
        digest = hashlib.sha1(f"{self.stream_id}{self._secret}".encode()).hexdigest()
        self._write(f"<handshake>{digest}</handshake>")

    def _spawn_event(self, stanza: Element) -> None:
        """slixmpp calls this with each whole element below the root: the hot path begins here."""
        if stanza.tag.startswith(_CLIENT_PREFIX):
            stanza.tag = _COMPONENT_PREFIX + stanza.tag[len(_CLIENT_PREFIX) :]
        try:
            if stanza.tag == _IQ and (self._is_pong(stanza) or self._is_answer(stanza)):
                return
            if stanza.tag == _HANDSHAKE:
                self._establish()
            elif stanza.tag == _STREAM_ERROR:
                self._condition = xml.name_of(stanza[0].tag) if len(stanza) else "undefined-condition"
            elif not self._listener.receive(stanza):
                super()._spawn_event(stanza)
        except Exception as error:
            self._listener.failed(stanza, error)

    def _establish(self) -> None:
        if not self._up.done():
            self.session_bind_event.set()
            self.event("session_bind", self.boundjid)
            self._up.set_result(True)

    def _is_pong(self, stanza: Element) -> bool:
        waiting = self._pings.get(stanza.get("id", ""))
        if (
            waiting is None
            or stanza.get("from") != self._domain
            or stanza.get("type") not in ("result", "error")
        ):
            return False
        if not waiting.done():
            waiting.set_result(None)
        return True

    def _is_answer(self, stanza: Element) -> bool:
        to, answered = self._asked.get(stanza.get("id", ""), ("", None))
        if answered is None or stanza.get("from") != to or stanza.get("type") not in ("result", "error"):
            return False
        if not answered.done():
            answered.set_result(stanza)
        return True

    # --- asyncio's side of it ---

    def connection_made(self, transport: asyncio.BaseTransport, send_event: bool = True) -> None:
        super().connection_made(transport, send_event)
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.last_heard = asyncio.get_running_loop().time()
        if self._held:
            self.hold(True)

    def connection_lost(self, exception: BaseException | None) -> None:
        established = self._up.done() and not self._up.cancelled() and self._up.result()
        super().connection_lost(exception)
        self._flows_again()
        self._listener.full(False)
        if not self._up.done():
            self._up.set_result(False)
        for waiting in self._pings.values():
            if not waiting.done():
                waiting.set_exception(StreamLost("the stream ended before a ping's answer"))
        for _, answered in self._asked.values():
            if not answered.done():
                answered.set_exception(StreamLost("the stream ended before an answer"))
        if not self._end.done():
            self._end.set_result(Ended(established, self._saw_end, self._condition))

    def pause_writing(self) -> None:
        """A peer that does not read for as long as it may leave a ping unanswered is gone."""
        self._stalled = asyncio.get_running_loop().call_later(PROOF, self.abort)
        self._listener.full(True)

    def resume_writing(self) -> None:
        self._flows_again()
        self._listener.full(False)

    def _flows_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
