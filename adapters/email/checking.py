"""Runs the check of a sender beside the event loop: in threads, few at a time, within a time.

The libraries that it needs take memory and a tenth of a second to load, so that only a listener that
checks has them.
"""

import asyncio
from collections.abc import Callable

import structlog

from adapters.email import headers
from adapters.email.authenticity import Outcome, Verdict
from adapters.email.resolving import Resolver, SystemResolver
from adapters.email.verifying import Arrival, verify

log = structlog.get_logger()

_WITHIN = 20.0  # seconds for all questions about one mail
_AT_A_TIME = 8


class Checker:
    """A `smtp_in.Check`. `resolver` makes the resolver of one mail."""

    def __init__(self, resolver: Callable[[], Resolver]) -> None:
        self._resolver = resolver
        self._places = asyncio.Semaphore(_AT_A_TIME)

    async def __call__(self, raw: bytes, peer: str, helo: str, sender: str) -> Verdict:
        async with self._places:
            try:
                return await asyncio.to_thread(self._verify, raw, Arrival(peer, helo, sender))
            except Exception as error:
                log.error("sender not checked", error=type(error).__name__)
                return Verdict(Outcome.LATER)

    def _verify(self, raw: bytes, arrival: Arrival) -> Verdict:
        return verify(raw, headers.read(raw), arrival, self._resolver())


def sender_check() -> Checker:
    """One that asks this machine's name servers."""
    return Checker(lambda: SystemResolver(_WITHIN))
