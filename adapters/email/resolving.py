"""DNS as authenticity needs it: one blocking question at a time, for a thread, within a deadline.

The resolver is a value that tests replace by a dictionary.
"""

import time
from collections.abc import Callable
from typing import Protocol

import dns.exception
import dns.resolver

_EACH = 3.0  # seconds for one question


class Unresolved(Exception):
    """Nobody answered in time, or the servers are broken: another day the answer may be another."""


class Resolver(Protocol):
    def __call__(self, name: str, kind: str) -> list[str]:
        """Records of a kind (TXT, A, AAAA, MX as `10 host`, PTR), without final dots; [] where there are
        none. Raises Unresolved."""
        ...


class SystemResolver:
    """Asks the name servers of /etc/resolv.conf, until its deadline (seconds from now on)."""

    def __init__(self, within: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = clock() + within

    def __call__(self, name: str, kind: str) -> list[str]:
        left = min(self._ends - self._clock(), _EACH)
        if left <= 0:
            raise Unresolved("the time for questions has run out")
        try:
            answer = dns.resolver.resolve(name, kind, lifetime=left, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, UnicodeError, ValueError) as error:
            if isinstance(error, dns.exception.SyntaxError | UnicodeError | ValueError):
                return []  # no name: nothing can be there
            raise Unresolved(type(error).__name__) from error
        return [_text(record, kind) for record in answer]


def _text(record: object, kind: str) -> str:
    if kind == "TXT":
        strings: tuple[bytes, ...] = getattr(record, "strings", ())
        return b"".join(strings).decode("utf-8", "surrogateescape")
    return str(record).rstrip(".")
