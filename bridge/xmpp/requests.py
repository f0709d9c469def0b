"""Who answers which request (IQ), by its payload: puts the desks of one component together."""

from collections.abc import Awaitable, Callable
from xml.etree.ElementTree import Element

from bridge.commands.services import Services
from bridge.events import Transport
from bridge.gateway import Gateway
from bridge.xmpp import adhoc, prompts, registration, search
from bridge.xmpp.acquaintance import Acquaintance
from bridge.xmpp.bot import Bot
from bridge.xmpp.cards import CardDesk
from bridge.xmpp.disco import Disco
from bridge.xmpp.sending import Sending

Requests = dict[str, Callable[[Element], Awaitable[None]]]


def answered(
    transport: Transport,
    gateway: Gateway,
    services: Services | None,
    post: Sending,
    bot: Bot,
    acquaintance: Acquaintance,
) -> Requests:
    """Payload → who answers it; each raises Denied. Without `services` there are no commands."""
    registrar = registration.Registration(transport, gateway, post, bot)
    asked = prompts.Prompts(transport, gateway, services, post, lambda: acquaintance.trouble())
    found: Requests = {registration.QUERY: registrar.handle, prompts.QUERY: asked.handle}
    found |= acquaintance.requests()
    if services is None:
        return found | Disco(transport, post).requests()
    known = services.wishes.cards
    commands = adhoc.AdHoc(transport, gateway, services, post, bot)
    found |= CardDesk(transport, gateway, known, post).requests()
    found[search.QUERY] = search.Search(transport, gateway, known, post).handle
    found[adhoc.COMMAND] = commands.handle
    return found | Disco(transport, post, commands.info, commands.items).requests()
