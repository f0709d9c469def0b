"""HTML of a mail to lines: block by block, with what programs say about quotes and signatures.

Styling becomes XEP-0393's where it reads well, a link is written out once, and a table becomes
"label: value" lines. Whether a quote stays is decided elsewhere, as for text.
"""

import re
from dataclasses import dataclass, field

from adapters.email.reading import blocks, links
from adapters.email.reading.html_tables import Table
from adapters.email.reading.html_tokens import TOKEN_LIMIT, Token, tokens
from adapters.email.reading.lines import Line, Mark, at_depth

_DEEPEST = 300  # open elements; what is nested deeper is read as if it were not nested
_MOST_TABLES = 12
_MOST_PRE_LINES = 5000  # of one preformatted text
TEXT_LIMIT = 256 * 1024  # characters of text


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_VOID = _names("area base br col embed hr img input link meta param source track wbr")
_BLOCKS = _names(
    "address article aside blockquote body center dd div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr html li main nav ol p pre section table tbody td tfoot th thead tr "
    "ul caption details summary "
)
_SPACED = _names("p h1 h2 h3 h4 h5 h6 blockquote pre ul ol")
_SKIPPED = _names("head script style title template object svg noscript select option")
_STYLES = {
    "b": "*", "strong": "*", "i": "_", "em": "_", "s": "~", "del": "~", "strike": "~",
    "h1": "*", "h2": "*", "h3": "*", "h4": "*",
}  # fmt: skip
# An element of the first closes one of the same line that is still open, unless the last is between.
_IMPLIED = {
    "p": (("p",), ("td", "th", "div", "li", "blockquote")),
    "li": (("li",), ("ul", "ol", "table")),
    "td": (("td", "th"), ("tr", "table")),
    "th": (("td", "th"), ("tr", "table")),
    "tr": (("tr",), ("table",)),
    "dt": (("dt", "dd"), ("dl", "table")),
    "dd": (("dt", "dd"), ("dl", "table")),
}
_HIDDEN = re.compile(r"display:none|visibility:hidden|mso-hide:all|max-height:0(?:px)?(?:;|$)")
_FLAT = re.compile(r"margin(?:-top|-bottom)?:0")

_QUOTES = frozenset({"yahoo_quoted", "protonmail_quote", "tutanota_quote", "zmail_extra", "skiff-mail-quote"})
_CUTS = frozenset(
    {
        "divrplyfwdmsg", "x_divrplyfwdmsg", "appendonsend", "x_appendonsend", "stopspelling",
        "mail-editor-reference-message-container", "ms-outlook-mobile-reference-message",
        "olk_src_body_section", "isreplycontent", "outlookmessageheader", "zwchr", "replysplit",
    }
)  # fmt: skip
_SIGNATURES = frozenset(
    {
        "gmail_signature", "moz-signature", "protonmail_signature_block", "signature", "x_signature",
        "applemailsignature", "ms-outlook-mobile-signature", "mobile-signature", "mail_signature",
        "email-signature", "tutanota_signature", "x_gmail_signature", "gmail_signature_prefix",
        "linebreakatbeginningofsignature", "applelinkssignature",
    }
)  # fmt: skip
_ATTRIBUTIONS = frozenset({"gmail_attr", "x_gmail_attr", "moz-cite-prefix", "reply-intro", "zmail_extra_hdr"})


@dataclass(slots=True)
class _Open:
    """An element that is open, and what its end undoes."""

    tag: str
    hidden: bool = False
    quote: bool = False
    mark: Mark = Mark.NONE
    style: str = ""
    href: str = ""
    began: tuple[int, int] = (0, 0)  # lines written and pieces of the line, at its start


@dataclass(slots=True)
class _List:
    ordered: bool
    count: int = 0


@dataclass(slots=True)
class _Writer:
    """What has been written, and what is open."""

    lines: list[Line] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)  # of the line being written
    open: list[_Open] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    lists: list[_List] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    styled: int = -1  # the piece of the line that has signs of styling around it
    prefix: str = ""  # of the next line: a list's dash
    hidden: int = 0
    quoted: int = 0
    marked: list[Mark] = field(default_factory=list)


def to_lines(source: str) -> tuple[list[Line], bool]:
    """The lines that a reader sees, and whether they are all of them."""
    writer = _Writer()
    complete = True
    left = TEXT_LIMIT
    for count, token in enumerate(tokens(source)):
        if count >= TOKEN_LIMIT or left <= 0:
            complete = False
            break
        if not token.tag:
            if not writer.hidden:
                _text(writer, token.text[:left])
                complete = complete and len(token.text) <= left
                left -= len(token.text) + 20 * token.text.count("\n")
        elif token.tag.startswith("/"):
            _end(writer, token.tag[1:])
        else:
            _start(writer, token)
    while writer.open:
        _close(writer)
    _flush(writer)
    return writer.lines, complete


