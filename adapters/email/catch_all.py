"""A mailbox that gathers the mail of all our users: whose each mail is, and following it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from adapters.email import addresses, headers
from adapters.email.imap_client import ImapLogin, connected
from adapters.email.imap_in import Folder, Watch
from bridge.kit import keep_trying
from bridge.model import Envelope
from bridge.ports import Inbox

# Which header names the envelope's recipient, surest first: Postfix writes X-Original-To before aliases
# are followed, Exim Envelope-To, and Delivered-To may name the catch-all mailbox itself.
_ENVELOPE_HEADERS = ("x-original-to", "envelope-to", "delivered-to")
_MOST = 100


def recipients(head: headers.Head, domains: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Whom of ours a mail may be for, surest first: sets of addresses at our domains.

    Of headers that hops add the topmost is the newest; those below may have come with the mail.
    """
    for name in _ENVELOPE_HEADERS:
        if found := _ours([head.raw(name)], domains):
            yield found
    if found := _ours([*head.every("to"), *head.every("cc")], domains):
        yield found


def _ours(fields: Sequence[str], domains: Sequence[str]) -> tuple[str, ...]:
    found = (addresses.lenient(address) for _, address in headers.mailboxes(fields)[:_MOST])
    return tuple(dict.fromkeys(one for one in found if one.rpartition("@")[2] in domains))


async def known(inbox: Inbox, asked: Sequence[str]) -> dict[str, str]:
    """Lines by those of the addresses that lead to one; what follows a plus may be a token of ours."""
    lines: dict[str, str] = {}
    for address in asked:
        for one in dict.fromkeys((address, addresses.without_token(address))):
            if await inbox.knows(one):
                lines[address] = one
                break
    return lines


def return_path(head: headers.Head) -> str:
    """The envelope sender, as whoever delivered the mail has noted it; empty if it is null or unknown."""
    found = headers.mailboxes([head.raw("return-path")])
    return found[0][1] if found else ""


class CatchAll:
    """Follows the mailbox for as long as `run` runs."""

    def __init__(
        self, transport: str, domains: Sequence[str], login: ImapLogin, folder: str, most_bytes: int
    ) -> None:
        self._transport = transport
        self._domains = domains
        self._login = login
        self._folder = folder
        self._most_bytes = most_bytes
        self.trouble = ""  # a sentence for the admin; empty when all is well

    async def run(self, inbox: Inbox, clock: Callable[[], float]) -> None:
        folder = Folder(
            self._folder,
            f"mailbox/{self._folder}",
            partial(self._address, inbox, clock),
            mark_taken=True,
            most_bytes=self._most_bytes,
        )
        watch = Watch(folder, inbox, clock)
        await keep_trying(f"mailbox of {self._transport}", partial(self._attempt, watch), longest_pause=60.0)

    async def _attempt(self, watch: Watch) -> None:
        try:
            async with connected(self._login) as client:
                self.trouble = ""
                await watch.follow(client)
        except Exception as error:
            self.trouble = f"the mailbox cannot be read: {error}"
            raise

    async def _address(
        self, inbox: Inbox, clock: Callable[[], float], raw: bytes, _place: str
    ) -> Envelope | None:
        head = headers.read(raw)
        for found in recipients(head, self._domains):
            if lines := await known(inbox, found):
                return Envelope(
                    transport=self._transport,
                    sender=return_path(head),
                    recipients=tuple(dict.fromkeys(lines.values())),
                    received_at=clock(),
                    headers={f"rcpt:{line}": asked for asked, line in lines.items() if asked != line},
                )
        return None
