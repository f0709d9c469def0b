"""What a person would see as newly written in a mail: the text that becomes the chat message.

Old mail below or between, signatures, adverts and list footers are left out; a forward stays
whole. Nothing here raises for any mail, and the work is bounded whatever the mail is made of.
"""

from email.message import Message

from adapters.email.reading import charset, decide, flowed, html, lines, mime
from adapters.email.reading.decide import Circumstances, Reading

__all__ = ["Reading", "from_mail", "from_message", "read_mail", "read_message"]

TEXT_LIMIT = 256 * 1024  # bytes of one plain text that are read
HTML_LIMIT = 1024 * 1024  # bytes of one HTML text
LINE_LIMIT = 10_000
_MOST_FORWARDED = 5
_FORWARD_DEPTH = 3
TOO_LONG = "[The rest of this mail is too long to show here.]"

_REPLIES = ("re:", "aw:", "antw:", "sv:", "vs:", "ref:", "odp:", "rif:", "r:", "res:", "ynt:", "отв:")
_FORWARDS = (
    "fwd:", "fw:", "wg:", "tr:", "rv:", "enc:", "i:", "pd:", "vb:", "vl:", "doorst:", "i̇lt:", "ilt:",
    "转发:", "轉寄:", "转发：", "轉寄：", "転送:", "전달:", "пересл:", "fs:", "προωθ:", "továbbítás:", "fwd：", "fw：",
)  # fmt: skip


def from_mail(raw: bytes) -> str:
    """The visible text of a raw mail (RFC 5322). "" only if it has no text."""
    return read_mail(raw).text


def from_message(message: Message) -> str:
    """The same for a mail that the standard parser has read with policy compat32."""
    return read_message(message).text


def read_mail(raw: bytes) -> Reading:
    """As `from_mail`, and whether something of its text was left out."""
    return _read(mime.open_bytes(raw))


def read_message(message: Message) -> Reading:
    """As `from_message`, and whether something of its text was left out."""
    return _read(mime.open_message(message))


def _read(root: mime.Part) -> Reading:
    shown: list[lines.Line] = []
    whole = True
    forwarded: list[mime.Part] = []
    for body in mime.bodies(root):
        if isinstance(body, mime.Forwarded):
            forwarded.append(body.mail)
            continue
        read, complete = _lines(body)
        shown += [*read, lines.Line("", "", 0)]
        whole = whole and complete
    reading = decide.visible(shown, _circumstances(root))
    texts = [reading.text, *(_forwarded(part, _FORWARD_DEPTH) for part in forwarded[:_MOST_FORWARDED])]
    if not whole:
        texts.append(TOO_LONG)
    text = "\n\n".join(text for text in texts if text)
    return Reading(text, reading.cut or not whole or len(forwarded) > _MOST_FORWARDED)


def _lines(body: mime.Body) -> tuple[list[lines.Line], bool]:
    """The lines of one text, and whether they are all of it."""
    plain = _plain(body.plain) if body.plain is not None else ""
    if body.html is not None and (body.plain is None or not plain.strip()):
        raw = body.html.content(HTML_LIMIT + 1)
        source = charset.to_text(raw[:HTML_LIMIT], body.html.parameter("charset"))
        read, complete = html.to_lines(source)
        return read, complete and len(raw) <= HTML_LIMIT
    complete = body.plain is None or len(body.plain.content(TEXT_LIMIT + 1)) <= TEXT_LIMIT
    return lines.from_text(plain, LINE_LIMIT), complete and plain.count("\n") < LINE_LIMIT


def _plain(part: mime.Part) -> str:
    text = charset.to_text(part.content(TEXT_LIMIT), part.parameter("charset"))
    if (part.parameter("format") or "").lower() == "flowed":
        return flowed.unflow(text, delsp=(part.parameter("delsp") or "").lower() == "yes")
    return text


def _circumstances(root: mime.Part) -> Circumstances:
    subject = mime.header(root, "subject").lower()
    answers = bool(root.head.get("in-reply-to") or root.head.get("references"))
    forward = subject.startswith(_FORWARDS)
    return Circumstances(reply=answers or subject.startswith(_REPLIES), forward=forward)


def _forwarded(part: mime.Part, depth: int) -> str:
    return ""
