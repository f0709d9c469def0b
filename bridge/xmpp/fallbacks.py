"""The parts of a body that stand there only for clients which do not know better (XEP-0428). Pure."""

from collections.abc import Container
from xml.etree.ElementTree import Element

FALLBACK = "urn:xmpp:fallback:0"
REPLY = "urn:xmpp:reply:0"
# Before version 0.2 the namespace was another one, and some clients still write it.
_BEFORE = "urn:xmpp:feature-fallback:0"
TAGS = {f"{{{space}}}fallback": space for space in (FALLBACK, _BEFORE)}


def without(stanza: Element, body: str, purposes: Container[str]) -> str:
    """The body less what is marked as a fallback for these specifications (their namespaces).

    Places count characters of the whole body (section 3.1), so all of them are cut at once. A mark
    without places says that all of the body is one; in an answer that would be its text, so there it
    is not believed.
    """
    places: list[tuple[int, int]] = []
    for child in stanza:
        space = TAGS.get(child.tag)
        if space is None or child.get("for") not in purposes:
            continue
        if len(child) == 0 and child.get("for") != REPLY:
            return ""
        for marked in child:
            if marked.tag != f"{{{space}}}body":
                continue
            start, end = marked.get("start", ""), marked.get("end", "")
            if not start and not end and child.get("for") != REPLY:
                return ""
            if _is_number(start) and _is_number(end):
                places.append((int(start), int(end)))
    return _cut(body, places) if places else body


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8


def _cut(body: str, places: list[tuple[int, int]]) -> str:
    """Places that make no sense are left alone: better a quote too many than a word too few."""
    kept, at = [], 0
    for start, end in sorted(places):
        if at <= start <= end <= len(body):
            kept.append(body[at:start])
            at = end
    return "".join((*kept, body[at:])).lstrip("\n")
