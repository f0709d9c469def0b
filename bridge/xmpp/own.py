"""What users wrote from another program, in their chats: as their own message where the server lets us
(XEP-0356), else as a line of the contact's that says so, unless the user wants none. Pure."""

from collections.abc import Callable

from bridge.i18n import tr, translate
from bridge.model import Delivery
from bridge.options import ELSEWHERE
from bridge.xmpp import files, xml
from bridge.xmpp.privilege import Privilege
from bridge.xmpp.stanzas import CUT, LONGEST_BODY

Languages = Callable[[str], str]  # bare JID → what the user reads


def write(
    privilege: Privilege, languages: Languages, domain: str, delivery: Delivery, now: float
) -> str | None:
    """The stanza of an own message, None if there is to be none. `domain` is the transport's JID."""
    message = delivery.message
    if message is None:
        raise ValueError(f"delivery {delivery.id} carries no message")
    user, contact = xml.bare(delivery.recipient), delivery.sender
    stanza_id = xml.attribute(delivery.stanza_id)
    thread = f"<thread>{xml.text(message.thread)}</thread>" if message.thread else ""
    about = (
        f"{thread}<origin-id xmlns='urn:xmpp:sid:0' id='{stanza_id}'/>"
        f"<store xmlns='urn:xmpp:hints'/>{files.delay(message.written_at, domain, now)}"
    )
    own = privilege.own_message(
        user, contact, delivery.stanza_id, f"<body>{_body(message.body)}</body>{about}"
    )
    if own is not None or delivery.choices.get(ELSEWHERE) == "off":
        return own
    words = translate(tr("✎ You wrote elsewhere: {text}", text=message.body), languages(user))
    return (
        f"<message from='{xml.attribute(contact)}' to='{xml.attribute(user)}' type='chat' id='{stanza_id}'>"
        f"<body>{_body(words)}</body>{about}</message>"
    )


def _body(words: str) -> str:
    return xml.text_within(words, LONGEST_BODY, CUT)


def displayed(privilege: Privilege, user: str, contact: str, about: str, stanza_id: str) -> str | None:
    """The user's own mark that they have read a contact's message (XEP-0333), for their other clients; None
    where the server does not let us."""
    mark = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{xml.attribute(about)}'/>"
    return privilege.own_message(user, contact, stanza_id, f"{mark}<store xmlns='urn:xmpp:hints'/>")
