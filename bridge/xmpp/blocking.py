"""Whom users keep out: block lists (XEP-0191), spam reports (XEP-0377), and what their own servers do.

A user blocks a contact at their server, which does not tell us: it answers the contact's messages as if
the user were away. Whether that is so shows a ping to a client that is online, asked in the contact's
name and in our own [run on Prosody 0.12 and ejabberd 23.01].
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol
from xml.etree.ElementTree import Element

import structlog

from bridge.addressing import to_address
from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.model import Line
from bridge.telemetry import METRICS
from bridge.wishes import Wishes
from bridge.xmpp import errors, xml
from bridge.xmpp.disco import PING_SPACE

log = structlog.get_logger()

NAMESPACE = "urn:xmpp:blocking"
BLOCKLIST, BLOCK, UNBLOCK = (f"{{{NAMESPACE}}}{name}" for name in ("blocklist", "block", "unblock"))
REPORTS = ("urn:xmpp:reporting:1", "urn:xmpp:reporting:0")
PATIENCE = 5.0  # seconds for a client's answer
MOST_ITEMS = 100  # of one request
_MOST_RECHECKED = 20  # contacts, when their user comes online
_MOST_CHECKING = 500
# What a server answers for whom it keeps out (XEP-0191 section 3.4); so does one whose user is away.
KEPT_OUT = frozenset(
    {"service-unavailable", "not-acceptable", "not-allowed", "forbidden", "policy-violation"}
)

Clients = Callable[[str], Sequence[str]]


class Asks(Protocol):
    """How this part sends, and asks."""

    def reply(self, *stanzas: str) -> None: ...

    async def ask(self, sender: str, to: str, kind: str, payload: str, patience: float) -> Element: ...


class Blocking:
    """One transport's. `clients` names the full JIDs under which a user is online."""

    def __init__(self, transport: Transport, gateway: Gateway, post: Asks, clients: Clients) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._clients = clients
        self._checking: set[tuple[str, str]] = set()

    # --- what users' servers do ---

    def suspect(self, user: str, local: str, condition: str) -> Callable[[], Awaitable[None]] | None:
        """The server refused a message of this contact: the work that finds out whether it is blocked;
        None if there is nothing to find out."""
        key = (user, local)
        busy = key in self._checking or len(self._checking) >= _MOST_CHECKING
        if condition not in KEPT_OUT or not local or busy or not self._clients(user):
            return None
        self._checking.add(key)
        return lambda: self._check(user, local)

    async def _check(self, user: str, local: str) -> None:
        try:
            if await self._keeps_out(user, local):
                await self._gateway.rosters.shut_out(self._transport.name, user, local)
        finally:
            self._checking.discard((user, local))

    async def recheck(self, user: str) -> None:
        """The user came online: whom their server kept out, and lets in by now, may write again."""
        for local in await self._gateway.rosters.shut_out_by(self._transport.name, user, _MOST_RECHECKED):
            if await self._keeps_out(user, local) is False:
                await self._gateway.rosters.let_in_again(self._transport.name, user, local)

    async def _keeps_out(self, user: str, local: str) -> bool | None:
        """None if it cannot be told. The contact is asked first: a client that leaves in between answers
        neither."""
        for client in self._clients(user):
            try:
                contact = await self._refuses(f"{local}@{self._transport.jid}", client)
                if not contact:
                    return False
                return True if not await self._refuses(self._transport.jid, client) else None
            except TimeoutError:
                continue
        return None

    async def _refuses(self, sender: str, client: str) -> bool:
        """Whether a ping is refused, as it is for who is blocked. Raises TimeoutError."""
        ping = f"<ping xmlns='{PING_SPACE}'/>"
        answer = await self._post.ask(sender, client, "get", ping, PATIENCE)
        return answer.get("type") == "error" and errors.read(answer)[0] in KEPT_OUT


class BlockDesk:
    """Block lists and spam reports that are addressed to us. Only contacts of this transport concern us."""

    def __init__(self, transport: Transport, gateway: Gateway, wishes: Wishes, post: Asks) -> None:
        self._transport = transport
        self._gateway = gateway
        self._wishes = wishes
        self._post = post

    def requests(self) -> dict[str, Callable[[Element], Awaitable[None]]]:
        """Who answers which payload."""
        return {BLOCKLIST: self._list, BLOCK: self._block, UNBLOCK: self._unblock}

    async def _list(self, request: Element) -> None:
        if request.get("type") != "get":
            raise replace(errors.MALFORMED)
        line = await self._line(request)
        locals_ = await self._gateway.rosters.blocked(self._transport.name, line.jid)
        items = "".join(
            f"<item jid='{xml.attribute(f'{local}@{self._transport.jid}')}'/>" for local in locals_
        )
        self._post.reply(xml.result(request, f"<blocklist xmlns='{NAMESPACE}'>{items}</blocklist>"))

    async def _block(self, request: Element) -> None:
        line = await self._line(request)
        items = request[0].findall(f"{{{NAMESPACE}}}item")
        locals_ = self._named(item.get("jid", "") for item in items)
        if request.get("type") != "set" or not locals_:
            raise replace(errors.MALFORMED)
        for local in locals_:
            await self._wishes.block(line, to_address(local), blocked=True)
        if any(_reports(item) for item in items):
            METRICS.spam_reports.labels(self._transport.name).inc(sum(map(_reports, items)))
        self._post.reply(xml.result(request))

    async def _unblock(self, request: Element) -> None:
        """Without items: everybody (XEP-0191 section 3.5)."""
        line = await self._line(request)
        items = request[0].findall(f"{{{NAMESPACE}}}item")
        locals_ = self._named(item.get("jid", "") for item in items)
        if not items:
            locals_ = await self._gateway.rosters.blocked(self._transport.name, line.jid)
        if request.get("type") != "set":
            raise replace(errors.MALFORMED)
        for local in locals_:
            await self._wishes.block(line, to_address(local), blocked=False)
        self._post.reply(xml.result(request))

    def report_in(self, stanza: Element) -> Callable[[], Awaitable[None]] | None:
        """The work that a message with a spam report asks for: its sender's contact is blocked."""
        found = next((child for space in REPORTS for child in stanza.iter(f"{{{space}}}report")), None)
        if found is None or stanza.get("type") == "error":
            return None
        user, local = xml.bare(stanza.get("from", "")), xml.node(stanza.get("to", ""))
        said = [child.text or "" for child in found if xml.name_of(child.tag) == "jid"]
        locals_ = self._named(said) or ([local] if local else [])
        return lambda: self._report(user, locals_)

    async def _report(self, user: str, locals_: Sequence[str]) -> None:
        METRICS.spam_reports.labels(self._transport.name).inc(len(locals_))
        line = await self._gateway.line_of(self._transport.name, user)
        if line is None:
            return
        for local in locals_:
            await self._wishes.block(line, to_address(local), blocked=True)

    def _named(self, jids: Iterable[str]) -> list[str]:
        """Nodes of those of these JIDs that are contacts here."""
        ours = [xml.node(jid) for jid in map(xml.bare, jids) if jid.endswith(f"@{self._transport.jid}")]
        return [local for local in ours if local][:MOST_ITEMS]

    async def _line(self, request: Element) -> Line:
        """Raises Denied for who is not registered."""
        line = await self._gateway.line_of(self._transport.name, xml.bare(request.get("from", "")))
        if line is None:
            raise replace(errors.NOT_REGISTERED)
        return line


def _reports(item: Element) -> bool:
    return any(item.find(f"{{{space}}}report") is not None for space in REPORTS)
