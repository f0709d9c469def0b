"""What the gateway and its contacts say they are and can do (XEP-0030, 0115, 0128), their version (XEP-0092)
and that they are there (XEP-0199).

Which specifications these features belong to stands in docs/conformance.md; a test compares the two.
"""

import platform
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol
from xml.etree.ElementTree import Element

from bridge.addressing import to_address
from bridge.events import Denied, Transport
from bridge.i18n import tr
from bridge.ports import KnowsOneWay
from bridge.xmpp import caps, words, xml
from bridge.xmpp.caps import Form

NAME = "Passerelle"
INFO_SPACE = "http://jabber.org/protocol/disco#info"
ITEMS_SPACE = "http://jabber.org/protocol/disco#items"
INFO, ITEMS = f"{{{INFO_SPACE}}}query", f"{{{ITEMS_SPACE}}}query"
VERSION_SPACE = "jabber:iq:version"
VERSION = f"{{{VERSION_SPACE}}}query"
PING_SPACE = "urn:xmpp:ping"
PING = f"{{{PING_SPACE}}}ping"

# XEP-0157 section 2, XEP-0504 section 3 and XEP-0444 section 2.2.
SERVER_INFO = "http://jabber.org/network/serverinfo"
DATA_POLICY = "urn:xmpp:data-policy:0"
REACTIONS = "urn:xmpp:reactions:0"

_EVERYWHERE = (INFO_SPACE, VERSION_SPACE, PING_SPACE, caps.NAMESPACE)
_COMMANDS = (ITEMS_SPACE, "http://jabber.org/protocol/commands", xml.DATA_FORM)
_CARDS = ("vcard-temp", "urn:ietf:params:xml:ns:vcard-4.0")
_GATEWAY = (
    *_EVERYWHERE,
    *_COMMANDS,
    *_CARDS,
    "jabber:iq:register",
    "jabber:iq:gateway",
    "jabber:iq:search",
    "urn:xmpp:blocking",
    "urn:xmpp:reporting:1",
)
_CONTACT = (
    *_EVERYWHERE,
    *_COMMANDS,
    *_CARDS,
    "urn:xmpp:receipts",
    "urn:xmpp:sid:0",
    "http://jabber.org/protocol/chatstates",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:message-retract:1",
)
_ONE_WAY = (
    *_EVERYWHERE,
    *_COMMANDS,
    *_CARDS,
    "urn:xmpp:noreply:0",
)  # a contact that can be read, not answered
_FILES = ("jabber:x:oob", "urn:xmpp:sfs:0")  # where the transport takes files
_REPLIES = ("urn:xmpp:reply:0",)  # where it matters which message is answered

Info = Callable[[Element], Awaitable[None]]


