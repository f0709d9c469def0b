"""A chat client on a bare socket: writes many messages, counts what comes back. The load, not the peer."""

import asyncio
import base64
import itertools
import re
from collections.abc import Callable, Sequence
from typing import cast

_FOUND = re.compile(rb"<received [^>]*id='([^']+)'|<received [^>]*id=\"([^\"]+)\"|<body>([^<]*)</body>")


class ChatLoad(asyncio.Protocol):
    """One session. `seen` is called with the id of each receipt, or the text of each body."""

    def __init__(self, user: str, password: str, domain: str) -> None:
        self._login = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        self._domain = domain
        self._buffer = b""
        self._steps = iter(self._handshake())
        self.jid = f"{user}@{domain}"
        self.online = asyncio.get_running_loop().create_future()
        self.seen: Callable[[bytes], None] = lambda what: None
        self.transport: asyncio.Transport

    def _handshake(self) -> Sequence[tuple[str, bytes]]:
        header = (
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{self._domain}' version='1.0'>"
        )
        return (
            (header, b"</stream:features>"),
            (
                f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{self._login}</auth>",
                b"<success",
            ),
            (header, b"</stream:features>"),
            (
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                "<resource>load</resource></bind></iq>",
                b"</iq>",
            ),
            ("<presence/>", b"<presence"),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._next_step()

    def _next_step(self) -> None:
        self._buffer = b""
        try:
            said, self._awaited = next(self._steps)
        except StopIteration:
            self._awaited = b""
            self.online.set_result(None)
            return
        self.transport.write(said.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._awaited:
            if self._awaited in self._buffer:
                self._next_step()
            return
        end = 0
        for found in _FOUND.finditer(self._buffer):
            end = found.end()
            self.seen(found[1] or found[2] or found[3])
        # A match may be cut in two by the end of what has been read.
        self._buffer = self._buffer[max(end, len(self._buffer) - 300) :]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.online.done():
            self.online.set_exception(ConnectionError("the login was refused"))

    def write(self, text: str) -> None:
        self.transport.write(text.encode())


async def chat(port: int, user: str, password: str, domain: str = "localhost") -> ChatLoad:
    """Log in. Raises ConnectionError."""
    loop = asyncio.get_running_loop()
    _, session = await loop.create_connection(lambda: ChatLoad(user, password, domain), "127.0.0.1", port)
    await session.online
    return session


class Exchange:
    """Sends `count` messages over sessions, `window` of them unanswered at a time for each session."""

    def __init__(self, sessions: Sequence[ChatLoad], window: int) -> None:
        self._sessions = sessions
        self._window = window

    async def run(
        self, count: int, stanza: Callable[[int], str], within: float, *, first: int = 0
    ) -> list[float]:
        """Seconds from the start until each answer. `stanza(n)` must come back as receipt id or body `mN`."""
        loop = asyncio.get_running_loop()
        answered: dict[bytes, float] = {}
        done = loop.create_future()
        start = loop.time()
        left = iter(range(first, first + count))

        def feed(session: ChatLoad, most: int) -> None:
            texts = [stanza(n) for n in itertools.islice(left, most)]
            if texts:
                session.write("".join(texts))

        def heard(session: ChatLoad, pending: list[int]) -> Callable[[bytes], None]:
            def seen(what: bytes) -> None:
                key = what.partition(b":")[0]
                if not key.startswith(b"m") or key in answered:
                    return
                answered[key] = loop.time() - start
                pending[0] += 1
                if pending[0] >= max(self._window // 4, 1):
                    feed(session, pending[0])
                    pending[0] = 0
                if len(answered) == count and not done.done():
                    done.set_result(None)

            return seen

        for session in self._sessions:
            session.seen = heard(session, [0])
            feed(session, self._window)
        async with asyncio.timeout(within):
            await done
        return sorted(answered.values())
