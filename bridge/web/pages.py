"""What the admin listener shows: /healthz, /readyz and /metrics.

It asks for no password, so it answers loopback names only: a web page that the admin visits could
otherwise reach it by a name of its own that resolves to 127.0.0.1 (DNS rebinding).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

from bridge.ports import WebRequest, WebResponse
from bridge.telemetry import METRICS

log = structlog.get_logger()

_PROBE_SECONDS = 3.0
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Probes:
    """How the pages find out. A readiness probe answers one sentence, or nothing when all is well."""

    readiness: Mapping[str, Callable[[], Awaitable[str]]] = field(default_factory=dict)  # by part
    measure: Callable[[], Awaitable[None]] = _nothing  # brings the gauges up to date
    # By part: what an admin should mend though the gateway does its work without it; a sentence, or nothing.
    remarks: Mapping[str, Callable[[], str]] = field(default_factory=dict)


class Pages:
    """Answers the admin listener's requests. `host` is where it listens."""

    def __init__(self, host: str, probes: Probes) -> None:
        self._names = _LOOPBACK_NAMES | {host.lower()}
        self._probes = probes
        self._pages: Mapping[str, Callable[[], Awaitable[WebResponse]]] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._metrics,
        }

    async def __call__(self, request: WebRequest) -> WebResponse:
        refusal = self._refusal(request)
        if refusal:
            return _text(403, refusal)
        page = self._pages.get(request.path)
        if page is None:
            return _text(404, f"Nothing here. There is: {' '.join(self._pages)}")
        if request.method not in ("GET", "HEAD"):
            return _text(405, "Only GET is answered here.")
        return await page()

    def _refusal(self, request: WebRequest) -> str:
        host = request.headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in self._names:
            return "This listener answers to its loopback names only; come by an SSH tunnel."
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "Other web sites may not read this."
        return ""

    async def _health(self) -> WebResponse:
        # Being answered at all shows that the process lives and its event loop turns.
        told = {part: remark() for part, remark in self._probes.remarks.items()}
        return _text(200, "\n".join(["alive", *(f"{part}: {one}" for part, one in told.items() if one)]))

    async def _readiness(self) -> WebResponse:
        parts = list(self._probes.readiness)
        answers = await asyncio.gather(*(self._ask(part) for part in parts))
        troubles = [f"{part}: {answer}" for part, answer in zip(parts, answers, strict=True) if answer]
        return _text(503, "\n".join(troubles)) if troubles else _text(200, "ready")

    async def _ask(self, part: str) -> str:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._probes.readiness[part]()
        except TimeoutError:
            return f"no answer within {_PROBE_SECONDS:.0f} s"
        except Exception as error:
            log.warning("probe failed", part=part, error=type(error).__name__)
            return f"the check itself failed ({type(error).__name__}); the log says more"

    async def _metrics(self) -> WebResponse:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._probes.measure()
        except Exception as error:  # the other numbers are worth having, then above all
            log.warning("gauges not up to date", error=type(error).__name__)
        return WebResponse(200, _METRICS_TYPE, METRICS.exposition())


def _text(status: int, text: str) -> WebResponse:
    return WebResponse(status, "text/plain; charset=utf-8", f"{text}\n".encode())
