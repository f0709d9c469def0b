"""HTML cut into tags and texts in linear time, whatever it is made of.

A tree is not built on purpose. Tree builders that follow HTML5 are quadratic in depth, in open
formatting elements and in attributes (lexbor, measured: 135 s for 200,000 open divs, 23 s for
100,000 attributes of one tag), and a mail needs no tree to be read.
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from adapters.email.reading import charset

TOKEN_LIMIT = 12_000
_TAG_LIMIT = 8000  # characters of one tag in which attributes are looked for

_OPEN = re.compile(r"<(?:(/?)([a-zA-Z][a-zA-Z0-9:_-]{0,40})|!--|[!?])")
# Names begin only where no name goes on, and nothing is given back: no input makes it slow.
_ATTRIBUTE = re.compile(
    r"(?<![\w:.-])([a-zA-Z][\w:.-]*+)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]++))", re.ASCII
)
_RAW = {tag: re.compile(rf"</{tag}[\s/>]", re.IGNORECASE) for tag in ("script", "style", "title", "xmp")}
_LONG_NUMBER = re.compile(r"&#[0-9a-fA-FxX]{9,}")


class Token(NamedTuple):
    """A text (no tag), a start tag, or an end tag ("/p")."""

    tag: str
    text: str  # the text with entities read; for a start tag its attributes as written

    def attributes(self) -> dict[str, str]:
        """A start tag's attributes, names in lower case, the first of each name."""
        found: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(self.text[:_TAG_LIMIT]):
            found.setdefault(name.lower(), unescape(next((value for value in values if value), "")))
        return found


def tokens(source: str) -> Iterator[Token]:
    """What `source` consists of. Comments, declarations, scripts and styles are left out."""
    place = 0
    last_tag_end = source.rfind(">")
    last_comment_end = source.rfind("-->")
    unclosed: set[str] = set()
    while match := _OPEN.search(source, place):
        if match.start() > place:
            yield Token("", unescape(source[place : match.start()]))
        if match.end() > last_tag_end:
            return  # a tag that never ends
        name = match[2]
        if name is None:
            place = _after_comment(source, match, last_comment_end)
            continue
        end = _tag_end(source, match.end())
        tag = name.lower()
        place = end + 1
        if tag in _RAW and not match[1] and tag not in unclosed:
            close = _RAW[tag].search(source, place)
            if close is not None:
                place = close.start()
                continue
            unclosed.add(tag)
        yield Token(f"/{tag}" if match[1] else tag, source[match.end() : end])
    if place < len(source):
        yield Token("", unescape(source[place:]))


def unescape(text: str) -> str:
    """Character references read (HTML 13.5); one with too many digits is dropped."""
    if "&" not in text:
        return text
    return charset.clean(html.unescape(_LONG_NUMBER.sub("", text)))


def _after_comment(source: str, match: re.Match[str], last_comment_end: int) -> int:
    if match[0] == "<!--" and match.end() <= last_comment_end + 2:
        return source.find("-->", match.end() - 2) + 3  # "<!-->" is a whole comment
    return source.find(">", match.end()) + 1


def _tag_end(source: str, start: int) -> int:
    """The place of the ">" that ends a tag; one inside a quoted attribute does not."""
    end = source.find(">", start)
    segment = source[start:end]
    for quote in "\"'":
        if f"={quote}" in segment and segment.count(quote) % 2:
            closed = source.find(quote, end, end + 4000)
            after = source.find(">", closed, closed + 4000) if closed >= 0 else -1
            if after >= 0:
                return after
    return end
