"""Chat users for tests: an account of one's own on a private server, logged in inside a `with`."""

import itertools
from typing import Any, Protocol

from bridge.demo.chat_user import (
    ChatUser,
    NotSeenError,
    RequestError,
    Stanza,
    body_of,
    error_text,
    is_chat,
    received_id,
)

__all__ = [
    "ChatUser",
    "NotSeenError",
    "RequestError",
    "Stanza",
    "body_of",
    "error_text",
    "is_chat",
    "new_user",
    "received_id",
]

_numbers = itertools.count(1)


class ChatServer(Protocol):
    """PrivateProsody or Ejabberd."""

    c2s_port: int

    def add_user(self, name: str, password: str) -> str: ...


def new_user(server: ChatServer, name: str = "mira", **options: Any) -> ChatUser:
    """An account that no other test has; log in by `async with`. Takes ChatUser's options."""
    unique = f"{name}{next(_numbers)}"
    jid = server.add_user(unique, "a password")
    return ChatUser(jid, "a password", server.c2s_port, **options)
