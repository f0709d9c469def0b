"""The two HTTP listeners, asked over real sockets, also by clients that do not behave."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from bridge.ports import WebRequest, WebResponse
from bridge.settings import HostPort
from bridge.telemetry import METRICS
from bridge.web.pages import Probes
from bridge.web.server import Answer, serving

ANYWHERE = HostPort("127.0.0.1", 0)


@dataclass
class Far:
    """Both listeners, and what the hook was asked."""

    public: str
    admin: str
    port: int
    asked: list[WebRequest] = field(default_factory=list)


@asynccontextmanager
async def listeners(
    hook: Answer | None = None,
    probes: Probes | None = None,
    seconds: float = 10.0,
    sizes: Mapping[str, int] | None = None,
) -> AsyncIterator[tuple[Far, aiohttp.ClientSession]]:
    far = Far("", "", 0)

    async def remember(request: WebRequest) -> WebResponse:
        far.asked.append(request)
        return WebResponse(200, "text/xml", b"<Response/>")

    hooks = dict.fromkeys(("sms", "phone"), hook or remember)
    async with serving(
        ANYWHERE,
        ANYWHERE,
        hooks=hooks,
        probes=probes or Probes(),
        handler_seconds=seconds,
        sizes=sizes or {},
    ) as at:
        far.public, far.admin = f"http://127.0.0.1:{at.public}", f"http://127.0.0.1:{at.admin}"
        far.port = at.public or 0
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield far, session


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


# --- web-hooks ---


async def test_a_web_hook_reaches_its_transport_byte_by_byte() -> None:
    async with listeners() as (far, _):
        answer = await raw(
            far.port,
            b"POST /hooks/sms/status/a%2Fb?to=%2B1555&empty=&x=a+b HTTP/1.1\r\nHost: gateway.example.org\r\n"
            b"X-Twilio-Signature: abc=\r\nConnection: close\r\nContent-Length: 9\r\n\r\nBody=%C3%",
        )

    (asked,) = far.asked
    assert asked.method == "POST"
    assert asked.path == "/hooks/sms/status/a%2Fb"
    assert asked.query == "to=%2B1555&empty=&x=a+b"
    assert asked.headers["x-twilio-signature"] == "abc="
    assert asked.body == b"Body=%C3%"
    assert asked.peer == "127.0.0.1"
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n<Response/>")
    assert b"Content-Type: text/xml\r\n" in answer


async def test_a_compressed_body_stays_as_it_was_signed() -> None:
    async with listeners() as (far, session):
        headers = {"Content-Encoding": "gzip"}
        async with session.post(
            f"{far.public}/hooks/sms/x", data=b"not gzip at all", headers=headers
        ) as answer:
            assert answer.status == 200

    assert far.asked[0].body == b"not gzip at all"


@pytest.mark.parametrize(
    "path", ["/", "/hooks", "/hooks/", "/hooks/sms", "/hooks/mail/x", "/metrics", "/healthz"]
)
async def test_the_public_listener_has_nothing_else(path: str) -> None:
    async with listeners() as (far, session), session.get(far.public + path) as answer:
        assert answer.status == 404
        assert far.asked == []


@pytest.mark.parametrize("framing", ["announced", "chunked"])
async def test_a_body_past_the_limit_is_refused(framing: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 65_536

    async with listeners() as (far, session):
        data = b"x" * (5 * 65_536) if framing == "announced" else chunks()
        async with session.post(f"{far.public}/hooks/sms/x", data=data) as answer:
            assert answer.status == 413
        async with session.post(f"{far.public}/hooks/sms/x", data=b"x" * 262_144) as answer:
            assert answer.status == 200

    assert [len(request.body) for request in far.asked] == [262_144]


async def test_a_transport_may_ask_for_larger_bodies_for_itself_alone() -> None:
    async with listeners(sizes={"phone": 1_000_000}) as (far, session):
        for transport, size, status in (
            ("phone", 1_000_000, 200),
            ("phone", 1_000_001, 413),
            ("sms", 262_145, 413),
        ):
            async with session.post(f"{far.public}/hooks/{transport}/x", data=b"x" * size) as answer:
                assert answer.status == status

    assert [len(request.body) for request in far.asked] == [1_000_000]


async def test_a_handler_that_hangs_is_answered_with_try_again() -> None:
    async def hang(request: WebRequest) -> WebResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        listeners(hang, seconds=0.05) as (far, session),
        session.post(f"{far.public}/hooks/sms/x") as answer,
    ):
        assert answer.status == 503


async def test_an_exception_is_counted_and_leaks_nothing() -> None:
    async def fail(request: WebRequest) -> WebResponse:
        raise RuntimeError("password=hunter2")

    before = METRICS.registry.get_sample_value("passerelle_errors_total", {"where": "web"}) or 0.0
    async with listeners(fail) as (far, session):
        async with session.post(f"{far.public}/hooks/sms/x") as answer:
            assert answer.status == 500
            assert "hunter2" not in await answer.text()
        async with session.get(f"{far.public}/elsewhere") as answer:
            assert answer.status == 404  # others are served on

    assert METRICS.registry.get_sample_value("passerelle_errors_total", {"where": "web"}) == before + 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /hooks/sms/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01 this is TLS, or nonsense\r\n\r\n",
    ],
)
async def test_no_answer_tells_what_software_this_is(request_bytes: bytes) -> None:
    async with listeners() as (far, _):
        answer = await raw(far.port, request_bytes)

    assert b"Server: passerelle\r\n" in answer
    assert b"Python" not in answer
    assert b"aiohttp" not in answer


async def test_a_stop_answers_what_has_come_in() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: WebRequest) -> WebResponse:
        entered.set()
        await go_on.wait()
        return WebResponse(200, body=b"recorded")

    async def ask(session: aiohttp.ClientSession, url: str) -> str:
        async with session.post(url) as answer:
            return await answer.text()

    async with aiohttp.ClientSession() as session:
        async with listeners(slow) as (far, _):
            asked = asyncio.create_task(ask(session, f"{far.public}/hooks/sms/x"))
            await entered.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert await asked == "recorded"


# --- admin ---


async def all_is_well() -> str:
    return ""


async def test_health_is_told_while_the_loop_turns() -> None:
    async with listeners() as (far, session), session.get(f"{far.admin}/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "alive\n")


async def test_ready_means_that_every_part_is() -> None:
    probes = Probes({"store": all_is_well, "mail": all_is_well})
    async with listeners(probes=probes) as (far, session), session.get(f"{far.admin}/readyz") as answer:
        assert (answer.status, await answer.text()) == (200, "ready\n")


async def test_not_ready_tells_each_part_that_is_not() -> None:
    async def cut_off() -> str:
        return "not connected to 127.0.0.1:5347"

    async def broken() -> str:
        raise OSError("disk full")

    probes = Probes({"store": broken, "mail": cut_off, "sms": all_is_well})
    async with listeners(probes=probes) as (far, session), session.get(f"{far.admin}/readyz") as answer:
        assert answer.status == 503
        assert await answer.text() == (
            "store: the check itself failed (OSError); the log says more\n"
            "mail: not connected to 127.0.0.1:5347\n"
        )


async def test_metrics_are_fresh_and_in_prometheus_form() -> None:
    async def measure() -> None:
        METRICS.set_queue({"mail": (3, 12.5)})

    METRICS.set_queue({"gone": (1, 1.0)})
    METRICS.stanzas_recorded.labels("mail").inc(0)
    async with (
        listeners(probes=Probes(measure=measure)) as (far, session),
        session.get(f"{far.admin}/metrics") as answer,
    ):
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")

    lines = text.splitlines()
    assert 'passerelle_queue_deliveries{outlet="mail"} 3.0' in lines
    assert 'passerelle_queue_oldest_seconds{outlet="mail"} 12.5' in lines
    assert 'outlet="gone"' not in text
    assert any(line.startswith('passerelle_stanzas_recorded_total{transport="mail"}') for line in lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


async def test_metrics_come_even_when_the_gauges_cannot_be_brought_up_to_date() -> None:
    async def fail() -> None:
        raise OSError

    async with (
        listeners(probes=Probes(measure=fail)) as (far, session),
        session.get(f"{far.admin}/metrics") as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8481"}, 200),
        ({"Host": "[::1]:8481"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:8481", "Origin": "http://localhost:8481"}, 200),
        ({"Host": "localhost:8481", "Origin": "http://localhost:9999"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_the_admin_listener_answers_its_own_names_only(headers: dict[str, str], status: int) -> None:
    async with listeners() as (far, session), session.get(f"{far.admin}/healthz", headers=headers) as answer:
        assert answer.status == status


async def test_the_admin_listener_only_reads() -> None:
    async with listeners() as (far, session), session.post(f"{far.admin}/healthz") as answer:
        assert answer.status == 405


async def test_a_taken_port_is_said_at_once() -> None:
    async with listeners() as (far, _):
        with pytest.raises(OSError, match="address already in use"):
            async with serving(HostPort("127.0.0.1", far.port), None, hooks={}, probes=Probes()):
                raise AssertionError


async def test_many_web_hooks_on_one_connection_are_all_answered() -> None:
    async with listeners() as (far, session):
        began = time.monotonic()
        for _ in range(200):
            async with session.post(f"{far.public}/hooks/sms/x", data=b"Body=x") as answer:
                assert answer.status == 200
        assert time.monotonic() - began < 5.0

    assert len(far.asked) == 200
