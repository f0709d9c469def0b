"""Subscriptions, probes and presence (RFC 6121 sections 3 and 4). Keeps who is online, nothing more.

Contacts belong to the store. What answers many is sent by `paced`, so that messages pass in between.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from xml.etree.ElementTree import Element

from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import translate
from bridge.model import Contact
from bridge.options import ZONE
from bridge.xmpp import avatars, disco, errors, moods, words, xml

Work = Callable[[], Awaitable[None]]

_OURS = ("", words.ALIAS)
_ROOM = "{http://jabber.org/protocol/muc}x"
_FEW = 100  # contacts that are asked about by name
_STALE_AFTER = 9 * 86400.0  # seconds: older words hold for good


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


def stanza(
    sender: str, recipient: str, kind: str = "", show: str = "", caps: str = "", status: str = ""
) -> str:
    """A presence stanza; without a kind it says available, and what its sender can do (`caps`, XML)."""
    about = f" type='{kind}'" if kind else ""
    showing = f"<show>{show}</show>" if show else ""
    if status:
        showing += f"<status>{xml.text(status)}</status>"
    inside = f">{showing}{caps}</presence>" if showing or caps else "/>"
    return f"<presence from='{xml.attribute(sender)}' to='{xml.attribute(recipient)}'{about}{inside}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a transport cannot send just now: a sentence, and since when (seconds since 1970)."""

    reason: str
    since: float


