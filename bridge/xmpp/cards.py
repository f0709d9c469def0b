"""vCards of the gateway and of contacts: XEP-0054, XEP-0292 and, where clients look for them as for a
person's own, items of personal nodes (XEP-0084, 0172, 0292; direct requests alone, we are no PEP service).

Each user sees their own names and notes only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from xml.etree.ElementTree import Element

from bridge.cards import Cards
from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.model import Address, Contact, ContactId, UserId
from bridge.store.cards import Photo, Profile
from bridge.xmpp import avatars, errors, words, xml
from bridge.xmpp.presence import Post

VCARD_TEMP_SPACE = "vcard-temp"
VCARD4_SPACE = "urn:ietf:params:xml:ns:vcard-4.0"
PUBSUB_SPACE = "http://jabber.org/protocol/pubsub"
VCARD4_NODE = "urn:xmpp:vcard4"
VCARD_TEMP = f"{{{VCARD_TEMP_SPACE}}}vCard"
VCARD4 = f"{{{VCARD4_SPACE}}}vcard"
PUBSUB = f"{{{PUBSUB_SPACE}}}pubsub"

_ITEMS = f"{{{PUBSUB_SPACE}}}items"
_ITEM = f"{{{PUBSUB_SPACE}}}item"
_READ_ONLY = Denied(
    tr("This card is kept by the gateway. To change a name, type rename in the chat with the gateway."),
    "not-allowed",
    "cancel",
)
_NOTHING_THERE = Denied(tr("There is nothing under that name here."), "item-not-found", "cancel")


class CardDesk:
    """Answers for one transport and all its contacts."""

    def __init__(self, transport: Transport, gateway: Gateway, cards: Cards, post: Post) -> None:
        self._transport = transport
        self._gateway = gateway
        self._cards = cards
        self._post = post

    def requests(self) -> dict[str, Callable[[Element], Awaitable[None]]]:
        """Which payloads are answered here, and how."""
        return {VCARD_TEMP: self.vcard_temp, VCARD4: self.vcard4, PUBSUB: self.items}

    # --- requests; each raises Denied ---

    async def vcard_temp(self, request: Element) -> None:
        _must_ask(request)
        profile = await self._profile(request)
        if profile is None:
            self._answer(request, self._own_card(self._language(request)))
            return
        data = await self._cards.picture(profile.photo) if profile.photo else b""
        kind = profile.photo.media_type if profile.photo else ""
        self._answer(request, _vcard_temp(profile, self._address_field(), avatars.photo(kind, data)))

    async def vcard4(self, request: Element) -> None:
        _must_ask(request)
        self._answer(request, await self._vcard4(request))

    async def items(self, request: Element) -> None:
        """The items of a personal node. Who asks for what we have not (keys for encryption, say) hears at
        once that it is not there."""
        _must_ask(request)
        asked = request[0].find(_ITEMS)
        if asked is None:
            raise replace(errors.NOT_SERVED)
        node = asked.get("node", "")
        wanted = [item.get("id", "") for item in asked.findall(_ITEM)]
        found = await self._item(request, node, wanted)
        if not found:
            raise replace(_NOTHING_THERE)
        inside = f"<items node='{xml.attribute(node)}'>{found}</items>"
        self._answer(request, f"<pubsub xmlns='{PUBSUB_SPACE}'>{inside}</pubsub>")

    # --- what stands in them ---

    async def _item(self, request: Element, node: str, wanted: list[str]) -> str:
        """Empty if there is none."""
        if node == VCARD4_NODE:
            return f"<item id='current'>{await self._vcard4(request)}</item>"
        if node not in (avatars.NICK, avatars.METADATA, avatars.DATA):
            return ""
        profile = await self._profile(request)
        if profile is None:
            return ""
        if node == avatars.NICK:
            name = avatars.nick(profile.shown)
            return f"<item id='current'>{name}</item>" if name else ""
        photo = profile.photo
        if photo is None or (wanted and photo.hash not in wanted):
            return ""
        return avatars.metadata(photo) if node == avatars.METADATA else await self._picture(photo)

    async def _picture(self, photo: Photo) -> str:
        data = await self._cards.picture(photo)
        return avatars.item(photo, data) if data else ""

    async def _vcard4(self, request: Element) -> str:
        profile = await self._profile(request)
        if profile is None:
            told = translate(_about(self._transport), self._language(request))
            parts = (
                ("fn", "text", self._transport.title),
                ("note", "text", told),
                ("url", "uri", self._url()),
            )
        else:
            address = _spelled(profile, self._is_sms)
            field = ("tel", "uri", f"tel:{address}") if self._is_sms else ("email", "text", address)
            parts = (("fn", "text", profile.shown or address), field, ("note", "text", profile.note))
        inside = "".join(
            f"<{name}><{kind}>{xml.text(value)}</{kind}></{name}>" for name, kind, value in parts if value
        )
        return f"<vcard xmlns='{VCARD4_SPACE}'>{inside}</vcard>"

    def _own_card(self, language: str) -> str:
        told = xml.text(translate(_about(self._transport), language))
        url = xml.text(self._url())
        link = f"<URL>{url}</URL>" if url else ""
        return (
            f"<vCard xmlns='{VCARD_TEMP_SPACE}'><FN>{xml.text(self._transport.title)}</FN>"
            f"{link}<JABBERID>{xml.text(self._transport.jid)}</JABBERID><DESC>{told}</DESC></vCard>"
        )

    async def _profile(self, request: Element) -> Profile | None:
        """What the asking user knows of the contact; of one they do not know, the address. None for the
        gateway itself. Raises Denied for a JID that is no address."""
        local = words.contact_in(request.get("to", ""))
        if not local:
            return None
        user = xml.bare(request.get("from", ""))
        address = self._gateway.address_of(self._transport.name, local)
        known = await self._cards.profile(self._transport.name, user, address.canonical)
        return known or _stranger(self._transport.name, address, local)

    def _url(self) -> str:
        """Where to ask about this gateway, if its admin has said so."""
        return next(iter(self._transport.helpers), "")

    @property
    def _is_sms(self) -> bool:
        return self._transport.adapter.capabilities.identity[1] == "sms"

    def _address_field(self) -> str:
        return "TEL" if self._is_sms else "EMAIL"

    def _language(self, request: Element) -> str:
        return self._gateway.languages.of(xml.bare(request.get("from", "")), request.get(xml.LANGUAGE, ""))

    def _answer(self, request: Element, inside: str) -> None:
        self._post.reply(xml.result(request, inside))


def _vcard_temp(profile: Profile, field: str, photo: str) -> str:
    address = xml.text(_spelled(profile, field == "TEL"))
    name = profile.shown
    reached = (
        f"<TEL><CELL/><NUMBER>{address}</NUMBER></TEL>"
        if field == "TEL"
        else f"<EMAIL><INTERNET/><USERID>{address}</USERID></EMAIL>"
    )
    nickname = f"<NICKNAME>{xml.text(name)}</NICKNAME>" if name else ""
    note = f"<DESC>{xml.text(profile.note)}</DESC><NOTE>{xml.text(profile.note)}</NOTE>"
    return (
        f"<vCard xmlns='{VCARD_TEMP_SPACE}'><FN>{xml.text(name) or address}</FN>{nickname}{reached}"
        f"{photo}{note if profile.note else ''}</vCard>"
    )


def _spelled(profile: Profile, is_number: bool) -> str:
    """A mail address as people spell it; a number as every telephone understands it."""
    return profile.contact.address if is_number else profile.contact.original


def _stranger(transport: str, address: Address, local: str) -> Profile:
    nobody = Contact(
        ContactId(0), UserId(0), transport, address.canonical, address.original, local, "", subscribed=False
    )
    return Profile(nobody, "")


def _about(transport: Transport) -> str:
    return tr("The gateway to {title}: write to people there from your chat.", title=transport.title)


def _must_ask(request: Element) -> None:
    if request.get("type") != "get":
        raise replace(_READ_ONLY)
