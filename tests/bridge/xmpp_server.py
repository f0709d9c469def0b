"""A far end for components that does what no real server can be told to: falls silent, bounces, breaks.

Speaks the server's half of XEP-0114 and answers pings while `answers_pings`.
"""

import asyncio
import re
from types import TracebackType
from typing import Self
from xml.etree.ElementTree import Element, fromstring

PATIENCE = 5.0
_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept'"
    " xmlns:stream='http://etherx.jabber.org/streams' from='mail.localhost' id='abc'>"
)
_PING = re.compile(r"<iq from='([^']*)' to='localhost' type='get' id='([^']*)'><ping[^>]*/></iq>")


class ScriptedServer:
    """`heard` is the text of the present connection. `refuse_with` is a stream error for the handshake."""

    def __init__(self) -> None:
        self.answers_pings = True
        self.bounces = ""  # sent before the next ping's answer
        self.refuse_with = ""
        self.heard = ""
        self.connections = 0
        self.port = 0
        self._news = asyncio.Condition()
        self._asked = 0
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def say(self, text: str) -> None:
        assert self._writer is not None
        self._writer.write(text.encode())

    def stop_reading(self) -> None:
        assert self._writer is not None
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

    def hang_up(self) -> None:
        """Break the connection without a word."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def until(self, pattern: str, *, connection: int = 0) -> str:
        """Wait until what was heard (on the nth connection, or any) matches; answers all of it."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(
                lambda: self.connections >= connection and re.search(pattern, self.heard, re.DOTALL)
            )
        return self.heard

    async def ask(self, payload: str, *, by: str, to: str, kind: str = "get") -> Element:
        """Hand a client's request in; the component's answer."""
        self._asked += 1
        identity = f"asked{self._asked}"
        self.say(f"<iq from='{by}' to='{to}' type='{kind}' id='{identity}'>{payload}</iq>")
        pattern = rf"<iq [^>]*id='{identity}'[^>]*>.*?</iq>"
        found = re.search(pattern, await self.until(pattern), re.DOTALL)
        assert found is not None
        answer = fromstring(found[0])
        assert (answer.get("from"), answer.get("to")) == (to, by)
        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.heard = ""
        self.connections += 1
        try:
            while data := await reader.read(65536):
                await self._hear(data.decode())
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _hear(self, text: str) -> None:
        if "<stream:stream" in text:
            self.say(_HEADER)
        if "<handshake>" in text:
            self.say(self.refuse_with or "<handshake/>")
        self._answer_pings(text)
        if "</stream:stream>" in text:
            self.say("</stream:stream>")
        async with self._news:
            self.heard += text
            self._news.notify_all()

    def _answer_pings(self, text: str) -> None:
        for sender, ping in _PING.findall(text) if self.answers_pings else ():
            self.say(f"{self.bounces}<iq from='localhost' to='{sender}' type='result' id='{ping}'/>")
            self.bounces = ""
