"""Helpers for tests of the record: a store on either database, and short ways to write into it."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bridge.model import Address, Incoming
from bridge.store import people
from bridge.store.drafts import Draft, Ground
from bridge.store.engine import Store
from bridge.store.rows import hash_key
from bridge.store.schema import migrate

GROUNDS = {"mail": Ground("mail.localhost", True), "sms": Ground("sms.localhost", False)}
RECEIPTS_ON_SENT = {"mail": True, "sms": False}
_numbers = itertools.count(1)


@asynccontextmanager
async def a_store(url: str) -> AsyncIterator[Store]:
    """A migrated, empty store with mira registered on both transports."""
    migrate(url)
    async with Store(url) as store:
        await store.do(people.register, "mail", "mira@localhost", "Mira", ["mira@chat.example"], 1.0)
        await store.do(people.register, "sms", "mira@localhost", "Mira", ["+15550001000"], 1.0)
        yield store


def draft(body: str = "hello", to: str = "alice@example.com", **more: Any) -> Draft:
    """A message of mira's."""
    number = next(_numbers)
    transport = more.pop("transport", "mail")
    values: dict[str, Any] = {
        "transport": transport,
        "jid": "mira@localhost",
        "from_jid": "mira@localhost/phone",
        "to_jid": f"{to.replace('@', '%')}@{transport}.localhost",
        "local": to.replace("@", "%"),
        "address": Address(to, to),
        "uid": f"{number:032x}",
        "stanza_id": f"s{number}",
        "dedupe": hash_key("test", str(number)),
        "body": body,
        "wants_receipt": True,
        "remote_id": f"<{number}@chat.example>" if transport == "mail" else "",
        "threaded": transport == "mail",
    }
    return Draft(**values | more)


def incoming(body: str = "hi", sender: str = "alice@example.com", **more: Any) -> Incoming:
    """A mail (or text) to mira."""
    number = next(_numbers)
    transport = more.pop("transport", "mail")
    values: dict[str, Any] = {
        "transport": transport,
        "sender": Address(sender, sender),
        "recipient": "mira@chat.example" if transport == "mail" else "+15550001000",
        "body": body,
        "dedupe": f"in{number}",
        "written_at": 100.0,
        "remote_id": f"<in{number}@example.com>",
    }
    return Incoming(**values | more)


class Clock:
    """A clock that goes when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


ClockLike = Callable[[], float]
