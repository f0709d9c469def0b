"""The text of a mail, as it stands: the plain part, else the HTML part's text. Cuts nothing away."""

import re

from selectolax.lexbor import LexborHTMLParser

from adapters.email.reading import charset, mime

_TEXT_LIMIT = 256 * 1024
_HTML_LIMIT = 1024 * 1024
_BLOCKS = "p, div, br, li, tr, h1, h2, h3, h4, h5, h6, blockquote, pre"


def from_mail(raw: bytes) -> str:
    """Never raises for what a mail contains; may be empty."""
    texts = []
    for body in mime.bodies(mime.open_bytes(raw)):
        part = body.mail if isinstance(body, mime.Forwarded) else body.plain or body.html
        if part is None or isinstance(body, mime.Forwarded):
            continue
        if part.kind == "text/html":
            texts.append(_from_html(charset.to_text(part.content(_HTML_LIMIT), part.parameter("charset"))))
        else:
            texts.append(charset.to_text(part.content(_TEXT_LIMIT), part.parameter("charset")))
    return "\n\n".join(text.strip() for text in texts if text.strip())


def _from_html(html: str) -> str:
    tree = LexborHTMLParser(html)
    tree.strip_tags(["script", "style", "head", "title"])
    for node in tree.css(_BLOCKS):
        node.insert_before("\n")
    text = tree.body.text() if tree.body is not None else ""
    return re.sub(r"\n[ \t\n]{2,}", "\n\n", "\n".join(" ".join(line.split()) for line in text.split("\n")))
