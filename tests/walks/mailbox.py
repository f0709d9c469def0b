"""What walks do to a real Dovecot beside the gateway: look into a mailbox, number it anew."""

import asyncio
import imaplib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.demo.private import LOOPBACK
from tests.support.servers_mail import Dovecot

PASSWORD = 'a "pass\\word'


@contextmanager
def mailbox(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4]:
    """A mail program of the user's own. Blocks: use it in a thread."""
    with imaplib.IMAP4(LOOPBACK, dovecot.imap_port) as session:
        session.login(user, PASSWORD)
        session.select("INBOX")
        yield session


def count(dovecot: Dovecot, user: str, which: str) -> int:
    """How many mails SEARCH finds: `SEEN`, `UNSEEN`, `ALL`."""
    with mailbox(dovecot, user) as session:
        _, found = session.search(None, which)
        return len(found[0].split())


def texts(dovecot: Dovecot, user: str) -> list[str]:
    """What the mails say, in the order of their UIDs: Dovecot numbers a burst by its files' names."""
    with mailbox(dovecot, user) as session:
        _, found = session.uid("FETCH", "1:*", "(BODY.PEEK[TEXT])")
        return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


def validity(dovecot: Dovecot, user: str) -> int:
    with mailbox(dovecot, user) as session:
        return int(session.response("UIDVALIDITY")[1][0])


def put_into_sent(dovecot: Dovecot, user: str, raw: bytes) -> None:
    """Keep a sent mail, as mail programs do."""
    with mailbox(dovecot, user) as session:
        session.create("Sent")
        session.append("Sent", "(\\Seen)", None, raw)


async def deliver(dovecot: Dovecot, user: str, *mails: bytes) -> None:
    """Put mails into a mailbox, as its mail server does."""

    def hand_over() -> None:
        for mail in mails:
            dovecot.deliver(user, mail)

    await asyncio.to_thread(hand_over)


async def seen(dovecot: Dovecot, user: str, how_many: int, within: float = 10.0) -> None:
    """Wait until so many mails are flagged as seen."""

    async def so_many() -> bool:
        return await asyncio.to_thread(count, dovecot, user, "SEEN") == how_many

    await until(so_many, within)


def read_it(dovecot: Dovecot, user: str, words: str) -> None:
    """Read a mail in another program."""
    with mailbox(dovecot, user) as session:
        _, found = session.search(None, "TEXT", f'"{words}"')
        session.store(found[0].split()[0].decode(), "+FLAGS", "(\\Seen)")


def sent_texts(dovecot: Dovecot, user: str) -> list[str]:
    """What lies in the folder of sent mails; nothing if there is none."""
    with mailbox(dovecot, user) as session:
        if session.select("Sent")[0] != "OK":
            return []
        _, found = session.uid("FETCH", "1:*", "(BODY.PEEK[TEXT])")
        return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


async def until(holds: Callable[[], Awaitable[bool]], within: float = 10.0) -> None:
    """Ask again until it holds: mailboxes and records tell nobody when they change."""
    async with asyncio.timeout(within):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


def number_anew(dovecot: Dovecot, user: str) -> None:
    """Lose the numbers of a mailbox, as a restored or moved one does. Dovecot must not run."""
    for path in Path(dovecot.folder, "mail", user).glob("dovecot*"):
        path.unlink()


def lose_oldest(dovecot: Dovecot, user: str, count: int) -> None:
    """Take mails out of a mailbox behind Dovecot's back. Dovecot must not run."""
    mails = [path for name in ("new", "cur") for path in Path(dovecot.folder, "mail", user, name).iterdir()]
    for path in sorted(mails, key=lambda path: path.name)[:count]:
        path.unlink()
