"""How contacts look, in stanzas: names (XEP-0172), the hash of a picture beside presence (XEP-0153), its
metadata and data (XEP-0084). Pure.
"""

import base64

from bridge.store.cards import Photo
from bridge.xmpp import xml

METADATA = "urn:xmpp:avatar:metadata"
DATA = "urn:xmpp:avatar:data"
NICK = "http://jabber.org/protocol/nick"
_UPDATE = "vcard-temp:x:update"


def nick(name: str) -> str:
    """XEP-0172; empty where there is no name."""
    return f"<nick xmlns='{NICK}'>{xml.text(name)}</nick>" if name else ""


def update(photo_hash: str) -> str:
    """What stands in an available presence. Without a picture nothing: clients then ask for none."""
    if not photo_hash:
        return ""
    return f"<x xmlns='{_UPDATE}'><photo>{xml.text(photo_hash)}</photo></x>"


def photo(media_type: str, data: bytes) -> str:
    """The picture of a vCard (XEP-0054)."""
    if not data:
        return ""
    return f"<PHOTO><TYPE>{xml.text(media_type)}</TYPE><BINVAL>{encoded(data)}</BINVAL></PHOTO>"


def metadata(one: Photo) -> str:
    """The item of the metadata node: its id is the hash of the picture."""
    return (
        f"<item id='{one.hash}'><metadata xmlns='{METADATA}'>"
        f"<info bytes='{one.size}' id='{one.hash}' type='{xml.attribute(one.media_type)}'/>"
        "</metadata></item>"
    )


def item(one: Photo, data: bytes) -> str:
    """The item of the data node."""
    return f"<item id='{one.hash}'><data xmlns='{DATA}'>{encoded(data)}</data></item>"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
