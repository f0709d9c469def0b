"""The email adapter passes what every adapter must pass."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest

from tests.adapters.contract import AdapterContract, FarEnd
from tests.support.mail import smarthost

TABLE: Mapping[str, Any] = {
    "adapter": "email",
    "jid": "mail.example.org",
    "secret": "component-secret",
    "domains": ["chat.example.org"],
    "address": "{user}@chat.example.org",
    "outbound": {"host": "127.0.0.1", "port": 1},
}


class TestEmail(AdapterContract):
    name = "email"
    table: ClassVar[Mapping[str, Any]] = TABLE
    typed: ClassVar[Mapping[str, str]] = {
        "alice@example.com": "alice@example.com",
        " Alice.B@Example.COM ": "alice.b@example.com",
        "mailto:bob@example.com": "bob@example.com",
        "user@例え.jp": "user@xn--r8jz45g.jp",
        "müller@bücher.example": "müller@xn--bcher-kva.example",
        '"a b"@example.com': '"a b"@example.com',
        '"plain"@example.com': "plain@example.com",
        "o'neil/&x@example.com": "o'neil/&x@example.com",
        '"q\\"/&\'"@example.com': '"q\\"/&\'"@example.com',
        "odd..dots.@docomo.ne.jp": "odd..dots.@docomo.ne.jp",
        "list_owner@under_score.example.com": "list_owner@under_score.example.com",
    }
    nonsense: ClassVar[Sequence[str]] = (
        "",
        "alice",
        "@example.com",
        "alice@",
        "alice@localhost",
        "alice@-x.example",
        "alice@example..com",
        "alice example.com",
        "alice%example.com",
        "Mum <mum@example.com>",
        "alice @example.com",
        "a\r\nRCPT TO:<x@y.z>@example.com",
        "alice,bob@example.com",
        "alice@[192.0.2.1]",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".example",
        "a@" + "b." * 130 + "example",
        "alice\0@example.com",
        '"\n"@example.com',
    )
    line = "mira@chat.example.org"

    @pytest.fixture
    async def far_end(self) -> AsyncIterator[FarEnd]:
        async with AsyncExitStack() as stack:
            host = await stack.enter_async_context(
                smarthost(
                    on_rcpt=lambda address: (
                        "550 5.1.1 No such user" if address.startswith("nobody@") else None
                    )
                )
            )
            yield FarEnd(
                settings={**TABLE, "outbound": {"host": host.host, "port": host.port}},
                good="alice@example.com",
                bad="nobody@example.com",
                leave=stack.aclose,
            )