def _start(writer: _Writer, token: Token) -> None:
    tag = token.tag
    _close_implied(writer, tag)
    if tag in _VOID:
        if not writer.hidden:
            _void(writer, token)
        return
    if tag in _BLOCKS and not writer.hidden:
        _flush(writer)
    element = _element(tag, token.attributes()) if len(token.text) > 3 else _plain_element(tag)
    if _is_spaced(writer, element):
        _blank(writer)
    if len(writer.open) >= _DEEPEST:
        return
    _enter(writer, element)


def _plain_element(tag: str) -> _Open:
    return _Open(tag, hidden=tag in _SKIPPED, quote=tag == "blockquote", style=_STYLES.get(tag, ""))


def _element(tag: str, attributes: dict[str, str]) -> _Open:
    element = _plain_element(tag)
    style = attributes.get("style", "").lower().replace(" ", "")
    names = {
        name[:60] for name in f"{attributes.get('id', '')} {attributes.get('class', '')}".lower().split()[:9]
    }
    if style and _HIDDEN.search(style):
        element.hidden = True
    if names:
        element.quote = (
            element.quote or bool(names & _QUOTES) or any(name.startswith("yahoo_quoted") for name in names)
        )
        element.mark = _mark(names)
    if "data-signatureblock" in attributes:
        element.mark = Mark.SIGNATURE
    if tag == "blockquote" and attributes.get("type") != "cite":
        element.quote = "border:none" not in style and "webkit-indent-blockquote" not in names
    elif tag == "a":
        element.href = links.target(attributes.get("href", ""))
    elif tag == "p" and (_FLAT.search(style) or any(name.startswith("mso") for name in names)):
        element.style = "flat"
    elif tag == "b" and "font-weight:normal" in style:
        element.style = ""
    return element


def _mark(names: set[str]) -> Mark:
    if names & _CUTS:
        return Mark.CUT
    if names & _SIGNATURES:
        return Mark.SIGNATURE
    return Mark.ATTRIBUTION if names & _ATTRIBUTIONS else Mark.NONE


def _enter(writer: _Writer, element: _Open) -> None:
    tag = element.tag
    element.began = (len(writer.lines), len(writer.pieces))
    writer.open.append(element)
    writer.counts[tag] = writer.counts.get(tag, 0) + 1
    writer.hidden += element.hidden
    writer.quoted += element.quote
    if element.mark is Mark.CUT:
        writer.lines.append(Line("", "", writer.quoted, Mark.CUT))
    elif element.mark is not Mark.NONE:
        _flush(writer)
        writer.marked.append(element.mark)
    if tag in ("ul", "ol"):
        writer.lists.append(_List(tag == "ol"))
    elif tag == "li":
        _item(writer)
    elif tag == "table" and len(writer.tables) < _MOST_TABLES:
        writer.tables.append(Table(writer.lines))
        writer.lines = []
    elif tag in ("td", "th", "tr") and writer.tables:
        writer.lines = writer.tables[-1].take(writer.lines, tag)


def _is_spaced(writer: _Writer, element: _Open) -> bool:
    """Whether an empty line stands around the element: not around a list within a list."""
    if element.tag not in _SPACED or element.style == "flat" or writer.hidden:
        return False
    return element.tag not in ("ul", "ol") or not writer.lists


def _end(writer: _Writer, tag: str) -> None:
    if tag == "p" and not writer.counts.get("p"):
        _flush(writer)
        return
    if tag == "br":
        _flush(writer, line_end=True)
    if not writer.counts.get(tag):
        return
    while _close(writer) != tag:
        pass


def _close(writer: _Writer) -> str:
    """Closes the innermost element, and says which it was."""
    element = writer.open.pop()
    tag = element.tag
    if tag == "pre" and not writer.hidden:
        _flush(writer)  # while it still counts: the last line is indented as the others are
    writer.counts[tag] -= 1
    if not writer.hidden:
        if element.style not in ("", "flat"):
            _style(writer, element)
        if element.href:
            _link(writer, element)
        if tag in _BLOCKS:
            _flush(writer)
    if element.mark not in (Mark.NONE, Mark.CUT):
        _flush(writer)
        writer.marked.pop()
    if tag in ("ul", "ol") and writer.lists:
        writer.lists.pop()
    elif tag == "table" and writer.tables:
        table = writer.tables.pop()
        writer.lines = table.close(writer.lines, writer.quoted)
    if tag == "li":
        writer.prefix = ""
    if _is_spaced(writer, element) and not element.quote:
        _blank(writer)
    if element.quote:
        _end_quote(writer)
    writer.hidden -= element.hidden
    return tag


def _close_implied(writer: _Writer, tag: str) -> None:
    if tag not in _IMPLIED:
        return
    same, between = _IMPLIED[tag]
    if not any(writer.counts.get(name) for name in same):
        return
    for back in range(1, min(len(writer.open), 20) + 1):
        name = writer.open[-back].tag
        if name in same:
            for _ in range(back):
                _close(writer)
            return
        if name in between:
            return


