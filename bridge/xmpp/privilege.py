"""What the chat server lets a component do in its users' names (XEP-0356), as long as one stream lives.

Reads what servers grant and wraps messages; says nothing to anybody and knows no roster. Not slixmpp's
plugin: that one keeps grants on the class, over reconnects, and knows `urn:xmpp:privilege:2` alone,
while ejabberd 23.01 speaks `:1` and Debian's module of Prosody `:2`.
"""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self
from xml.etree.ElementTree import Element

import structlog

from bridge.xmpp import xml

log = structlog.get_logger()

NAMESPACES = ("urn:xmpp:privilege:2", "urn:xmpp:privilege:1")
_FORWARD = "urn:xmpp:forward:0"
_TAGS = {f"{{{one}}}privilege": one for one in NAMESPACES}

SETTLING = 3.0  # seconds after a stream's start in which servers tell what they grant, if they do
_MOST_HOSTS = 100  # any server may send us such a stanza
_MOST_ECHOES = 2_000


@dataclass(frozen=True, slots=True)
class Grants:
    """What one host grants, about its own users; as far as we make use of it."""

    namespace: str
    messages: bool = False
    roster_get: bool = False
    roster_set: bool = False

    @classmethod
    def read(cls, privilege: Element, namespace: str) -> Self:
        """From the `<privilege/>` of an advertisement (XEP-0356 section 4.2)."""
        perms = privilege.findall(f"{{{namespace}}}perm")
        types = {perm.get("access", ""): perm.get("type", "") for perm in perms}
        roster = types.get("roster", "")
        return cls(
            namespace,
            messages=types.get("message") == "outgoing",
            roster_get=roster in ("get", "both"),
            roster_set=roster in ("set", "both"),
        )


class Privilege:
    """One component's privileges. Users are named by their bare JIDs."""

    def __init__(self, jid: str) -> None:
        self._jid = jid
        self._granted: dict[str, Grants] = {}
        self._told = asyncio.Event()
        self._echoes: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    # --- what servers say ---

    def take(self, stanza: Element) -> bool:
        """Read a message stanza if it is an advertisement; a later one replaces an earlier one."""
        for child in stanza:
            namespace = _TAGS.get(child.tag)
            host = stanza.get("from", "")
            if namespace is None or "@" in host or "/" in host or stanza.get("type") == "error":
                continue
            if child.find(f"{{{_FORWARD}}}forwarded") is not None:
                continue
            if host in self._granted or len(self._granted) < _MOST_HOSTS:
                grants = self._granted[host] = Grants.read(child, namespace)
                log.info(
                    "the chat server grants privileges",
                    component=self._jid,
                    host=host,
                    messages=grants.messages,
                    reads_rosters=grants.roster_get,
                    writes_rosters=grants.roster_set,
                )
                self._told.set()
            return True
        return False

    def forget(self) -> None:
        """The stream has ended: what was granted counts no more."""
        self._granted.clear()
        self._told.clear()

    async def settled(self) -> None:
        """Wait until a server has said what it grants; not longer than SETTLING: most never do."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLING):
                await self._told.wait()

    def _grants(self, user: str) -> Grants | None:
        return self._granted.get(user.rpartition("@")[2])

    # --- what they grant ---

    def may_send_messages(self, user: str) -> bool:
        """Whether messages may be sent in this user's name."""
        grants = self._grants(user)
        return grants is not None and grants.messages

    def may_read_roster(self, user: str) -> bool:
        grants = self._grants(user)
        return grants is not None and grants.roster_get

    def may_write_roster(self, user: str) -> bool:
        grants = self._grants(user)
        return grants is not None and grants.roster_set

    def withdraw_roster_set(self, user: str) -> None:
        """The server grants it and cannot do it (ejabberd before 23.10): not asked again on this stream."""
        grants = self._grants(user)
        if grants is not None and grants.roster_set:
            log.warning(
                "the chat server grants rosters and cannot write them, so subscriptions have to do",
                component=self._jid,
                host=user.rpartition("@")[2],
                remedy="ejabberd can since 23.10",
            )
            self._granted[user.rpartition("@")[2]] = replace(grants, roster_set=False)

    # --- messages in a user's name ---

    def own_message(self, user: str, contact: str, stanza_id: str, inside: str) -> str | None:
        """A stanza to the user's server which makes it send a chat message from `user` (bare) to `contact`
        (a bare JID of ours), so that their clients see it as written by themselves; None without the
        privilege. `inside` is XML: body and what stands beside it. The server sends it on to us, too:
        `is_echo` knows it then."""
        grants = self._grants(user)
        if grants is None or not grants.messages:
            return None
        while len(self._echoes) >= _MOST_ECHOES:
            self._echoes.popitem(last=False)
        self._echoes[user, contact, stanza_id] = None
        identity = xml.attribute(stanza_id)
        return (
            f"<message from='{self._jid}' to='{xml.attribute(user.rpartition('@')[2])}' id='{identity}'>"
            f"<privilege xmlns='{grants.namespace}'><forwarded xmlns='{_FORWARD}'>"
            f"<message xmlns='{xml.CLIENT}' from='{xml.attribute(user)}' to='{xml.attribute(contact)}'"
            f" type='chat' id='{identity}'>{inside}</message></forwarded></privilege></message>"
        )

    def is_echo(self, stanza: Element) -> bool:
        """Whether a message stanza is one that we had sent in its sender's name: true once for each."""
        if not self._echoes or stanza.get("type") == "error":
            return False
        key = (xml.bare(stanza.get("from", "")), xml.bare(stanza.get("to", "")), stanza.get("id", ""))
        if key not in self._echoes:
            return False
        del self._echoes[key]
        return True
