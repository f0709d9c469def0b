"""What the tests of the twenty cases share: mails as programs write them, and reading them."""

from adapters.email.parse import MailParser
from bridge.model import Envelope, Incoming, Report

MIRA = "mira@chat.example.org"
OURS = "0f" * 16
OUR_ID = f"<{OURS}@chat.example.org>"
KEY = b"k" * 32
NOW = 1_763_700_000.0  # 21 November 2025
parser = MailParser(("chat.example.org",), KEY)


def envelope(sender: str = "alice@example.com", *recipients: str, **told: str) -> Envelope:
    return Envelope("here", sender, recipients or (MIRA,), NOW, "192.0.2.1", told)


def read(raw: str | bytes, where: Envelope | None = None) -> Incoming:
    raw = raw.replace("\n", "\r\n").encode() if isinstance(raw, str) else raw
    (found,) = parser(raw, where or envelope())
    assert isinstance(found, Incoming)
    return found


def reported(raw: str | bytes, where: Envelope | None = None) -> list[Report]:
    raw = raw.replace("\n", "\r\n").encode() if isinstance(raw, str) else raw
    found = parser(raw, where or envelope(""))
    assert all(isinstance(one, Report) for one in found)
    return [one for one in found if isinstance(one, Report)]


def chat(found: Incoming) -> str:
    return found.lead + found.body


def headed(body: str, *more: str, author: str = "Alice Ray <alice@example.com>", **named: str) -> str:
    values = {"From": author, "To": MIRA, "Subject": "Flat", "Message-ID": "<a1@example.com>"} | {
        name.replace("_", "-"): value for name, value in named.items()
    }
    lines = [f"{name}: {value}" for name, value in values.items()]
    return "\n".join([*lines, *more, "", body])


def html(body: str, *more: str) -> str:
    return headed(f"<html><body>{body}</body></html>", "Content-Type: text/html; charset=utf-8", *more)
