"""Search among the user's own contacts (XEP-0055), as a form or by plain fields, page by page (XEP-0059).

Nobody finds anybody whom they do not know already: other people's address books are none of theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from xml.etree.ElementTree import Element

from bridge.cards import Cards
from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import tr, translate
from bridge.store.cards import Found, Profile
from bridge.xmpp import errors, forms, words, xml
from bridge.xmpp.presence import Post

NAMESPACE = "jabber:iq:search"
QUERY = f"{{{NAMESPACE}}}query"
PAGES = "http://jabber.org/protocol/rsm"
MOST = 50  # people in one answer

_FORM = f"{{{xml.DATA_FORM}}}x"
_SET = f"{{{PAGES}}}set"
_NAMES = ("name", "nick", "first", "last")  # XEP-0055 section 2.1 has the last three
_ADDRESSES = ("address", "email", "phone")
_ELSEWHERE = Denied(tr("Ask the gateway itself for this."), "service-unavailable", "cancel")
_BAD_PAGE = Denied(tr("There is no such page of results."), "item-not-found", "cancel")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the results is wanted (XEP-0059): from an index on, after or before an address."""

    most: int = MOST
    start: int = 0
    paged: bool = False  # the client asked for pages
    last: bool = False  # the last page there is


def read(query: Element) -> tuple[str, str, bool]:
    """What to look for in names and in addresses, and whether a form asked. Raises Denied."""
    form = query.find(_FORM)
    if form is not None:
        if form.get("type") == "cancel":
            return "", "", True
        if form.get("type") != "submit":
            raise Denied(tr("This form cannot be read. Please fill it in again."), "bad-request", "modify")
        fields: Mapping[str, str] = forms.read(form)
    else:
        fields = {xml.name_of(child.tag): child.text or "" for child in query}
    name = " ".join(fields[one].strip() for one in _NAMES if fields.get(one, "").strip())
    address = next((fields[one].strip() for one in _ADDRESSES if fields.get(one, "").strip()), "")
    return name[:200], address[:200], form is not None


def page(query: Element) -> Page:
    """Raises Denied. What stands in `<after/>` and `<before/>` is an index: the order of addresses may
    change between two pages only where contacts do."""
    wanted = query.find(_SET)
    if wanted is None:
        return Page()
    most = _number(wanted.findtext(f"{{{PAGES}}}max"), MOST)
    after, index = wanted.findtext(f"{{{PAGES}}}after"), wanted.findtext(f"{{{PAGES}}}index")
    before = wanted.findtext(f"{{{PAGES}}}before")
    most = min(most, MOST)
    if before == "":
        return Page(most, paged=True, last=True)
    if before:
        end = _number(before, 0)
        return Page(min(most, end), max(end - most, 0), True)
    start = _number(after, -1) + 1 if after else _number(index, 0)
    return Page(most, start, True)


def _number(text: str | None, otherwise: int) -> int:
    if not text:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise replace(_BAD_PAGE)
    return int(text)


class Search:
    """One transport's."""

    def __init__(self, transport: Transport, gateway: Gateway, cards: Cards, post: Post) -> None:
        self._transport = transport
        self._gateway = gateway
        self._cards = cards
        self._post = post

    async def handle(self, request: Element) -> None:
        """Answer a get or set. Raises Denied."""
        if words.contact_in(request.get("to", "")):
            raise replace(_ELSEWHERE)
        user = xml.bare(request.get("from", ""))
        if await self._gateway.line_of(self._transport.name, user) is None:
            raise replace(errors.NOT_REGISTERED)
        language = self._gateway.languages.of(user, request.get(xml.LANGUAGE, ""))
        if request.get("type") == "get":
            inside = self._form(language)
        else:
            inside = await self._results(request[0], user, language)
        self._post.reply(xml.result(request, f"<query xmlns='{NAMESPACE}'>{inside}</query>"))

    def _address_field(self) -> str:
        return "phone" if self._transport.adapter.capabilities.identity[1] == "sms" else "email"

    def _form(self, language: str) -> str:
        told = xml.text(
            translate(tr("Look among your contacts here. Fill in what you know of them."), language)
        )
        labels = self._labels(language)
        address = self._address_field()
        fields = "".join(
            f"<field type='text-single' var='{name}' label='{xml.attribute(label)}'/>"
            for name, label in labels.items()
        )
        return (
            f"<instructions>{told}</instructions><nick/><{address}/>"
            f"<x xmlns='{xml.DATA_FORM}' type='form'><title>{xml.text(self._transport.title)}</title>"
            f"<instructions>{told}</instructions><field type='hidden' var='FORM_TYPE'>"
            f"<value>{NAMESPACE}</value></field>{fields}</x>"
        )

    def _labels(self, language: str) -> dict[str, str]:
        what = tr("Phone number") if self._address_field() == "phone" else tr("Mail address")
        return {"name": translate(tr("Name"), language), "address": translate(what, language)}

    async def _results(self, query: Element, user: str, language: str) -> str:
        name, address, is_form = read(query)
        wanted = page(query)
        if not (name or address):
            raise Denied(tr("Fill in at least one field, please."), "not-acceptable", "modify")
        look = partial(self._cards.search, self._transport.name, user, name=name, address=address)
        found = await look(start=wanted.start, most=0 if wanted.last else wanted.most)
        if wanted.last:
            found = await look(start=max(found.total - wanted.most, 0), most=wanted.most)
        if wanted.start and wanted.start > found.total:
            raise replace(_BAD_PAGE)
        shown = self._as_form(found, language) if is_form else "".join(map(self._plain, found.profiles))
        # Without pages asked for, more than fits is told by the same element (XEP-0059 section 2.7).
        pages = _told(found) if wanted.paged or found.total > len(found.profiles) else ""
        return shown + pages

    def _jid(self, one: Profile) -> str:
        return f"{one.contact.local}@{self._transport.jid}"

    def _plain(self, one: Profile) -> str:
        address = self._address_field()
        return (
            f"<item jid='{xml.attribute(self._jid(one))}'><nick>{xml.text(one.shown)}</nick>"
            f"<{address}>{xml.text(one.contact.original)}</{address}></item>"
        )

    def _as_form(self, found: Found, language: str) -> str:
        labels = {"jid": "JID", **self._labels(language)}
        reported = "".join(
            f"<field var='{name}' label='{xml.attribute(label)}'"
            f" type='{'jid-single' if name == 'jid' else 'text-single'}'/>"
            for name, label in labels.items()
        )
        items = "".join(
            "<item>"
            + "".join(
                f"<field var='{name}'><value>{xml.text(value)}</value></field>"
                for name, value in zip(labels, (self._jid(one), one.shown, one.contact.original), strict=True)
            )
            + "</item>"
            for one in found.profiles
        )
        return (
            f"<x xmlns='{xml.DATA_FORM}' type='result'><field type='hidden' var='FORM_TYPE'>"
            f"<value>{NAMESPACE}</value></field><reported>{reported}</reported>{items}</x>"
        )


def _told(found: Found) -> str:
    """What is shown of how many (XEP-0059 section 2.5)."""
    if not found.profiles:
        return f"<set xmlns='{PAGES}'><count>{found.total}</count></set>"
    last = found.first + len(found.profiles) - 1
    return (
        f"<set xmlns='{PAGES}'><first index='{found.first}'>{found.first}</first><last>{last}</last>"
        f"<count>{found.total}</count></set>"
    )
