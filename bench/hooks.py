"""The measure for web-hooks: an aiohttp handler that verifies the signature and does nothing else.

    python -m bench.hooks TOKEN

And the load: signed forms over kept connections, one after the other on each.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import cast
from urllib.parse import parse_qsl, urlencode

import uvloop
from aiohttp import web
from twilio.request_validator import RequestValidator

from bridge.demo.texts import signature

ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


async def bare(token: str) -> None:
    """Serve until stdin closes."""
    validator = RequestValidator(token)
    base = ""

    async def handle(request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        given = request.headers.get("X-Twilio-Signature", "")
        if not validator.validate(base + request.path_qs, form, given):
            return web.Response(status=403)
        return web.Response(text=ANSWER, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/hooks/sms/message", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    print(base, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def request(base: str, token: str, form: Sequence[tuple[str, str]]) -> bytes:
    """One signed web-hook as bytes."""
    path = "/hooks/sms/message"
    body = urlencode(form).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {base.partition('//')[2]}\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"X-Twilio-Signature: {signature(token, base + path, form)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Line(asyncio.Protocol):
    """Posts from a shared list, one at a time."""

    def __init__(self, left: list[bytes], done: asyncio.Future[None], count: list[int]) -> None:
        self._left = left
        self._done = done
        self._count = count
        self._seen = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        if self._left:
            self.transport.write(self._left.pop())

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if b"</Response>" not in self._seen:
            if b"HTTP/1.1 2" not in self._seen and not self._done.done():
                self._done.set_exception(RuntimeError(self._seen[:200].decode("utf-8", "replace")))
            return
        self._seen = b""
        self._count[0] -= 1
        if self._count[0] == 0 and not self._done.done():
            self._done.set_result(None)
        self._next()


async def post_all(port: int, requests: Sequence[bytes], connections: int = 100) -> float:
    """Seconds until all were answered with 200. Raises RuntimeError with another answer."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    left, count = list(reversed(requests)), [len(requests)]
    began = loop.time()
    made = [
        await loop.create_connection(lambda: _Line(left, done, count), "127.0.0.1", port)
        for _ in range(connections)
    ]
    async with asyncio.timeout(120):
        await done
    took = loop.time() - began
    for transport, _ in made:
        transport.close()
    return took


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bare(sys.argv[1]))