class Presence:
    """One transport's presence desk. `trouble` is set by its component; `came` hears of users who come,
    `went` of those who say that they go."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        post: Post,
        *,
        came: Callable[[str, str], None] = lambda _user, _full: None,
        went: Callable[[str], None] = lambda _user: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._came_hook = came
        self._went_hook = went
        self._clock = clock
        self.trouble: Trouble | None = None
        self._show = show_of(transport)
        self._caps = disco.Shown(transport).caps
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
            case None if received.find(_ROOM) is not None:
                return self._no_room
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

    def clients_of(self, user: str) -> tuple[str, ...]:
        """The full JIDs under which a user is known to be online."""
        return tuple(self._online.get(user, ()))

    @property
    def online(self) -> tuple[str, ...]:
        """The bare JIDs of all users who are known to be online."""
        return tuple(self._online)

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
        await self._post.paced(
            text for user in users for text in (self.transport_here(user), stanza(jid, user, "probe"))
        )

    async def tell_trouble(self) -> None:
        """The transport's trouble has begun or ended: whoever is online sees it."""
        await self._post.paced(self.transport_here(user) for user in self.online)

    async def farewell(self) -> None:
        """Unavailable to all users; to those who are online from each contact too."""
        users = await self._gateway.users_of(self._transport.name)
        await self._post.paced(stanza(self._transport.jid, user, "unavailable") for user in users)
        for user in list(self._online):
            async for piece in self._pieces(user):
                await self._post.paced(stanza(self._jid(one.local), user, "unavailable") for one in piece)

    def welcome(self, user: str) -> Iterator[str]:
        """To a user who has just registered: ask for its presence, show ours."""
        yield stanza(self._transport.jid, user, "subscribe")
        yield self.transport_here(user)

    def gone(self, user: str) -> None:
        """The user has left the transport."""
        self._online.pop(user, None)

    # --- what users tell us ---

    async def _came(self, user: str, full: str, life: int) -> None:
        if await self._gateway.line_of(self._transport.name, user) is None or life != self._life:
            return
        first = user not in self._online
        self._online.setdefault(user, set()).add(full)
        await self._gateway.came_back(self._transport.name, user)
        if first:
            # Later resources' servers probe each contact themselves (RFC 6121 section 4.3).
            async for piece in self._pieces(user):
                await self._post.paced(await self._looks(user, piece))
            self._came_hook(user, full)

    async def look_again(self, user: str, changed: Iterable[Contact]) -> None:
        """These contacts look different now: an online user who sees their presence gets it again."""
        if user in self._online:
            await self._post.paced(await self._looks(user, [one for one in changed if one.subscribed]))

    async def show(self, user: str, locals_: Sequence[str]) -> None:
        """Tell an online user the presence of those of these contacts that they see."""
        for start in range(0, len(locals_) if user in self._online else 0, _FEW):
            contacts = await self._contacts(user, locals_[start : start + _FEW])
            await self._post.paced(await self._looks(user, contacts))

    async def _pieces(self, user: str) -> AsyncIterator[list[Contact]]:
        """A user's contacts, some at a time: ten thousand at once would take megabytes for good."""
        after = 0
        while piece := await self._gateway.contacts_after(self._transport.name, user, after, _FEW):
            yield piece
            after = piece[-1].id

    async def show_times(self, user: str) -> None:
        """When contacts wrote last is to be said anew: it is another day, or another clock."""
        wrote = await self._gateway.rosters.last_wrote(self._transport.name, user)
        await self.show(user, [local for local, at in wrote.items() if self._clock() - at < _STALE_AFTER])

    async def new_day(self) -> None:
        """What said a time of day says a weekday now, and a weekday a date."""
        for user in self.online if self._show else ():
            await self.show_times(user)

    async def _no_room(self) -> None:
        """A client takes a contact for a room that it may enter (XEP-0045 section 7.2)."""
        raise replace(errors.NO_ROOMS)

    async def _went(self, user: str, full: str) -> None:
        self._went_hook(user)
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
        registered = await self._gateway.line_of(self._transport.name, user) is not None
        nodes = list(probed)
        for start in range(0, len(nodes), _FEW):
            asked = nodes[start : start + _FEW]
            seen = await self._contacts(user, [local for local in asked if local not in _OURS])
            looks = await self._looks(user, seen)
            known = {one.local for one in seen}
            for local in asked:
                if registered and local in _OURS:
                    looks.append(self._own(local, user))
                elif local not in known:  # RFC 6121 section 4.3.2
                    looks.append(stanza(self._jid(local), user, "unsubscribed"))
            if len(nodes) <= _FEW:
                self._post.reply(*looks)
            else:
                await self._post.paced(looks)

    async def _subscribe(self, user: str, local: str, asked: dict[str, str]) -> None:
        """Yes to whom the user may write to, and the same question back; or no, with the reason."""
        jid = self._jid(local)
        contact = None
        language = self._gateway.languages.of(user, asked.get(xml.LANGUAGE, ""))
        try:
            if local not in _OURS:
                # Who may use the gateway is in with their first word; to add a contact is one.
                if await self._gateway.line_of(self._transport.name, user) is None:
                    await self._gateway.admit(self._transport.name, user, language)
                contact = await self._gateway.add_contact(self._transport.name, user, local)
            elif await self._gateway.line_of(self._transport.name, user) is None:
                raise replace(errors.NOT_REGISTERED)  # raised itself it would gather tracebacks
        except Denied as denied:
            refusal = errors.answer("presence", asked, denied, self._transport.jid, language)
            self._post.reply(refusal, stanza(jid, user, "unsubscribed"))
            return
        looks = await self._looks(user, [contact]) if contact is not None else [self._own(local, user)]
        self._post.reply(stanza(jid, user, "subscribed"), stanza(jid, user, "subscribe"), *looks)
        if contact is not None:
            self._came_hook(user, "")  # it may want its name and group in the roster

    async def _unsubscribe(self, user: str, local: str) -> None:
        jid = self._jid(local)
        if local not in _OURS:
            await self._gateway.drop_contact(self._transport.name, user, local)
        kinds = ("unsubscribed", "unavailable", "unsubscribe") if local else ("unsubscribed", "unavailable")
        self._post.reply(*(stanza(jid, user, kind) for kind in kinds))

    async def _contacts(self, user: str, locals_: Sequence[str]) -> list[Contact]:
        """Those of these nodes that the user sees, in this order."""
        if not locals_:
            return []
        found = await self._gateway.contacts_of(self._transport.name, user, locals_)
        known = {one.local: one for one in found}
        return [known[local] for local in locals_ if local in known]

    def _own(self, local: str, user: str) -> str:
        """The presence of the transport, or of its other name."""
        return stanza(self._jid(local), user, caps=self._caps("")) if local else self.transport_here(user)

    def transport_here(self, user: str) -> str:
        """The transport's own presence, which tells its trouble if it has some."""
        jid = self._transport.jid
        if self.trouble is None:
            return stanza(jid, user, caps=self._caps(""))
        language = self._gateway.languages.of(user)
        reason = translate(self.trouble.reason, language)
        told = moods.trouble(reason, self.trouble.since, None, language)
        return stanza(jid, user, show="xa", caps=self._caps(""), status=told)

    async def _looks(self, user: str, contacts: Sequence[Contact]) -> list[str]:
        """The presence of contacts: of those who are away when they wrote last, if they ever did."""
        told: dict[str, str] = {}
        if contacts and self._show:
            few = [one.local for one in contacts] if len(contacts) <= _FEW else []
            wrote = await self._gateway.rosters.last_wrote(self._transport.name, user, few)
            line = await self._gateway.line_of(self._transport.name, user)
            zone = moods.zone_of(line.choices.get(ZONE, "")) if line is not None else None
            language, now = self._gateway.languages.of(user), self._clock()
            told = {local: moods.last_wrote(at, now, zone, language) for local, at in wrote.items()}
        return [
            stanza(
                self._jid(one.local),
                user,
                show=self._show,
                caps=self._caps(one.local) + avatars.update(one.photo),
                status=told.get(one.local, ""),
            )
            for one in contacts
        ]

    def _jid(self, local: str) -> str:
        return f"{local}@{self._transport.jid}" if local else self._transport.jid
