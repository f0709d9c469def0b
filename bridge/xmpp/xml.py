"""Text that is safe inside XML, and the few names of namespaces that several stanza families share.

Hot stanzas are written as ready text, so everything that came from outside passes through here.
"""

import re
from xml.etree.ElementTree import Element

COMPONENT = "jabber:component:accept"
CLIENT = "jabber:client"
STREAM = "http://etherx.jabber.org/streams"
CONDITIONS = "urn:ietf:params:xml:ns:xmpp-stanzas"
RECEIPTS = "urn:xmpp:receipts"
DATA_FORM = "jabber:x:data"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

# XML 1.0 section 2.2 forbids these characters even as references; lone surrogates cannot be encoded.
_FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL_IN_TEXT = re.compile(f"[&<>\r{_FORBIDDEN}]")
_SPECIAL_IN_ATTRIBUTE = re.compile(f"[&<>'\"\r\n\t{_FORBIDDEN}]")
_HALF_REFERENCE = re.compile("&[^;]*$")
_REFERENCES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "\r": "&#13;",
    "\n": "&#10;",
    "\t": "&#9;",
}


def _reference(found: re.Match[str]) -> str:
    return _REFERENCES.get(found[0], "")


def text(value: str) -> str:
    """Character data. Forbidden characters are dropped."""
    if _SPECIAL_IN_TEXT.search(value) is None:
        return value
    return _SPECIAL_IN_TEXT.sub(_reference, value)


def text_within(value: str, most: int, ending: str = "") -> str:
    """Character data of at most `most` bytes on the wire; where it had to be cut stands `ending`."""
    written = text(value)
    if len(written) * 4 <= most:
        return written
    encoded = written.encode()
    if len(encoded) <= most:
        return written
    return _HALF_REFERENCE.sub("", encoded[:most].decode("utf-8", "ignore")) + ending


def attribute(value: str) -> str:
    """The value of an attribute, between quotes of either kind. Forbidden characters are dropped."""
    if _SPECIAL_IN_ATTRIBUTE.search(value) is None:
        return value
    return _SPECIAL_IN_ATTRIBUTE.sub(_reference, value)


def name_of(tag: str) -> str:
    """The local name of an ElementTree tag."""
    return tag.rpartition("}")[2]


def bare(jid: str) -> str:
    return jid.partition("/")[0]


def node(jid: str) -> str:
    """The local part of a JID; empty for a domain. (A resource may hold an `@`.)"""
    return jid.partition("/")[0].rpartition("@")[0]


def result(request: Element, inside: str = "") -> str:
    """The result of an IQ request, from whom it was for, with its own id."""
    sender, recipient = (attribute(request.get(name, "")) for name in ("to", "from"))
    identity = attribute(request.get("id", ""))
    return f"<iq from='{sender}' to='{recipient}' id='{identity}' type='result'>{inside}</iq>"
