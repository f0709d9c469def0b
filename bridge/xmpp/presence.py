"""Subscriptions, probes and presence (RFC 6121 sections 3 and 4). Keeps who is online, nothing more.

Contacts belong to the store. What answers many is sent by `paced`, so that messages pass in between.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol
from xml.etree.ElementTree import Element

from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.xmpp import errors, xml

Work = Callable[[], Awaitable[None]]


class Post(Protocol):
    """How a part of the XMPP side sends."""

    def reply(self, *stanzas: str) -> None:
        """At once, or as soon as there is a stream again."""
        ...

    async def paced(self, stanzas: Iterable[str]) -> None:
        """In small batches, each proven before the next. Raises StreamLost."""
        ...


def show_of(transport: Transport) -> str:
    """Nobody is "online" by mail, so mail contacts are away; whoever has a phone can be reached."""
    return "away" if transport.adapter.capabilities.identity == ("gateway", "smtp") else ""


def stanza(sender: str, recipient: str, kind: str = "", show: str = "") -> str:
    """A presence stanza; without a kind it says available."""
    about = f" type='{kind}'" if kind else ""
    inside = f"><show>{show}</show></presence>" if show else "/>"
    return f"<presence from='{xml.attribute(sender)}' to='{xml.attribute(recipient)}'{about}{inside}"


class Presence:
    """One transport's presence desk."""

    def __init__(self, transport: Transport, gateway: Gateway, post: Post) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._show = show_of(transport)
        self._life = 0  # which stream this is: what was heard on an earlier one says nothing any more
        self._online: dict[str, set[str]] = {}  # bare JID of a registered user → full JIDs
        self._probes: dict[str, dict[str, None]] = {}  # bare JID → nodes asked for, in order

    def take(self, received: Element) -> Work | None:
        """The work that a presence stanza asks for; None for most: users tell each contact."""
        sender, recipient = received.get("from", ""), received.get("to", "")
        user, local = xml.bare(sender), xml.node(recipient)
        match received.get("type"):
            case None if not local:
                return partial(self._came, user, sender, self._life)
            case "unavailable" if not local:
                return partial(self._went, user, sender)
            case "subscribe":
                return partial(self._subscribe, user, local, dict(received.attrib))
            case "unsubscribe":
                return partial(self._unsubscribe, user, local)
            case "probe":
                return self._probe(user, local)
        return None

    def is_online(self, user: str) -> bool:
        """Whether this bare JID is known to be available; one whose presence we don't see never is."""
        return user in self._online

    def forget(self) -> None:
        """The stream is gone: who is online is unknown again."""
        self._life += 1
        self._online.clear()
        self._probes.clear()

    # --- the transport's own comings and goings ---

    async def greet(self) -> None:
        """Tell all users that the transport is here and ask who is online; those who answer get more."""
        jid = self._transport.jid
        users = await self._gateway.users_of(self._transport.name)
        await self._post.paced(stanza(jid, user, kind) for user in users for kind in ("", "probe"))

    async def farewell(self) -> None:
        """Unavailable to all users; to those who are online from each contact too."""
        users = await self._gateway.users_of(self._transport.name)
        await self._post.paced(stanza(self._transport.jid, user, "unavailable") for user in users)
        for user in list(self._online):
            await self._post.paced([stanza(jid, user, "unavailable") for jid in await self._contacts(user)])

    def welcome(self, user: str) -> Iterator[str]:
        """To a user who has just registered: ask for its presence, show ours."""
        yield stanza(self._transport.jid, user, "subscribe")
        yield stanza(self._transport.jid, user)

    def goodbye(self, user: str, locals_: Iterable[str]) -> Iterator[str]:
        """To a user who left: every subscription ends, the transport's last (XEP-0100 section 4.3)."""
        self._online.pop(user, None)
        for jid in (*(f"{local}@{self._transport.jid}" for local in locals_), self._transport.jid):
            for kind in ("unsubscribe", "unsubscribed", "unavailable"):
                yield stanza(jid, user, kind)

    # --- what users tell us ---

    async def _came(self, user: str, full: str, life: int) -> None:
        if await self._gateway.line_of(self._transport.name, user) is None or life != self._life:
            return
        first = user not in self._online
        self._online.setdefault(user, set()).add(full)
        await self._gateway.came_back(self._transport.name, user)
        if first:
            # Later resources' servers probe each contact themselves (RFC 6121 section 4.3).
            await self._post.paced([stanza(jid, user, show=self._show) for jid in await self._contacts(user)])

    async def _went(self, user: str, full: str) -> None:
        resources = self._online.get(user)
        if resources is None:
            return
        resources.discard(full)
        if not resources or full == user:
            del self._online[user]

    def _probe(self, user: str, local: str) -> Work | None:
        """Servers probe each contact at every login: one question to the store for all of them."""
        if user in self._probes:
            self._probes[user][local] = None
            return None
        self._probes[user] = {local: None}
        return partial(self._answer_probes, user)

    async def _answer_probes(self, user: str) -> None:
        probed = self._probes.pop(user, {})
        known = await self._contacts(user)
        registered = await self._gateway.line_of(self._transport.name, user) is not None
        for local in probed:
            jid = self._jid(local)
            if jid in known:
                self._post.reply(stanza(jid, user, show=self._show))
            elif not local and registered:
                self._post.reply(stanza(jid, user))
            else:
                self._post.reply(stanza(jid, user, "unsubscribed"))  # RFC 6121 section 4.3.2

    async def _subscribe(self, user: str, local: str, asked: dict[str, str]) -> None:
        """Yes to whom the user may write to, and the same question back; or no, with the reason."""
        jid = self._jid(local)
        try:
            if local:
                await self._gateway.add_contact(self._transport.name, user, local)
            elif await self._gateway.line_of(self._transport.name, user) is None:
                raise replace(errors.NOT_REGISTERED)  # raised itself it would gather tracebacks
        except Denied as denied:
            language = self._gateway.languages.of(user, asked.get(xml.LANGUAGE, ""))
            refusal = errors.answer("presence", asked, denied, self._transport.jid, language)
            self._post.reply(refusal, stanza(jid, user, "unsubscribed"))
            return
        show = self._show if local else ""
        self._post.reply(
            stanza(jid, user, "subscribed"), stanza(jid, user, "subscribe"), stanza(jid, user, show=show)
        )

    async def _unsubscribe(self, user: str, local: str) -> None:
        jid = self._jid(local)
        if local:
            await self._gateway.drop_contact(self._transport.name, user, local)
        kinds = ("unsubscribed", "unavailable", "unsubscribe") if local else ("unsubscribed", "unavailable")
        self._post.reply(*(stanza(jid, user, kind) for kind in kinds))

    async def _contacts(self, user: str) -> dict[str, None]:
        contacts = await self._gateway.contacts_of(self._transport.name, user)
        return {self._jid(contact.local): None for contact in contacts}

    def _jid(self, local: str) -> str:
        return f"{local}@{self._transport.jid}" if local else self._transport.jid
