"""What the gateway and its contacts say they are and can do (XEP-0030), and their version (XEP-0092)."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from slixmpp import JID
from slixmpp.exceptions import XMPPError
from slixmpp.plugins.xep_0030 import DiscoInfo, DiscoItems

from bridge.events import Transport
from bridge.i18n import tr
from bridge.xmpp.stream import Stream

NAME = "Passerelle"

_EVERYWHERE = ("http://jabber.org/protocol/disco#info", "jabber:iq:version", "urn:xmpp:ping")
_COMMANDS = ("http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/commands")
_GATEWAY = (*_EVERYWHERE, *_COMMANDS, "jabber:iq:register")
_CONTACT = (
    *_EVERYWHERE,
    *_COMMANDS,
    "urn:xmpp:receipts",
    "http://jabber.org/protocol/chatstates",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:message-retract:1",
)


@dataclass(frozen=True, slots=True)
class Described:
    """One identity with a name, and the features that really work."""

    category: str
    type: str
    name: str
    features: tuple[str, ...]


def describe(transport: Transport, local: str) -> Described:
    """The transport itself for an empty `local`, else a contact of it."""
    category, kind = transport.adapter.capabilities.identity
    if not local:
        return Described(category, kind, transport.title, _GATEWAY)
    if kind == "sms":
        return Described("client", "sms", "", _CONTACT)
    return Described("account", "registered", "", _CONTACT)


def install(stream: Stream, transport: Transport) -> None:
    """Let slixmpp's plugins answer disco, ping and version requests to any of our JIDs."""
    stream.register_plugin("xep_0030", {"use_cache": False})
    stream.register_plugin("xep_0199", {"keepalive": False})
    stream.register_plugin(
        "xep_0092", {"software_name": NAME, "version": version("passerelle"), "os": platform.system()}
    )
    prepare: Callable[[], None] = stream.init_plugins  # slixmpp leaves it untyped
    prepare()

    def info(jid: JID | None, node: str | None, sender: JID | None, request: Any) -> DiscoInfo:
        _no_node(node)
        described = describe(transport, jid.local if jid else "")
        answer = DiscoInfo()
        answer.add_identity(described.category, described.type, name=described.name or None)
        for feature in described.features:
            answer.add_feature(feature)
        return answer

    def items(jid: JID | None, node: str | None, sender: JID | None, request: Any) -> DiscoItems:
        _no_node(node)
        return DiscoItems()

    disco = stream.plugin["xep_0030"]
    disco.api.register(info, "get_info")
    disco.api.register(items, "get_items")


def _no_node(node: str | None) -> None:
    """There are none yet. XEP-0030 section 7 names the answer."""
    if node:
        raise XMPPError("item-not-found", tr("There is nothing under that name here."), etype="cancel")
