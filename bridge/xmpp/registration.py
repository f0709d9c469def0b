"""In-band registration with a transport (XEP-0077): get, set, edit and remove, as plain fields or a form."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from bridge.gateway import Denied, Gateway, Transport
from bridge.model import Line
from bridge.ports import BadAddress
from bridge.xmpp import stanzas, words, xml
from bridge.xmpp.presence import Post, Presence

NAMESPACE = "jabber:iq:register"
QUERY = f"{{{NAMESPACE}}}query"

_FORM = f"{{{xml.DATA_FORM}}}"
# Raised as copies: an exception that is raised again and again gathers tracebacks.
_MALFORMED = Denied(
    "This registration form cannot be read. Please fill it in again.", "bad-request", "modify"
)
_ELSEWHERE = Denied("One registers with the gateway itself.", "service-unavailable", "cancel")


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled in; None where a field was left out."""

    name: str | None = None
    address: str | None = None


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
        return Removal()
    form = query.find(f"{_FORM}x")
    if form is None:
        fields = {xml.name_of(child.tag): child.text or "" for child in query}
    elif form.get("type") == "cancel":
        return Cancelled()
    else:
        fields = _read_form(form)
    return Filled(_trimmed(fields.get("name")), _trimmed(fields.get(address)))


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


def payload(transport: Transport, line: Line | None, choices: Sequence[str]) -> str:
    """What a get is answered with: both kinds of fields, with the present values of who is registered."""
    name, current = (line.name, line.address) if line else ("", "")
    instructions = xml.text(_instructions(transport, line))
    address = address_field(transport)
    options = list(dict.fromkeys([*([current] if current else []), *choices]))
    form = (
        f"<x xmlns='{xml.DATA_FORM}' type='form'><title>{xml.text(transport.title)}</title>"
        f"<instructions>{instructions}</instructions>"
        f"<field type='hidden' var='FORM_TYPE'><value>{NAMESPACE}</value></field>"
        f"<field type='text-single' var='name' label='Your name, as others see it'>"
        f"<value>{xml.text(name)}</value></field>{_address_field(address, current, options)}</x>"
    )
    registered = "<registered/>" if line else ""
    return (
        f"<query xmlns='{NAMESPACE}'>{registered}<instructions>{instructions}</instructions>"
        f"<name>{xml.text(name)}</name><{address}>{xml.text(current)}</{address}>{form}</query>"
    )


def _address_field(var: str, current: str, options: Sequence[str]) -> str:
    """A choice where there is one; it is never compulsory, since the first free address is taken."""
    value = f"<value>{xml.text(current)}</value>" if current else ""
    offered = "".join(f"<option><value>{xml.text(option)}</value></option>" for option in options)
    return f"<field type='list-single' var='{var}' label='Your own address here'>{value}{offered}</field>"


def _instructions(transport: Transport, line: Line | None) -> str:
    if line is None:
        return f"Register to write to {transport.title} from your chat. You get an address of your own."
    return f"You are registered; your own address is {line.address}. What you change here counts at once."


class Registration:
    """One transport's registration desk."""

    def __init__(self, transport: Transport, gateway: Gateway, post: Post, presence: Presence) -> None:
        self._transport = transport
        self._gateway = gateway
        self._post = post
        self._presence = presence

    async def handle(self, request: Element) -> None:
        """Answer a get or set. Raises Denied."""
        if xml.node(request.get("to", "")):
            raise replace(_ELSEWHERE)
        user = xml.bare(request.get("from", ""))
        line = await self._gateway.line_of(self._transport.name, user)
        if request.get("type") == "get":
            self._answer(request, payload(self._transport, line, self._choices(user)))
            return
        wish = read(request[0], address_field(self._transport))
        if isinstance(wish, Removal):
            await self._remove(request, user)
        elif isinstance(wish, Cancelled):
            self._answer(request)
        else:
            await self._register(request, user, line, wish)

    def _choices(self, user: str) -> Sequence[str]:
        """Raises Denied for whom this transport does not serve."""
        try:
            choices = self._transport.adapter.own_addresses(user)
        except BadAddress as error:
            raise Denied(str(error), "not-allowed", "cancel") from error
        if not choices:
            raise Denied("This gateway does not serve your account.", "not-allowed", "cancel")
        return choices

    async def _register(self, request: Element, user: str, before: Line | None, wish: Filled) -> None:
        name = wish.name if wish.name is not None else before.name if before else ""
        line = await self._gateway.register(
            self._transport.name, user, name=name, address=wish.address or (before.address if before else "")
        )
        self._answer(request)
        if before is None:
            greeting = words.welcome(self._transport, line.address)
            self._post.reply(
                *self._presence.welcome(user),
                stanzas.prompt(self._transport.jid, user, self._gateway.new_name(), greeting),
            )

    async def _remove(self, request: Element, user: str) -> None:
        contacts = await self._gateway.leave(self._transport.name, user)
        self._answer(request)
        await self._post.paced(self._presence.goodbye(user, [contact.local for contact in contacts]))

    def _answer(self, request: Element, inside: str = "") -> None:
        self._post.reply(result(request, inside))


def result(request: Element, inside: str = "") -> str:
    """The result of an IQ request, from whom it was for, with its own id."""
    sender, recipient = (xml.attribute(request.get(name, "")) for name in ("to", "from"))
    return (
        f"<iq from='{sender}' to='{recipient}' id='{xml.attribute(request.get('id', ''))}' type='result'>"
        f"{inside}</iq>"
    )