def _void(writer: _Writer, token: Token) -> None:
    if token.tag == "br":
        _flush(writer, line_end=True)
    elif token.tag == "hr":
        _flush(writer)
        names = token.attributes() if token.text else {}
        if {names.get("id", "").lower()} & _CUTS:
            writer.lines.append(Line("", "", writer.quoted, Mark.CUT))
        else:
            writer.lines.append(at_depth("-----", writer.quoted))
    elif token.tag == "img" and writer.counts.get("a"):
        alt = " ".join(token.attributes().get("alt", "").split())
        if alt and not "".join(writer.pieces[writer.open[-1].began[1] :]).strip():
            writer.pieces.append(alt[:120])


def _item(writer: _Writer) -> None:
    level = max(len(writer.lists), 1)
    sign = "-"
    if writer.lists:
        writer.lists[-1].count += 1
        if writer.lists[-1].ordered:
            sign = f"{writer.lists[-1].count}."
    writer.prefix = "  " * min(level - 1, 8) + f"{sign} "


def _text(writer: _Writer, text: str) -> None:
    if writer.counts.get("pre"):
        first, *others = text.split("\n", _MOST_PRE_LINES)
        writer.pieces.append(first)
        for other in others:
            _flush(writer, line_end=True)
            writer.pieces.append(other)
        return
    words = " ".join(text.split())  # a no-break space is a space as well
    if not words:
        if "\xa0" in text:
            writer.pieces.append("\xa0")
        elif text and writer.pieces and not writer.pieces[-1].endswith(" "):
            writer.pieces.append(" ")
        return
    if words[0].isalnum() and not text[0].isspace():
        _unstyle(writer)
    if text[0].isspace() and writer.pieces and not writer.pieces[-1].endswith((" ", "\xa0")):
        words = f" {words}"
    writer.pieces.append(f"{words} " if text[-1].isspace() else words)


def _flush(writer: _Writer, *, line_end: bool = False) -> None:
    """Ends the line that is being written. `line_end`: an empty one counts as well."""
    pieces = writer.pieces
    writer.styled = -1
    if not pieces and not line_end:
        return
    text = "".join(pieces).replace("\xa0", " ").rstrip()
    if not writer.counts.get("pre"):
        text = text.strip()
    writer.pieces = []
    if not text:
        if line_end or "\xa0" in pieces:
            _blank(writer)
        return
    mark = writer.marked[-1] if writer.marked else Mark.NONE
    if mark is Mark.NONE and writer.counts.get("pre") and writer.counts.get("code"):
        mark = Mark.CODE
    writer.lines.append(at_depth(writer.prefix + text, writer.quoted, mark))
    writer.prefix = " " * len(writer.prefix) if writer.counts.get("li") else ""


def _blank(writer: _Writer) -> None:
    _flush(writer)
    last = writer.lines[-1] if writer.lines else None
    if last is not None and (last.depth > writer.quoted or (last.text and last.depth == writer.quoted)):
        writer.lines.append(Line(">" * writer.quoted, "", writer.quoted))


def _end_quote(writer: _Writer) -> None:
    """An empty line that would end the quote stands below it instead."""
    _flush(writer)
    while writer.lines and writer.lines[-1].depth >= writer.quoted and not writer.lines[-1].text:
        if writer.lines[-1].mark is Mark.CUT:
            break
        writer.lines.pop()
    writer.quoted -= 1
    if not writer.hidden:
        _blank(writer)


def _style(writer: _Writer, element: _Open) -> None:
    """Puts XEP-0393's signs around what the element held, if that reads well."""
    line, piece = element.began
    if line != len(writer.lines) or piece > len(writer.pieces):
        return
    text = "".join(writer.pieces[piece:])
    inner = text.replace("\xa0", " ").strip()
    sign = element.style
    before = "".join(writer.pieces[max(0, piece - 2) : piece])[-1:]
    if not inner or sign in inner or len(inner) > 200 or before.isalnum() or not any(map(str.isalnum, inner)):
        return
    if blocks.label(inner) is not None or "://" in inner:
        return
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    writer.pieces[piece:] = [lead, sign + inner + sign, trail]
    writer.styled = piece + 1


def _unstyle(writer: _Writer) -> None:
    """A word goes on right behind a styled part of it: there the signs would read badly."""
    pieces = writer.pieces
    if 0 < writer.styled == len(pieces) - 2 and not pieces[-1] and pieces[-2]:
        pieces[-2] = pieces[-2][1:-1]
    writer.styled = -1


def _link(writer: _Writer, element: _Open) -> None:
    line, piece = element.began
    text = "".join(writer.pieces[piece:]) if line == len(writer.lines) else ""
    if not text.strip() and line == len(writer.lines):
        return  # a picture without words, or nothing
    addition = links.addition(text, element.href)
    if addition and element.href not in writer.linked:
        writer.linked.add(element.href)
        writer.pieces.append(f"{'' if text[-1:].isspace() else ' '}{addition}" if text.strip() else addition)