class Replies(Protocol):
    """How answers go out."""

    def reply(self, *stanzas: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Described:
    """One identity with a name, the features that really work, and forms with more (XEP-0128)."""

    category: str
    type: str
    name: str
    features: tuple[str, ...]
    forms: tuple[Form, ...] = ()

    @property
    def caps(self) -> str:
        """The hash of all of this (XEP-0115)."""
        identity = (self.category, self.type, "", self.name)
        return caps.verification([identity], self.features, self.forms)


def describe(transport: Transport, local: str) -> Described:
    """The transport itself for an empty `local`, else a contact of it."""
    can = transport.adapter.capabilities
    category, kind = can.identity
    if not local:
        return Described(category, kind, transport.title, _GATEWAY, _about(transport))
    contact = ("client", "sms") if kind == "sms" else ("account", "registered")
    if is_one_way(transport, local):
        return Described(*contact, "", _ONE_WAY)
    features = [*_CONTACT]
    features += _FILES if can.attachments else ()
    features += _REPLIES if can.subjects else ()
    forms: tuple[Form, ...] = ()
    if can.reactions:
        features.append(REACTIONS)
        forms = ((f"{REACTIONS}:restrictions", (("max_reactions_per_user", ("1",)),)),)
    return Described(*contact, "", tuple(features), forms)


def is_one_way(transport: Transport, local: str) -> bool:
    """Whether a contact can be read and not answered (XEP-0506)."""
    adapter = transport.adapter
    return isinstance(adapter, KnowsOneWay) and adapter.is_one_way(to_address(local))


class Shown:
    """What stands in available presence (XEP-0115 section 4). There are no more than three sorts of JIDs:
    each is described once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._kinds: dict[str, Described] = {}

    def described(self, local: str) -> Described:
        """As `describe` says it."""
        kind = "own" if not local else "one-way" if is_one_way(self._transport, local) else "contact"
        if kind not in self._kinds:
            self._kinds[kind] = describe(self._transport, local)
        return self._kinds[kind]

    def caps(self, local: str) -> str:
        """The `<c/>` of this JID's presence."""
        return caps.element(self.described(local).caps)


def _about(transport: Transport) -> tuple[Form, ...]:
    """Whom to ask (XEP-0157), and what becomes of what one writes (XEP-0504)."""
    forms: list[Form] = []
    if transport.helpers:
        forms.append((SERVER_INFO, (("admin-addresses", transport.helpers),)))
    if transport.kept_hours:
        category, kind = transport.adapter.capabilities.identity
        ours = (
            ("data_retention", (str(transport.kept_hours),)),
            ("encryption_at_rest", ("false",)),
            *((("data_export", ("true",)),) if transport.exports else ()),
            ("full_erasure", ("true",)),
            ("access_policy", ("admins",)),
        )
        # Beyond the gateway nothing is promised: mail servers and carriers keep what they like.
        theirs = (("data_transmission", ("plain",)), ("data_retention", ("unknown",)))
        forms += [(DATA_POLICY, ours), (f"urn:xmpp:data-policy:identity:{category}:{kind}:0", theirs)]
    return tuple(forms)


# XEP-0128 leaves the types of result fields out; these two are what their specifications name.
_KINDS: Mapping[str, str] = {"admin-addresses": "list-multi", "access_policy": "list-multi"}


def written(described: Described, node: str = "") -> str:
    """The `<query/>` that answers disco#info."""
    at = f" node='{xml.attribute(node)}'" if node else ""
    name = f" name='{xml.attribute(described.name)}'" if described.name else ""
    features = "".join(f"<feature var='{xml.attribute(feature)}'/>" for feature in described.features)
    return (
        f"<query xmlns='{INFO_SPACE}'{at}>"
        f"<identity category='{described.category}' type='{described.type}'{name}/>"
        f"{features}{''.join(map(_form, described.forms))}</query>"
    )


def _form(form: Form) -> str:
    form_type, fields = form
    inside = "".join(
        f"<field var='{name}' type='{_KINDS.get(name, 'text-single')}'>"
        + "".join(f"<value>{xml.text(value)}</value>" for value in values)
        + "</field>"
        for name, values in fields
    )
    return (
        f"<x xmlns='{xml.DATA_FORM}' type='result'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{xml.text(form_type)}</value></field>{inside}</x>"
    )


class Disco:
    """Answers for one transport and all its contacts. What stands at other nodes is asked of `info` and
    `items` (the ad-hoc commands'), where there are some."""

    def __init__(
        self, transport: Transport, post: Replies, info: Info | None = None, items: Info | None = None
    ) -> None:
        self._post = post
        self._info = info
        self._items = items
        self._shown = Shown(transport)

    def requests(self) -> dict[str, Info]:
        """Which payloads are answered here, and how."""
        return {INFO: self.info, ITEMS: self.items, VERSION: self.version, PING: self.ping}

    async def info(self, request: Element) -> None:
        """Raises Denied for a node that there is not."""
        _must_ask(request)
        node = request[0].get("node", "")
        described = self._shown.described(words.contact_in(request.get("to", "")))
        if node in ("", f"{caps.NODE}#{described.caps}"):
            self._post.reply(xml.result(request, written(described, node)))
        elif self._info is not None:
            await self._info(request)
        else:
            raise _nothing_there()

    async def items(self, request: Element) -> None:
        """Raises Denied for a node that there is not."""
        _must_ask(request)
        if not request[0].get("node"):
            self._post.reply(xml.result(request, f"<query xmlns='{ITEMS_SPACE}'/>"))
        elif self._items is not None:
            await self._items(request)
        else:
            raise _nothing_there()

    async def version(self, request: Element) -> None:
        _must_ask(request)
        self._post.reply(
            xml.result(
                request,
                f"<query xmlns='{VERSION_SPACE}'><name>{NAME}</name>"
                f"<version>{xml.text(version('passerelle'))}</version>"
                f"<os>{xml.text(platform.system())}</os></query>",
            )
        )

    async def ping(self, request: Element) -> None:
        _must_ask(request)
        self._post.reply(xml.result(request))


def _must_ask(request: Element) -> None:
    if request.get("type") != "get":
        raise Denied(tr("This can be asked for, not set."), "not-allowed", "cancel")


def _nothing_there() -> Denied:
    return Denied(tr("There is nothing under that name here."), "item-not-found", "cancel")
