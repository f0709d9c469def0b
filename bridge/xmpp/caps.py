"""Entity capabilities (XEP-0115): what service discovery would answer, as a hash beside a presence. Pure."""

import base64
import hashlib
from collections.abc import Iterable

from bridge.xmpp import xml

NAMESPACE = "http://jabber.org/protocol/caps"
NODE = "urn:uuid:7d0a5a0c-6c0e-4a57-9d1c-1f0a6a3fb2c4"  # names the program, for good; it has no site yet

Identity = tuple[str, str, str, str]  # category, type, xml:lang, name
Form = tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]  # FORM_TYPE; names and values of its other fields


def verification(identities: Iterable[Identity], features: Iterable[str], forms: Iterable[Form] = ()) -> str:
    """The verification string of section 5.1, in base64: everything sorted, each piece ended by `<`.

    A `<` inside a piece would let one list be taken for another (section 9.2): it is left out, as nothing
    of ours has one.
    """
    pieces = ["/".join(identity) for identity in sorted(identities)]
    pieces += sorted(features)
    for form_type, fields in sorted(forms):
        pieces.append(form_type)
        for name, values in sorted(fields):
            pieces += [name, *sorted(values)]
    text = "".join(f"{piece.replace('<', '')}<" for piece in pieces)
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


def element(ver: str) -> str:
    """What stands in an available presence (section 4)."""
    return f"<c xmlns='{NAMESPACE}' hash='sha-1' node='{xml.attribute(NODE)}' ver='{xml.attribute(ver)}'/>"
