"""In-band registration with a transport (XEP-0077): get, set, edit and remove, as plain fields or a form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from bridge.commands.model import Reply
from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import Phrase, tr, translate
from bridge.model import Line
from bridge.xmpp import words, xml
from bridge.xmpp.bot import Bot
from bridge.xmpp.presence import Post

NAMESPACE = "jabber:iq:register"
QUERY = f"{{{NAMESPACE}}}query"
_MOST_OFFERED = 100  # addresses in a form
CODE = "misc"  # XEP-0077 section 14.1 has no field for invitations but this one

_FORM = f"{{{xml.DATA_FORM}}}"
# Raised as copies: an exception that is raised again and again gathers tracebacks.
_MALFORMED = Denied(
    tr("This registration form cannot be read. Please fill it in again."), "bad-request", "modify"
)
_ELSEWHERE = Denied(tr("One registers with the gateway itself."), "service-unavailable", "cancel")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled in; None where a field was left out."""

    name: str | None = None
    address: str | None = None
    code: str = ""  # of an invitation


class Removal:
    """`<remove/>`: end the registration."""


class Cancelled:
    """A form that was cancelled: nothing changes."""


def address_field(transport: Transport) -> str:
    """Which of XEP-0077's own field names says the user's address here."""
    return {"smtp": "email", "sms": "phone"}.get(transport.adapter.capabilities.identity[1], "address")


def read(query: Element, address: str) -> Filled | Removal | Cancelled:
    """A set's payload. A form counts before plain fields (XEP-0077 section 6). Raises Denied."""
    if query.find(f"{{{NAMESPACE}}}remove") is not None:
        if len(query) > 1:  # XEP-0077 section 3.2
            raise replace(_MALFORMED)
        return Removal()
    form = query.find(f"{_FORM}x")
    if form is None:
        fields = {xml.name_of(child.tag): child.text or "" for child in query}
    elif form.get("type") == "cancel":
        return Cancelled()
    else:
        fields = _read_form(form)
    code = _trimmed(fields.get(CODE)) or ""
    return Filled(_trimmed(fields.get("name")), _trimmed(fields.get(address)), code)


def _read_form(form: Element) -> dict[str, str]:
    if form.get("type") != "submit":
        raise replace(_MALFORMED)
    fields = {
        field.get("var") or "": field.findtext(f"{_FORM}value") or ""
        for field in form.findall(f"{_FORM}field")
    }
    if fields.get("FORM_TYPE", NAMESPACE) != NAMESPACE:
        raise replace(_MALFORMED)
    return fields


def _trimmed(value: str | None) -> str | None:
    return None if value is None else " ".join(value.split())[:200]


def payload(
    transport: Transport,
    line: Line | None,
    choices: Sequence[str],
    language: str = "en",
    *,
    invited: bool = False,
) -> str:
    """What a get is answered with: both kinds of fields, with the present values of who is registered.
    `invited`: registration needs the code of an invitation."""
    name, current = (line.name, line.address) if line else ("", "")
    instructions = xml.text(translate(_instructions(transport, line), language))
    labels = [
        xml.attribute(translate(label, language))
        for label in (
            tr("Your name, as others see it"),
            tr("Your own address here"),
            tr("The code of your invitation"),
        )
    ]
    code = f"<field type='text-single' var='{CODE}' label='{labels[2]}'/>" if invited else ""
    plain_code = f"<{CODE}/>" if invited else ""
    address = address_field(transport)
    options = list(dict.fromkeys([*([current] if current else []), *choices]))
    form = (
        f"<x xmlns='{xml.DATA_FORM}' type='form'><title>{xml.text(transport.title)}</title>"
        f"<instructions>{instructions}</instructions>"
        f"<field type='hidden' var='FORM_TYPE'><value>{NAMESPACE}</value></field>"
        f"<field type='text-single' var='name' label='{labels[0]}'>"
        f"<value>{xml.text(name)}</value></field>{_address_field(address, labels[1], current, options)}"
        f"{code}</x>"
    )
    registered = "<registered/>" if line else ""
    return (
        f"<query xmlns='{NAMESPACE}'>{registered}<instructions>{instructions}</instructions>"
        f"<name>{xml.text(name)}</name><{address}>{xml.text(current)}</{address}>{plain_code}{form}</query>"
    )


def _address_field(var: str, label: str, current: str, options: Sequence[str]) -> str:
    """A choice where there is one; it is never compulsory, since the first free address is taken."""
    value = f"<value>{xml.text(current)}</value>" if current else ""
    offered = "".join(f"<option><value>{xml.text(option)}</value></option>" for option in options)
    return f"<field type='list-single' var='{var}' label='{label}'>{value}{offered}</field>"


def _instructions(transport: Transport, line: Line | None) -> Phrase:
    if line is None:
        return tr(
            "Register to write to {title} from your chat. You get an address of your own.",
            title=transport.title,
        )
    return tr(
        "You are registered; your own address is {address}. What you change here counts at once.",
        address=line.address,
    )


class Registration:
    """One transport's registration desk."""

    def __init__(self, transport: Transport, gateway: Gateway, post: Post, bot: Bot) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._bot = bot

    async def handle(self, request: Element) -> None:
        """Answer a get or set. Raises Denied."""
        if words.contact_in(request.get("to", "")):
            raise replace(_ELSEWHERE)
        user = xml.bare(request.get("from", ""))
        line = await self._gateway.line_of(self._transport.name, user)
        if request.get("type") == "get":
            invited = line is None and not self._gateway.may_use(user)
            choices = (await self._gateway.free_addresses(self._transport.name, user))[:_MOST_OFFERED]
            form = payload(self._transport, line, choices, self._language(request), invited=invited)
            self._answer(request, form)
            return
        wish = read(request[0], address_field(self._transport))
        if isinstance(wish, Removal):
            await self._remove(request, user)
        elif isinstance(wish, Cancelled):
            self._answer(request)
        else:
            await self._register(request, user, line, wish)

    async def _register(self, request: Element, user: str, before: Line | None, wish: Filled) -> None:
        name = wish.name if wish.name is not None else before.name if before else ""
        line = await self._gateway.register(
            self._transport.name,
            user,
            name=name,
            address=wish.address or (before.address if before else ""),
            token=wish.code,
            language=self._language(request),
            welcome=True,
        )
        self._answer(request)
        if before is None:
            self._bot.welcome(line)

    def _language(self, request: Element) -> str:
        return self._gateway.languages.of(xml.bare(request.get("from", "")), request.get(xml.LANGUAGE, ""))

    async def _remove(self, request: Element, user: str) -> None:
        contacts = await self._gateway.leave(self._transport.name, user)
        self._answer(request)
        await self._bot.follow(user, Reply("", leaves=tuple(contact.local for contact in contacts)))

    def _answer(self, request: Element, inside: str = "") -> None:
        self._post.reply(xml.result(request, inside))
