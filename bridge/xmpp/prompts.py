"""The gateway's own question for an address, and the JID that an address has here (`jabber:iq:gateway`,
XEP-0100 section 6). Records nothing: the client subscribes by itself to what it was told.
"""

from collections.abc import Callable
from dataclasses import replace
from xml.etree.ElementTree import Element

from bridge.addressing import to_address, to_local
from bridge.commands.services import Services
from bridge.events import Denied, Transport
from bridge.gateway import Gateway
from bridge.i18n import Phrase, tr, translate
from bridge.ports import BadAddress
from bridge.xmpp import errors, words, xml
from bridge.xmpp.presence import Post

NAMESPACE = "jabber:iq:gateway"
QUERY = f"{{{NAMESPACE}}}query"
_LONGEST = 1_000  # characters of what was typed

_ELSEWHERE = Denied(tr("Ask the gateway itself for this."), "service-unavailable", "cancel")
_EMPTY = Denied(tr("Write the address of somebody, please."), "not-acceptable", "modify")


def question(transport: Transport) -> tuple[Phrase, Phrase]:
    """What to do, and what the field is called."""
    if transport.adapter.capabilities.identity[1] == "sms":
        return (
            tr("Write the phone number of who you want to text, with its country code: +1 202 555 0142"),
            tr("Phone number"),
        )
    return (
        tr("Write the mail address of who you want to write to, such as alice@example.com"),
        tr("Mail address"),
    )


def meant(transport: Transport, typed: str) -> str:
    """The canonical address that was typed: as people write it, or as a JID or its node. Raises Denied."""
    text = typed.strip()
    if not text:
        raise replace(_EMPTY)
    text = text.removesuffix(f"@{transport.jid}")
    try:
        return _canonical(transport, to_address(text[:_LONGEST]))
    except BadAddress as error:
        # XEP-0100 section 6.3 names the condition, whatever the adapter calls it.
        raise Denied(str(error), "item-not-found", "cancel") from error


def _canonical(transport: Transport, text: str) -> str:
    """A slip that the adapter can mend itself (a missing country code) is mended."""
    try:
        return transport.adapter.canonical(text).canonical
    except BadAddress as error:
        if not error.correct:
            raise
        return transport.adapter.canonical(error.correct).canonical


class Prompts:
    """One transport's. Without `services` nothing is known of contacts. `trouble` tells in a sentence why
    the transport cannot send just now; empty if it can."""

    def __init__(
        self,
        transport: Transport,
        gateway: Gateway,
        services: Services | None,
        post: Post,
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self._transport = transport
        self._gateway = gateway
        self._services = services
        self._post = post
        self._trouble = trouble

    async def handle(self, request: Element) -> None:
        """Answer a get or set. Raises Denied."""
        if words.contact_in(request.get("to", "")):
            raise replace(_ELSEWHERE)
        if request.get("type") == "get":
            self._ask(request)
        else:
            jid = await self._translated(request)
            self._post.reply(
                xml.result(request, f"<query xmlns='{NAMESPACE}'><jid>{xml.text(jid)}</jid></query>")
            )

    def _ask(self, request: Element) -> None:
        user = xml.bare(request.get("from", ""))
        language = self._gateway.languages.of(user, request.get(xml.LANGUAGE, ""))
        desc, prompt = (xml.text(translate(one, language)) for one in question(self._transport))
        self._post.reply(
            xml.result(
                request,
                f"<query xmlns='{NAMESPACE}'><desc>{desc}</desc><prompt>{prompt}</prompt></query>",
            )
        )

    async def _translated(self, request: Element) -> str:
        user = xml.bare(request.get("from", ""))
        if await self._gateway.line_of(self._transport.name, user) is None:
            raise replace(errors.NOT_REGISTERED)
        if trouble := self._trouble():
            raise Denied(trouble, "remote-server-timeout", "wait")
        address = meant(self._transport, request[0].findtext(f"{{{NAMESPACE}}}prompt") or "")
        local = to_local(address)
        if self._services is not None:
            # Two addresses may fold to one node; whoever is known keeps theirs.
            known = await self._services.wishes.contact(self._transport.name, user, address)
            local = known.contact.local if known is not None else local
        return f"{local}@{self._transport.jid}"
